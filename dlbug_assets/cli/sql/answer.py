"""Results of queries: each query runs in a child process within limits, and can read the published database only."""

import codecs
import os
import re
import stat
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
    try:
        with write_errors(output), _writer(output) as write, query_process(bounds) as process:
            for piece in result(process, home, query, output_format, replace(bounds, rows=rows), truncated=truncated):
                if piece == truncated.encode():
                    print(truncated, file=sys.stderr)
                else:
                    write(piece)
    except LimitError as error:
        raise DlbugError(f"the query was stopped: {error}. --timeout and --memory allow more.") from None


def query_process(bounds: Bounds, most_bytes: int = sys.maxsize) -> ChildProcess:
    """Return the process for queries within bounds whose results have at most so many bytes."""
    limits = Limits(bounds.memory_bytes + _MORE_MEMORY, bounds.seconds, most_bytes)
    return ChildProcess(_FUNCTION, limits, largest_file=_MOST_SPILL, with_folder=True)


def result(
    process: ChildProcess, home: Home, query: str, output_format: str, bounds: Bounds, *, truncated: str = ""
) -> Generator[bytes, None, None]:
    """Yield the result of a query as table, csv, json or parquet, in pieces of the format's bytes.

    A table that has more rows than it may have ends with a piece with the text ``truncated``. Raises
    :class:`DlbugError` for SQL that is refused or fails, and :class:`LimitError` for what exceeds the limits of the
    process.
    """
    yield from process.call(
        root=str(home.root), study=home.study, query=query, output_format=output_format, rows=bounds.rows,
        truncated=truncated, memory=bounds.memory, spill=_MOST_SPILL, escaped_start=ESCAPED_START,
    )  # fmt: skip


@contextmanager
def write_errors(output: Path | None = None) -> Generator[None, None, None]:
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
