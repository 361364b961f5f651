"""Posts of the study's releases, completed through the API."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets import releases
from dlbug_assets.clock import utc_naive
from dlbug_assets.ingest.collections import loaded_collections, look_up_while_reachable
from dlbug_assets.ingest.landing import Collected, Landing
from dlbug_assets.privacy import secret_key
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.api.access import StackExchangeAccess
from dlbug_assets.stackoverflow.api.collector import LOOK_UP, Collector, queries
from dlbug_assets.stackoverflow.api.merging import merge
from dlbug_assets.stackoverflow.api.replies import read_replies
from dlbug_assets.stackoverflow.loading import COLLECTIONS, irregularity_rows, replace_library
from dlbug_assets.stackoverflow.posts import RAW_POSTS
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent

_NEVER = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Release:
    """Posts of the study's releases, which contain their IDs and links; the API returns the rest if reachable."""

    study: Study
    landing: Landing
    key_file: Path
    access: StackExchangeAccess
    release: Callable[[], releases.Released]

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Look the posts up by ID. Without a network the study runs without their titles, texts and dates."""
        # Titles, texts and dates are optional: one attempt is enough.
        retry_policy = dataclasses.replace(self.access.retry_policy, attempts=1)
        collector = Collector(self.study, self.landing, dataclasses.replace(self.access, retry_policy=retry_policy))
        # Read here, because a release that cannot be read is not the failure of one library.
        released = self.release()

        def look_up(library: str) -> dict[str, Any]:
            post_ids = releases.posts(released, library)["post_id"].to_list()
            return collector.look_up(library, post_ids, again=sweep)

        return look_up_while_reachable(libraries, look_up, "titles, texts and dates of posts")

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Return all rows of the library: the posts of the release, with what the API returned of them."""
        loaded_collections(COLLECTIONS, self.landing, library, read_current)
        done = self.landing.done(library, {LOOK_UP})
        released = releases.posts(self.release(), library).with_columns(pl.lit(_NEVER).alias("retrieved_at"))
        released = released.select(list(RAW_POSTS)).cast(RAW_POSTS)

        def released_rows(post_ids: Sequence[int]) -> pl.DataFrame:
            return released.filter(pl.col("post_id").is_in(list(post_ids)))

        merged = merge(released_rows, map(read_replies, done), library, queries(self.study), secret_key(self.key_file))
        posts = pl.concat([merged.posts, released.join(merged.posts, on="post_id", how="anti")]).with_columns(
            # The authors chose these posts; their score or deletion today doesn't exclude them.
            in_scope=pl.lit(value=True),
            retrieved_at=pl.when(pl.col("retrieved_at") > _NEVER)
            .then("retrieved_at")
            .otherwise(pl.lit(utc_naive(datetime.now(UTC)))),
        )
        irregular = irregularity_rows(library, merged.irregularities)
        return replace_library(library, posts, merged.answers, done, irregular)
