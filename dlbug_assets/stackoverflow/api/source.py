"""Posts from the live API."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.collections import loaded_collections
from dlbug_assets.ingest.landing import Collected, Collection, Landing
from dlbug_assets.privacy import secret_key
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.api.collector import FOLLOWING, Api, Collector, questions
from dlbug_assets.stackoverflow.api.merging import Merged, merge
from dlbug_assets.stackoverflow.api.replies import Observed, observed
from dlbug_assets.stackoverflow.loading import COLLECTIONS, ORPHANS, collection_rows, irregularity_rows
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent


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

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Merge the collections that are not in the tables yet; all of them where the tables are not made of these."""
        done = self.landing.done(library, FOLLOWING)
        names = [collection.name for collection in done]
        loaded = loaded_collections(COLLECTIONS, self.landing, library, read_current)
        is_anew = loaded != names[: len(loaded)] or not loaded
        added = done if is_anew else done[len(loaded) :]

        def known(numbers: Sequence[int]) -> pl.DataFrame:
            rows = read_current("stackoverflow.raw_posts", "post_id in (select unnest(?))", [list(numbers)])
            return rows.filter(pl.col("library") != library) if is_anew else rows

        observations = Observations(added)
        merged = merge(known, observations, library, questions(self.study), secret_key(self.key_file))
        write = partial(PartitionRows.replacing, library=library) if is_anew else PartitionRows.appending
        counts, notes = _summary(merged, added)
        return {
            "raw_posts": write(merged.posts, counts=counts, notes=notes),
            "raw_answers": PartitionRows(
                merged.answers, f"post_id in (select unnest(?)) or {ORPHANS}", [merged.answered]
            ),
            "collections": collection_rows(library, done),
            "irregularities": write(irregularity_rows(library, observations.irregularities)),
        }


class Observations:
    """Observations of several collections, one collection in memory at a time; their irregularities are kept."""

    def __init__(self, collections: Sequence[Collection]) -> None:
        self._collections = collections
        self.irregularities: list[pl.DataFrame] = []

    def __iter__(self) -> Iterator[Observed]:
        for collection in self._collections:
            seen = observed(collection)
            self.irregularities.append(seen.irregularities)
            yield seen


def _summary(merged: Merged, added: Sequence[Collection]) -> tuple[dict[str, int], dict[str, Any]]:
    summaries = [collection.done for collection in added]
    counts = {
        "new": merged.new,
        "changed": merged.changed,
        "gone": merged.gone,
        "requests": sum(summary["requests"] for summary in summaries),
    }
    last = summaries[-1] if summaries else {}
    return counts, {"quota left": last.get("quota_left"), "newest activity": last.get("newest_activity")}
