"""Turn landed collections into a library's rows of the Stack Overflow tables."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

import polars as pl

from dlbug_assets.ingest.landing import Collection, Landing
from dlbug_assets.privacy import redact_emails
from dlbug_assets.stackoverflow.posts import IRREGULARITIES
from dlbug_assets.warehouse.rows import Part, ReadCurrent

_ALL_OF_LIBRARY = "library = ?"
_NOTHING = "false"
#: An answer belongs to a question, whatever the libraries that the question is filed under.
_ORPHANS = "post_id not in (select post_id from stackoverflow.raw_posts)"
_ANSWERS_OF_LIBRARY = f"post_id in (select post_id from stackoverflow.raw_posts where library = ?) or {_ORPHANS}"
_COLLECTIONS = {
    "library": pl.String,
    "collection": pl.String,
    "kind": pl.String,
    "begun_at": pl.Datetime("us"),
    "finished_at": pl.Datetime("us"),
    "requests": pl.Int64,
    "items": pl.Int64,
    "quota_left": pl.Int64,
    "newest_activity": pl.Datetime("us"),
    "note": pl.String,
}


def _loaded(landing: Landing, library: str, own: ReadCurrent) -> list[str]:
    """The collections that the tables are made of. Raises :class:`DlbugError` where landing lost one: made of the rest,
    the tables would lose it, too."""
    loaded = own("stackoverflow.collections", _ALL_OF_LIBRARY, [library])["collection"].sort().to_list()
    landing.require(library, loaded)
    return loaded


def _replaced(
    library: str,
    posts: pl.DataFrame | Iterator[pl.DataFrame],
    answers: pl.DataFrame | Iterator[pl.DataFrame],
    done: Sequence[Collection],
    irregularities: pl.DataFrame,
) -> dict[str, Part]:
    """A library's rows as these and no others."""
    return {
        "raw_posts": Part(posts, _ALL_OF_LIBRARY, [library]),
        "raw_answers": Part(answers, _ANSWERS_OF_LIBRARY, [library]),
        "collections": _collections(library, done),
        "irregularities": Part(irregularities, _ALL_OF_LIBRARY, [library]),
    }


def _collections(library: str, done: Sequence[Collection]) -> Part:
    rows = []
    for collection in done:
        summary = collection.done
        newest = summary.get("newest_activity")
        rows.append(
            {
                "library": library,
                "collection": collection.name,
                "kind": collection.kind,
                "begun_at": collection.begun_at,
                "finished_at": datetime.fromisoformat(summary["finished_at"]),
                "requests": summary.get("requests", 0),
                "items": summary.get("items"),
                "quota_left": summary.get("quota_left"),
                "newest_activity": datetime.fromisoformat(newest) if newest else None,
                "note": json.dumps(summary["reading"]) if "reading" in summary else None,
            }
        )
    return Part(pl.DataFrame(rows, schema=_COLLECTIONS), _ALL_OF_LIBRARY, [library])


def _irregularities(library: str, found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    rows = pl.concat([pl.DataFrame(schema=IRREGULARITIES), *(frame.select(list(IRREGULARITIES)) for frame in found)])
    return rows.select(pl.lit(library).alias("library"), pl.exclude("content"), redact_emails(pl.col("content")))
