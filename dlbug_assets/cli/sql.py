"""Ad-hoc SQL on the published database: read-only, bounded, and without access to other files or the network."""

import contextlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.warehouse.frames import to_frame
from dlbug_assets.warehouse.published import open_published

#: Rows of a table on the terminal; files have all.
SHOWN_ROWS = 100
MEMORY = "1GB"
_MAX_WIDTH = 60
_NESTED = ("list", "array", "struct", "tuple", "map", "union")
#: A string in JSON, or a number that DuckDB writes although JSON does not have it.
_STRING_OR_INVALID_NUMBER = re.compile(r'("(?:[^"\\]|\\.)*")|-?(?:NaN|Infinity)')
_HISTORY_LINES = 1000
_POLL_SECONDS = 0.1
_TABLES = """select schema_name || '.' || table_name as "table", estimated_size as rows, comment
from duckdb_tables() order by all;"""
_HELP = (
    "A query may span lines and ends with ;  .tables lists the tables, `describe labeling.items;` a table's columns. "
    "Ctrl+C stops a query, .quit exits."
)


@dataclass(frozen=True)
class Bounds:
    """The largest number of rows (None: the first hundred in a table, all in a file) and DuckDB's memory limit."""

    rows: int | None = None
    memory: str = MEMORY


def answer(home: Home, query: str, output_format: str, output: Path | None, bounds: Bounds | None = None) -> None:
    """Write the result of a query as table, csv, json or parquet, to the terminal or into a file.

    Queries can read the published database only: no other file, no network, no settings. CSV has values as DuckDB
    prints them, lists and structs as JSON; JSON has null for NaN and infinity. Raises :class:`DlbugError` for SQL that
    DuckDB rejects, for parquet without a file or of types that it does not have, and for a file that cannot be written.
    If a query fails, its file is left unchanged.
    """
    bounds = bounds or Bounds()
    if output_format == "parquet" and output is None:
        raise DlbugError("parquet is binary: name a file with --output FILE")
    try:
        query.encode()
    except UnicodeEncodeError:
        raise DlbugError("the query is not valid UTF-8: use a terminal, or a file, in UTF-8") from None
    connection = open_published(home)
    try:
        connection.execute("set memory_limit = ?", [bounds.memory])
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        _interruptible(connection, lambda: _execute(connection, query, output_format, output, bounds.rows))
    except duckdb.OutOfMemoryException as error:
        first = str(error).splitlines()[0]
        raise DlbugError(f"the query needs more than {bounds.memory}: allow more with --memory ({first})") from None
    except duckdb.Error as error:
        raise DlbugError(f"the query failed: {str(error).strip()}") from None
    except BrokenPipeError:
        raise  # the reader, such as head, has enough: the command ends without a message
    except OSError as error:
        raise DlbugError(f"cannot write {output or 'the result'}: {error.strerror}") from None
    finally:
        connection.close()


def _interruptible(connection: duckdb.DuckDBPyConnection, work: Callable[[], None]) -> None:
    """Run ``work`` so that Ctrl+C ends it: DuckDB does not handle signals, but another thread can interrupt it.

    This thread polls, because the signal may be delivered to one of DuckDB's threads, which would not wake this one.
    """
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            while not future.done():
                wait([future], timeout=_POLL_SECONDS)
            future.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def _execute(
    connection: duckdb.DuckDBPyConnection, query: str, output_format: str, output: Path | None, rows: int | None
) -> None:
    statements = [statement.query for statement in connection.extract_statements(query)]
    if output_format == "table":
        limit = SHOWN_ROWS if rows is None else rows
        tables = (_table(connection.sql(statement), limit) for statement in statements)
        for content in tables if output is None else ["".join(tables)]:
            _write(content.encode(), output)
        return
    if len(statements) != 1:
        raise DlbugError(f"{output_format} holds the result of one query, these are {len(statements)}")
    relation = connection.sql(statements[0])
    if relation is None:
        return
    relation = relation if rows is None else relation.limit(rows)
    # As in a table, column names become unique.
    relation = relation.project("*")
    _write({"json": _json, "csv": _csv, "parquet": _parquet}[output_format](relation), output)


def _write(content: bytes, output: Path | None) -> None:
    if output is not None:
        output.write_bytes(content)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def _json(relation: duckdb.DuckDBPyRelation) -> bytes:
    lines = relation.set_alias("answer").project("cast(to_json(answer) as varchar)").fetchall()
    rows = (_STRING_OR_INVALID_NUMBER.sub(lambda found: found[1] or "null", line) for (line,) in lines)
    return f"[{f',{os.linesep}'.join(rows)}]\n".encode()


def _csv(relation: duckdb.DuckDBPyRelation) -> bytes:
    content = io.BytesIO()
    to_frame(relation.project(_as_text(relation))).write_csv(content)
    return content.getvalue()


def _parquet(relation: duckdb.DuckDBPyRelation) -> bytes:
    content = io.BytesIO()
    try:
        to_frame(relation).write_parquet(content)
    except duckdb.NotSupportedError as error:
        raise DlbugError(f"parquet cannot hold the result: {error}. Cast that column, as in x::varchar.") from None
    return content.getvalue()


def _as_text(relation: duckdb.DuckDBPyRelation) -> str:
    """Return a projection that casts every column to text, lists and structs to JSON."""
    quoted = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in relation.columns]
    return ", ".join(
        f"cast({f'to_json({name})' if dtype.id in _NESTED else name} as varchar) as {name}"
        for name, dtype in zip(quoted, relation.types, strict=True)
    )


def _table(relation: duckdb.DuckDBPyRelation | None, rows: int) -> str:
    """Return the first rows of a result as DuckDB prints them; empty for a statement without a result."""
    if relation is None:
        return ""
    # One row more than is printed shows whether there are more, without counting them all.
    result = relation.limit(rows + 1).materialize()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        result.limit(rows).show(max_rows=max(rows, 1), max_col_width=_MAX_WIDTH)
    if len(result) > rows:
        print(f"(the first {rows} rows; --limit N shows more, --format csv has all)", file=sys.stderr)
    return printed.getvalue()


def prompt(home: Home, bounds: Bounds | None = None) -> None:
    """Read queries from the terminal until the end of input or .quit, and print their results.

    A query ends with a semicolon; .tables and .help list tables and commands. Ctrl+C stops a query. At a terminal, the
    queries are kept as history in the study's folder. Raises :class:`DlbugError` if nothing is published yet.
    """
    open_published(home).close()  # fails at once if nothing is published yet
    signal.signal(signal.SIGINT, signal.default_int_handler)  # see stopping: Ctrl+C doesn't end the command
    print(f"{home.published}, read-only. End a query with ;  .tables lists tables, .help explains, .quit exits.")
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
            word = "" if pending else line.strip()
            if word in (".quit", ".exit"):
                return
            if word.startswith(".") and word != ".tables":
                print(_HELP)
                continue
            pending = _TABLES if word == ".tables" else f"{pending}\n{line}".strip()
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
    """Keep the lines for the arrow keys in a file that only its owner can read."""
    if not sys.stdin.isatty():
        yield
        return
    import readline  # noqa: PLC0415 - it changes how input() reads, even from a pipe

    readline.set_history_length(_HISTORY_LINES)
    with contextlib.suppress(FileNotFoundError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(path)
        except OSError as error:
            print(f"note: the history of the prompt is not saved: {error.strerror}", file=sys.stderr)
