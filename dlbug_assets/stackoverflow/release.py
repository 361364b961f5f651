"""Posts of the authors' release, completed through the API."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets import releases
from dlbug_assets.ingest.collections import loaded_collections, look_up_while_reachable
from dlbug_assets.ingest.landing import Collected, Landing
from dlbug_assets.privacy import secret_key
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.api.collector import LOOK_UP, Api, Collector, questions
from dlbug_assets.stackoverflow.api.merging import merge
from dlbug_assets.stackoverflow.api.source import Observations
from dlbug_assets.stackoverflow.loading import COLLECTIONS, irregularity_rows, replace_library
from dlbug_assets.stackoverflow.posts import POSTS
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent

_NEVER = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Release:
    """The authors' release, which knows posts by number; the API tells the rest where there is a network."""

    study: Study
    landing: Landing
    key_file: Path
    api: Api
    release: Callable[[], pl.DataFrame]

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Look the posts up by number. Without a network the study runs without their titles and dates."""
        # Titles and dates are welcome, not needed: one try is enough.
        patience = dataclasses.replace(self.api.patience, attempts=1)
        collector = Collector(self.study, self.landing, dataclasses.replace(self.api, patience=patience))

        def look_up(library: str) -> dict[str, Any]:
            numbers = releases.posts(self.release(), library)["post_id"].to_list()
            return collector.look_up(library, numbers, again=sweep)

        return look_up_while_reachable(libraries, look_up, "titles, texts and dates of posts")

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """All rows of the library: those of the release, with what was looked up."""
        loaded_collections(COLLECTIONS, self.landing, library, read_current)
        done = self.landing.done(library, {LOOK_UP})
        released = releases.posts(self.release(), library).with_columns(pl.lit(_NEVER).alias("retrieved_at"))
        released = released.select(list(POSTS)).cast(POSTS)

        def known(numbers: Sequence[int]) -> pl.DataFrame:
            return released.filter(pl.col("post_id").is_in(list(numbers)))

        observations = Observations(done)
        merged = merge(known, observations, library, questions(self.study), secret_key(self.key_file))
        posts = pl.concat([merged.posts, released.join(merged.posts, on="post_id", how="anti")]).with_columns(
            # The authors chose these posts; what the site says of them today does not take them out.
            in_scope=pl.lit(value=True),
            retrieved_at=pl.when(pl.col("retrieved_at") > _NEVER)
            .then("retrieved_at")
            .otherwise(pl.lit(datetime.now(UTC).replace(tzinfo=None))),
        )
        irregular = irregularity_rows(library, observations.irregularities)
        return replace_library(library, posts, merged.answers, done, irregular)
