"""Why a printed cell is not the computed one, where the numbers themselves show it.

Each test asks whether the printed column would be right if one thing had happened to it on its way into print. It
knows no cell by name; what no test explains stays unexplained. Where half the cells of a column or more are not as
printed, it is most likely of other data: then only tests are made that explain many cells at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, permutations

import polars as pl

from dlbug_assets.analysis.comparison import student_t_test
from dlbug_assets.analysis.statistics.shares import whole_percent
from dlbug_assets.protocol.taxonomy import SOURCES

_WHOLE = 100

#: A shift or another denominator that fewer cells speak for may be chance; in a column of other data, so many.
_ENOUGH_CELLS, _MANY_CELLS = 2, 4

#: P values are printed with four decimals.
_HALF_A_DIGIT = 0.00005 + 1e-9


def replication_diff(cells: pl.DataFrame) -> pl.DataFrame:
    """``cells`` (analysis.replication_cells) with explanation, one sentence, NULL where none is found or needed."""
    printed = [name for name in cells["reference"].unique(maintain_order=True) if not name.endswith("_p")]
    found: dict[tuple[str, ...], str] = {}
    for reference in printed:
        shares = cells.filter(pl.col("reference") == reference)
        for (category, library, source), reason in _explained_shares(shares):
            found[reference, category, library, source] = reason
        for category, reason in _explained_p(cells.filter(pl.col("reference") == f"{reference}_p"), shares):
            found[f"{reference}_p", category, "All", "both"] = reason
    keys = cells.select("reference", "category", "library", "source").iter_rows()
    return cells.with_columns(explanation=pl.Series([found.get(key) for key in keys], dtype=pl.String)).drop(
        "bugs", "total"
    )


@dataclass
class _Column:
    """One library and source of a printed table: its rows, what is printed, what is counted, and what explains it.

    ``expected`` is what should be printed, as far as it is understood: a test that explains cells changes it.
    """

    categories: list[str]
    printed: list[int]
    bugs: list[int]
    total: int
    expected: list[int]
    reasons: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.is_alike = 2 * len(self.differing) < len(self.printed)

    @property
    def enough_cells(self) -> int:
        """How many cells that are not 0 have to bear out what would be a chance hit otherwise."""
        return _ENOUGH_CELLS if self.is_alike else _MANY_CELLS

    @property
    def differing(self) -> list[int]:
        return [row for row, (a, b) in enumerate(zip(self.printed, self.expected, strict=True)) if a != b]

    def accept(self, rows: Mapping[int, str]) -> None:
        """What is printed in these rows is explained."""
        for row, reason in rows.items():
            self.expected[row] = self.printed[row]
            self.reasons.setdefault(row, reason)


def _explained_shares(cells: pl.DataFrame) -> Iterator[tuple[tuple[str, str, str], str]]:
    columns: dict[str, dict[str, _Column]] = {source: {} for source in SOURCES}
    # The tables print their rows in the order of the alphabet.
    for (library, source), rows in cells.sort("category").group_by(["library", "source"], maintain_order=True):
        if rows["computed"].null_count():
            continue
        bugs, total = rows["bugs"].to_list(), rows["total"][0]
        column = _Column(rows["category"].to_list(), rows["published"].cast(pl.Int64).to_list(), bugs, total,
                         [whole_percent(n, total) for n in bugs])  # fmt: skip
        columns[source][library] = column
    for source, of_source in columns.items():
        _exchanged_rows([column for column in of_source.values() if column.is_alike], source)
        for library, column in of_source.items():
            totals = {other: columns[other][library].total for other in SOURCES if library in columns[other]}
            _explain(column, {name: total for name, total in totals.items() if name != source})
            for row, reason in column.reasons.items():
                yield (column.categories[row], library, source), reason


def _explain(column: _Column, totals: Mapping[str, int]) -> None:
    """The tests of a column, the plainest first; ``totals``: what other shares of the library are of."""
    if column.is_alike:
        _exchanged_cells(column)
    _shifted(column)
    _other_denominator(column, totals)
    if column.is_alike:
        _half(column)
        _made_to_sum_up(column)
        _recounted(column)


def _exchanged_rows(columns: list[_Column], source: str) -> None:
    """Two rows of a source that are each printed in the other's place, in several libraries."""
    for a, b in combinations(range(len(columns[0].categories) if columns else 0), 2):
        fits = all(
            column.printed[a] == column.expected[b] and column.printed[b] == column.expected[a] for column in columns
        )
        differing = [column for column in columns if column.printed[a] != column.expected[a]]
        if fits and len(differing) >= _ENOUGH_CELLS:
            for column in differing:
                _exchange(column, a, b, f"the {source} rows {{}} and {{}} are printed in each other's place")


def _exchanged_cells(column: _Column) -> None:
    for a, b in combinations(column.differing, 2):
        crosswise = column.printed[a] == column.expected[b] and column.printed[b] == column.expected[a]
        if crosswise and column.printed[a] != column.expected[a]:
            _exchange(column, a, b, "the cells of {} and {} are exchanged")


def _exchange(column: _Column, a: int, b: int, reason: str) -> None:
    column.bugs[a], column.bugs[b] = column.bugs[b], column.bugs[a]
    column.accept(dict.fromkeys((a, b), reason.format(column.categories[a], column.categories[b])))


def _shifted(column: _Column) -> None:
    """Cells that are printed one row too low or too high, with the cell that this leaves empty."""
    for step, where in ((-1, "low"), (1, "high")):
        before = list(column.expected)
        run: list[int] = []
        for row in [*range(len(before)), -1]:
            source = row + step
            if row >= 0 and 0 <= source < len(before) and column.printed[row] == before[source] != before[row]:
                run.append(row)
                continue
            shown = [one for one in run if column.printed[one]]
            if len(shown) >= column.enough_cells:
                left = run[0] - 1 if step < 0 else run[-1] + 1
                if column.printed[left] == 0 != before[left]:
                    run.append(left)
                column.accept(dict.fromkeys(run, f"{len(shown)} cells of the column are printed one row too {where}"))
            run = []


def _other_denominator(column: _Column, totals: Mapping[str, int]) -> None:
    candidates = {**totals, "both sources": column.total + sum(totals.values())}
    differing = column.differing
    for name, total in candidates.items():
        shown = sum(bool(column.printed[row]) for row in differing)
        if shown >= column.enough_cells and all(
            column.printed[row] == whole_percent(column.bugs[row], total) for row in differing
        ):
            reason = f"percent of the {total} bugs of {name}, not of {column.total}"
            column.accept(dict.fromkeys(differing, reason))


def _half(column: _Column) -> None:
    for row in column.differing:
        exactly_half = (200 * column.bugs[row]) % (2 * column.total) == column.total
        if exactly_half and column.printed[row] == column.expected[row] - 1:
            column.accept({row: f"{column.bugs[row]} of {column.total} is half a percent, which is rounded down"})


def _made_to_sum_up(column: _Column) -> None:
    column.accept(_adjusted(column.printed, column.expected) or {})


def _adjusted(printed: list[int], expected: list[int]) -> dict[int, str] | None:
    """Rows that were changed by one so that the column sums to 100, {} where none differs, None for anything else."""
    changed = {row: a - b for row, (a, b) in enumerate(zip(printed, expected, strict=True)) if a != b}
    if not changed:
        return {}
    missing = _WHOLE - sum(expected)
    if sum(printed) != _WHOLE or abs(missing) != len(changed) or set(changed.values()) != {1 if missing > 0 else -1}:
        return None
    how = "raised" if missing > 0 else "lowered"
    cells = "one cell is" if len(changed) == 1 else f"{len(changed)} cells are"
    return dict.fromkeys(
        changed, f"rounded, the column sums to {sum(expected)}; {cells} {how} by one so that it sums to {_WHOLE}"
    )


def _recounted(column: _Column) -> None:
    """The printed column is that of one bug more or less, or of some bugs of one row counted in another.

    Two cells can always be had right this way: others have to bear it out. Of two counts that do as well, none is
    taken.
    """
    differing = column.differing
    if not differing or sum(map(bool, column.printed)) <= _ENOUGH_CELLS:
        return
    fitting = []
    for bugs, total, reason in (*_one_bug_apart(column), *_counted_elsewhere(column)):
        expected = [
            column.expected[row] if row in column.reasons else whole_percent(n, total) for row, n in enumerate(bugs)
        ]
        adjusted = _adjusted(column.printed, expected)
        if adjusted is not None:
            fitting.append((len(adjusted), reason, adjusted))
    fewest = min((number for number, _, _ in fitting), default=0)
    best = [(reason, adjusted) for number, reason, adjusted in fitting if number == fewest]
    if len(best) == 1:
        reason, adjusted = best[0]
        column.accept({row: f"{reason}; {adjusted[row]}" if row in adjusted else reason for row in differing})


_Counts = Iterator[tuple[list[int], int, str]]


def _one_bug_apart(column: _Column) -> _Counts:
    for row, name in enumerate(column.categories):
        for more in (1, -1):
            bugs, total = list(column.bugs), column.total + more
            bugs[row] += more
            if bugs[row] >= 0 and total:
                how = f"one {name} {'more' if more > 0 else 'less'} ({bugs[row]} of {total} bugs)"
                yield bugs, total, f"the column is that of {how}"


def _counted_elsewhere(column: _Column) -> _Counts:
    for a, b in permutations(column.differing, 2):
        for number in range(1, column.bugs[a] + 1):
            if whole_percent(column.bugs[a] - number, column.total) != column.printed[a]:
                continue
            bugs = list(column.bugs)
            bugs[a], bugs[b] = bugs[a] - number, bugs[b] + number
            how = f"{number} of {column.bugs[a]} {column.categories[a]} counted as {column.categories[b]}"
            yield bugs, column.total, f"the column is that of {how}"


def _explained_p(p_cells: pl.DataFrame, shares: pl.DataFrame) -> Iterator[tuple[str, str]]:
    for row in p_cells.filter(pl.col("same_when_rounded").eq(other=False)).iter_rows(named=True):
        cells = shares.filter(pl.col("category") == row["category"]).sort("library")
        if cells["computed"].null_count():
            continue
        reason = _p_reason(cells, row["published"])
        if reason:
            yield row["category"], reason


def _p_reason(cells: pl.DataFrame, published: float) -> str | None:
    """Which shares the printed P value is of: the printed ones, or those with some cells as computed, or exact ones."""

    def is_that_of(values: pl.Series) -> bool:
        samples = (values.filter(cells["source"] == source).to_list() for source in SOURCES)
        p = student_t_test(*samples)
        return p is not None and abs(p - published) < _HALF_A_DIGIT

    if is_that_of(cells["computed"]):
        return "the printed P value is that of unrounded shares"
    differing = [place for place, same in enumerate(cells["same_when_rounded"]) if not same]
    rounded = pl.Series([whole_percent(bugs, total) for bugs, total in cells.select("bugs", "total").iter_rows()])
    # Of more cells there are so many choices that one of them fits by chance.
    most = len(differing) if 2 * len(differing) <= cells.height else 1
    for number in range(most):
        fitting = []
        for chosen in combinations(differing, number):
            values = cells["published"].to_list()
            for place in chosen:
                values[place] = rounded[place]
            if is_that_of(pl.Series(values, dtype=pl.Float64)):
                fitting.append(chosen)
        if len(fitting) == 1:
            named = ", ".join(f"{cells['library'][place]} ({cells['source'][place]})" for place in fitting[0])
            but = f", but for the computed one of {named}" if named else ""
            return f"the printed P value is that of the printed shares{but}"
    return None
