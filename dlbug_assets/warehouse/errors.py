"""Translate DuckDB's errors into messages that name the file and the fix."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from dlbug_assets.errors import DlbugError


@contextmanager
def explain_errors(doing: str, path: Path) -> Iterator[None]:
    """Turn DuckDB's errors into one that says what was being done and what helps."""
    try:
        yield
    except duckdb.IOException as error:
        message = str(error).removeprefix("IO Error: ").split("\n")[0]
        if message.startswith("Could not set lock"):
            holder = re.search(r"PID \d+", message)
            who = f"another program ({holder.group()})" if holder else "another program"
            raise DlbugError(f"{doing}: {path} is locked by {who}. Close that program and run again.") from None
        cure = "Check that the disk has room, that the folder is writable and that nothing else wrote into the file."
        raise DlbugError(f"{doing}: {message} ({path}). {cure}") from None
    except duckdb.CatalogException as error:
        message = str(error).removeprefix("Catalog Error: ").split("\n")[0]
        cure = "What a selection reads has to be made first: run the study once without --select, or put + before it."
        raise DlbugError(f"{doing}: {message} {cure}") from error
    except duckdb.OutOfMemoryException as error:
        message = str(error).removeprefix("Out of Memory Error: ").split("\n")[0]
        raise DlbugError(
            f"{doing}: {message}. DuckDB gets up to half of this machine's memory: run the study on a larger one, or "
            "make it smaller (fewer libraries, narrower criteria)."
        ) from error
    except duckdb.Error as error:
        raise DlbugError(f"{doing}: {str(error).strip()}") from error
