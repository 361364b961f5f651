"""The warehouse: a study's DuckDB files. Only this module opens the working database for writing.

Each table changes in one transaction, checks included, or not at all. What people open is a copy, the published
database, that is only ever replaced whole.
"""

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from dlbug_assets.warehouse.table_specs import TableSpec

logger = logging.getLogger(__name__)

#: Files of this storage version open in the DuckDB shells that people have today.
STORAGE_VERSION = "v1.2.0"
_MIB = 2**20
#: Memory of DuckDB's, in bytes. This is ample for a study of the paper's size; larger ones spill to disk beside the
#: file. What does not fit in spite of that gets more, up to half of the machine's.
MEMORY, _MOST_MEMORY = 384 * _MIB, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2

T = TypeVar("T")


@dataclass(frozen=True)
class WriteResult:
    """What a write did: rows that came, rows in the table now, a name for what they tell (see :func:`_version`), and
    the outcome of each check of it."""

    spec: TableSpec
    rows_received: int
    row_count: int
    version: str
    outcomes: tuple[CheckOutcome, ...] = field(default=())

    @property
    def accepted(self) -> bool:
        """False where a blocking check failed: the table then stayed as it was."""
        return all(outcome.passed or not outcome.check.blocking for outcome in self.outcomes)


class Warehouse:
    """A study's working database, opened (and the writer's lease taken) at the first use, closed on exit."""

    def __init__(self, home: Home, holder: str, patience: float = 3600.0, memory: int = MEMORY) -> None:
        self.home = home
        self._memory = memory
        self._lease = Lease(home.lock, holder, patience)
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
        """The one writing connection of this process; takes the lease first."""
        if not self._leased:
            self._stack.enter_context(self._lease)
            self._leased = True
        if self._connection is None:
            self._connection = _open_for_writing(self.home.working, self._memory)
        return self._connection

    def _with_room(self, work: Callable[[], T]) -> T:
        """What some work gives. Where DuckDB has too little memory for it, it is begun anew with twice as much."""
        memory = self._memory
        try:
            while True:
                try:
                    return work()
                except duckdb.OutOfMemoryException:
                    memory *= 2
                    if memory > _MOST_MEMORY:
                        raise
                    logger.info("DuckDB ran out of memory: trying again with %d MiB", memory // _MIB)
                    self.connection.execute(f"set memory_limit = '{memory}B'")
        finally:
            if memory != self._memory:
                self.connection.execute(f"set memory_limit = '{self._memory}B'")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def read(self, query: str, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """The rows of a query, or of a whole table given as ``schema.table``."""
        sql = f"from {query}" if re.fullmatch(r"\w+\.\w+", query) else query
        return self._frame(query, sql, dict(params or {}))

    def _frame(self, what: str, sql: str, params: Mapping[str, Any] | Sequence[Any]) -> pl.DataFrame:
        with explain_errors(f"reading {what}", self.home.working):
            return self._with_room(lambda: to_frame(self.connection.sql(sql, params=params)))

    def row_count(self, table: str) -> int:
        """How many rows a table has."""
        return self.connection.execute(f"select count(*) from {table}").fetchall()[0][0]

    def exists(self, table: str) -> bool:
        """Whether a table was ever written."""
        schema, name = table.split(".")
        found = self.connection.execute(
            "select 1 from duckdb_tables() where schema_name = ? and table_name = ?", [schema, name]
        ).fetchall()
        return bool(found)

    def current_rows(self, spec: TableSpec, condition: str, params: Sequence[Any]) -> pl.DataFrame:
        """The rows of a table that satisfy a condition with ? for ``params``; none where it was never written."""
        if self.exists(spec.table):
            return self._frame(spec.table, f"from {spec.table} where {condition}", list(params))
        columns = ", ".join(f'null::{column.data_type} as "{column.name}"' for column in spec.columns)
        return self._frame(spec.table, f"select {columns} where false", [])

    def replace(self, spec: TableSpec, rows: pl.DataFrame | str) -> WriteResult:
        """Make the table exactly these rows (a frame, or a SELECT): one transaction with its comments and checks.

        Frames are cast to the columns of the spec. Where a blocking check fails nothing changes (``accepted`` is
        False). Raises :class:`DlbugError` for missing or unknown columns, values that do not fit, and full disks.
        """

        def fill(connection: duckdb.DuckDBPyConnection) -> int:
            with _staged(connection, spec, rows):
                _create(connection, spec)
            return self.row_count(spec.table)

        return self._write(spec, fill)

    def replace_part(
        self, spec: TableSpec, rows: pl.DataFrame | Iterable[pl.DataFrame], outdated: str, params: Sequence[Any]
    ) -> WriteResult:
        """Replace rows of the table: those that satisfy the condition ``outdated`` (with ? for ``params``), and those
        with the key (the grain) of one that comes. The same rules hold.

        Of frames that come one after the other, one is in memory at a time; there must be at least one.
        """
        key = ", ".join(f'"{column}"' for column in spec.grain)

        def fill(connection: duckdb.DuckDBPyConnection) -> int:
            with _staged(connection, spec, rows if isinstance(rows, pl.DataFrame) else "from arrived"):
                received = self.row_count("incoming")
                self._prepare(spec)
                connection.execute(f"delete from {spec.table} where {outdated}", list(params))
                connection.execute(f"delete from {spec.table} where ({key}) in (select ({key}) from incoming)")
                connection.execute(f"insert into {spec.table} by name select * from incoming")
            return received

        if isinstance(rows, pl.DataFrame):
            return self._write(spec, fill)
        with self._arrived(spec, rows):
            return self._write(spec, fill)

    @contextmanager
    def _arrived(self, spec: TableSpec, frames: Iterable[pl.DataFrame]) -> Iterator[None]:
        """Frames as the temporary table `arrived`, which DuckDB moves to disk where memory is short.

        Outside of a transaction: within one, DuckDB would keep every frame until its end.
        """
        connection = self.connection
        statement = "create or replace temp table arrived as from frame"
        with explain_errors(f"writing {spec.table}", self.home.working):
            for frame in frames:
                register_frame(connection, "frame", frame)
                connection.execute(statement)
                connection.unregister("frame")
                statement = "insert into arrived by name from frame"
        yield
        connection.execute("drop table arrived")

    def _prepare(self, spec: TableSpec) -> None:
        """Make a table that is missing, empty; refuse one with other columns than what comes."""
        if not self.exists(spec.table):
            _create(self.connection, spec)
            self.connection.execute(f"truncate {spec.table}")
        elif _columns(self.connection, spec.table) != _columns(self.connection, "incoming"):
            raise DlbugError(
                f"{spec.table} in {self.home.working} was made by another version of dlbug. Delete that file and "
                "run again: it is made anew."
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
            return self._with_room(write)

    def publish(self) -> Path:
        """Replace the published database by a copy of the working one, atomically; returns its path.

        Readers that have the old file open keep it, new ones see the new file; nobody ever sees half of one.
        """
        self.connection.execute("checkpoint")
        # DuckDB's own lock is lost when a process copies a file that it has open itself: close first.
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
                f"cannot publish {target}: {error.strerror}. The published database before it is untouched. "
                "Free some disk space (or make the folder writable) and run again."
            ) from None
        return target


def _open_for_writing(path: Path, memory: int) -> duckdb.DuckDBPyConnection:
    with explain_errors("opening the working database", path):
        options = {"memory_limit": f"{memory}B", "temp_directory": f"{path}.tmp"}
        connection = duckdb.connect(":memory:", config=options)
        # Rows of posts are long, so that row groups of the usual 122,880 rows would take most of the memory.
        connection.execute(
            f"attach {_text(str(path))} as working (storage_version '{STORAGE_VERSION}', row_group_size 16384)"
        )
        connection.execute("use working")
        for schema in SCHEMAS:
            connection.execute(f"create schema if not exists {schema}")
        return connection


@contextmanager
def _staged(connection: duckdb.DuckDBPyConnection, spec: TableSpec, rows: pl.DataFrame | str) -> Iterator[None]:
    """The incoming rows as a temporary view `incoming` with the columns, order and types of the spec."""
    if isinstance(rows, pl.DataFrame):
        register_frame(connection, "frame", rows)
    # A view, not a subquery, so that a model runs as it stands in its file.
    connection.execute(f"create temp view staged as {rows if isinstance(rows, str) else 'from frame'}")
    found = [name for name, _ in _columns(connection, "staged")]
    missing = [name for name in spec.column_names if name not in found]
    unknown = [name for name in found if name not in spec.column_names]
    if missing or unknown:
        problems = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has also {', '.join(unknown)}"] * bool(unknown)
        raise DlbugError(f"{spec.table}: what was computed {' and '.join(problems)} (described in {spec.source})")
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
    """The same for the same rows in whatever order, at whatever time they came about."""
    if spec.incidental:
        return ""
    told = ", ".join(f'"{column.name}"{" is null" * column.incidental}' for column in spec.columns)
    query = f"select count(*), sum(hash(({told},))) from {spec.table}"
    return "-".join(map(str, connection.execute(query).fetchall()[0]))


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    # DuckDB ends a transaction by itself when its disk fails; there is then nothing to roll back.
    try:
        connection.execute("rollback")
    except duckdb.TransactionException:
        return
