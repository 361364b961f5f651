"""The prompt of `dlbug sql`: reads queries line by line, completes names with the Tab key, and keeps a history."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from dlbug_assets.cli.sql.answer import Bounds, answer, write_errors
from dlbug_assets.cli.sql.completion import DELIMITERS, Completion
from dlbug_assets.cli.terminal import printable
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home

_HISTORY_LINES = 1000
_TABLES = """select schema_name || '.' || table_name as "table", estimated_size as rows, comment
from duckdb_tables() order by all;
select function_name || '(' || array_to_string(parameters, ', ') || ')' as macro, comment
from duckdb_functions() where not internal order by all;"""
_HELP = (
    "A query may span lines and ends with ;  .tables lists tables and macros, `describe labeling.items;` a table's "
    "columns. Tab completes names, Ctrl+C stops a query, .quit exits."
)


def prompt(home: Home, bounds: Bounds | None = None) -> None:
    """Read queries from the terminal until the end of input or .quit, and print their results.

    A query ends with a semicolon; .tables and .help list tables and commands. Ctrl+C stops a query. At a terminal, Tab
    completes names, and the queries are kept as history in the study's folder. Raises :class:`DlbugError` if nothing is
    published yet, and for a terminal that cannot be read or written.
    """
    if sys.stdin is None:
        raise DlbugError("standard input is closed: pass the query as an argument")
    completion = Completion.of(home)  # fails at once if nothing is published yet
    signal.signal(signal.SIGINT, signal.default_int_handler)  # see stopping: Ctrl+C doesn't end the command
    pending = ""

    def complete(text: str, line: str) -> list[str]:
        return completion.candidates(text, f"{pending}\n{line}")

    with write_errors(), _line_editing(home.folder / "sql_history", complete):
        print(f"{home.published}, read-only. End a query with ;  .tables lists tables, .help explains, .quit exits.")
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
def _line_editing(history: Path, complete: Callable[[str, str], list[str]]) -> Generator[None, None, None]:
    """Complete names at a terminal, and keep its lines for the arrow keys in a file that only its owner can read.

    ``complete`` gets the word to complete and the line.
    """
    if not sys.stdin.isatty():
        yield
        return
    import readline  # noqa: PLC0415 - it changes how input() reads, even from a pipe

    found: list[str] = []

    def completer(text: str, number: int) -> str | None:
        if number == 0:
            found[:] = complete(text, readline.get_line_buffer())
        return found[number] if number < len(found) else None

    readline.set_completer(completer)
    readline.set_completer_delims(DELIMITERS)
    # The readline of macOS is libedit, which has a configuration of its own.
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
    readline.set_history_length(_HISTORY_LINES)
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    try:
        yield
    finally:
        try:
            os.close(os.open(history, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(history)
        except OSError as error:
            print(f"note: the history of the prompt is not saved: {error.strerror}", file=sys.stderr)
