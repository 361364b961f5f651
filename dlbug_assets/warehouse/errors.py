"""Translate DuckDB's errors into messages that name the file and the fix."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from dlbug_assets.errors import DlbugError


@contextmanager
def explain_errors(action: str, path: Path) -> Generator[None, None, None]:
    """Raise DuckDB's errors as :class:`DlbugError` with the action that failed, the file and the fix."""
    try:
        yield
    except duckdb.Error as error:
        raise _explained(error, action, path) from error


def _explained(error: duckdb.Error, action: str, path: Path) -> DlbugError:
    message = str(error).strip()
    first_line = re.sub(r"^[A-Za-z ]+ Error: ", "", message.split("\n")[0])
    # DuckDB raises many kinds of errors for a full disk; for memory that it cannot spill, one that names its setting.
    if re.search(r"No space left on device|max_temp_directory_size", message):
        return DlbugError(f"{action}: the disk of {path} is full. Free some disk space and run again.")
    if isinstance(error, duckdb.IOException):
        if first_line.startswith("Could not set lock"):
            holder = re.search(r"PID \d+", first_line)
            who = f"another program ({holder.group()})" if holder else "another program"
            return DlbugError(f"{action}: {path} is locked by {who}. Close that program and run again.")
        fix = (
            "Check that the disk has space left, that the folder is writable and that nothing else writes to the file."
        )
        return DlbugError(f"{action}: {first_line} ({path}). {fix}")
    if isinstance(error, duckdb.CatalogException):
        fix = "Run the study once without --select, or put + before the selection, to compute the tables that it reads."
        return DlbugError(f"{action}: {first_line} {fix}")
    if isinstance(error, duckdb.OutOfMemoryException):
        return DlbugError(
            f"{action}: {first_line}. DuckDB gets up to half of this machine's memory: run the study on a larger one, "
            "or make it smaller (fewer libraries, narrower criteria)."
        )
    return DlbugError(f"{action}: {message}")
