"""Posts of the authors' release, completed through the API."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from dlbug_assets import releases
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.http_client import UnreachableError
from dlbug_assets.ingest.landing import Collected, Landing
from dlbug_assets.ingest.quota import DeferredError
from dlbug_assets.privacy import secret_key
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.api.collector import LOOK_UP, Api, Collector, questions
from dlbug_assets.stackoverflow.api.merging import merge
from dlbug_assets.stackoverflow.api.source import _Sightings
from dlbug_assets.stackoverflow.loading import _irregularities, _loaded, _replaced
from dlbug_assets.stackoverflow.posts import POSTS
from dlbug_assets.warehouse.rows import Part, ReadCurrent

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
        unreachable = ""
        for library in libraries:
            numbers = releases.posts(self.release(), library)["post_id"].to_list()
            if unreachable:
                yield Collected(library, {"kind": "not looked up"})
                continue
            try:
                yield Collected(library, collector.look_up(library, numbers, again=sweep))
            except (UnreachableError, DeferredError) as error:
                unreachable = f"titles, texts and dates of posts stay as they are: {error}"
                yield Collected(library, {"kind": "not looked up", "note": unreachable})
            except DlbugError as error:
                yield Collected(library, {}, error)

    def load(self, library: str, own: ReadCurrent) -> dict[str, Part]:
        """All rows of the library: those of the release, with what was looked up."""
        _loaded(self.landing, library, own)
        done = self.landing.done(library, {LOOK_UP})
        released = releases.posts(self.release(), library).with_columns(pl.lit(_NEVER).alias("retrieved_at"))
        released = released.select(list(POSTS)).cast(POSTS)

        def known(numbers: Sequence[int]) -> pl.DataFrame:
            return released.filter(pl.col("post_id").is_in(list(numbers)))

        sightings = _Sightings(done)
        merged = merge(known, sightings, library, questions(self.study), secret_key(self.key_file))
        posts = pl.concat([merged.posts, released.join(merged.posts, on="post_id", how="anti")]).with_columns(
            # The authors chose these posts; what the site says of them today does not take them out.
            in_scope=pl.lit(value=True),
            retrieved_at=pl.when(pl.col("retrieved_at") > _NEVER)
            .then("retrieved_at")
            .otherwise(pl.lit(datetime.now(UTC).replace(tzinfo=None))),
        )
        irregular = _irregularities(library, sightings.irregularities)
        return _replaced(library, posts, merged.answers, done, irregular)
