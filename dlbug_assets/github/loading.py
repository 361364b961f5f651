"""Turn landed collections into a library's rows of the GitHub tables."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import polars as pl

from dlbug_assets.ingest.landing import Collection
from dlbug_assets.privacy import redact_emails
from dlbug_assets.warehouse.rows import Part, ReadCurrent

_COLLECTIONS = {
    "library": pl.String,
    "collection": pl.String,
    "kind": pl.String,
    "begun_at": pl.Datetime("us"),
    "finished_at": pl.Datetime("us"),
    "repositories": pl.Int64,
    "commits": pl.Int64,
    "requests": pl.Int64,
    "quota_left": pl.Int64,
}
_ALL_OF_LIBRARY = "library = ?"
_NOTHING = "false"


def _details(changes: pl.DataFrame, shas: Sequence[str]) -> pl.DataFrame:
    wanted = changes.filter(pl.col("sha").is_in(list(shas)))
    return wanted.with_columns(redact_emails(pl.col("patch_excerpt")))


def _loaded(library: str, own: ReadCurrent) -> list[str]:
    """The collections that the tables are made of."""
    return own("github.collections", _ALL_OF_LIBRARY, [library])["collection"].sort().to_list()


def _replaced(
    library: str,
    repositories: pl.DataFrame | Iterator[pl.DataFrame],
    commits: pl.DataFrame | Iterator[pl.DataFrame],
    done: Sequence[Collection],
    moment: datetime,
) -> dict[str, Part]:
    """A library's rows as these and no others."""
    at = pl.lit(moment.replace(tzinfo=None)).alias("retrieved_at")
    year = pl.col("authored_at").dt.year().alias("year")
    return {
        "repositories": Part(_with(repositories, at), _ALL_OF_LIBRARY, [library]),
        "fix_commits": Part(_with(commits, year), _ALL_OF_LIBRARY, [library]),
        "collections": _collections(library, done),
    }


def _with(rows: pl.DataFrame | Iterator[pl.DataFrame], column: pl.Expr) -> pl.DataFrame | Iterator[pl.DataFrame]:
    if isinstance(rows, pl.DataFrame):
        return rows.with_columns(column)
    return (frame.with_columns(column) for frame in rows)


def _collections(library: str, done: Sequence[Collection]) -> Part:
    rows = []
    for collection in done:
        summary = collection.done
        rows.append(
            {
                "library": library,
                "collection": collection.name,
                "kind": collection.kind,
                "begun_at": collection.begun_at,
                "finished_at": datetime.fromisoformat(summary["finished_at"]),
                "repositories": summary["repositories"],
                "commits": summary.get("commits"),
                "requests": summary.get("requests", 0),
                "quota_left": summary.get("quota_left"),
            }
        )
    return Part(pl.DataFrame(rows, schema=_COLLECTIONS), _ALL_OF_LIBRARY, [library])
