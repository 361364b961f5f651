"""Folders that change as a whole: readers see what was there before, or all that is new."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from dlbug_assets.errors import DlbugError


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make the folder hold exactly these files, by their path within it.

    The new folder is written beside and takes the old one's place when it is complete. Raises :class:`DlbugError`
    where that fails; the older one is then as it was.
    """
    unfinished, older = folder.with_name(f"{folder.name}.unfinished"), folder.with_name(f"{folder.name}.older")
    try:
        if older.exists() and not folder.exists():  # ended between the two renames below
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
            f"cannot write {folder}: {error.strerror}. What was there before is untouched. Make the folder writable or "
            "free some disk space, and run again."
        ) from None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
