"""Where commits come from. Every source does the same three things: it *collects* into landing, without the database;
it *loads* a library's tables from there; and it knows the *details* of the commits that were drawn. Nothing after the
tables knows which source it was."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from dlbug_assets import artifact
from dlbug_assets.errors import DlbugError
from dlbug_assets.github import clones_on_spark
from dlbug_assets.github.api import ThroughApi
from dlbug_assets.github.api_access import ApiAccess
from dlbug_assets.github.cloned import Cloned, in_threads
from dlbug_assets.github.discovery import Discovery
from dlbug_assets.github.histories import Target, repository_rows, without_people
from dlbug_assets.github.looked_up import LookedUp
from dlbug_assets.landing import Collected, Collection, Landing
from dlbug_assets.privacy import blanked, secret_key
from dlbug_assets.quota import DeferredError
from dlbug_assets.sample import commits as sample
from dlbug_assets.study import Library, Study, repository_name
from dlbug_assets.table_assets import Own, Part
from dlbug_assets.wire import UnreachableError

logger = logging.getLogger(__name__)

_COLLECTIONS = {
    "library": pl.String,
    "collection": pl.String,
    "kind": pl.String,
    "begun_at": pl.Datetime("us"),
    "finished_at": pl.Datetime("us"),
    "repositories": pl.Int64,
    "commits": pl.Int64,
    "requests": pl.Int64,
    "quota_left": pl.Int64,
}
_ALL_OF_LIBRARY = "library = ?"
_NOTHING = "false"


class CommitSource(Protocol):
    """What the assets want of a source."""

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Bring landing up to date, library by library. A library that fails does not keep the others from going on."""
        ...

    def load(self, library: str, own: Own) -> dict[str, Part]:
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
        """Nothing lands: the rows are made up when they are loaded."""
        del sweep
        for library in libraries:
            yield Collected(library, {"kind": "made up on loading"})

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """All rows of the library."""
        del own
        parts = range(self.study.sources.sample_size)
        repositories = (sample.repositories(self.study, library, part) for part in parts)
        commits = (sample.fix_commits(self.study, library, part) for part in parts)
        return _replaced(library, repositories, commits, [], datetime.now(UTC))

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """Made up, too."""
        return sample.commit_details(self.study, library, list(shas))


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

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """All rows of the library: those of the release, with what was looked up."""
        self.landing.insist_on(library, _loaded(library, own))
        known = self._known(library)
        looked_up = self._looked_up(library, self.access)
        told = without_people(looked_up.commits(known), secret_key(self.key_file))
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
        return artifact.commits(self.release(), library)

    def _looked_up(self, library: str, access: ApiAccess) -> LookedUp:
        return LookedUp(library, self.landing, access)


@dataclass(frozen=True)
class Followed:
    """Repositories that are found by GitHub's search or listed by the study, with their histories from clones or from
    the API."""

    study: Study
    landing: Landing
    access: ApiAccess
    clones: Path
    key_file: Path
    spark: str | None = None

    def collect(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Find the repositories at the first time and for a ``sweep``; then follow the history of each. Where GitHub
        cannot be reached for one library, it is not tried for the next."""
        unreachable: DlbugError | None = None
        for library in libraries:
            try:
                if unreachable:
                    raise unreachable
                yield Collected(library, self._collected(library, sweep=sweep))
            except UnreachableError as error:
                unreachable = error
                yield Collected(library, {}, error)
            except DlbugError as error:
                yield Collected(library, {}, error)

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """All rows of the library; nothing where they are in the tables already."""
        loaded = _loaded(library, own)
        self.landing.insist_on(library, loaded)
        histories = self._histories(library)
        done = self.landing.done(library, {Discovery.KIND, histories.KIND})
        if not any(collection.kind == histories.KIND for collection in done):
            raise DlbugError(f"nothing of {library} has landed yet: materialize github/landing first")
        if loaded == [collection.name for collection in done]:
            return {
                "repositories": Part(own("github.repositories", _NOTHING, []), _NOTHING, []),
                "fix_commits": Part(own("github.fix_commits", _NOTHING, []), _NOTHING, []),
                "collections": _collections(library, done),
            }
        targets = self._targets(library)
        repositories = repository_rows(library, targets, histories.looks())
        commits = without_people(histories.commits(targets), secret_key(self.key_file))
        return _replaced(library, repositories, commits, done, done[-1].begun_at)

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """What landed of these commits."""
        return _details(self._histories(library).changes(), shas)

    def _collected(self, library: str, *, sweep: bool) -> dict[str, Any]:
        histories, discovery = self._histories(library), self._discovery(library)
        found: dict[str, Any] = {}
        if discovery is not None:
            unfinished = self.landing.unfinished(library)
            goes_on = unfinished is not None and unfinished.kind == histories.KIND
            if discovery.is_due(sweep=sweep and not goes_on):
                found = discovery.collect()
                counts = found["repositories"], found["requests"]
                logger.info("%s: %d repositories found with %d requests", library, *counts)
        notes = histories.collect(self._targets(library))
        if "requests" in found:
            notes["requests"] = notes.get("requests", 0) + found["requests"]
        return notes

    def _library(self, name: str) -> Library:
        return next(library for library in self.study.libraries if library.name == name)

    def _discovery(self, name: str) -> Discovery | None:
        """None where the study lists what is to be cloned: nobody needs to be asked."""
        library = self._library(name)
        if self.study.sources.commits == "clone" and not isinstance(library.repositories, str):
            return None
        return Discovery(library, self.landing, self.access)

    def _targets(self, name: str) -> list[Target]:
        discovery = self._discovery(name)
        if discovery is not None:
            return discovery.targets()
        return [listed(address, self.access.git_root) for address in self._library(name).repositories]

    def _histories(self, name: str) -> Cloned | ThroughApi:
        if self.study.sources.commits == "clone":
            workers = in_threads if self.spark is None else partial(clones_on_spark.workers, self.spark)
            return Cloned(self.study, self._library(name), self.landing, self.clones, workers)
        return ThroughApi(self.study, self._library(name), self.landing, self.access)


def listed(address: str, git_root: str) -> Target:
    """A repository that the study lists, as owner/name on GitHub, by another address, or by a path."""
    name = repository_name(address)
    page = f"https://github.com/{name}"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", address):
        return Target(f"{git_root}/{name}.git", name, page=page)
    is_on_github = re.match(r"\w+://([^/]*@)?github\.com/", address, re.IGNORECASE)
    return Target(address, name, page=page if is_on_github else None)


def _details(changes: pl.DataFrame, shas: Sequence[str]) -> pl.DataFrame:
    wanted = changes.filter(pl.col("sha").is_in(list(shas)))
    return wanted.with_columns(blanked(pl.col("patch_excerpt")))


def _loaded(library: str, own: Own) -> list[str]:
    """The collections that the tables are made of."""
    return own("github.collections", _ALL_OF_LIBRARY, [library])["collection"].sort().to_list()


def _replaced(
    library: str,
    repositories: pl.DataFrame | Iterator[pl.DataFrame],
    commits: pl.DataFrame | Iterator[pl.DataFrame],
    done: Sequence[Collection],
    moment: datetime,
) -> dict[str, Part]:
    """A library's rows as these and no others."""
    at = pl.lit(moment.replace(tzinfo=None)).alias("retrieved_at")
    year = pl.col("authored_at").dt.year().alias("year")
    return {
        "repositories": Part(_with(repositories, at), _ALL_OF_LIBRARY, [library]),
        "fix_commits": Part(_with(commits, year), _ALL_OF_LIBRARY, [library]),
        "collections": _collections(library, done),
    }


def _with(rows: pl.DataFrame | Iterator[pl.DataFrame], column: pl.Expr) -> pl.DataFrame | Iterator[pl.DataFrame]:
    if isinstance(rows, pl.DataFrame):
        return rows.with_columns(column)
    return (frame.with_columns(column) for frame in rows)


def _collections(library: str, done: Sequence[Collection]) -> Part:
    rows = []
    for collection in done:
        summary = collection.done
        rows.append(
            {
                "library": library,
                "collection": collection.name,
                "kind": collection.kind,
                "begun_at": collection.begun_at,
                "finished_at": datetime.fromisoformat(summary["finished_at"]),
                "repositories": summary["repositories"],
                "commits": summary.get("commits"),
                "requests": summary.get("requests", 0),
                "quota_left": summary.get("quota_left"),
            }
        )
    return Part(pl.DataFrame(rows, schema=_COLLECTIONS), _ALL_OF_LIBRARY, [library])
