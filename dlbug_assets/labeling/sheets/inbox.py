"""Receive submitted files: wait until they are complete, archive every version."""

import functools
import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from dlbug_assets.atomic_files import sync_folder, write_atomically
from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import check_folder

_DIGITS = re.compile(r"([0-9]+)")
_TIMESTAMP = "%Y%m%dT%H%M%S%f"
#: A file that was changed less than this long ago may still be growing.
SETTLES_SECONDS = 10
#: A larger file is not a sheet.
LARGEST_FILE = 200 << 20


@dataclass(frozen=True)
class Version:
    """One received version of a submitted file, in a folder of the archive."""

    folder: Path

    @functools.cached_property
    def path(self) -> Path:
        """The path of the file. Raises :class:`DlbugError` if the folder cannot be read."""
        try:
            return next(self.folder.iterdir())
        except OSError as error:
            raise unreadable_error(self.folder, error) from None

    @functools.cached_property
    def received_at(self) -> datetime:
        """When it was received: UTC, without time zone."""
        return datetime.strptime(self.folder.name.split("-")[0], _TIMESTAMP)

    @property
    def digest(self) -> str:
        """The first 16 hex digits of its content's SHA-256."""
        return self.folder.name.split("-")[1]


def settled_files(inbox: Path, clock: Clock) -> tuple[list[Path], list[Path]]:
    """Return the files of the inbox that are complete, and those that may still be growing, each sorted by name.

    Numbers are sorted as numbers, so that of sheets that arrive at once, those of earlier batches are received first.
    Hidden files, lock files of office programs, symbolic links and folders are ignored. Raises :class:`DlbugError` if
    the inbox cannot be opened.
    """
    check_folder(inbox, "move it away and import the sheets again")
    settled, growing = [], []
    now = clock.now().timestamp()
    for path in sorted(inbox.glob("*"), key=_natural):
        if path.name.startswith((".", "~$")) or path.is_symlink() or not path.is_file():
            continue
        age = now - path.stat().st_mtime
        (growing if 0 <= age < SETTLES_SECONDS else settled).append(path)
    return settled, growing


def _natural(path: Path) -> list[int | str]:
    """Return the parts of a name, by which 5-ann comes before 10-ann."""
    return [int(part) if number % 2 else part for number, part in enumerate(_DIGITS.split(path.name))]


def file_stats(paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Return the name, size in bytes and modification time (ns since 1970) of files."""
    return [(path.name, stat.st_size, stat.st_mtime_ns) for path, stat in ((path, path.stat()) for path in paths)]


def receive(paths: Iterable[Path], archive: Path, clock: Clock) -> list[str]:
    """Archive each file whose content differs from the last version of the same name; return the names of those.

    Of a file that is larger than :data:`LARGEST_FILE`, only the beginning is archived, which is too large as well.
    Raises :class:`DlbugError` if the disk is full or a folder cannot be written.
    """
    archived = versions(archive)
    newest = {version.path.name: version.digest for version in archived}
    last = archived[-1].received_at if archived else datetime.min
    new = []
    for path in paths:
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
            digest = hashlib.sha256(content).hexdigest()[:16]
            if newest.get(path.name) == digest:
                continue
            last = keep_version(archive, digest, {path.name: content}, last, clock).received_at
        except OSError as error:
            raise DlbugError(
                f"cannot receive {path}: {error.strerror}. It stays in the inbox; free some disk space (or make the "
                "file readable and the folders writable) and run again."
            ) from None
        newest[path.name] = digest
        new.append(path.name)
    return new


def keep_version(archive: Path, digest: str, contents: Mapping[str, bytes], last: datetime, clock: Clock) -> Version:
    """Write files into a new folder of the archive, atomically; ``last`` is when the version before was received.

    Raises OSError if they cannot be written.
    """
    # Timestamps always increase, even if the clock is set back: they define the order of arrival.
    moment = max(clock.now().replace(tzinfo=None), last + timedelta(microseconds=1))
    folder = archive / f"{moment:{_TIMESTAMP}}-{digest}"
    unfinished = archive / f".unfinished-{folder.name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name, content in contents.items():
        write_atomically(unfinished / name, content)
    unfinished.rename(folder)
    sync_folder(archive)
    return Version(folder)


def versions(archive: Path) -> list[Version]:
    """Return all received versions in the order of arrival.

    Raises :class:`DlbugError` if the archive cannot be opened.
    """
    check_folder(archive, "restore it from a backup: it contains every label")
    return [Version(path) for path in sorted(archive.glob("[0-9]*"))]


def submit(paths: Sequence[Path], folder: Path, clock: Clock) -> None:
    """Copy files into the inbox atomically; ``folder`` contains inbox and received.

    A file of the same name that is in the inbox is received first: it may be somebody else's. Raises
    :class:`DlbugError` if a file cannot be copied or two have the same name.
    """
    inbox = folder / "inbox"
    check_folder(inbox, "move it away")
    names = Counter(path.name for path in paths)
    repeated = [path for path in paths if names[path.name] > 1]
    if repeated:
        raise DlbugError(
            f"{' and '.join(map(str, repeated))} have the same name, which identifies the versions of a file: rename "
            "one of them"
        )
    receive((inbox / name for name in names if (inbox / name).is_file()), folder / "received", clock)
    for path in paths:
        try:
            inbox.mkdir(parents=True, exist_ok=True)
            unfinished = inbox / f".unfinished-{path.name}"
            shutil.copyfile(path, unfinished)
            # Dated back, because a complete file need not wait until it is settled.
            settled = clock.now().timestamp() - SETTLES_SECONDS
            os.utime(unfinished, (settled, settled))
            unfinished.replace(inbox / path.name)
        except OSError as error:
            raise DlbugError(f"cannot copy {path} into the inbox: {error.strerror}") from None


def unreadable_error(path: Path, error: OSError) -> DlbugError:
    """Return the error for a submitted file that cannot be read."""
    return DlbugError(f"cannot read {path}: {error.strerror}. Make it and its folder readable, and run again.")
