"""Call a function in a child process under limits, so that no input can make this process grow, hang or abort."""

import importlib
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn, Self

from dlbug_assets.errors import DlbugError

#: The first byte of a message from the child.
_READY, _PIECE, _END, _ERROR = b"*", b"+", b".", b"!"
_START_SECONDS = 60
_MOST_ERRORS = 64 << 10
_LARGEST_PIECE = 1 << 20
_THREADS = "2"
#: What C++, Rust and Python print before they end for lack of memory, if only that of a thread's stack.
_OUT_OF_MEMORY = (
    b"memory allocation of", b"bad_alloc", b"MemoryError", b"out of memory", b"capacity overflow", b"start new thread",
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """Memory of the child in bytes, and the seconds and the bytes of the reply of a call."""

    memory: int
    seconds: float
    reply: int = sys.maxsize


class LimitError(DlbugError):
    """A call exceeded a limit or ended its process; the message continues a sentence about the input."""


class ChildProcess:
    """A child process that calls one function, given as ``module:function``, as often as it is asked to.

    The function takes keyword arguments that JSON can hold and yields bytes; what it raises, except
    :class:`DlbugError`, is a failure of the process. The process starts with the first call, and again after a failure.
    It has no standard input and writes no files larger than ``largest_file`` bytes. ``with_folder`` passes the path of
    an empty folder as argument ``folder``: only this user can open it, and it is deleted when the process ends, or this
    one. Close it, or use it in a ``with`` statement.
    """

    def __init__(self, function: str, limits: Limits, largest_file: int = 0, *, with_folder: bool = False) -> None:
        self._function = function
        self._limits = limits
        self._largest_file = largest_file
        self._with_folder = with_folder
        self._folder: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None
        self._errors = b""
        self._is_stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the process, and delete its folder."""
        try:
            self._kill()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def stop(self) -> None:
        """Kill the process from another thread, for good: a call raises :class:`LimitError`."""
        self._is_stopped = True
        if (process := self._process) is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _kill(self) -> None:
        if self._process is None:
            return
        assert self._connection and self._process.stderr  # noqa: S101 - opened together
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stderr.close()
        self._connection.close()
        self._process = self._connection = None
        self._errors = b""

    def call(self, **arguments: Any) -> Generator[bytes, None, None]:
        """Yield what the function yields. If the caller stops early, the process is killed.

        Time counts while this process waits, not while the caller works or the process starts. Raises
        :class:`DlbugError` if the function does or no process starts, and :class:`LimitError` for a call that exceeds a
        limit or ends the process.
        """
        is_finished = False
        try:
            yield from self._replies(arguments)
            is_finished = True
        except LimitError:
            raise
        except DlbugError:
            is_finished = True  # the process goes on after an error of its function
            raise
        finally:
            if not is_finished:
                self.close()

    def _replies(self, arguments: dict[str, Any]) -> Iterator[bytes]:
        connection = self._start() if self._connection is None else self._connection
        if self._folder is not None:
            arguments |= {"folder": self._folder}
        # A process that has ended is noticed when its reply is read.
        with suppress(BrokenPipeError):
            connection.send_bytes(json.dumps(arguments).encode())
        left, room = self._limits.seconds, self._limits.reply
        while True:
            began = time.monotonic()
            message = self._receive(connection, left, self._limits.seconds)
            left -= time.monotonic() - began
            kind, content = message[:1], message[1:]
            if kind == _END:
                return
            if kind == _ERROR:
                raise DlbugError(content.decode(errors="replace"))
            room -= len(content)
            if room < 0:
                raise LimitError(f"its content is larger than {self._limits.reply >> 20} MiB")
            yield content

    def _start(self) -> "Connection[Any, Any]":
        if self._with_folder:
            try:
                self._folder = tempfile.mkdtemp(prefix="dlbug-")
            except OSError as error:
                raise DlbugError(f"no temporary files: {error.strerror}. Set TMPDIR to a writable folder.") from None
        ours, theirs = socket.socketpair()
        descriptor = theirs.fileno()
        settings = {
            "memory": self._limits.memory, "largest_file": self._largest_file,
            "seconds": max(1, round(self._limits.seconds)), "folder": self._folder,
        }  # fmt: skip
        # -I: neither the working directory nor variables such as PYTHONPATH decide what is imported, but our own path.
        program = f"import sys; sys.path[:] = {sys.path}; from {__name__} import serve; "
        program += f"serve({self._function!r}, {descriptor}, **{settings})"
        self._process = subprocess.Popen(  # noqa: S603 - the arguments are ours
            [sys.executable, "-I", "-c", program],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=[descriptor],
            process_group=0, env=os.environ | {"POLARS_MAX_THREADS": _THREADS, "OMP_NUM_THREADS": _THREADS},
        )  # fmt: skip
        theirs.close()
        assert self._process.stderr  # noqa: S101 - a pipe
        os.set_blocking(self._process.stderr.fileno(), False)
        self._connection = Connection(ours.detach())
        if self._is_stopped:  # while it started
            self.close()
            raise LimitError("it was stopped")
        try:
            self._receive(self._connection, _START_SECONDS, _START_SECONDS)
        except LimitError as error:
            self.close()
            raise DlbugError(f"cannot start a child process: {error}. Is the installation complete?") from None
        return self._connection

    def _receive(self, connection: "Connection[Any, Any]", seconds: float, limit: float) -> bytes:
        """Return the next message, while keeping what the process prints from blocking it.

        ``seconds`` are those that are left of the ``limit``.
        """
        assert self._process and self._process.stderr  # noqa: S101 - running
        deadline = time.monotonic() + seconds
        errors = self._process.stderr.fileno()
        sources = [connection, errors]
        while ready := wait(sources, timeout=max(0.0, deadline - time.monotonic())):
            if errors in ready and not self._read_errors():
                sources.remove(errors)
            if connection in ready:
                try:
                    return connection.recv_bytes(_LARGEST_PIECE + 1)
                except (EOFError, ConnectionResetError):
                    self._fail()
        raise LimitError(f"it takes longer than {limit:g} seconds")

    def _read_errors(self) -> bool:
        """Read what the process has printed; return whether there can be more."""
        assert self._process and self._process.stderr  # noqa: S101 - running
        printed = os.read(self._process.stderr.fileno(), _MOST_ERRORS)
        self._errors = (self._errors + printed)[-_MOST_ERRORS:]
        return bool(printed)

    def _fail(self) -> NoReturn:
        """Raise the reason why the process has ended."""
        assert self._process  # noqa: S101 - running
        code = self._process.wait()
        with suppress(BlockingIOError):
            while self._read_errors():
                pass
        if any(sign in self._errors for sign in _OUT_OF_MEMORY):
            raise LimitError(f"it needs more than {self._limits.memory >> 20} MiB of memory")
        if code == -signal.SIGXCPU:
            raise LimitError(f"it takes longer than {self._limits.seconds:g} seconds")
        lines = self._errors.decode(errors="replace").strip().splitlines()
        ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        raise LimitError(f"the process that reads it ended with {ended}{f' ({lines[-1][:200]})' if lines else ''}")


def serve(function: str, descriptor: int, *, memory: int, largest_file: int, seconds: int, folder: str | None) -> None:
    """Answer calls, as the child process, until the other end of the connection is closed."""
    threading.Thread(target=_end_with_caller, args=(descriptor, folder), daemon=True).start()
    module, _, name = function.partition(":")
    called = getattr(importlib.import_module(module), name)
    # Only now: the code of libraries is mapped and counts as well.
    for limit, value in (
        (resource.RLIMIT_DATA, memory), (resource.RLIMIT_FSIZE, largest_file), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        _, most = resource.getrlimit(limit)
        lowest = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (lowest, lowest))
    connection: Connection[Any, Any] = Connection(descriptor)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send_bytes(_READY)
        while True:
            arguments = json.loads(connection.recv_bytes())
            # Where nobody is left to kill this process, and a library keeps the interpreter's lock from the thread that
            # would end it, its processor time does.
            usage = resource.getrusage(resource.RUSAGE_SELF)
            used = int(usage.ru_utime + usage.ru_stime)
            _, most = resource.getrlimit(resource.RLIMIT_CPU)
            resource.setrlimit(resource.RLIMIT_CPU, (used + int(_THREADS) * seconds + 1, most))
            try:
                for content in called(**arguments):
                    for start in range(0, len(content), _LARGEST_PIECE):
                        connection.send_bytes(_PIECE + content[start : start + _LARGEST_PIECE])
            except DlbugError as error:
                connection.send_bytes(_ERROR + str(error).encode(errors="replace")[:_LARGEST_PIECE])
            else:
                connection.send_bytes(_END)


def _end_with_caller(descriptor: int, folder: str | None) -> None:
    """End this process, and delete its folder, when the other end of the connection is closed."""
    hangup = select.poll()
    hangup.register(descriptor, 0)
    hangup.poll()
    while folder is not None and Path(folder).exists():  # files may be added meanwhile
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
