"""The source of posts that queries the live API."""

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
from dlbug_assets.stackoverflow.api.access import StackExchangeAccess
from dlbug_assets.stackoverflow.api.collector import LIBRARY_KINDS, Collector, resolved_queries
from dlbug_assets.stackoverflow.api.merging import Merged, merge
from dlbug_assets.stackoverflow.api.replies import OUTSIDE, read_replies
from dlbug_assets.stackoverflow.loading import COLLECTIONS, ORPHANS, collection_rows, irregularity_rows
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent


@dataclass(frozen=True)
class Live:
    """Posts from the live API."""

    study: Study
    landing: Landing
    key_file: Path
    access: StackExchangeAccess

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Query the API, library by library; a library's failure is part of its result."""
        collector = Collector(self.study, self.landing, self.access)
        for library in libraries:
            try:
                yield Collected(library, collector.collect(library, sweep=sweep))
            except DlbugError as error:
                yield Collected(library, {}, error)

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Merge the collections that have not been loaded into the current rows.

        Where the current rows are from other collections than those in landing, all of landing is merged and replaces
        them. Raises :class:`DlbugError` where landing lost a collection that has been loaded.
        """
        done = self.landing.done(library, LIBRARY_KINDS)
        names = [collection.name for collection in done]
        loaded = loaded_collections(COLLECTIONS, self.landing, library, read_current)
        # What other tags stand for decides which questions are in scope, the loaded ones included.
        same_synonyms = bool(loaded) and _synonyms(done[: len(loaded)]) == _synonyms(done)
        replaces = loaded != names[: len(loaded)] or not same_synonyms
        added = done if replaces else done[len(loaded) :]

        def current_rows(post_ids: Sequence[int]) -> pl.DataFrame:
            rows = read_current("stackoverflow.raw_posts", "post_id in (select unnest(?))", [list(post_ids)])
            return rows.filter(pl.col("library") != library) if replaces else rows

        queries = resolved_queries(self.study, self.landing)
        merged = merge(current_rows, map(read_replies, added), library, queries, secret_key(self.key_file))
        write = partial(PartitionRows.replacing, library=library) if replaces else PartitionRows.appending
        counts, notes = _summary(merged, added)
        return {
            "raw_posts": write(merged.posts, counts=counts, notes=notes),
            "raw_answers": PartitionRows(
                merged.answers,
                f"post_id in (select unnest(?)) or answer_id in (select unnest(?)) or {ORPHANS}",
                [merged.answers_of, merged.answers["answer_id"].to_list()],
            ),
            "collections": collection_rows(library, done),
            "irregularities": write(irregularity_rows(library, merged.irregularities)),
        }


def _synonyms(done: Sequence[Collection]) -> dict[str, str]:
    """Return the tags that other tags stand for, by the last of these collections."""
    return done[-1].done.get("synonyms", {})


def _summary(merged: Merged, added: Sequence[Collection]) -> tuple[dict[str, int], dict[str, Any]]:
    """Return the counts and notes that the UI shows for a load."""
    summaries = [collection.done for collection in added]
    counts = {
        "new": merged.new,
        "changed": merged.changed,
        "deleted": merged.deleted,
        "requests": sum(summary["requests"] for summary in summaries),
    }
    last = summaries[-1] if summaries else {}
    notes = {"quota left": last.get("quota_left"), "newest activity": last.get("newest_activity")}
    outside = sum(rows["reason"].str.starts_with(OUTSIDE).sum() for rows in merged.irregularities)
    return counts, notes | ({"outside of the requests": outside} if outside else {})
