"""Where commits come from. Every source does the same three things: it *collects* into landing, without the database;
it *loads* a library's tables from there; and it knows the *details* of the commits that were drawn. Nothing after the
tables knows which source it was."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from dlbug_assets import artifact
from dlbug_assets.errors import DlbugError
from dlbug_assets.github.cloned import CHANGES, Cloned
from dlbug_assets.landing import Collected, Collection, Landing, Say
from dlbug_assets.privacy import secret_key
from dlbug_assets.sample import commits as sample
from dlbug_assets.study import Study
from dlbug_assets.table_assets import Own, Part

_REPOSITORY_COLUMNS = (
    "repository_id",
    "stars",
    "is_fork",
    "is_archived",
    "created_at",
    "pushed_at",
    "default_branch",
    "state",
    "head_sha",
)
_COMMIT_COLUMNS = ("repository_id", "title", "message", "committed_at", "is_merge", "author_hash", "is_reachable")
_COLLECTIONS = {
    "library": pl.String,
    "collection": pl.String,
    "kind": pl.String,
    "begun_at": pl.Datetime("us"),
    "finished_at": pl.Datetime("us"),
    "repositories": pl.Int64,
    "commits": pl.Int64,
}
_ALL_OF_LIBRARY = "library = ?"
_NOTHING = "false"


class CommitSource(Protocol):
    """What the assets want of a source."""

    def collect(self, libraries: Sequence[str], say: Say, *, sweep: bool) -> Iterator[Collected]:
        """Bring landing up to date, library by library. A library that fails does not keep the others from going on."""
        ...

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """What changes in repositories, fix_commits and collections, from landing alone."""
        ...

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """library, sha, files_changed, additions, deletions, patch_excerpt of commits, where they are known."""
        ...


def commit_source(
    study: Study, landing: Landing, clones: Path, key_file: Path, release: Callable[[], pl.DataFrame]
) -> CommitSource:
    """The source that the study names. ``clones`` is the folder of the clones, ``key_file`` the file with the key of
    the hashes; ``release`` gives the rows of the authors' release where that is the source."""
    match study.sources.commits:
        case "sample":
            return Sample(study)
        case "artifact":
            return Release(release)
        case "clone":
            return Clones(study, landing, clones, key_file)
        case "api":
            return NotYet()


@dataclass(frozen=True)
class Sample:
    """The synthetic corpus: nothing to collect."""

    study: Study

    def collect(self, libraries: Sequence[str], say: Say, *, sweep: bool) -> Iterator[Collected]:
        """Nothing lands: the rows are made up when they are loaded."""
        del say, sweep
        for library in libraries:
            yield Collected(library, {"kind": "made up on loading"})

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """All rows of the library."""
        del own
        commits = sample.fix_commits(self.study, library)
        return _replaced(library, sample.repositories(self.study, library), commits, [], datetime.now(UTC))

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """Made up, too."""
        return sample.commit_details(self.study, library, list(shas))


@dataclass(frozen=True)
class Release:
    """The authors' release: repository and hash of a commit; nothing else is known of it."""

    release: Callable[[], pl.DataFrame]

    def collect(self, libraries: Sequence[str], say: Say, *, sweep: bool) -> Iterator[Collected]:
        """Nothing lands: the release is a file of its own."""
        del say, sweep
        for library in libraries:
            yield Collected(library, {"kind": "part of the release"})

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """All rows of the library."""
        del own
        known = artifact.commits(self.release(), library)
        commits = known.with_columns(
            *(pl.lit(None).alias(column) for column in _COMMIT_COLUMNS),
            pl.lit(None, pl.Datetime("us")).alias("authored_at"),
        )
        names = known.select("library", "full_name").unique(maintain_order=True)
        repositories = names.with_columns(pl.lit(None).alias(column) for column in _REPOSITORY_COLUMNS)
        return _replaced(library, repositories, commits, [], datetime.now(UTC))

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """None are known."""
        del library, shas
        return pl.DataFrame(schema=CHANGES)


@dataclass(frozen=True)
class Clones:
    """Clones of the repositories that the study lists."""

    study: Study
    landing: Landing
    clones: Path
    key_file: Path

    def _cloned(self, library: str) -> Cloned:
        known = next(known for known in self.study.libraries if known.name == library)
        return Cloned(known, self.study.selection, self.study.study.seed, self.landing, self.clones)

    def collect(self, libraries: Sequence[str], say: Say, *, sweep: bool) -> Iterator[Collected]:
        """Look at every repository, and fetch those whose head has moved."""
        del sweep  # a look at every head is the full question already
        for library in libraries:
            try:
                yield Collected(library, self._cloned(library).collect(say))
            except DlbugError as error:
                yield Collected(library, {}, error)

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """All rows of the library; nothing where they are in the tables already."""
        done = self.landing.done(library, {Cloned.KIND})
        loaded = own("github.collections", _ALL_OF_LIBRARY, [library])["collection"].sort().to_list()
        if done and loaded == [collection.name for collection in done]:
            return {
                "repositories": Part(own("github.repositories", _NOTHING, []), _NOTHING, []),
                "fix_commits": Part(own("github.fix_commits", _NOTHING, []), _NOTHING, []),
                "collections": _collections(library, done),
            }
        cloned = self._cloned(library)
        key = secret_key(self.key_file)
        moment = done[-1].begun_at if done else datetime.now(UTC)
        return _replaced(library, cloned.repositories(), cloned.commits(key), done, moment)

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """What landed of these commits."""
        return self._cloned(library).changes().filter(pl.col("sha").is_in(list(shas)))


@dataclass(frozen=True)
class NotYet:
    """GitHub's API, which this version does not ask."""

    def collect(self, libraries: Sequence[str], say: Say, *, sweep: bool) -> Iterator[Collected]:
        """Every library fails."""
        del say, sweep
        for library in libraries:
            yield Collected(library, {}, _not_yet())

    def load(self, library: str, own: Own) -> dict[str, Part]:
        """Nothing has landed."""
        del library, own
        raise _not_yet()

    def details(self, library: str, shas: Sequence[str]) -> pl.DataFrame:
        """Nothing has landed."""
        del library, shas
        raise _not_yet()


def _not_yet() -> DlbugError:
    return DlbugError(
        "sources.commits = 'api': this version of dlbug takes commits from sample, artifact or clone only. "
        "Run the study sample or islam2019, or list repositories and set commits to 'clone'."
    )


def _replaced(
    library: str, repositories: pl.DataFrame, commits: pl.DataFrame, done: Sequence[Collection], moment: datetime
) -> dict[str, Part]:
    """A library's rows as these and no others."""
    at = pl.lit(moment.replace(tzinfo=None)).alias("retrieved_at")
    dated = commits.with_columns(pl.col("authored_at").dt.year().alias("year"))
    return {
        "repositories": Part(repositories.with_columns(at), _ALL_OF_LIBRARY, [library]),
        "fix_commits": Part(dated, _ALL_OF_LIBRARY, [library]),
        "collections": _collections(library, done),
    }


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
                "commits": summary["commits"],
            }
        )
    return Part(pl.DataFrame(rows, schema=_COLLECTIONS), _ALL_OF_LIBRARY, [library])
