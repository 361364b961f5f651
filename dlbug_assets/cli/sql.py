"""Ad-hoc SQL on the published database: read-only, bounded, and without a way to other files or the network."""

import contextlib
import io
import os
import re
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
_WIDEST = 60
_NESTED = ("list", "array", "struct", "tuple", "map", "union")
#: A text of JSON, or what DuckDB writes there though JSON has no such number.
_TEXT_OR_NO_NUMBER = re.compile(r'("(?:[^"\\]|\\.)*")|-?(?:NaN|Infinity)')
_REMEMBERED = 1000
_LOOK_SECONDS = 0.1
_TABLES = """select schema_name || '.' || table_name as "table", estimated_size as rows, comment
from duckdb_tables() order by all;"""
_HELP = (
    "A query may span lines and ends with ;  .tables lists the tables, `describe labeling.items;` a table's columns. "
    "Ctrl+C stops a query, .quit leaves."
)


@dataclass(frozen=True)
class Bounds:
    """How many rows are given (None: a table's first hundred, all to a file) and what DuckDB may use of memory."""

    rows: int | None = None
    memory: str = MEMORY


def answer(home: Home, query: str, output_format: str, output: Path | None, bounds: Bounds | None = None) -> None:
    """Answer one query as table, csv, json or parquet, on the terminal or into a file.

    Queries see the published database only: no other file, no network, no settings. In CSV everything is written as
    DuckDB shows it, lists and structs as JSON; in JSON NULL stands for what is no number. Raises :class:`DlbugError`
    for SQL that DuckDB refuses, for parquet without a file or of types that it does not have, and for a file that
    cannot be written. Where a query fails its file stays as it was.
    """
    bounds = bounds or Bounds()
    if output_format == "parquet" and output is None:
        raise DlbugError("parquet is binary: say where to with --output FILE")
    try:
        query.encode()
    except UnicodeEncodeError:
        raise DlbugError("the query is not UTF-8: write it in a terminal, or a file, that is") from None
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
    except BrokenPipeError:
        raise  # whoever was to read on, such as head, has enough: the command line ends without a word
    except OSError as error:
        raise DlbugError(f"cannot write {output or 'the answer'}: {error.strerror}") from None
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
        shown = (_shown(connection.sql(statement), SHOWN_ROWS if rows is None else rows) for statement in statements)
        for content in shown if output is None else ["".join(shown)]:
            _write(content.encode(), output)
        return
    if len(statements) != 1:
        raise DlbugError(f"{output_format} holds the answer of one query, these are {len(statements)}")
    relation = connection.sql(statements[0])
    if relation is None:
        return
    relation = relation if rows is None else relation.limit(rows)
    # As in a table, no two columns bear the same name.
    relation = relation.query("answer", "from answer")
    _write({"json": _json, "csv": _csv, "parquet": _parquet}[output_format](relation), output)


def _write(content: bytes, output: Path | None) -> None:
    if output is not None:
        output.write_bytes(content)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def _json(relation: duckdb.DuckDBPyRelation) -> bytes:
    lines = relation.query("answer", "select cast(to_json(answer) as varchar) from answer").fetchall()
    rows = (_TEXT_OR_NO_NUMBER.sub(lambda found: found[1] or "null", line) for (line,) in lines)
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
        raise DlbugError(f"parquet cannot hold the answer: {error}. Cast that column, as in x::varchar.") from None
    return content.getvalue()


def _as_text(relation: duckdb.DuckDBPyRelation) -> str:
    """The columns as DuckDB writes them, lists and structs as JSON."""
    quoted = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in relation.columns]
    return ", ".join(
        f"cast({f'to_json({name})' if dtype.id in _NESTED else name} as varchar) as {name}"
        for name, dtype in zip(quoted, relation.types, strict=True)
    )


def _shown(relation: duckdb.DuckDBPyRelation | None, rows: int) -> str:
    """The table of an answer; nothing where there is none."""
    if relation is None:
        return ""
    # One more than is shown: to know whether there are more without counting them all.
    found = relation.limit(rows + 1).materialize()
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        found.limit(rows).show(max_rows=max(rows, 1), max_col_width=_WIDEST)
    if len(found) > rows:
        print(f"(the first {rows} rows; --limit N shows more, --format csv has all)", file=sys.stderr)
    return shown.getvalue()


def prompt(home: Home, bounds: Bounds | None = None) -> None:
    """Read queries from the terminal, each ended by a semicolon, until an end of input or .quit; .tables and .help say
    what there is.

    Ctrl+C stops a query. At a terminal what was asked is remembered, in the study's folder.
    """
    open_published(home).close()  # says at once where there is nothing to ask
    print(f"{home.published}, read-only. End a query with ;  .tables lists tables, .help says more, .quit leaves.")
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
