"""Standard input and output for the server, with bounds: no more requests are read than are being answered.

The library reads lines without a limit and answers all requests at once. Its streams are therefore replaced by these:
reading waits while too many tools run or an answer is not read, so that a client that never stops, or never reads,
waits itself. Nothing else can write to standard output, which is redirected to standard error.
"""

import io
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import click

#: Calls that run or wait.
_MOST_CALLS = 8
#: Bytes of a message.
_MOST_BYTES = 1 << 20


class Gate:
    """What is in progress: calls of tools, and the writing of an answer."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls = 0
        self._is_writing = False

    @contextmanager
    def call(self) -> Generator[None, None, None]:
        """Count a call while it runs or waits."""
        self._change(calls=1)
        try:
            yield
        finally:
            self._change(calls=-1)

    @contextmanager
    def writing(self) -> Generator[None, None, None]:
        """Mark that an answer is being written."""
        self._change(is_writing=True)
        try:
            yield
        finally:
            self._change(is_writing=False)

    def wait(self) -> None:
        """Wait until another message may be read."""
        with self._changed:
            self._changed.wait_for(lambda: self._calls < _MOST_CALLS and not self._is_writing)

    def _change(self, calls: int = 0, *, is_writing: bool | None = None) -> None:
        with self._changed:
            self._calls += calls
            if is_writing is not None:
                self._is_writing = is_writing
            self._changed.notify_all()


def use_standard_streams(gate: Gate) -> None:
    """Let the server read and write messages through the gate, and everything else print to standard error."""
    messages = os.dup(1)
    os.dup2(2, 1)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(_Input(os.dup(0), gate)))
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(_Output(messages, gate)))


class _Input(io.RawIOBase):
    """The messages of the client; they end where one is too long, because there is no way to go on after it."""

    def __init__(self, descriptor: int, gate: Gate) -> None:
        self._descriptor = descriptor
        self._gate = gate
        self._length = 0
        self._has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if self._has_ended:
            return 0
        self._gate.wait()
        data = os.read(self._descriptor, len(buffer))
        _, newline, after = data.rpartition(b"\n")
        self._length = len(after) if newline else self._length + len(data)
        if self._length > _MOST_BYTES:
            click.echo(f"error: a message of the client has more than {_MOST_BYTES >> 20} MiB; stopped", err=True)
            self._has_ended = True
            return 0
        buffer[: len(data)] = data
        return len(data)


class _Output(io.RawIOBase):
    """The messages to the client."""

    def __init__(self, descriptor: int, gate: Gate) -> None:
        self._descriptor = descriptor
        self._gate = gate

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        with self._gate.writing():
            return os.write(self._descriptor, data)
