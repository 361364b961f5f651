"""Turn landed collections into a library's rows of the GitHub tables."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from dlbug_assets.clock import utc_naive
from dlbug_assets.ingest import collections
from dlbug_assets.ingest.landing import Collection
from dlbug_assets.privacy import redact_emails
from dlbug_assets.warehouse.rows import PartitionRows

COLLECTIONS = "github.collections"
_SELECTED = pl.lit(value=True)


def known_details(changes: pl.DataFrame, shas: Sequence[str]) -> pl.DataFrame:
    """Return the rows of ``changes`` for these commits, without e-mail addresses."""
    wanted = changes.filter(pl.col("sha").is_in(list(shas)))
    return wanted.with_columns(redact_emails(pl.col("patch_excerpt")))


def replace_library(
    library: str,
    repositories: pl.DataFrame | Iterator[pl.DataFrame],
    commits: pl.DataFrame | Iterator[pl.DataFrame],
    done: Sequence[Collection],
    retrieved_at: datetime,
    *,
    is_fix: pl.Expr = _SELECTED,
) -> dict[str, PartitionRows]:
    """Return these as the only rows of a library in the tables that a source loads; ``retrieved_at`` is in UTC.

    ``is_fix`` tells which commits have a title that matches the study's fix_pattern, if that is not why they are here.
    """
    retrieved = pl.lit(utc_naive(retrieved_at)).alias("retrieved_at")
    year = pl.col("authored_at").dt.year().alias("year")
    return {
        "repositories": PartitionRows.replacing(_with(repositories, retrieved), library),
        "fix_commits": PartitionRows.replacing(_with(commits, year, is_fix.alias("is_fix")), library),
        "collections": collection_rows(library, done),
    }


def collection_rows(library: str, done: Sequence[Collection]) -> PartitionRows:
    """Return the rows of github.collections of one library."""

    def columns(summary: Mapping[str, Any]) -> dict[str, Any]:
        return {"repositories": summary["repositories"], "commits": summary.get("commits")}

    return collections.collection_rows(COLLECTIONS, library, done, columns)


def _with(rows: pl.DataFrame | Iterator[pl.DataFrame], *columns: pl.Expr) -> pl.DataFrame | Iterator[pl.DataFrame]:
    if isinstance(rows, pl.DataFrame):
        return rows.with_columns(columns)
    return (frame.with_columns(columns) for frame in rows)
