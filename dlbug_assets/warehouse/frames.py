"""Exchange frames between Polars and DuckDB as Arrow streams, without pyarrow."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import duckdb
import polars as pl
from duckdb.sqltypes import DuckDBPyType

from dlbug_assets.errors import DlbugError

#: The beginnings of DuckDB's messages, and their exceptions, for those that are handled differently.
_STREAM_ERRORS = {"Out of Memory Error": duckdb.OutOfMemoryException, "IO Error": duckdb.IOException}


def to_frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Return the rows of a relation, through an Arrow C stream: without pyarrow, and interruptible.

    Raises :class:`duckdb.Error`; for a column of a type that Polars does not have :class:`duckdb.NotSupportedError`.
    """
    for name, dtype in zip(relation.columns, relation.types, strict=True):
        if not _is_in_polars(dtype):
            raise duckdb.NotSupportedError(f"Polars has no type for column {name} ({dtype})")
    # If Polars got the relation itself, it would cache its class, and DuckDB would print a list of leaks at exit.
    stream: Any = SimpleNamespace(__arrow_c_stream__=relation.__arrow_c_stream__)
    try:
        return pl.DataFrame(stream)
    except pl.exceptions.ComputeError as error:
        # An error after the first rows reaches Polars as text only.
        message = str(error).removeprefix("got external error: ")
        raise _STREAM_ERRORS.get(message.split(":")[0], duckdb.Error)(message) from None


def register_frame(connection: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame) -> None:
    """Make a frame readable in queries under a name, through an Arrow C stream: without pyarrow.

    A column that contains only NULL (``pl.Null``) is read as VARCHAR. Raises :class:`DlbugError` for Python objects.
    """
    objects = frame.select(pl.col(pl.Object)).columns
    if objects:
        raise DlbugError(f"DuckDB cannot read Python objects, as in column {objects[0]}")
    # DuckDB rejects the NULLs of Polars' Null type, which have no validity bitmap.
    connection.register(name, _ArrowStream(frame.cast({pl.Null: pl.String})))


class _ArrowStream:
    """Only the Arrow C stream of a frame: DuckDB would read the frame itself through pyarrow."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def _is_in_polars(dtype: DuckDBPyType) -> bool:
    """Return whether Polars has a type for it; if not, Polars would panic."""
    if dtype.id in ("list", "array", "struct", "tuple", "map"):
        return all(_is_in_polars(child) for _, child in dtype.children if isinstance(child, DuckDBPyType))
    return dtype.id not in ("interval", "union")


def query_frames(query: str, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of a query on frames that replace the tables (``schema.table``) it reads. Raises duckdb.Error."""
    with duckdb.connect(":memory:") as connection:
        create_tables(connection, tables)
        return to_frame(connection.sql(query))


def create_tables(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pl.DataFrame]) -> None:
    """Create tables (``schema.table``) with the rows of frames."""
    for table, frame in tables.items():
        schema = table.split(".", maxsplit=1)[0]
        connection.execute(f"create schema if not exists {schema}")
        register_frame(connection, "_frame", frame)
        connection.execute(f"create table {table} as from _frame")
        connection.unregister("_frame")
