"""Ad-hoc SQL on the published database: read-only, bounded, and without a way to other files or the network."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import duckdb
import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.warehouse import Home, explained, open_published

#: Rows of a table on the terminal; files have all.
SHOWN_ROWS = 100
MEMORY = "1GB"
_WIDEST = 60
_NESTED = ("list", "array", "struct", "map", "union")
_REMEMBERED = 1000
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Bounds:
    """How many rows are given (None: a table's first hundred, all to a file) and what DuckDB may use of memory."""

    rows: int | None = None
    memory: str = MEMORY


@contextmanager
def asking(home: Home) -> Iterator[Callable[[str], pl.DataFrame]]:
    """Queries on the published database, as frames. Raises :class:`DlbugError` where there is none yet, or not all that
    is asked for."""
    connection = open_published(home)

    def ask(query: str) -> pl.DataFrame:
        with explained("asking the published database", home.published):
            return connection.sql(query).pl()

    try:
        yield ask
    finally:
        connection.close()


def answer(home: Home, query: str, output_format: str, output: Path | None, bounds: Bounds | None = None) -> None:
    """Answer one query as table, csv, json or parquet, on the terminal or into a file.

    Queries see the published database only: no other file, no network, no settings. Raises :class:`DlbugError` for SQL
    that DuckDB refuses, and for parquet without a file.
    """
    bounds = bounds or Bounds()
    if output_format == "parquet" and output is None:
        raise DlbugError("parquet is binary: say where to with --output FILE")
    connection = open_published(home)
    try:
        connection.execute("set memory_limit = ?", [bounds.memory])
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        _stoppable(connection, lambda: _asked(connection, query, output_format, output, bounds.rows))
    except duckdb.OutOfMemoryException as error:
        first = str(error).splitlines()[0]
        raise DlbugError(f"the query needs more than {bounds.memory}: allow more with --memory ({first})") from None
    except duckdb.Error as error:
        raise DlbugError(f"the query failed: {str(error).strip()}") from None
    except OSError as error:
        raise DlbugError(f"cannot write {output}: {error.strerror}") from None
    finally:
        connection.close()


def _stoppable(connection: duckdb.DuckDBPyConnection, work: Callable[[], None]) -> None:
    """Do it so that Ctrl+C ends it: DuckDB does not look for signals, but another thread can interrupt it.

    Looking now and then, because the signal may reach a thread of DuckDB's and wake nobody here.
    """
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(work)
        try:
            while not doing.done():
                wait([doing], timeout=_LOOK_SECONDS)
            doing.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def _asked(
    connection: duckdb.DuckDBPyConnection, query: str, output_format: str, output: Path | None, rows: int | None
) -> None:
    statements = [statement.query for statement in connection.extract_statements(query)]
    if output_format == "table":
        with contextlib.ExitStack() as stack:
            if output is not None:
                file = stack.enter_context(output.open("w", encoding="utf-8"))
                stack.enter_context(contextlib.redirect_stdout(file))
            for statement in statements:
                relation = connection.sql(statement)
                if relation is not None:
                    _show(relation, SHOWN_ROWS if rows is None else rows)
        return
    if len(statements) != 1:
        raise DlbugError(f"{output_format} holds the answer of one query, these are {len(statements)}")
    relation = connection.sql(statements[0])
    if relation is None:
        return
    relation = relation if rows is None else relation.limit(rows)
    target = output if output is not None else sys.stdout.buffer
    if output_format == "json":
        lines = relation.query("answer", "select cast(to_json(answer) as varchar) from answer").fetchall()
        content = f"[{f',{os.linesep}'.join(line for (line,) in lines)}]\n".encode()
        target.write_bytes(content) if isinstance(target, Path) else target.write(content)
    elif output_format == "csv":
        _frame(relation.project(_flat(relation))).write_csv(target)
    else:
        _frame(relation).write_parquet(target)


def _frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """The rows; unlike ``pl()`` on the way there, this can be interrupted."""
    return cast("pl.DataFrame", pl.from_arrow(relation.to_arrow_table()))


def _flat(relation: duckdb.DuckDBPyRelation) -> str:
    """The columns, with lists and structs as JSON: CSV has no other way to hold them."""
    quoted = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in relation.columns]
    return ", ".join(
        f"cast(to_json({name}) as varchar) as {name}" if dtype.id in _NESTED else name
        for name, dtype in zip(quoted, relation.types, strict=True)
    )


def _show(relation: duckdb.DuckDBPyRelation, rows: int) -> None:
    # One more than is shown: to know whether there are more without counting them all.
    found = relation.limit(rows + 1).to_arrow_table()
    duckdb.from_arrow(found.slice(0, rows)).show(max_rows=max(rows, 1), max_col_width=_WIDEST)
    if found.num_rows > rows:
        print(f"(the first {rows} rows; --limit N shows more, --format csv has all)", file=sys.stderr)


def prompt(home: Home, bounds: Bounds | None = None) -> None:
    """Read queries from the terminal, each ended by a semicolon, until an end of input or .quit.

    Ctrl+C stops a query. At a terminal what was asked is remembered, in the study's folder.
    """
    open_published(home).close()  # says at once where there is nothing to ask
    print(f"{home.published}, read-only. End a query with ;  .quit leaves.")
    with _history(home.folder / "sql_history"):
        pending = ""
        while True:
            try:
                line = input("dlbug> " if not pending else "  ...> ")
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print()
                pending = ""
                continue
            if not pending and line.strip() in (".quit", ".exit"):
                return
            pending = f"{pending}\n{line}".strip()
            if pending.endswith(";"):
                try:
                    answer(home, pending, "table", None, bounds)
                except DlbugError as error:
                    print(f"error: {error}", file=sys.stderr)
                except KeyboardInterrupt:
                    print("stopped", file=sys.stderr)
                pending = ""


@contextmanager
def _history(path: Path) -> Iterator[None]:
    """Lines to go back to with the arrow keys, kept in a file that only its owner reads."""
    if not sys.stdin.isatty():
        yield
        return
    import readline  # noqa: PLC0415 - changes how input() reads, even from a pipe

    readline.set_history_length(_REMEMBERED)
    with contextlib.suppress(FileNotFoundError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(path)
        except OSError as error:
            print(f"note: the prompt's history is not kept: {error.strerror}", file=sys.stderr)
