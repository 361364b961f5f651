"""Turn landed collections into a library's rows of the Stack Overflow tables."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from dlbug_assets.ingest import collections
from dlbug_assets.ingest.landing import Collection
from dlbug_assets.privacy import redact_emails
from dlbug_assets.stackoverflow.posts import IRREGULARITIES
from dlbug_assets.warehouse.rows import PartitionRows

COLLECTIONS = "stackoverflow.collections"
#: Answers whose question is in no library.
ORPHANS = "post_id not in (select post_id from stackoverflow.raw_posts)"
_ANSWERS_OF_LIBRARY = f"post_id in (select post_id from stackoverflow.raw_posts where library = ?) or {ORPHANS}"


def replace_library(
    library: str,
    posts: pl.DataFrame | Iterator[pl.DataFrame],
    answers: pl.DataFrame | Iterator[pl.DataFrame],
    done: Sequence[Collection],
    irregularities: pl.DataFrame,
) -> dict[str, PartitionRows]:
    """Make these the only rows of a library in every table of the corpus."""
    return {
        "raw_posts": PartitionRows.replacing(posts, library),
        "raw_answers": PartitionRows(answers, _ANSWERS_OF_LIBRARY, [library]),
        "collections": collection_rows(library, done),
        "irregularities": PartitionRows.replacing(irregularities, library),
    }


def collection_rows(library: str, done: Sequence[Collection]) -> PartitionRows:
    """Return the rows of stackoverflow.collections of one library."""

    def columns(summary: Mapping[str, Any]) -> dict[str, Any]:
        newest = summary.get("newest_activity")
        return {
            "items": summary.get("items"),
            "newest_activity": datetime.fromisoformat(newest) if newest else None,
            "state": "unread" if summary.get("unread") else "read",
            "unread_reason": summary.get("unread"),
            "note": json.dumps(summary["reading"]) if "reading" in summary else None,
        }

    return collections.collection_rows(COLLECTIONS, library, done, columns)


def irregularity_rows(library: str, frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of stackoverflow.irregularities of one library, e-mail addresses redacted.

    The ``frames`` have at least the columns of IRREGULARITIES.
    """
    rows = pl.concat([pl.DataFrame(schema=IRREGULARITIES), *(frame.select(list(IRREGULARITIES)) for frame in frames)])
    return rows.select(pl.lit(library).alias("library"), pl.exclude("content"), redact_emails(pl.col("content")))
