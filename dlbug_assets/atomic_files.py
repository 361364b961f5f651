"""Replace files and folders atomically and durably: readers see either the old content or the new one."""

import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dlbug_assets.errors import DlbugError

#: A disk with less free space than this many bytes is full: SQLite and DuckDB allocate larger pieces.
_FULL_BYTES = 1 << 20


def write_atomically(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Replace a file by ``content`` and flush it to the disk. Raises OSError; the old file is then unchanged."""
    with open_atomically(path, mode) as file:
        file.write(content)


@contextmanager
def open_atomically(path: Path, mode: int = 0o666) -> Generator[BinaryIO, None, None]:
    """Provide a file whose content replaces that of ``path`` at the end; after an exception, the old one is unchanged.

    Raises OSError.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full(folder: Path) -> bool:
    """Return whether less than 1 MiB is free on the disk of a folder. Raises OSError."""
    return shutil.disk_usage(folder).free < _FULL_BYTES


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace a folder by one with exactly these files, given by their path within it.

    The new folder is written beside the old one and renamed when it is complete. Raises :class:`DlbugError` if that
    fails; the old one is then unchanged.
    """
    unfinished, older = folder.with_name(f"{folder.name}.unfinished"), folder.with_name(f"{folder.name}.older")
    try:
        if older.exists() and not folder.exists():  # a process ended between the two renames below
            older.rename(folder)
        _remove(unfinished)
        for name, content in files.items():
            path = unfinished / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        _remove(older)
        if folder.exists():
            folder.rename(older)
        unfinished.rename(folder)
        _remove(older)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if older.exists() and not folder.exists():
            older.rename(folder)
        raise DlbugError(
            f"cannot write {folder}: {error.strerror}. The previous content is unchanged. Make the folder writable or "
            "free some disk space, and run again."
        ) from None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
