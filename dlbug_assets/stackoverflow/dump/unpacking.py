"""Read the bytes of a Posts.xml, from the file itself or from the .7z, .zip or .gz that contains it.

A program unpacks archives. It runs under limits of memory, processor time and silence, because a damaged or malicious
archive could make it grow or wait without end.
"""

import io
import select
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

from dlbug_assets.errors import DlbugError

ADVICE = "Name the Posts.xml of Stack Overflow's data dump, or the .7z, .zip or .gz that contains it."
#: Bytes to read at a time: as many as fit into the processor's cache.
_CHUNK = 384 << 10
_EXCERPT = 200
#: Archives and the programs that unpack them. A .gz contains one file, whatever its name.
_PROGRAMS = {
    ".7z": ("7zz", "7z", "7za", "7zr"),
    ".zip": ("7zz", "7z", "7za"),
    ".gz": ("7zz", "7z", "7za"),
}
#: Limits of the program: memory in KiB, processor time in seconds, and seconds without any output.
_MEMORY, _PROCESSOR_TIME, _SILENCE = 2 << 20, 24 * 3600, 300
_OUT_OF_MEMORY = 8  # exit code


def is_archive(path: Path) -> bool:
    """Return whether a dump is packed."""
    return path.suffix.lower() in _PROGRAMS


def read_chunks(path: Path, begin: int = 0, end: int | None = None) -> Generator[bytes, None, None]:
    """Yield the bytes of a Posts.xml, or of a part of one that isn't packed. Close it: it may hold a process."""
    try:
        if not path.is_file():
            raise DlbugError(f"{path} {'is not a file' if path.exists() else 'does not exist'}. {ADVICE}")
        if is_archive(path):
            yield from _unpack(path)
        else:
            with path.open("rb", buffering=0) as file:
                if begin:
                    file.seek(begin)
                left = sys.maxsize if end is None else end - begin
                while chunk := file.read(min(_CHUNK, left)):
                    left -= len(chunk)
                    yield chunk
    except OSError as error:
        raise read_error(path, error) from None


def read_error(path: Path, error: OSError) -> DlbugError:
    """Return the error to raise if the system cannot read a dump."""
    return DlbugError(f"cannot read {path}: {error.strerror}. {ADVICE}")


def _unpack(path: Path) -> Iterator[bytes]:
    program = next((found for name in _PROGRAMS[path.suffix.lower()] if (found := shutil.which(name))), None)
    if program is None:
        raise DlbugError(f"{path} needs a program to unpack it: install the package 7zip, or unpack it yourself.")
    # The shell sets the limits and is replaced by the program. Where a system doesn't know a limit, there is none.
    limits = f'ulimit -d {_MEMORY} 2>/dev/null; ulimit -t {_PROCESSOR_TIME} 2>/dev/null; exec "$@"'
    # -so: to standard output; -r: from any folder inside; -spd: names are not patterns; -ssc-: in any letter case; -p:
    # an empty password, so that it never prompts for one; -bso0, -bsp0: print errors only.
    command = [program, "e", "-so", "-r", "-spd", "-ssc-", "-p", "-bso0", "-bsp0", "--", str(path)]
    names = [] if path.suffix.lower() == ".gz" else ["Posts.xml"]
    with subprocess.Popen(  # noqa: S603 - "$@" keeps arguments as they are; nothing after the -- is read as an option
        ["/bin/sh", "-c", limits, "sh", *command, *names],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
    ) as process:  # fmt: skip
        assert isinstance(process.stdout, io.FileIO) and process.stderr  # noqa: S101 - both are pipes
        output = select.poll()
        output.register(process.stdout, select.POLLIN)
        buffer, filled = memoryview(bytearray(_CHUNK)), 0
        try:
            while output.poll(_SILENCE * 1000):
                added = process.stdout.readinto(buffer[filled:])  # as much as there is
                filled += added
                if filled and (not added or filled == _CHUNK):
                    yield bytes(buffer[:filled])
                    filled = 0
                if not added:
                    break
            else:
                raise DlbugError(
                    f"{path} cannot be unpacked: {Path(program).name} has written nothing for {_SILENCE} seconds. "
                    "Unpack it yourself and name the Posts.xml."
                )
            errors = process.stderr.read().decode(errors="replace")
            code = process.wait()
        finally:
            process.kill()  # if the reader gave up; no effect on a process that has ended
    if code:
        lines = (line.strip() for line in errors.splitlines() if path.name not in line)
        reason = "; ".join(line for line in lines if line)[:_EXCERPT] or f"exit code {code}"
        is_usable = "password" in reason or code == _OUT_OF_MEMORY
        advice = "Unpack it yourself and name the Posts.xml" if is_usable else "Download it again"
        raise DlbugError(f"{path} cannot be unpacked: {reason}. {advice}.")
