"""Posts from the live API."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.landing import Collected, Collection, Landing
from dlbug_assets.privacy import secret_key
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.api.collector import FOLLOWING, Api, Collector, questions
from dlbug_assets.stackoverflow.api.merging import Merged, merge
from dlbug_assets.stackoverflow.api.replies import Observed, observed
from dlbug_assets.stackoverflow.loading import (
    _ALL_OF_LIBRARY,
    _NOTHING,
    _ORPHANS,
    _collections,
    _irregularities,
    _loaded,
)
from dlbug_assets.warehouse.rows import Part, ReadCurrent


@dataclass(frozen=True)
class Live:
    """The live API."""

    study: Study
    landing: Landing
    key_file: Path
    api: Api

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Ask the API, library by library."""
        collector = Collector(self.study, self.landing, self.api)
        for library in libraries:
            try:
                yield Collected(library, collector.collect(library, sweep=sweep))
            except DlbugError as error:
                yield Collected(library, {}, error)

    def load(self, library: str, own: ReadCurrent) -> dict[str, Part]:
        """Merge the collections that are not in the tables yet; all of them where the tables are not made of these."""
        done = self.landing.done(library, FOLLOWING)
        names = [collection.name for collection in done]
        loaded = _loaded(self.landing, library, own)
        is_anew = loaded != names[: len(loaded)] or not loaded
        added = done if is_anew else done[len(loaded) :]

        def known(numbers: Sequence[int]) -> pl.DataFrame:
            rows = own("stackoverflow.raw_posts", "post_id in (select unnest(?))", [list(numbers)])
            return rows.filter(pl.col("library") != library) if is_anew else rows

        sightings = _Sightings(added)
        merged = merge(known, sightings, library, questions(self.study), secret_key(self.key_file))
        return {
            "raw_posts": Part(
                merged.posts,
                _ALL_OF_LIBRARY if is_anew else _NOTHING,
                [library] if is_anew else [],
                *_shown(merged, added),
            ),
            "raw_answers": Part(merged.answers, f"post_id in (select unnest(?)) or {_ORPHANS}", [merged.answered]),
            "collections": _collections(library, done),
            "irregularities": Part(
                _irregularities(library, sightings.irregularities),
                _ALL_OF_LIBRARY if is_anew else _NOTHING,
                [library] if is_anew else [],
            ),
        }


class _Sightings:
    """What collections saw, one collection in memory at a time; irregularities are kept."""

    def __init__(self, collections: Sequence[Collection]) -> None:
        self._collections = collections
        self.irregularities: list[pl.DataFrame] = []

    def __iter__(self) -> Iterator[Observed]:
        for collection in self._collections:
            seen = observed(collection)
            self.irregularities.append(seen.irregularities)
            yield seen


def _shown(merged: Merged, added: Sequence[Collection]) -> tuple[dict[str, int], dict[str, Any]]:
    summaries = [collection.done for collection in added]
    counts = {
        "new": merged.new,
        "changed": merged.changed,
        "gone": merged.gone,
        "requests": sum(summary["requests"] for summary in summaries),
    }
    last = summaries[-1] if summaries else {}
    return counts, {"quota left": last.get("quota_left"), "newest activity": last.get("newest_activity")}
