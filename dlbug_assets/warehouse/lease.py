"""The writer's lease: at most one process writes a study's database; others wait and log who holds it.

It is an advisory lock (flock) on a separate file, so that neither copying nor replacing the database can release it,
and so that the kernel releases it when its holder dies. The first waiting process holds the lock of a second file, so
that a process that releases the lease and wants it again queues behind it.
"""

import fcntl
import io
import json
import logging
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from dlbug_assets.errors import DlbugError

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_REMIND_SECONDS = 30.0


class Lease:
    """A context manager that holds the lease of ``path`` (writer.lock).

    ``holder`` names the process for others (a run's id, a command), ``what`` the lease in log lines. Waiting is logged
    when it begins and every half minute. Raises :class:`DlbugError` after ``timeout`` seconds, or if the file cannot be
    written.
    """

    def __init__(
        self,
        path: Path,
        holder: str,
        timeout: float = 3600.0,
        what: str = "writer's lease",
    ) -> None:
        self.path = path
        self._what = what
        self._holder = holder
        self._timeout = timeout
        self._file: io.FileIO | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file, queue = _open(self.path), _open(self.path.with_suffix(".next"))
        except OSError as error:
            raise DlbugError(
                f"cannot write {self.path}: {error.strerror}. "
                "Make the folder writable, or set DLBUG_HOME to another folder."
            ) from None
        try:
            with queue:
                self._wait_for(queue)
                self._wait_for(file)
            entry = {
                "holder": self._holder,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            file.truncate(0)
            file.write(json.dumps(entry).encode())
        except OSError as error:
            file.close()
            raise DlbugError(
                f"cannot write {self.path}: {error.strerror}. Free some disk space and run again."
            ) from None
        except BaseException:
            file.close()
            raise
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None

    def _wait_for(self, file: io.FileIO) -> None:
        start = time.monotonic()
        reminder = 0.0
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = time.monotonic() - start
                if waited >= self._timeout:
                    raise DlbugError(
                        f"{self.path} is still held by {holder_of(self.path)} after {waited:.0f} s. "
                        "Wait for that run to end, or end that process, and run again."
                    ) from None
                if waited >= reminder:
                    logger.info("waiting for the %s, held by %s", self._what, holder_of(self.path))
                    reminder += _REMIND_SECONDS
                time.sleep(_POLL_SECONDS)
            else:
                return


def _open(path: Path) -> io.FileIO:
    # Unbuffered, so that a full disk raises an error when we write, not when the file is closed.
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)


def holder_of(path: Path) -> str:
    """Return who holds the lease, for messages: 'nobody' if it is free."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return "nobody"
    if not text:
        return "nobody"
    try:
        holder = json.loads(text)
    except json.JSONDecodeError:
        return "a process that is just acquiring it"
    return f"{holder['holder']} (process {holder['pid']} on {holder['host']}, since {holder['since']})"


def is_held(path: Path) -> bool:
    """Return whether a running process holds the lease. A dead holder's entry in the file does not count."""
    if not path.exists():
        return False
    with path.open("r", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
