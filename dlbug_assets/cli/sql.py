"""Ad-hoc SQL on the published database: each query runs in a child process within limits, and can read nothing else."""

import codecs
import contextlib
import os
import re
import signal
import stat
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dlbug_assets.atomic_files import open_atomically
from dlbug_assets.cli.terminal import printable
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.child_process import ChildProcess, LimitError, Limits
from dlbug_assets.ingest.csv_cells import ESCAPED_START
from dlbug_assets.layout import Home

#: Rows of a table; files have all.
SHOWN_ROWS = 100
MEMORY, SECONDS = "1GB", 60
_MEMORY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([KMGT]I?)B", re.IGNORECASE)
_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40}
_LEAST_MEMORY = 16 << 20
#: What the child process needs besides DuckDB's memory: Python, DuckDB's code, and what DuckDB does not count.
_MORE_MEMORY = 512 << 20
#: Temporary files of a query, in bytes; less if the disk has not twice as much free.
_MOST_SPILL = 4 << 30
_FUNCTION = "dlbug_assets.warehouse.ad_hoc:run"
_HISTORY_LINES = 1000
_TABLES = """select schema_name || '.' || table_name as "table", estimated_size as rows, comment
from duckdb_tables() order by all;"""
_HELP = (
    "A query may span lines and ends with ;  .tables lists the tables, `describe labeling.items;` a table's columns. "
    "Ctrl+C stops a query, .quit exits."
)


@dataclass(frozen=True)
class Bounds:
    """Limits of a query: rows (None: the first hundred in a table, all in a file), memory and seconds.

    Raises :class:`DlbugError` for a memory that is not a size such as 500MB, that is too small to answer anything, or
    that this machine does not have.
    """

    rows: int | None = None
    memory: str = MEMORY
    seconds: int = SECONDS

    def __post_init__(self) -> None:
        most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if not _LEAST_MEMORY <= self.memory_bytes <= most:
            raise DlbugError(
                f"--memory {self.memory} is not possible: give a size such as 500MB or 2GB, from "
                f"{_LEAST_MEMORY >> 20}MiB to {most >> 20}MiB, which this machine has"
            )

    @property
    def memory_bytes(self) -> int:
        """DuckDB's memory in bytes, or 0 if the text is not a size."""
        size = _MEMORY.fullmatch(self.memory.strip())
        return round(float(size[1]) * _UNITS[size[2].upper()]) if size else 0


def answer(home: Home, query: str, output_format: str, output: Path | None, bounds: Bounds | None = None) -> None:
    """Write the result of a query as table, csv, json or parquet, to the terminal or into a file.

    Queries can read the published database only: no other file, no network, no settings. CSV has values as DuckDB
    prints them, lists and structs as JSON; texts that a spreadsheet could run as a formula follow an apostrophe. JSON
    has null for NaN and infinity. At a terminal, control characters are escaped. Raises :class:`DlbugError` for SQL
    that is refused or fails, for a query that exceeds its bounds, for parquet without a file or of types that it does
    not have, and for a file that cannot be written. If a query fails, its file is left unchanged.
    """
    if output_format == "parquet" and output is None:
        raise DlbugError("parquet is binary: name a file with --output FILE")
    try:
        query.encode()
    except UnicodeEncodeError:
        raise DlbugError("the query is not valid UTF-8: use a terminal, or a file, in UTF-8") from None
    bounds = bounds or Bounds()
    rows = SHOWN_ROWS if output_format == "table" and bounds.rows is None else bounds.rows
    truncated = f"(the first {rows} rows; --limit N shows more, --format csv has all)"
    limits = Limits(bounds.memory_bytes + _MORE_MEMORY, bounds.seconds)
    try:
        with (
            _write_errors(output),
            _writer(output) as write,
            ChildProcess(_FUNCTION, limits, largest_file=_MOST_SPILL, with_folder=True) as process,
        ):
            for piece in process.call(
                root=str(home.root), study=home.study, query=query, output_format=output_format, rows=rows,
                truncated=truncated, memory=bounds.memory, spill=_MOST_SPILL, escaped_start=ESCAPED_START,
            ):  # fmt: skip
                if piece == truncated.encode():
                    print(truncated, file=sys.stderr)
                else:
                    write(piece)
    except LimitError as error:
        raise DlbugError(f"the query was stopped: {error}. --timeout and --memory allow more.") from None


@contextmanager
def _write_errors(output: Path | None = None) -> Generator[None, None, None]:
    """Raise errors of writing as :class:`DlbugError`."""
    if output is None and sys.stdout is None:
        raise DlbugError("standard output is closed: name a file with --output FILE")
    try:
        yield
    except BrokenPipeError:
        raise  # the reader, such as head, has enough: the command ends without a message
    except OSError as error:
        if output is None:
            sys.stdout = None  # Python would write the rest at exit, and fail again
        raise DlbugError(f"cannot write {output or 'the result'}: {error.strerror}") from None


@contextmanager
def _writer(output: Path | None) -> Generator[Callable[[bytes], object], None, None]:
    """Provide a function that writes to the terminal, or into a file, which is replaced at the end."""
    if output is None:
        yield _print_escaped() if sys.stdout.isatty() else _print
    elif output.exists() and not output.is_file():  # a device or a pipe
        with output.open("wb") as file:
            yield file.write
    else:
        path = output.resolve()
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        with open_atomically(path, 0o666 if mode is None else mode) as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)  # whatever the umask
            yield file.write


def _print(piece: bytes) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _print_escaped() -> Callable[[bytes], None]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    return lambda piece: _print(printable(decoder.decode(piece)).encode())


def prompt(home: Home, bounds: Bounds | None = None) -> None:
    """Read queries from the terminal until the end of input or .quit, and print their results.

    A query ends with a semicolon; .tables and .help list tables and commands. Ctrl+C stops a query. At a terminal, the
    queries are kept as history in the study's folder. Raises :class:`DlbugError` if nothing is published yet, and for
    a terminal that cannot be read or written.
    """
    if sys.stdin is None:
        raise DlbugError("standard input is closed: pass the query as an argument")
    answer(home, "select 1", "csv", Path(os.devnull), bounds)  # fails at once if nothing is published yet
    signal.signal(signal.SIGINT, signal.default_int_handler)  # see stopping: Ctrl+C doesn't end the command
    with _write_errors(), _history(home.folder / "sql_history"):
        print(f"{home.published}, read-only. End a query with ;  .tables lists tables, .help explains, .quit exits.")
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
                    print(printable(f"error: {error}"), file=sys.stderr)
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
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(path)
        except OSError as error:
            print(f"note: the history of the prompt is not saved: {error.strerror}", file=sys.stderr)
