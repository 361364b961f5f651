"""Commits of the study's releases, completed through the API."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets import releases
from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.api.lookups import CommitLookups
from dlbug_assets.github.commits import Repository, pseudonymize_authors, repository_rows
from dlbug_assets.github.loading import COLLECTIONS, known_details, replace_library
from dlbug_assets.ingest.collections import loaded_collections, look_up_while_reachable
from dlbug_assets.ingest.landing import Collected, Landing
from dlbug_assets.privacy import secret_key
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent


@dataclass(frozen=True)
class Release:
    """Commits of the study's releases: repository and hash of each; the rest is looked up where there is a network."""

    study: Study
    landing: Landing
    access: ApiAccess
    key_file: Path
    release: Callable[[], releases.Released]

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Look up commits by hash, except those that were looked up before.

        Without a network the study runs without their titles, dates and sizes.
        """
        del sweep  # a commit never changes
        # They are optional, so one attempt is enough.
        access = replace(self.access, retry_policy=replace(self.access.retry_policy, attempts=1))
        # Read here, because a release that cannot be read is not the failure of one library.
        released = {library: self._released(library) for library in libraries}

        def look_up(library: str) -> dict[str, Any]:
            return self._lookups(library, access).collect(released[library])

        return look_up_while_reachable(libraries, look_up, "titles, dates and sizes of commits")

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Return all rows of the library: those of the release, with what was looked up."""
        loaded_collections(COLLECTIONS, self.landing, library, read_current)
        released = self._released(library)
        lookups = self._lookups(library, self.access)
        looked_up = pseudonymize_authors(lookups.commits(released), secret_key(self.key_file))
        looked_up = looked_up.drop("library", "repository_id", "url", "is_reachable")
        commits = released.join(looked_up, on=["full_name", "sha"], how="left", maintain_order="left").with_columns(
            pl.lit(None, pl.Int64).alias("repository_id"), pl.lit(None, pl.Boolean).alias("is_reachable")
        )
        names = released["full_name"].unique(maintain_order=True)
        repositories = repository_rows(library, [Repository(name, name) for name in names], None)
        # Matched as by title_patterns.matches; NULL without a title.
        is_fix = pl.col("title").str.normalize("NFC").str.contains(self.study.selection.fix_pattern)
        return replace_library(library, repositories, commits, lookups.done, datetime.now(UTC), is_fix=is_fix)

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """Return the changes of these commits, where they were looked up."""
        return known_details(self._lookups(library, self.access).changes(), shas)

    def _released(self, library: str) -> pl.DataFrame:
        return releases.commits(self.release(), library)

    def _lookups(self, library: str, access: ApiAccess) -> CommitLookups:
        return CommitLookups(library, self.landing, access)
