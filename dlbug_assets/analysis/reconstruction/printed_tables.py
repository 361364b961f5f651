"""The printed tables of shares that can be reconstructed, with the released labels, P values and bars of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_ALL, _BOTH = "All", "both"
# Shares of all bugs of a library and source that are labelled in the dimension.
_IS_SHARE = (
    (pl.col("unit") == "percent")
    & (pl.col("denominator") == "labelled")
    & pl.col("within_category").is_null()
    & pl.col("year").is_null()
    & (pl.col("library") != _ALL)
    & (pl.col("source") != _BOTH)
    & pl.col("computed").is_not_null()
)
# A bar is measured on a drawing: to one and a half of its last decimal.
_BAR_ERROR = 1.5
# The P values are those of a test of two sources.
_SOURCES = 2


@dataclass(frozen=True)
class Leftover:
    """A row of a leftover sheet that has no released row: where it is, and its categories (bugs by table row)."""

    place: str
    counts: Ints


@dataclass(frozen=True)
class Column:
    """The column of one library and source in a printed table.

    ``printed`` are the shares in units of the last printed decimal, by row of the table, and ``bars`` the same shares
    in percent as drawn in figures, NaN where there is none; ``positions`` and ``bar_positions`` are those of the cells.
    ``labels`` has a row per bug with a label in the dimension,
    in the order of the release, and is 1 in the columns of its categories. ``spellings`` are the rows of the bugs by
    spellings of labels that no other column has.
    """

    library: str
    source: str
    positions: Sequence[int]
    printed: Ints
    labels: Ints
    spellings: dict[str, Ints]
    leftovers: Sequence[Leftover]
    bars: Floats
    bar_positions: Sequence[int | None]
    bar_error: float

    @property
    def name(self) -> str:
        """The column as texts name it."""
        return f"{self.library} ({self.source})"

    @property
    def counts(self) -> Ints:
        """The released bugs by row of the table."""
        return self.labels.sum(axis=0)


@dataclass(frozen=True)
class PrintedP:
    """A printed P value of a row of a table: where it is, its value and number of decimals."""

    position: int
    row: int
    value: float
    decimals: int


@dataclass(frozen=True)
class PrintedTable:
    """A printed table of shares: its rows are ``categories``, and ``scale`` is the number of units of one percent.

    ``p_values`` are empty unless every library has a column of each of two sources.
    """

    reference: str
    dimension: str
    categories: Sequence[str]
    columns: Sequence[Column]
    p_values: Sequence[PrintedP]
    scale: int
    halves_are_even: bool

    @property
    def whole(self) -> int:
        """100 percent in units of the last printed decimal."""
        return 100 * self.scale

    @property
    def sources(self) -> list[str]:
        """The sources of the columns, in the order of the table."""
        return list(dict.fromkeys(column.source for column in self.columns))

    def rounded(self, counts: Ints, totals: Ints) -> Ints:
        """Return shares of bugs in units of the last printed decimal; ``counts`` has a row per total.

        Halves are rounded as the table's are, exactly.
        """
        twice = 2 * totals[:, None]
        up, rest = np.divmod(2 * self.whole * counts + totals[:, None], twice)
        return up - ((rest == 0) & (up % 2 == 1)) if self.halves_are_even else up


def printed_tables(
    cells: pl.DataFrame, labels: pl.DataFrame, bug_labels: pl.DataFrame, leftovers: pl.DataFrame
) -> Iterator[PrintedTable]:
    """Yield the tables of analysis.replication_cells that can be reconstructed.

    ``labels`` is labeling.labels, whose order is that of the release, ``bug_labels`` labeling.bug_labels and
    ``leftovers`` labeling.leftover_labels.
    """
    order = labels.select("bug_id", "library", "source").with_row_index("order")
    shares = cells.filter(_IS_SHARE)
    bars = shares.filter(reading="approximate")
    for (reference, dimension), table in shares.filter(reading="printed").group_by(
        ["reference", "dimension"], maintain_order=True
    ):
        categories = table["category"].unique(maintain_order=True).to_list()
        bugs = (
            bug_labels.filter(dimension=dimension)
            .join(order, on="bug_id")
            .sort("order")
            .with_columns(is_only_here=pl.struct("library", "source").n_unique().over("as_written") == 1)
        )
        of_columns = bugs.partition_by("library", "source", as_dict=True)
        decimals = table["decimals"].max()
        columns = [
            _column(
                rows,
                categories,
                of_columns[key],
                bars.filter(dimension=dimension),
                leftovers.filter(dimension=dimension),
            )
            for key, rows in table.group_by(["library", "source"], maintain_order=True)
            if key in of_columns and set(rows["category"]) == set(categories) and rows["decimals"].n_unique() == 1
        ]
        if columns:
            yield PrintedTable(
                reference=str(reference),
                dimension=str(dimension),
                categories=categories,
                columns=columns,
                p_values=_p_values(cells, str(dimension), categories, columns),
                scale=10 ** int(str(decimals)),
                halves_are_even=table["halves"][0] == "even",
            )


def _column(
    cells: pl.DataFrame, categories: list[str], bugs: pl.DataFrame, bars: pl.DataFrame, leftovers: pl.DataFrame
) -> Column:
    library, source = cells["library"][0], cells["source"][0]
    of_column = (pl.col("library") == library) & (pl.col("source") == source)
    place = {name: row for row, name in enumerate(categories)}
    cells = cells.sort(pl.col("category").replace_strict(place))
    bugs = bugs.with_columns(
        row=pl.col("order").rank("dense") - 1,
        place=pl.col("category").replace_strict(place, default=None, return_dtype=pl.Int64),
    )
    labels = np.zeros((bugs["row"].n_unique(), len(categories)), dtype=np.int64)
    of_table = bugs.filter(pl.col("place").is_not_null())
    labels[of_table["row"].to_numpy(), of_table["place"].to_numpy()] = 1
    spellings = {
        str(spelling): of_spelling["row"].to_numpy()
        for (spelling,), of_spelling in bugs.filter(
            pl.col("is_only_here") & pl.col("as_written").is_not_null()
        ).group_by(["as_written"], maintain_order=True)
    }
    drawn, bar_positions = np.full(len(categories), np.nan), [None] * len(categories)
    of_drawing = bars.filter(of_column & pl.col("category").is_in(categories))
    for category, value, position in of_drawing.select("category", "published", "position").iter_rows():
        drawn[place[category]], bar_positions[place[category]] = value, position
    # A leftover row without a library or source may be of any.
    left = leftovers.filter(
        (pl.col("source").is_null() | (pl.col("source") == source))
        & (pl.col("library").is_null() | (pl.col("library") == library))
        & pl.col("bug_id").is_null()
        & pl.col("category").is_not_null()
    )
    return Column(
        library=library,
        source=source,
        positions=cells["position"].to_list(),
        printed=(cells["published"] * 10.0 ** cells["decimals"]).round().cast(pl.Int64).to_numpy(),
        labels=labels,
        spellings=spellings,
        leftovers=[
            Leftover(f"{sheet}, row {row}", np.array([sum(rows["category"] == name) for name in categories]))
            for (sheet, row), rows in left.group_by(["sheet", "row"], maintain_order=True)
        ],
        bars=drawn,
        bar_positions=bar_positions,
        bar_error=_BAR_ERROR / 10 ** max(of_drawing["decimals"], default=0),
    )


def _p_values(cells: pl.DataFrame, dimension: str, categories: list[str], columns: list[Column]) -> list[PrintedP]:
    libraries: dict[str, set[str]] = {}
    for column in columns:
        libraries.setdefault(column.source, set()).add(column.library)
    sizes = [len(names) for names in libraries.values()]
    if len(sizes) != _SOURCES or min(sizes) == 1:
        return []
    printed = cells.filter(
        (pl.col("unit") == "p")
        & (pl.col("reading") == "printed")
        & (pl.col("dimension") == dimension)
        & pl.col("computed").is_not_null()
        & pl.col("category").is_in(categories)
    )
    return [
        PrintedP(position, categories.index(category), value, decimals)
        for position, category, value, decimals in printed.select(
            "position", "category", "published", "decimals"
        ).iter_rows()
    ]
