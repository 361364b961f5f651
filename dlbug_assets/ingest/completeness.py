"""What a study follows but could not read, as publishing.completeness records it."""

from collections.abc import Callable, Sequence

import polars as pl

from dlbug_assets.errors import DlbugError

#: Runs SQL on the published database.
Query = Callable[[str], pl.DataFrame]


def unread_corpora(query: Query, libraries: Sequence[str] | None = None) -> list[str]:
    """Return a line for each source and library (all of them by default) of which something is unread.

    A line names the source, the library, the number of unread repositories, and the reasons.
    """
    rows = query("from publishing.completeness where unread > 0 order by library, source")
    if libraries is not None:
        rows = rows.filter(pl.col("library").is_in(libraries))
    return [
        f"{row['library']} on {row['source']}: {_count(row['source'], row['unread'], row['followed'])} unread "
        f"({row['unread_reason']})"
        for row in rows.to_dicts()
    ]


def require_complete(query: Query, consequence: str, libraries: Sequence[str] | None = None) -> None:
    """Raise :class:`DlbugError` if anything of these libraries (all by default) is unread; it names all of it.

    ``consequence`` is a sentence on what that prevents and how to continue.
    """
    lines = unread_corpora(query, libraries)
    if lines:
        raise DlbugError("\n  ".join(["the corpora are incomplete:", *lines]) + f"\n{consequence}")


def _count(source: str, unread: int, followed: int) -> str:
    if source == "GitHub":
        return f"{unread} of {followed} repositories {'is' if unread == 1 else 'are'}"
    return "its query is"
