"""Commits of the authors' release, completed through the API."""

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
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent


@dataclass(frozen=True)
class Release:
    """The authors' release: repository and hash of a commit; the API tells the rest where there is a network."""

    landing: Landing
    access: ApiAccess
    key_file: Path
    release: Callable[[], pl.DataFrame]

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Look the commits up by hash, those that were not before. Without a network the study runs without their
        titles and dates."""
        del sweep  # a commit never changes
        # They are welcome, not needed: one try is enough.
        access = replace(self.access, patience=replace(self.access.patience, attempts=1))

        def look_up(library: str) -> dict[str, Any]:
            return self._looked_up(library, access).collect(self._known(library))

        return look_up_while_reachable(libraries, look_up, "titles, dates and sizes of commits")

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """All rows of the library: those of the release, with what was looked up."""
        loaded_collections(COLLECTIONS, self.landing, library, read_current)
        known = self._known(library)
        looked_up = self._looked_up(library, self.access)
        told = pseudonymize_authors(looked_up.commits(known), secret_key(self.key_file))
        told = told.drop("library", "repository_id", "url", "is_reachable")
        commits = known.join(told, on=["full_name", "sha"], how="left", maintain_order="left").with_columns(
            pl.lit(None, pl.Int64).alias("repository_id"), pl.lit(None, pl.Boolean).alias("is_reachable")
        )
        names = known["full_name"].unique(maintain_order=True)
        repositories = repository_rows(library, [Repository(name, name) for name in names], {})
        return replace_library(library, repositories, commits, looked_up.done, datetime.now(UTC))

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """What was looked up of these commits."""
        return known_details(self._looked_up(library, self.access).changes(), shas)

    def _known(self, library: str) -> pl.DataFrame:
        return releases.commits(self.release(), library)

    def _looked_up(self, library: str, access: ApiAccess) -> CommitLookups:
        return CommitLookups(library, self.landing, access)
