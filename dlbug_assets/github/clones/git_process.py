"""Run git without the configuration of this machine, and under limits: no input can make it run on or grow.

Nothing except git is run. It uses no hooks, prompts, or protocols other than https, ssh and file, and never starts
itself to fetch objects that a clone lacks (a shallow source would make it do so without end).
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, BytesIO
from tempfile import TemporaryFile
from threading import Event, Thread, Timer
from typing import IO

from dlbug_assets.errors import DlbugError

#: Time limit of a command.
_SECONDS = 1800
#: Memory of a git process, apart from the files that it maps: a text file of 512 MiB can be compared.
_MEMORY = 4 << 30
#: Output that is held in memory, and the errors of which the beginning is quoted.
_LONGEST_OUTPUT = 64 << 20
_LONGEST_ERRORS = 64 << 10
_BUFFER = 1 << 20
_OPTIONS = (
    "-c", "core.hooksPath=/dev/null", "-c", "credential.helper=", "-c", "core.fsmonitor=false", "-c", "gc.auto=0",
    "-c", "maintenance.auto=false", "-c", "protocol.allow=never", "-c", "protocol.https.allow=always",
    "-c", "protocol.ssh.allow=always", "-c", "protocol.file.allow=always", "-c", "safe.directory=*",
)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
#: The process group of every git that is running.
_running: set[int] = set()


class GitError(DlbugError):
    """git failed; the message quotes it."""


def git(*arguments: str, stdin: bytes = b"", seconds: int | None = None) -> bytes:
    """Run git with these arguments and return what it prints.

    Raises :class:`GitError` if it fails, takes longer than ``seconds`` (by default half an hour) or prints more than
    64 MiB, and :class:`DlbugError` if it is not installed.
    """
    with git_output(*arguments, stdin=stdin, seconds=seconds) as output:
        printed = output.read(_LONGEST_OUTPUT + 1)
        if len(printed) > _LONGEST_OUTPUT:
            raise GitError(f"git {_command(arguments)} printed more than {_LONGEST_OUTPUT >> 20} MiB and was ended")
    return printed


@contextmanager
def git_output(*arguments: str, stdin: bytes | IO[bytes] = b"", seconds: int | None = None) -> Iterator[BufferedReader]:
    """Run git with these arguments and give its output as a stream, which may be the ``stdin`` of another git.

    Where the context ends before the output, git is killed. Raises the same errors as :func:`git`, at the end.
    """
    program = shutil.which("git")
    if program is None:
        raise DlbugError("git is not installed: histories are read with it. Install the package git.")
    # The shell sets the limit before git starts, for all processes that git starts, and is replaced by git.
    limited = ("/bin/sh", "-c", 'ulimit -d "$0" 2>/dev/null; exec "$@"', str(_MEMORY >> 10), program)
    seconds = seconds or _SECONDS
    with _as_file(stdin) as given, subprocess.Popen(  # noqa: S603 - untrusted arguments come after --end-of-options
        [*limited, *_OPTIONS, *arguments], env=_environment(), process_group=0, bufsize=_BUFFER,
        stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert isinstance(process.stdout, BufferedReader)  # noqa: S101 - a pipe
        assert isinstance(process.stderr, BufferedReader)  # noqa: S101 - a pipe
        errors, is_late = BytesIO(), Event()
        reader = Thread(target=_read_beginning, args=(process.stderr, errors))
        timer = Timer(seconds, _end, (process.pid, is_late))
        _running.add(process.pid)
        reader.start()
        timer.start()
        try:
            yield process.stdout
            is_whole = not process.stdout.read(1)
            if is_whole:
                process.wait()
                reader.join()
        finally:
            timer.cancel()
            _running.discard(process.pid)
            if process.returncode is None or reader.is_alive():
                _kill(process.pid)
            reader.join()
    if is_late.is_set():
        raise GitError(f"git {_command(arguments)} took longer than {seconds} seconds and was ended")
    if is_whole and process.returncode:
        raise GitError(f"git {_command(arguments)}: {_quoted(errors.getvalue()) or _ending(process.returncode)}")


def kill_all() -> None:
    """Kill every git that is running, for a program that is being stopped."""
    for group in tuple(_running):
        _kill(group)


def _kill(group: int) -> None:
    """Kill a git together with the transport helpers that it started."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _end(group: int, is_late: Event) -> None:
    is_late.set()
    _kill(group)


def _command(arguments: tuple[str, ...]) -> str:
    """Return the name of the command, which follows the options of git itself."""
    return next(word for word in arguments if not word.startswith("-") and "=" not in word)


def _quoted(errors: bytes) -> str:
    """Return the errors that git printed on one line, without advice and warnings.

    The same failure has the same message: both sides of a fetch print, in any order, and curl adds milliseconds.
    """
    text = re.sub(r"(?<=\d) after \d+ ms(?=:)", "", _CONTROL.sub("", errors.decode(errors="replace")))
    lines = sorted({line.strip() for line in text.splitlines()})
    return "; ".join(line for line in lines if re.match(r"(fatal|error|remote): (?!warning: )", line))


def _ending(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


@contextmanager
def _as_file(stdin: bytes | IO[bytes]) -> Iterator[IO[bytes] | int]:
    """Give what git reads as a file: writing it to a pipe could block while git waits for its output to be read."""
    if not isinstance(stdin, bytes):
        yield stdin
    elif not stdin:
        yield subprocess.DEVNULL
    else:
        with TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            yield file


def _read_beginning(stream: BufferedReader, beginning: BytesIO) -> None:
    """Read a stream to its end, so that git can write on, and keep its beginning."""
    while chunk := stream.read1(_LONGEST_ERRORS):
        beginning.write(chunk[: _LONGEST_ERRORS - beginning.tell()])


def _environment() -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME", "SSH_AUTH_SOCK", "TMPDIR") if name in os.environ},
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
    }
