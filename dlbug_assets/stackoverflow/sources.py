"""Where posts come from. Every source does the same two things: it *collects* into landing, without the database, and
it *loads* a library's tables from there. Nothing after the tables knows which source it was."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from dlbug_assets.clock import Clock
from dlbug_assets.ingest.collections import nothing_to_collect
from dlbug_assets.ingest.landing import Collected, Landing
from dlbug_assets.protocol.study import Study
from dlbug_assets.sample import posts as sample
from dlbug_assets.stackoverflow.api.collector import Api
from dlbug_assets.stackoverflow.api.source import Live
from dlbug_assets.stackoverflow.dump.source import Dump
from dlbug_assets.stackoverflow.loading import irregularity_rows, replace_library
from dlbug_assets.stackoverflow.release import Release
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent


class PostSource(Protocol):
    """What the assets want of a source."""

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Bring landing up to date, library by library; ``sweep`` asks the full question again. A library that fails
        does not keep the others from going on."""
        ...

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """What changes in raw_posts, raw_answers, collections and irregularities, from landing alone."""
        ...


def post_source(
    study: Study,
    landing: Path,
    key_file: Path,
    api: Api,
    release: Callable[[], pl.DataFrame],
    *,
    spark: str | None = None,
) -> PostSource:
    """The source that the study names. ``landing`` is the folder of this corpus, ``key_file`` the file with the key
    of the hashes; ``release`` gives the rows of the authors' release where that is the source; ``spark`` is where
    Spark is, if dumps are read there."""
    match study.sources.posts:
        case "sample":
            return Sample(study)
        case "artifact":
            return Release(study, Landing(landing, api.clock), key_file, api, release)
        case "dump":
            return Dump(study, Landing(landing, Clock()), key_file, spark)
        case "api":
            return Live(study, Landing(landing, api.clock), key_file, api)


@dataclass(frozen=True)
class Sample:
    """The synthetic corpus: nothing to collect."""

    study: Study

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Collect nothing: the rows are generated when they are loaded."""
        del sweep
        return nothing_to_collect(libraries)

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """All rows of the library."""
        del read_current
        now = pl.lit(datetime.now(UTC).replace(tzinfo=None)).alias("retrieved_at")
        parts = range(self.study.sources.sample_size)
        rows = (sample.posts(self.study, library, part).with_columns(now) for part in parts)
        answers = (sample.answers(self.study, library, part).with_columns(now) for part in parts)
        return replace_library(library, rows, answers, [], irregularity_rows(library, []))
