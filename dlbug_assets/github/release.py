"""Commits of the authors' release, completed through the API."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from dlbug_assets import releases
from dlbug_assets.errors import DlbugError
from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.api.lookups import CommitLookups
from dlbug_assets.github.commits import Target, pseudonymize_authors, repository_rows
from dlbug_assets.github.loading import _details, _loaded, _replaced
from dlbug_assets.ingest.http_client import UnreachableError
from dlbug_assets.ingest.landing import Collected, Landing
from dlbug_assets.ingest.quota import DeferredError
from dlbug_assets.privacy import secret_key
from dlbug_assets.warehouse.rows import Part, ReadCurrent


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
        unreachable = ""
        for library in libraries:
            if unreachable:
                yield Collected(library, {"kind": "not looked up"})
                continue
            known, looked_up = self._known(library), self._looked_up(library, access)
            try:
                yield Collected(library, looked_up.collect(known))
            except (UnreachableError, DeferredError) as error:
                unreachable = f"titles, dates and sizes of commits stay as they are: {error}"
                yield Collected(library, {"kind": "not looked up", "note": unreachable})
            except DlbugError as error:
                yield Collected(library, {}, error)

    def load(self, library: str, own: ReadCurrent) -> dict[str, Part]:
        """All rows of the library: those of the release, with what was looked up."""
        self.landing.require(library, _loaded(library, own))
        known = self._known(library)
        looked_up = self._looked_up(library, self.access)
        told = pseudonymize_authors(looked_up.commits(known), secret_key(self.key_file))
        told = told.drop("library", "repository_id", "url", "is_reachable")
        commits = known.join(told, on=["full_name", "sha"], how="left", maintain_order="left").with_columns(
            pl.lit(None, pl.Int64).alias("repository_id"), pl.lit(None, pl.Boolean).alias("is_reachable")
        )
        names = known["full_name"].unique(maintain_order=True)
        repositories = repository_rows(library, [Target(name, name) for name in names], {})
        return _replaced(library, repositories, commits, looked_up.done, datetime.now(UTC))

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """What was looked up of these commits."""
        return _details(self._looked_up(library, self.access).changes(), shas)

    def _known(self, library: str) -> pl.DataFrame:
        return releases.commits(self.release(), library)

    def _looked_up(self, library: str, access: ApiAccess) -> CommitLookups:
        return CommitLookups(library, self.landing, access)
