"""The warehouse: a study's DuckDB files. Only this module opens the working database for writing.

Each table changes in one transaction, checks included, or not at all. What people open is a copy, the published
database, that is only replaced as a whole.
"""

import logging
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import duckdb
import polars as pl

from dlbug_assets.atomic_files import sync_folder
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import SCHEMAS, Home
from dlbug_assets.warehouse.checks import CheckOutcome, run_check
from dlbug_assets.warehouse.errors import explain_errors
from dlbug_assets.warehouse.frames import register_frame, to_frame
from dlbug_assets.warehouse.lease import Lease
from dlbug_assets.warehouse.macros import create_macros
from dlbug_assets.warehouse.published import published_query
from dlbug_assets.warehouse.table_specs import TableSpec

logger = logging.getLogger(__name__)

#: Older DuckDB shells can open files of this storage version.
STORAGE_VERSION = "v1.2.0"
_MIB = 2**20
#: DuckDB's memory limit, in bytes. It is ample for a study of the paper's size; larger ones spill to disk beside the
#: file. Statements that fail nevertheless get more, up to half of the machine's memory.
MEMORY, _MOST_MEMORY = 384 * _MIB, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2

T = TypeVar("T")


@dataclass(frozen=True)
class WriteResult:
    """The result of a write: rows received, rows in the table now, the version of its content, and check outcomes."""

    spec: TableSpec
    rows_received: int
    row_count: int
    version: str
    outcomes: tuple[CheckOutcome, ...] = field(default=())

    @property
    def accepted(self) -> bool:
        """Whether no blocking check failed; otherwise the table is unchanged."""
        return all(outcome.passed or not outcome.check.blocking for outcome in self.outcomes)


class Warehouse:
    """A study's working database: opened, under the writer's lease, when it is first used; closed on exit.

    ``holder`` names the process to those who wait for the lease, ``timeout`` is how many seconds to wait for it, and
    ``memory`` is DuckDB's memory limit in bytes.
    """

    def __init__(self, home: Home, holder: str, timeout: float = 3600.0, memory: int = MEMORY) -> None:
        self.home = home
        self._memory = memory
        self._lease = Lease(home.lock, holder, timeout)
        self._stack = ExitStack()
        self._leased = False
        self._connection: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._disconnect()
        self._stack.close()
        self._leased = False

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The only writing connection of this process. Acquires the lease first, and raises :class:`DlbugError`."""
        if not self._leased:
            self._stack.enter_context(self._lease)
            self._leased = True
        if self._connection is None:
            self._connection = _open_for_writing(self.home.working, self._memory)
        return self._connection

    def _with_enough_memory(self, work: Callable[[], T]) -> T:
        """Run ``work``; when DuckDB runs out of memory, retry with twice the limit."""
        memory = self._memory
        try:
            while True:
                try:
                    return work()
                except duckdb.OutOfMemoryException:
                    memory *= 2
                    if memory > _MOST_MEMORY:
                        raise
                    logger.info("DuckDB ran out of memory: retrying with %d MiB", memory // _MIB)
                    self.connection.execute(f"set memory_limit = '{memory}B'")
        finally:
            if memory != self._memory:
                self.connection.execute(f"set memory_limit = '{self._memory}B'")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def read(self, query: str, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the rows of a query, or of a whole table given as ``schema.table``. Raises :class:`DlbugError`."""
        sql = f"from {query}" if re.fullmatch(r"\w+\.\w+", query) else query
        return self._frame(query, sql, dict(params or {}))

    def _frame(self, what: str, sql: str, params: Mapping[str, Any] | Sequence[Any]) -> pl.DataFrame:
        with explain_errors(f"reading {what}", self.home.working):
            return self._with_enough_memory(lambda: to_frame(self.connection.sql(sql, params=params)))

    def row_count(self, table: str) -> int:
        """Return the number of rows of a table."""
        return self.connection.execute(f"select count(*) from {table}").fetchall()[0][0]

    def exists(self, table: str) -> bool:
        """Return whether a table exists."""
        schema, name = table.split(".")
        found = self.connection.execute(
            "select 1 from duckdb_tables() where schema_name = ? and table_name = ?", [schema, name]
        ).fetchall()
        return bool(found)

    def current_rows(self, spec: TableSpec, condition: str, params: Sequence[Any]) -> pl.DataFrame:
        """Return the rows of a table that satisfy a condition with ? for ``params``; none if it does not exist yet."""
        if self.exists(spec.table):
            return self._frame(spec.table, f"from {spec.table} where {condition}", list(params))
        return self._no_rows(spec)

    def published_rows(self, spec: TableSpec) -> pl.DataFrame:
        """Return the rows of a table as they were published last; none if it was not published yet.

        Raises :class:`DlbugError` for a published database that cannot be read, or whose table lacks a column.
        """
        if not self.home.published.is_file():
            return self._no_rows(spec)
        schema, name = spec.table.split(".")
        with published_query(self.home) as query:
            found = f"from duckdb_tables() where schema_name = '{schema}' and table_name = '{name}'"
            if query(found).is_empty():
                return self._no_rows(spec)
            columns = ", ".join(f'"{column}"' for column in spec.column_names)
            return query(f"select {columns} from {spec.table}")

    def _no_rows(self, spec: TableSpec) -> pl.DataFrame:
        columns = ", ".join(f'null::{column.data_type} as "{column.name}"' for column in spec.columns)
        return self._frame(spec.table, f"select {columns} where false", [])

    def replace(self, spec: TableSpec, rows: pl.DataFrame | str) -> WriteResult:
        """Replace all rows of the table by a frame or a SELECT, in one transaction with its comments and checks.

        Frames are cast to the columns of the spec. If a blocking check fails, nothing changes (``accepted`` is False).
        Raises :class:`DlbugError` for missing or unknown columns, values that cannot be cast, and full disks.
        """

        def fill(connection: duckdb.DuckDBPyConnection) -> int:
            with _staged(connection, spec, rows):
                _create(connection, spec)
            return self.row_count(spec.table)

        return self._write(spec, fill)

    def replace_part(
        self, spec: TableSpec, rows: pl.DataFrame | Iterable[pl.DataFrame], outdated: str, params: Sequence[Any]
    ) -> WriteResult:
        """Replace the rows that satisfy ``outdated`` (with ? for ``params``), or have the key of an incoming row.

        The key is the table's grain. Everything else is as in `replace`. Frames of an iterable, which has at least one,
        are in memory one at a time.
        """
        key = ", ".join(f'"{column}"' for column in spec.grain)

        def fill(connection: duckdb.DuckDBPyConnection) -> int:
            with _staged(connection, spec, rows if isinstance(rows, pl.DataFrame) else "from spooled"):
                received = self.row_count("incoming")
                self._prepare(spec)
                connection.execute(f"delete from {spec.table} where {outdated}", list(params))
                connection.execute(f"delete from {spec.table} where ({key}) in (select ({key}) from incoming)")
                connection.execute(f"insert into {spec.table} by name select * from incoming")
            return received

        if isinstance(rows, pl.DataFrame):
            return self._write(spec, fill)
        with self._spooled(spec, rows):
            return self._write(spec, fill)

    @contextmanager
    def _spooled(self, spec: TableSpec, frames: Iterable[pl.DataFrame]) -> Generator[None, None, None]:
        """Hold frames as the temporary table `spooled`, which DuckDB moves to disk when memory is short.

        This happens outside of a transaction: within one, DuckDB would keep every frame until its end.
        """
        connection = self.connection
        statement = "create or replace temp table spooled as from frame"
        with explain_errors(f"writing {spec.table}", self.home.working):
            for frame in frames:
                register_frame(connection, "frame", frame)
                connection.execute(statement)
                connection.unregister("frame")
                statement = "insert into spooled by name from frame"
        yield
        connection.execute("drop table spooled")

    def _prepare(self, spec: TableSpec) -> None:
        """Create the table, empty, if it is missing; reject one whose columns differ from the incoming ones."""
        if not self.exists(spec.table):
            _create(self.connection, spec)
            self.connection.execute(f"truncate {spec.table}")
        elif _columns(self.connection, spec.table) != _columns(self.connection, "incoming"):
            raise DlbugError(
                f"{spec.table} in {self.home.working} was written by another version of dlbug. Delete that "
                "file and run again to create it anew."
            )

    def _write(self, spec: TableSpec, fill: Callable[[duckdb.DuckDBPyConnection], int]) -> WriteResult:
        connection = self.connection

        def write() -> WriteResult:
            connection.execute("begin transaction")
            try:
                received = fill(connection)
                outcomes = tuple(run_check(connection, check) for check in spec.checks)
                written = WriteResult(spec, received, self.row_count(spec.table), _version(connection, spec), outcomes)
                connection.execute("commit" if written.accepted else "rollback")
            except BaseException:
                _roll_back(connection)
                raise
            return written

        with explain_errors(f"writing {spec.table}", self.home.working):
            return self._with_enough_memory(write)

    def publish(self) -> Path:
        """Replace the published database by a copy of the working one, atomically, and return its path.

        Readers that have the old file open keep it, new ones open the new file. Raises :class:`DlbugError`.
        """
        with explain_errors("saving the working database", self.home.working):
            create_macros(self.connection)
            self.connection.execute("checkpoint")
        # A process that copies a file that it has open loses DuckDB's lock on it: close first.
        self._disconnect()
        target = self.home.published
        unfinished = target.with_suffix(".duckdb.unfinished")
        try:
            shutil.copyfile(self.home.working, unfinished)
            with unfinished.open("rb+") as file:
                os.fsync(file.fileno())
            unfinished.replace(target)
            sync_folder(target.parent)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise DlbugError(
                f"cannot publish {target}: {error.strerror}. The previous published database is unchanged. "
                "Free some disk space (or make the folder writable) and run again."
            ) from None
        return target


def _open_for_writing(path: Path, memory: int) -> duckdb.DuckDBPyConnection:
    """Open the database, or create it: completely or, if that fails, not at all."""
    is_new = not path.exists()
    try:
        return _attached(path, memory)
    except DlbugError:
        if is_new:  # what was written of it so far is not a database
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
        raise


def _attached(path: Path, memory: int) -> duckdb.DuckDBPyConnection:
    with explain_errors("opening the working database", path):
        options: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory}B",
            "temp_directory": f"{path}.tmp",
        }
        connection = duckdb.connect(":memory:", config=options)
        try:
            # Rows of posts are long, so that row groups of the usual 122,880 rows would take most of the memory.
            connection.execute(
                f"attach {_text(str(path))} as working (storage_version '{STORAGE_VERSION}', row_group_size 16384)"
            )
            connection.execute("use working")
            for schema in SCHEMAS:
                connection.execute(f"create schema if not exists {schema}")
        except duckdb.Error:
            connection.close()
            raise
        return connection


@contextmanager
def _staged(
    connection: duckdb.DuckDBPyConnection, spec: TableSpec, rows: pl.DataFrame | str
) -> Generator[None, None, None]:
    """Provide the rows as a temporary view `incoming` with the columns, order and types of the spec."""
    if isinstance(rows, pl.DataFrame):
        register_frame(connection, "frame", rows)
    # A view, not a subquery, so that a model runs exactly as it is in its file.
    connection.execute(f"create temp view staged as {rows if isinstance(rows, str) else 'from frame'}")
    found = [name for name, _ in _columns(connection, "staged")]
    missing = [name for name in spec.column_names if name not in found]
    unknown = [name for name in found if name not in spec.column_names]
    if missing or unknown:
        problems = [f"lack {', '.join(missing)}"] * bool(missing) + [f"also have {', '.join(unknown)}"] * bool(unknown)
        raise DlbugError(f"{spec.table}: the computed rows {' and '.join(problems)} (described in {spec.source})")
    casts = ", ".join(f'cast("{c.name}" as {c.data_type}) as "{c.name}"' for c in spec.columns)
    connection.execute(f"create temp view incoming as select {casts} from staged")
    yield
    connection.execute("drop view incoming")
    connection.execute("drop view staged")
    connection.unregister("frame")


def _create(connection: duckdb.DuckDBPyConnection, spec: TableSpec) -> None:
    connection.execute(f"create or replace table {spec.table} as from incoming")
    connection.execute(f"comment on table {spec.table} is {_text(spec.description)}")
    for column in spec.columns:
        connection.execute(f'comment on column {spec.table}."{column.name}" is {_text(column.description)}')


def _columns(connection: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[str, str]]:
    return [row[:2] for row in connection.execute(f"describe {relation}").fetchall()]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _version(connection: duckdb.DuckDBPyConnection, spec: TableSpec) -> str:
    """Return a fingerprint of the rows that depends neither on their order nor on the values of incidental columns.

    A table with incidental columns in its grain is a log of observations: rows that repeat what earlier ones record do
    not change the fingerprint, whereas the order in which different contents were last observed does.
    """
    incidental = {column.name for column in spec.columns if column.incidental}
    if incidental.isdisjoint(spec.grain):
        columns = ", ".join(f'"{column.name}"{" is null" * column.incidental}' for column in spec.columns)
        query = f"select count(*), sum(hash(({columns},))) from {spec.table}"
    else:
        columns = ", ".join(f'"{name}"' for name in spec.column_names if name not in incidental)
        grain = ", ".join(f'"{name}"' for name in spec.grain)
        query = f"""
            select count(*), hash(list(content order by latest))
            from (select hash(({columns},)) as content, max(({grain},)) as latest from {spec.table} group by all)
        """
    return "-".join(map(str, connection.execute(query).fetchall()[0]))


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    # DuckDB ends a transaction on its own when its disk fails; there is then nothing to roll back.
    try:
        connection.execute("rollback")
    except duckdb.TransactionException:
        return
