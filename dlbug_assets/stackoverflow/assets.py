"""The tables raw_posts and raw_answers, partitioned by library. candidate_posts is SQL."""

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from dlbug_assets.stackoverflow.sources import post_source
from dlbug_assets.study import Study
from dlbug_assets.table_assets import Part, TableAssets


def assets(study: Study, tables: TableAssets, release: Callable[[], pl.DataFrame]) -> list[dg.AssetsDefinition]:
    """The room's Python assets; ``release`` gives the rows of the authors' release."""

    @tables.by_library(
        "stackoverflow.raw_posts", "stackoverflow.raw_answers", reads={"libraries": "reference.libraries"}
    )
    def raw_posts(library: str, **_: pl.DataFrame) -> dict[str, Part]:
        batches = list(post_source(study, release)(library))
        now = pl.lit(datetime.now(UTC).replace(tzinfo=None)).alias("retrieved_at")
        posts = pl.concat([batch.posts for batch in batches]).with_columns(now)
        answers = pl.concat([batch.answers for batch in batches]).with_columns(now)
        return {
            "raw_posts": Part(posts, "library = ?", [library]),
            # An answer belongs to a question, whatever the libraries that the question is filed under.
            "raw_answers": Part(answers, "answer_id in (select answer_id from incoming)", []),
        }

    return [raw_posts]
