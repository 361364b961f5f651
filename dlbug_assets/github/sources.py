"""Where commits come from. Every source does the same three things: it *collects* into landing, without the database;
it *loads* a library's tables from there; and it knows the *details* of the commits that were drawn. Nothing after the
tables knows which source it was."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.followed import Followed
from dlbug_assets.github.loading import replace_library
from dlbug_assets.github.release import Release
from dlbug_assets.ingest.collections import nothing_to_collect
from dlbug_assets.ingest.landing import Collected, Landing
from dlbug_assets.protocol.study import Study
from dlbug_assets.sample import commits as sample
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent


class CommitSource(Protocol):
    """What the assets want of a source."""

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Bring landing up to date, library by library. A library that fails does not keep the others from going on."""
        ...

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """What changes in repositories, fix_commits and collections, from landing alone."""
        ...

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """library, sha, files_changed, additions, deletions, patch_excerpt of commits, where they are known."""
        ...


def commit_source(
    study: Study,
    landing: Landing,
    access: ApiAccess,
    clones: Path,
    key_file: Path,
    *,
    release: Callable[[], pl.DataFrame],
    spark: str | None = None,
) -> CommitSource:
    """The source that the study names. ``clones`` is the folder of the clones, ``key_file`` the file with the key of
    the hashes; ``release`` gives the rows of the authors' release where that is the source; ``spark`` is where Spark
    is, if clones are mined there."""
    match study.sources.commits:
        case "sample":
            return Sample(study)
        case "artifact":
            return Release(landing, access, key_file, release)
        case "clone" | "api":
            return Followed(study, landing, access, clones, key_file, spark)


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
        parts = range(self.study.sources.sample_size)
        repositories = (sample.repositories(self.study, library, part) for part in parts)
        commits = (sample.fix_commits(self.study, library, part) for part in parts)
        return replace_library(library, repositories, commits, [], datetime.now(UTC))

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """Made up, too."""
        return sample.commit_details(self.study, library, list(shas))
