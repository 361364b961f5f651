"""The rows that functions return for tables, and the columns that tables expect.

This module imports neither Dagster nor DuckDB, so that sources and stages can import it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import polars as pl

from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.table_specs import load_specs

#: Reads a table's current rows, before this write: table (``schema.table``), condition with ?, parameters.
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
    table: str,
    study: Study | None = None,
    *,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
    **other: Any,
) -> pl.Schema:
    """Return the columns of a table (``schema.table``) as schema.yml defines them, with their Polars types.

    Tables whose columns depend on the study need it. ``only`` or ``without`` select among the columns; ``other`` are
    additional columns, or columns with another type. Raises KeyError for a table or column that schema.yml does not
    describe.
    """
    columns = {column.name: _POLARS_TYPES[column.data_type] for column in load_specs(study=study)[table].columns}
    unknown = {*(only or ()), *without} - set(columns)
    if unknown:
        raise KeyError(f"{table} has no column {sorted(unknown)[0]}")
    chosen = {name: kind for name, kind in columns.items() if (only is None or name in only) and name not in without}
    return pl.Schema({**chosen, **other})


def conform(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Return the columns of a schema, with its types; those that the rows do not have are NULL."""
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None).alias(name)).cast(kind) for name, kind in schema.items()
    )


class Markdown(str):
    """Text in Markdown, which the UI renders."""

    __slots__ = ()


@dataclass(frozen=True)
class Rows:
    """All rows of one table, with metadata for the UI."""

    frame: pl.DataFrame
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class PartitionRows:
    """Rows of one library, to be written into a table.

    They replace the rows with the same key (the table's grain), and those that satisfy ``outdated``, a condition with ?
    for ``params``. Frames of an iterable are in memory one at a time. The UI shows ``counts`` and ``notes`` per
    library, and the sums of counts.
    """

    frame: pl.DataFrame | Iterable[pl.DataFrame]
    outdated: str
    params: Sequence[Any]
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def replacing(
        cls, frame: pl.DataFrame | Iterable[pl.DataFrame], library: str, **metadata: Mapping[str, Any]
    ) -> Self:
        """Replace all rows of a library; ``metadata`` are counts and notes."""
        return cls(frame, "library = ?", [library], **metadata)

    @classmethod
    def appending(cls, frame: pl.DataFrame | Iterable[pl.DataFrame], **metadata: Mapping[str, Any]) -> Self:
        """Add rows, or replace those with the same key; ``metadata`` are counts and notes."""
        return cls(frame, "false", [], **metadata)

    @classmethod
    def nothing(cls, table: str) -> Self:
        """Leave a table (``schema.table``) unchanged."""
        return cls.appending(pl.DataFrame(schema=table_schema(table)))


@dataclass(frozen=True)
class Columns:
    """A SELECT of some columns of a table, for a function that does not need the others."""

    table: str
    names: Sequence[str]

    def __str__(self) -> str:
        return f"select {', '.join(self.names)} from {self.table}"
