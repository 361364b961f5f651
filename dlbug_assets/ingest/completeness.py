"""What a study follows but could not read.

The query of publishing.completeness answers this. It runs here on the published database, because a run of selected
assets may have left that table as it was.
"""

import re
from collections.abc import Callable, Sequence

import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import MODELS

#: Runs SQL on the published database.
Query = Callable[[str], pl.DataFrame]


def unread_corpora(query: Query, libraries: Sequence[str] | None = None) -> list[str]:
    """Return a line for each source and library (all of them by default) of which something is unread.

    A line names the source, the library, the number of unread repositories, and the reasons.
    """
    rows = query(f"from ({_model()}) where unread > 0 order by library, source")
    if libraries is not None:
        rows = rows.filter(pl.col("library").is_in(libraries))
    return [
        f"{row['library']} on {row['source']}: {_count(row['source'], row['unread'], row['followed'])} unread "
        f"({row['unread_reason']})"
        for row in rows.to_dicts()
    ]


def are_corpora_known(query: Query) -> bool:
    """Return whether the database has the tables of both corpora: a selection of assets may lack some."""
    existing = query("select schema_name || '.' || table_name as name from duckdb_tables()")["name"]
    return set(re.findall(r"\b(?:from|join) (\w+\.\w+)", _model())) <= set(existing)


def require_complete(query: Query, consequence: str, libraries: Sequence[str] | None = None) -> None:
    """Raise :class:`DlbugError` if anything of these libraries (all by default) is unread; it names all of it.

    ``consequence`` is a sentence on what that prevents and how to continue.
    """
    lines = unread_corpora(query, libraries)
    if lines:
        raise DlbugError("\n  ".join(["the corpora are incomplete:", *lines]) + f"\n{consequence}")


def _model() -> str:
    return (MODELS / "publishing" / "completeness.sql").read_text(encoding="utf-8")


def _count(source: str, unread: int, followed: int) -> str:
    if source == "GitHub":
        return f"{unread} of {followed} repositories {'is' if unread == 1 else 'are'}"
    return "its query is"
