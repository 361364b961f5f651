"""Functions that tests call in a child process: each does what an input could make a reader do."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dlbug_assets.errors import DlbugError


def echo(text: str, times: int) -> Iterator[bytes]:
    """Yield a text several times."""
    for _ in range(times):
        yield text.encode()


def process() -> Iterator[bytes]:
    """Yield the number of the process."""
    yield str(os.getpid()).encode()


def refuse(reason: str) -> Iterator[bytes]:
    """Refuse the input."""
    yield b"the beginning"
    raise DlbugError(reason)


def fail() -> Iterator[bytes]:
    """Fail as a reader with an error does."""
    yield b"the beginning"
    raise ZeroDivisionError("no such thing")


def allocate(size: int) -> Iterator[bytes]:
    """Fill memory."""
    yield str(len(b"x" * size)).encode()


def abort(message: str) -> Iterator[bytes]:
    """Abort as the allocator of another language does."""
    sys.stderr.write(message)
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGABRT)
    yield b"never"


def wait(seconds: float) -> Iterator[bytes]:
    """Wait without using the processor."""
    time.sleep(seconds)
    yield b"done"


def compute(seconds: float) -> Iterator[bytes]:
    """Use the processor."""
    while time.process_time() < seconds:
        pass
    yield b"done"


def write(path: str, size: int) -> Iterator[bytes]:
    """Write a file."""
    Path(path).write_bytes(b"x" * size)
    yield b"done"


def chatter(size: int) -> Iterator[bytes]:
    """Print more than a pipe holds."""
    sys.stderr.write("x" * size)
    sys.stderr.flush()
    yield b"done"


def keep(folder: str, seconds: float) -> Iterator[bytes]:
    """Write a file into the process's folder, yield its path and the process's number, and compute."""
    path = Path(folder) / "kept"
    path.write_bytes(b"x")
    yield f"{os.getpid()} {path}".encode()
    time.sleep(seconds)
