"""The archive of files with final labels: each version that was imported, with its map."""

import functools
import hashlib
from datetime import datetime
from pathlib import Path

from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.imported.label_map import MAP_FILE
from dlbug_assets.labeling.sheets.inbox import Version, keep_version
from dlbug_assets.layout import check_folder
from dlbug_assets.protocol.releases import FORMATS
from dlbug_assets.releases.locate import LARGEST_FILE


class FinalVersion(Version):
    """A version of a file with final labels, in a folder of the archive; its digest is that of file and map."""

    @functools.cached_property
    def path(self) -> Path:
        """The path of the file. Raises :class:`DlbugError` if there is none."""
        for path in sorted(self.folder.iterdir()):
            if path.name != MAP_FILE:
                return path
        raise DlbugError(f"{self.folder} has no file with labels: restore it from a backup")

    @property
    def map(self) -> Path:
        """The path of its map."""
        return self.folder / MAP_FILE


def final_versions(archive: Path) -> list[FinalVersion]:
    """Return all versions in the order of arrival. Raises :class:`DlbugError` if the archive cannot be opened."""
    check_folder(archive, "restore it from a backup: it contains final labels")
    return [FinalVersion(path) for path in sorted(archive.glob("[0-9]*"))]


def receive_final(file: Path, map_file: Path, archive: Path, clock: Clock) -> FinalVersion:
    """Archive a file with its map, and return their version: the last one of the file's name if nothing has changed.

    Raises :class:`DlbugError` for a file that cannot be read, is too large or of an unknown format, and if the disk is
    full or the archive cannot be written.
    """
    check_format(file)
    contents = {file.name: _content(file), MAP_FILE: _content(map_file)}
    digest = hashlib.sha256(b"\0".join(contents.values())).hexdigest()[:16]
    versions = final_versions(archive)
    last = next((version for version in reversed(versions) if version.path.name == file.name), None)
    if last is not None and last.digest == digest:
        return last
    newest = versions[-1].received_at if versions else datetime.min
    try:
        return FinalVersion(keep_version(archive, digest, contents, newest, clock).folder)
    except OSError as error:
        raise DlbugError(
            f"cannot import {file}: {error.strerror}. Free some disk space, or make {archive} writable, and import it "
            "again."
        ) from None


def check_format(file: Path) -> None:
    """Raise :class:`DlbugError` for a file whose suffix is not that of a format that can be read."""
    if file.suffix.lower() not in FORMATS:
        raise DlbugError(f"{file} has none of the suffixes {', '.join(FORMATS)}: save it as one of these, unpacked")


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise DlbugError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > LARGEST_FILE:
        raise DlbugError(f"{path} is larger than {LARGEST_FILE >> 20} MiB, so it is not read")
    return content
