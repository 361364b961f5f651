"""Explanations of printed cells that differ from the computed ones, as far as the numbers themselves show them.

Each test checks whether the printed column would be right if one mistake had been made on the way into print. No test
refers to a particular cell, and a difference that no test explains stays unexplained. A column of which at least half
the cells differ was most likely computed from other data; it is subject only to tests that explain many cells at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, permutations

import polars as pl

from dlbug_assets.analysis.comparison import student_t_test
from dlbug_assets.analysis.statistics.shares import whole_percent
from dlbug_assets.warehouse.rows import table_schema

_WHOLE = 100
_BOTH = "both"

# Shares of all bugs of a library and source that are labelled in the dimension, as tables print them.
_IS_WHOLE_SHARE = (
    (pl.col("unit") == "percent")
    & (pl.col("reading") == "printed")
    & (pl.col("decimals") == 0)
    & (pl.col("denominator") == "labelled")
    & pl.col("within_category").is_null()
    & pl.col("year").is_null()
)

# The evidence that a shift or another denominator needs: with fewer cells it may be chance. More are needed in a column
# that was most likely computed from other data.
_ENOUGH_CELLS, _MANY_CELLS = 2, 4

# With more differing cells, the many ways to combine them would take long, and one of them would fit by chance.
_FEW_CELLS = 10

# The test compares the shares of two sources.
_SOURCES = 2


def replication_diff(cells: pl.DataFrame) -> pl.DataFrame:
    """Return analysis.replication_diff: the printed numbers with explanations of their differences.

    ``cells`` is analysis.replication_cells. Adds explanation, one sentence, NULL if none is found or needed. Explained
    are shares in whole percent per library and source, and P values that were computed from them.
    """
    explanations: dict[int, str] = {}
    shares = cells.filter(_IS_WHOLE_SHARE)
    for _, table in shares.group_by(["reference", "dimension"], maintain_order=True):
        explanations |= _explain_shares(table)
        explanations |= _explain_p_values(cells, table)
    explanation = pl.Series([explanations.get(key) for key in cells["position"]], dtype=pl.String)
    return cells.with_columns(explanation=explanation).select(table_schema("analysis.replication_diff").names())


@dataclass
class _Column:
    """The column of one library and source in a printed table.

    ``printed`` are the printed percents and ``bugs`` the counted bugs of ``categories``, whose cells have these
    ``positions``. ``expected`` are the percents that should be printed, given the explanations so far: a test that
    explains cells changes them. ``reasons`` are the explanations by row.
    """

    positions: list[int]
    categories: list[str]
    printed: list[int]
    bugs: list[int]
    total: int
    expected: list[int]
    reasons: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.is_mostly_as_printed = 2 * len(self.differing) < len(self.printed)

    @property
    def required_cells(self) -> int:
        """The number of nonzero cells that must support a shift or another denominator."""
        return _ENOUGH_CELLS if self.is_mostly_as_printed else _MANY_CELLS

    @property
    def differing(self) -> list[int]:
        """The rows whose printed and expected percents differ."""
        return [row for row, (a, b) in enumerate(zip(self.printed, self.expected, strict=True)) if a != b]

    def accept(self, rows: Mapping[int, str]) -> None:
        """Expect what is printed in these rows, for the reasons given."""
        for row, reason in rows.items():
            self.expected[row] = self.printed[row]
            self.reasons.setdefault(row, reason)


def _explain_shares(cells: pl.DataFrame) -> dict[int, str]:
    """Return the explanations of a table's cells by position."""
    columns: dict[str, dict[str, _Column]] = {}
    # The rows of all columns in the same order.
    for (library, source), rows in cells.sort("category", "position").group_by(
        ["library", "source"], maintain_order=True
    ):
        if rows["computed"].null_count():
            continue
        bugs, total = rows["bugs"].to_list(), rows["total"][0]
        columns.setdefault(str(source), {})[str(library)] = _Column(
            rows["position"].to_list(), rows["category"].to_list(), rows["published"].cast(pl.Int64).to_list(), bugs,
            total, [whole_percent(n, total) for n in bugs],
        )  # fmt: skip
    reasons: dict[int, str] = {}
    for source, of_source in columns.items():
        _explain_exchanged_rows([column for column in of_source.values() if column.is_mostly_as_printed], source)
        for library, column in of_source.items():
            totals = {name: others[library].total for name, others in columns.items() if library in others}
            _explain_column(column, {name: total for name, total in totals.items() if name not in (source, _BOTH)})
            reasons |= {column.positions[row]: reason for row, reason in column.reasons.items()}
    return reasons


def _explain_column(column: _Column, totals: Mapping[str, int]) -> None:
    """Apply the tests of a column, the simplest first.

    ``totals`` are the numbers of bugs of the library in the other sources.
    """
    if column.is_mostly_as_printed:
        _explain_exchanged_cells(column)
    _explain_shift(column)
    _explain_denominator(column, totals)
    if column.is_mostly_as_printed:
        _explain_half(column)
        _explain_sum(column)
        _explain_recount(column)


def _explain_exchanged_rows(columns: list[_Column], source: str) -> None:
    """Explain two rows of a source that are printed in each other's place in several libraries."""
    columns = [column for column in columns if column.categories == columns[0].categories]
    for a, b in combinations(range(len(columns[0].categories) if columns else 0), 2):
        fits = all(
            column.printed[a] == column.expected[b] and column.printed[b] == column.expected[a] for column in columns
        )
        differing = [column for column in columns if column.printed[a] != column.expected[a]]
        if fits and len(differing) >= _ENOUGH_CELLS:
            for column in differing:
                _exchange(column, a, b, f"the {source} rows {{}} and {{}} are printed in each other's place")


def _explain_exchanged_cells(column: _Column) -> None:
    for a, b in combinations(column.differing, 2):
        crosswise = column.printed[a] == column.expected[b] and column.printed[b] == column.expected[a]
        if crosswise and column.printed[a] != column.expected[a]:
            _exchange(column, a, b, "the cells of {} and {} are exchanged")


def _exchange(column: _Column, a: int, b: int, reason: str) -> None:
    column.bugs[a], column.bugs[b] = column.bugs[b], column.bugs[a]
    column.accept(dict.fromkeys((a, b), reason.format(column.categories[a], column.categories[b])))


def _explain_shift(column: _Column) -> None:
    """Explain cells that are printed one row too low or too high, and the cell that is left empty by the shift."""
    for step, where in ((-1, "low"), (1, "high")):
        before = list(column.expected)
        run: list[int] = []
        for row in [*range(len(before)), -1]:
            source = row + step
            if row >= 0 and 0 <= source < len(before) and column.printed[row] == before[source] != before[row]:
                run.append(row)
                continue
            nonzero = [one for one in run if column.printed[one]]
            if len(nonzero) >= column.required_cells:
                left = run[0] - 1 if step < 0 else run[-1] + 1
                if column.printed[left] == 0 != before[left]:
                    run.append(left)
                column.accept(dict.fromkeys(run, f"{len(nonzero)} cells of the column are printed one row too {where}"))
            run = []


def _explain_denominator(column: _Column, totals: Mapping[str, int]) -> None:
    all_sources = "both sources" if len(totals) == 1 else "all sources"
    candidates = {**totals, all_sources: column.total + sum(totals.values())} if totals else {}
    differing = column.differing
    for name, total in candidates.items():
        nonzero = sum(bool(column.printed[row]) for row in differing)
        if nonzero >= column.required_cells and all(
            column.printed[row] == whole_percent(column.bugs[row], total) for row in differing
        ):
            reason = f"percent of the {total} bugs of {name}, not of {column.total}"
            column.accept(dict.fromkeys(differing, reason))


def _explain_half(column: _Column) -> None:
    for row in column.differing:
        exactly_half = (200 * column.bugs[row]) % (2 * column.total) == column.total
        if exactly_half and column.printed[row] == column.expected[row] - 1:
            column.accept({row: f"{column.bugs[row]} of {column.total} is half a percent, which is rounded down"})


def _explain_sum(column: _Column) -> None:
    column.accept(_adjusted_rows(column.printed, column.expected) or {})


def _adjusted_rows(printed: list[int], expected: list[int]) -> dict[int, str] | None:
    """Return the rows that were changed by one so that the column sums to 100, with reasons.

    Returns {} if no row differs, and None if rows differ in another way.
    """
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


def _explain_recount(column: _Column) -> None:
    """Explain a column computed with one bug more or less, or with some bugs of one row counted in another.

    Two cells can always be explained this way, so that further cells must support it. If two counts explain the column
    equally well, neither is accepted.
    """
    differing = column.differing
    if not 0 < len(differing) <= _FEW_CELLS or sum(map(bool, column.printed)) <= _ENOUGH_CELLS:
        return
    fitting = []
    for bugs, total, reason in (*_counts_with_one_bug_changed(column), *_counts_with_bugs_moved(column)):
        expected = [
            column.expected[row] if row in column.reasons else whole_percent(n, total) for row, n in enumerate(bugs)
        ]
        adjusted = _adjusted_rows(column.printed, expected)
        if adjusted is not None:
            fitting.append((len(adjusted), reason, adjusted))
    fewest = min((number for number, _, _ in fitting), default=0)
    best = [(reason, adjusted) for number, reason, adjusted in fitting if number == fewest]
    if len(best) == 1:
        reason, adjusted = best[0]
        column.accept({row: f"{reason}; {adjusted[row]}" if row in adjusted else reason for row in differing})


# Bugs by row, their total, and the explanation that they would be.
_Counts = Iterator[tuple[list[int], int, str]]


def _counts_with_one_bug_changed(column: _Column) -> _Counts:
    for row, name in enumerate(column.categories):
        for more in (1, -1):
            bugs, total = list(column.bugs), column.total + more
            bugs[row] += more
            if bugs[row] >= 0 and total:
                how = f"one {name} {'more' if more > 0 else 'less'} ({bugs[row]} of {total} bugs)"
                yield bugs, total, f"the column is that of {how}"


def _counts_with_bugs_moved(column: _Column) -> _Counts:
    for a, b in permutations(column.differing, 2):
        for number in range(1, column.bugs[a] + 1):
            if whole_percent(column.bugs[a] - number, column.total) != column.printed[a]:
                continue
            bugs = list(column.bugs)
            bugs[a], bugs[b] = bugs[a] - number, bugs[b] + number
            how = f"{number} of {column.bugs[a]} {column.categories[a]} counted as {column.categories[b]}"
            yield bugs, column.total, f"the column is that of {how}"


def _explain_p_values(cells: pl.DataFrame, shares: pl.DataFrame) -> dict[int, str]:
    """Return the explanations of the P values of a table's dimension by position."""
    reasons: dict[int, str] = {}
    dimension = shares["dimension"][0]
    p_values = cells.filter(unit="p", dimension=dimension, same_when_rounded=False)
    for p_value in p_values.iter_rows(named=True):
        row = shares.filter((pl.col("category") == p_value["category"]) & (pl.col("source") != _BOTH)).sort("library")
        per_source = row.group_by("source").len()["len"]
        if row["computed"].null_count() or len(per_source) != _SOURCES or per_source.min() == 1:
            continue
        if reason := _p_reason(row, p_value["published"], p_value["decimals"]):
            reasons[p_value["position"]] = reason
    return reasons


def _p_reason(cells: pl.DataFrame, published: float, decimals: int) -> str | None:
    """Return which shares a P value printed with this number of decimals was computed from, None if it is unknown.

    Tries exact shares, the printed shares, and printed shares of which some are replaced by computed ones.
    """
    sources = cells["source"].unique(maintain_order=True)
    half_a_digit = 0.5 / 10**decimals + 1e-9

    def matches(values: pl.Series) -> bool:
        first, second = (values.filter(cells["source"] == source).to_list() for source in sources)
        p = student_t_test(first, second)
        return p is not None and abs(p - published) < half_a_digit

    if matches(cells["computed"]):
        return "the printed P value is that of unrounded shares"
    differing = [place for place, same in enumerate(cells["same_when_rounded"]) if not same]
    rounded = pl.Series([whole_percent(bugs, total) for bugs, total in cells.select("bugs", "total").iter_rows()])
    # With more cells, one of the many combinations would match by chance.
    most = len(differing) if 2 * len(differing) <= cells.height and len(differing) <= _FEW_CELLS else 1
    for number in range(most):
        fitting = []
        for chosen in combinations(differing, number):
            values = cells["published"].to_list()
            for place in chosen:
                values[place] = rounded[place]
            if matches(pl.Series(values, dtype=pl.Float64)):
                fitting.append(chosen)
        if len(fitting) == 1:
            named = ", ".join(f"{cells['library'][place]} ({cells['source'][place]})" for place in fitting[0])
            but = f", but for the computed one of {named}" if named else ""
            return f"the printed P value is that of the printed shares{but}"
    return None
