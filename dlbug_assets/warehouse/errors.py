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
    except duckdb.IOException as error:
        message = str(error).removeprefix("IO Error: ").split("\n")[0]
        if message.startswith("Could not set lock"):
            holder = re.search(r"PID \d+", message)
            who = f"another program ({holder.group()})" if holder else "another program"
            raise DlbugError(f"{action}: {path} is locked by {who}. Close that program and run again.") from None
        fix = (
            "Check that the disk has space left, that the folder is writable and that nothing else writes to the file."
        )
        raise DlbugError(f"{action}: {message} ({path}). {fix}") from None
    except duckdb.CatalogException as error:
        message = str(error).removeprefix("Catalog Error: ").split("\n")[0]
        fix = "Run the study once without --select, or put + before the selection, to compute the tables that it reads."
        raise DlbugError(f"{action}: {message} {fix}") from error
    except duckdb.OutOfMemoryException as error:
        message = str(error).removeprefix("Out of Memory Error: ").split("\n")[0]
        raise DlbugError(
            f"{action}: {message}. DuckDB gets up to half of this machine's memory: run the study on a larger one, or "
            "make it smaller (fewer libraries, narrower criteria)."
        ) from error
    except duckdb.Error as error:
        raise DlbugError(f"{action}: {str(error).strip()}") from error
