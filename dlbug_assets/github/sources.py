"""The sources of commits, which have one interface.

A source *collects* into landing, without opening the database, *loads* a library's tables from there, and returns the
*details* of sampled commits. Nothing downstream of the tables depends on which source it was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from dlbug_assets import releases
from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.commits import CHANGES, REPOSITORIES
from dlbug_assets.github.followed import Followed
from dlbug_assets.github.loading import replace_library
from dlbug_assets.github.release import Release
from dlbug_assets.ingest.collections import nothing_to_collect
from dlbug_assets.ingest.landing import Collected, Landing
from dlbug_assets.protocol.study import Study
from dlbug_assets.sample import commits as sample
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent, table_schema


class CommitSource(Protocol):
    """The interface of a source."""

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Yield a result per library after bringing its landing up to date.

        A library that fails does not stop the others. A ``sweep`` also repeats the discovery of repositories.
        """
        ...

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Return the changed rows of repositories, fix_commits and collections, from landing alone."""
        ...

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """Return what is known of commits beyond fix_commits, with the columns of :data:`.commits.CHANGES`."""
        ...


def commit_source(
    study: Study,
    landing: Landing,
    access: ApiAccess,
    clones: Path,
    key_file: Path,
    *,
    release: Callable[[], releases.Released],
    spark: str | None = None,
) -> CommitSource:
    """Return the source that the study names.

    ``clones`` is the folder of the clones, ``key_file`` holds the key of the pseudonyms, ``release`` reads the rows of
    the study's releases if that is the source, and ``spark`` is the URL of a Spark cluster that mines the clones.
    """
    match study.sources.commits:
        case "sample":
            return Sample(study)
        case "release":
            return Release(study, landing, access, key_file, release)
        case "clone" | "api":
            return Followed(study, landing, access, clones, key_file, spark)
        case None:
            return NoCommits()


@dataclass(frozen=True)
class NoCommits:
    """The source of a study without commits."""

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Collect nothing."""
        del sweep
        return nothing_to_collect(libraries)

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Return no rows."""
        del read_current
        commits = pl.DataFrame(schema=table_schema("github.fix_commits", without=("year", "is_fix")))
        return replace_library(library, pl.DataFrame(schema=REPOSITORIES), commits, [], datetime.now(UTC))

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """Return no rows."""
        del library, shas
        return pl.DataFrame(schema=CHANGES)


@dataclass(frozen=True)
class Sample:
    """The synthetic corpus: nothing to collect."""

    study: Study

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Collect nothing: the rows are generated when they are loaded."""
        del sweep
        return nothing_to_collect(libraries)

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Return all rows of the library."""
        del read_current
        parts = range(self.study.sources.sample_size)
        repositories = (sample.repositories(self.study, library, part) for part in parts)
        commits = (sample.fix_commits(self.study, library, part) for part in parts)
        return replace_library(library, repositories, commits, [], datetime.now(UTC))

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """Return generated changes of the commits."""
        return sample.commit_details(self.study, library, list(shas))
