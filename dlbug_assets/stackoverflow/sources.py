"""The sources of posts.

Every source *collects* into landing, without the database, and *loads* a library's tables from there. Nothing
downstream of the tables depends on the source.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from dlbug_assets import releases
from dlbug_assets.clock import Clock, utc_naive
from dlbug_assets.ingest.collections import nothing_to_collect
from dlbug_assets.ingest.landing import Collected, Landing
from dlbug_assets.protocol.study import Study
from dlbug_assets.sample import posts as sample
from dlbug_assets.stackoverflow.api.access import StackExchangeAccess
from dlbug_assets.stackoverflow.api.source import Live
from dlbug_assets.stackoverflow.dump.source import Dump
from dlbug_assets.stackoverflow.loading import irregularity_rows, replace_library
from dlbug_assets.stackoverflow.posts import RAW_ANSWERS, RAW_POSTS
from dlbug_assets.stackoverflow.release import Release
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent


class PostSource(Protocol):
    """The methods that the assets call."""

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Bring landing up to date, library by library; ``sweep`` repeats the full query.

        The failure of a library is part of its result and does not stop the others.
        """
        ...

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Return the changes of raw_posts, raw_answers, collections and irregularities, from landing only."""
        ...


def post_source(
    study: Study,
    landing: Path,
    key_file: Path,
    access: StackExchangeAccess,
    release: Callable[[], releases.Released],
    *,
    spark: str | None = None,
) -> PostSource:
    """Return the source that the study names.

    ``landing`` is the folder of this corpus, ``key_file`` the file of the secret key of the hashes. ``release``
    returns the rows of the study's releases. ``spark`` is the address of Spark if dumps are read there.
    """
    match study.sources.posts:
        case "sample":
            return Sample(study)
        case "release":
            return Release(study, Landing(landing, access.clock), key_file, access, release)
        case "dump":
            return Dump(study, Landing(landing, Clock()), key_file, spark)
        case "api":
            return Live(study, Landing(landing, access.clock), key_file, access)
        case None:
            return NoPosts()


@dataclass(frozen=True)
class NoPosts:
    """The source of a study without posts."""

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Collect nothing."""
        del sweep
        return nothing_to_collect(libraries)

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Return no rows."""
        del read_current
        posts, answers = pl.DataFrame(schema=RAW_POSTS), pl.DataFrame(schema=RAW_ANSWERS)
        return replace_library(library, posts, answers, [], irregularity_rows(library, []))


@dataclass(frozen=True)
class Sample:
    """The synthetic corpus, which is generated when it is loaded."""

    study: Study

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Collect nothing."""
        del sweep
        return nothing_to_collect(libraries)

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Return all rows of the library, generated in parts."""
        del read_current
        now = pl.lit(utc_naive(datetime.now(UTC))).alias("retrieved_at")
        parts = range(self.study.sources.sample_size)
        rows = (sample.posts(self.study, library, part).with_columns(now) for part in parts)
        answers = (sample.answers(self.study, library, part).with_columns(now) for part in parts)
        return replace_library(library, rows, answers, [], irregularity_rows(library, []))
