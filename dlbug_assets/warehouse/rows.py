"""The rows that a function returns for its tables, before they are written, and the columns that a table expects.

Nothing here imports Dagster or DuckDB, so that sources and stages can.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import polars as pl

from dlbug_assets.warehouse.table_specs import load_specs

#: Read rows of a table as they are before this write: table (``schema.table``), condition with ?, parameters.
ReadCurrent = Callable[[str, str, Sequence[Any]], pl.DataFrame]

_POLARS_TYPES: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "VARCHAR": pl.String,
    "BIGINT": pl.Int64,
    "INTEGER": pl.Int32,
    "DOUBLE": pl.Float64,
    "BOOLEAN": pl.Boolean,
    "DATE": pl.Date,
    "TIMESTAMP": pl.Datetime("us"),
    "VARCHAR[]": pl.List(pl.String),
}


def table_schema(
    table: str, *, only: Collection[str] | None = None, without: Collection[str] = (), **other: Any
) -> pl.Schema:
    """Return the columns of a table (``schema.table``) as schema.yml defines them, with their Polars types.

    ``only`` or ``without`` choose among them; ``other`` are columns that the frame has beside the table's, or with
    another type. Raises KeyError for a table or column that schema.yml does not describe.
    """
    columns = {column.name: _POLARS_TYPES[column.data_type] for column in load_specs()[table].columns}
    unknown = {*(only or ()), *without} - set(columns)
    if unknown:
        raise KeyError(f"{table} has no column {sorted(unknown)[0]}")
    chosen = {name: kind for name, kind in columns.items() if (only is None or name in only) and name not in without}
    return pl.Schema({**chosen, **other})


class Markdown(str):
    """Text in Markdown, which the UI renders as such."""

    __slots__ = ()


@dataclass(frozen=True)
class Rows:
    """All rows of one table, with metadata that the UI shows beside them."""

    frame: pl.DataFrame
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PartitionRows:
    """Rows of one library. They replace the rows with the same key (the table's grain), and those that satisfy
    ``outdated``, a condition with ? for ``params``. Frames that an iterator yields are in memory one at a time.

    ``counts`` and ``notes`` are shown per library in the UI; counts are also added up.
    """

    frame: pl.DataFrame | Iterable[pl.DataFrame]
    outdated: str
    params: Sequence[Any]
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def replacing(cls, frame: pl.DataFrame | Iterable[pl.DataFrame], library: str, **shown: Mapping[str, Any]) -> Self:
        """Make these the only rows of a library; ``shown`` are counts and notes."""
        return cls(frame, "library = ?", [library], **shown)

    @classmethod
    def appending(cls, frame: pl.DataFrame | Iterable[pl.DataFrame], **shown: Mapping[str, Any]) -> Self:
        """Add rows, or replace those with the same key; ``shown`` are counts and notes."""
        return cls(frame, "false", [], **shown)

    @classmethod
    def nothing(cls, table: str) -> Self:
        """Leave a table (``schema.table``) as it is."""
        return cls.appending(pl.DataFrame(schema=table_schema(table)))


@dataclass(frozen=True)
class Columns:
    """Some columns of a table, for a function that does not read all of it."""

    table: str
    names: Sequence[str]

    def __str__(self) -> str:
        return f"select {', '.join(self.names)} from {self.table}"
