"""Commits of repositories that a search finds or a study lists, from clones or from the API."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.api.discovery import Discovery
from dlbug_assets.github.api.histories import ApiHistories
from dlbug_assets.github.clones import on_spark
from dlbug_assets.github.clones.histories import CloneHistories
from dlbug_assets.github.clones.workers import in_threads
from dlbug_assets.github.commits import Repository, pseudonymize_authors, repository_rows
from dlbug_assets.github.loading import COLLECTIONS, collection_rows, known_details, replace_library
from dlbug_assets.ingest.collections import loaded_collections
from dlbug_assets.ingest.http_client import UnreachableError
from dlbug_assets.ingest.landing import Collected, Landing
from dlbug_assets.privacy import secret_key
from dlbug_assets.protocol.addresses import repository_name
from dlbug_assets.protocol.sections import Library
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Followed:
    """Repositories found by GitHub's search or listed by the study, and their histories from clones or the API.

    ``spark`` is the URL of a Spark cluster that mines the clones; without it, threads of this process do.
    """

    study: Study
    landing: Landing
    access: ApiAccess
    clones: Path
    key_file: Path
    spark: str | None = None

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Discover the repositories in the first run and for a ``sweep``, then follow the history of each.

        If GitHub cannot be reached for one library, the libraries after it are not tried.
        """
        unreachable: DlbugError | None = None
        for library in libraries:
            try:
                if unreachable:
                    raise unreachable
                yield Collected(library, self._collect(library, sweep=sweep))
            except UnreachableError as error:
                unreachable = error
                yield Collected(library, {}, error)
            except DlbugError as error:
                yield Collected(library, {}, error)

    def load(self, library: str, read_current: ReadCurrent) -> dict[str, PartitionRows]:
        """Return all rows of the library, or none if its collections are loaded already.

        Raises :class:`DlbugError` if no history of the library has landed.
        """
        loaded = loaded_collections(COLLECTIONS, self.landing, library, read_current)
        histories = self._histories(library)
        done = self.landing.done(library, {Discovery.KIND, histories.KIND})
        if not any(collection.kind == histories.KIND for collection in done):
            raise DlbugError(f"nothing of {library} has landed yet: materialize github/landing first")
        if loaded == [collection.name for collection in done]:
            return {
                "repositories": PartitionRows.nothing("github.repositories"),
                "fix_commits": PartitionRows.nothing("github.fix_commits"),
                "collections": collection_rows(library, done),
            }
        repositories = self._repositories(library)
        rows = repository_rows(library, repositories, histories.remote_states())
        commits = pseudonymize_authors(histories.commits(repositories), secret_key(self.key_file))
        return replace_library(library, rows, commits, done, done[-1].begun_at)

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """Return the landed changes of these commits."""
        return known_details(self._histories(library).changes(), shas)

    def _collect(self, library: str, *, sweep: bool) -> dict[str, Any]:
        histories, discovery = self._histories(library), self._discovery(library)
        found: dict[str, Any] = {}
        if discovery is not None:
            unfinished = self.landing.unfinished(library)
            # An interrupted sweep has discovered already: only its histories are missing.
            is_resumed = unfinished is not None and unfinished.kind == histories.KIND
            if discovery.is_due(sweep=sweep, is_resumed=is_resumed):
                found = discovery.collect(sweep=sweep)
                counts = found["repositories"], found["requests"]
                logger.info("%s: %d repositories found with %d requests", library, *counts)
        notes = histories.collect(self._repositories(library))
        if "requests" in found:
            notes["requests"] = notes.get("requests", 0) + found["requests"]
        return notes

    def _library(self, name: str) -> Library:
        return next(library for library in self.study.libraries if library.name == name)

    def _discovery(self, name: str) -> Discovery | None:
        """Return the discovery, or None where the study lists the repositories to clone, which needs no API."""
        library = self._library(name)
        if self.study.sources.commits == "clone" and not isinstance(library.repositories, str):
            return None
        return Discovery(library, self.landing, self.access)

    def _repositories(self, name: str) -> list[Repository]:
        discovery = self._discovery(name)
        if discovery is not None:
            return discovery.repositories()
        listed = [listed_repository(address, self.access.git_root) for address in self._library(name).repositories]
        # One repository may be listed by several paths, through links.
        return list({_location(repository.address): repository for repository in reversed(listed)}.values())[::-1]

    def _histories(self, name: str) -> CloneHistories | ApiHistories:
        if self.study.sources.commits == "clone":
            workers = in_threads if self.spark is None else partial(on_spark.workers, self.spark)
            return CloneHistories(self.study, self._library(name), self.landing, self.clones, workers)
        return ApiHistories(self.study, self._library(name), self.landing, self.access)


def listed_repository(address: str, git_root: str) -> Repository:
    """Return a repository that the study lists as owner/name on GitHub, by another address, or by a path.

    ``git_root`` is the address below which GitHub's repositories are cloned.
    """
    name = repository_name(address)
    page = f"https://github.com/{name}"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", address):
        return Repository(f"{git_root}/{name}.git", name, page=page)
    if "://" in address and not address.startswith("file://"):
        is_on_github = re.match(r"\w+://([^/]*@)?github\.com/", address, re.IGNORECASE)
        return Repository(address, name, page=page if is_on_github else None)
    folder = re.sub(r"(?<=[^/])(/+\.git)?/*$", "", address)
    return Repository(folder, repository_name(folder))


def _location(address: str) -> str:
    return address if "://" in address else str(Path(address).resolve())
