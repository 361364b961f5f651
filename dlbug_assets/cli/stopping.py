"""Stop the command on Ctrl+C (SIGINT) and SIGTERM: within 3 s, with one message and the status that shells expect.

A signal raises KeyboardInterrupt in the main thread, or what Dagster raises instead within a step, so that contexts
close what they opened. Signals reach Python code late, or not at all, while DuckDB computes or a pool waits for its
threads. A thread therefore ends the process when its time is up. Nothing is lost by that: every write is complete or
has not happened, and the next run resumes.
"""

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dlbug_assets.automation.terminal_line import ERASE_LINE, can_redraw

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: Time to close what is open, in seconds.
_GRACE_SECONDS = 2.0
#: The signals that were received, as numbers.
_received: list[int] = []


@contextmanager
def stoppable() -> Iterator[None]:
    """End the process on SIGINT and SIGTERM with the message "stopped" and the status 128 plus the signal."""
    # Python writes the number of each signal there at once, in whichever thread and with whichever handler. The pipe is
    # never closed: the thread reads from it until the process has ended.
    numbers, written = os.pipe()
    os.set_blocking(written, False)
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    terminal = os.dup(2)  # while a step runs, standard error is redirected into a file
    threading.Thread(target=_watch, args=(numbers, terminal), name="stopping", daemon=True).start()
    is_announced = False
    try:
        for number in _SIGNALS:  # from here on, a signal raises an exception
            signal.signal(number, _interrupt)
        yield
    except SystemExit as end:
        is_announced = end.code == 128 + signal.SIGINT
        if not _received:
            raise
    except BaseException:
        if not _received:
            raise
    if _received:
        _end(None if is_announced else terminal)


def without_deadline() -> None:
    """Let the command end in its own time after a signal, as the UI does: it waits for its daemon."""
    signal.set_wakeup_fd(-1)


def raise_if_stopped() -> None:
    """Raise KeyboardInterrupt if a signal to stop was received: Dagster ends a run that is interrupted as failed."""
    if _received:
        raise KeyboardInterrupt


def _interrupt(number: int, _frame: object) -> None:
    _received.append(number)
    raise KeyboardInterrupt


def _watch(numbers: int, terminal: int) -> None:
    """Wait for a signal, then for the process to end in time or for a second signal, and end it."""
    while True:
        number = os.read(numbers, 1)[0]
        # The prompt handles Ctrl+C itself: it ends the query, not the command.
        if number in _SIGNALS and signal.getsignal(number) is not signal.default_int_handler:
            break
    _received.append(number)
    select.select([numbers], [], [], _GRACE_SECONDS)
    _end(terminal)


def _end(terminal: int | None) -> None:
    """End the process and all that it started, after printing the message to the terminal unless it is None."""
    for child in _descendants(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    if terminal is not None:
        # The run may have drawn its progress there.
        erased = ERASE_LINE if can_redraw(terminal, os.environ) else ""
        os.write(terminal, f"{erased}stopped\n".encode())
    os._exit(128 + _received[0])


def _descendants(process: int) -> list[int]:
    """Return the processes that a process started, and those that they started; none without /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name of the program, in parentheses, may contain anything.
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [process]
    for each in found:
        found += children.get(each, [])
    return found[1:]
