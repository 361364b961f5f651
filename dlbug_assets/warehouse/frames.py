"""Exchange frames between Polars and DuckDB as Arrow streams, without pyarrow."""

from collections.abc import Mapping
from types import SimpleNamespace

import duckdb
import polars as pl

from dlbug_assets.errors import DlbugError

#: What DuckDB's messages begin with, and their exceptions, as far as they are told apart.
_STREAM_ERRORS = {"Out of Memory Error": duckdb.OutOfMemoryException, "IO Error": duckdb.IOException}


def to_frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Return the rows of a relation, through an Arrow C stream: without pyarrow, and interruptible.

    Raises :class:`duckdb.Error`, and :class:`duckdb.NotSupportedError` for a column of a type that Polars does not
    have.
    """
    for name, dtype in zip(relation.columns, relation.types, strict=True):
        if not _is_in_polars(dtype):
            raise duckdb.NotSupportedError(f"Polars has no type for column {name} ({dtype})")
    # Given the relation itself, Polars keeps its class in a cache, and DuckDB prints a list of leaks at exit.
    stream = SimpleNamespace(__arrow_c_stream__=relation.__arrow_c_stream__)
    try:
        return pl.DataFrame(stream)
    except pl.exceptions.ComputeError as error:
        # An error after the first rows reaches Polars as text only.
        message = str(error).removeprefix("got external error: ")
        raise _STREAM_ERRORS.get(message.split(":")[0], duckdb.Error)(message) from None


def register_frame(connection: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame) -> None:
    """Let queries read a frame under a name, through an Arrow C stream: without pyarrow.

    A column of nothing but NULL (``pl.Null``) is read as VARCHAR. Raises :class:`DlbugError` for Python objects.
    """
    objects = frame.select(pl.col(pl.Object)).columns
    if objects:
        raise DlbugError(f"DuckDB cannot read Python objects, as in column {objects[0]}")
    # DuckDB refuses the NULLs of Polars' Null, which have no bitmap.
    connection.register(name, _ArrowStream(frame.cast({pl.Null: pl.String})))


class _ArrowStream:
    """The Arrow C stream of a frame and nothing else of it: given the frame itself, DuckDB reads it through pyarrow."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def _is_in_polars(dtype: duckdb.sqltypes.DuckDBPyType) -> bool:
    """Whether Polars has a type for it, where it otherwise panics."""
    if dtype.id in ("list", "array", "struct", "tuple", "map"):
        return all(_is_in_polars(child) for _, child in dtype.children if not isinstance(child, int))
    return dtype.id not in ("interval", "union")


def query_frames(query: str, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The rows of a query over frames that stand in for the tables (``schema.table``) it reads."""
    with duckdb.connect(":memory:") as connection:
        for table, frame in tables.items():
            schema = table.split(".", maxsplit=1)[0]
            connection.execute(f"create schema if not exists {schema}")
            register_frame(connection, "_frame", frame)
            connection.execute(f"create table {table} as from _frame")
            connection.unregister("_frame")
        return to_frame(connection.sql(query))
