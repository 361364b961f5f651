"""Where commits come from. Every source has one shape: repositories and commits of a library in the raw schema, and
the details of those commits that were drawn."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from dlbug_assets import artifact
from dlbug_assets.errors import DlbugError
from dlbug_assets.sample import commits as sample
from dlbug_assets.study import Study

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
_COMMIT_COLUMNS = ("repository_id", "title", "message", "committed_at", "is_merge", "author_hash")
_DETAIL_COLUMNS = ("library", "sha", "files_changed", "additions", "deletions", "patch_excerpt")


@dataclass(frozen=True)
class CommitSource:
    """Three questions a source answers for a library: its repositories, their fixing commits (github.fix_commits
    without year), and library, sha, files_changed, additions, deletions, patch_excerpt of given commits."""

    repositories: Callable[[str], pl.DataFrame]
    commits: Callable[[str], pl.DataFrame]
    details: Callable[[str, list[str]], pl.DataFrame]


def commit_source(study: Study, release: Callable[[], pl.DataFrame]) -> CommitSource:
    """The source that the study names.

    ``release`` gives the rows of the authors' release where that is the source. Raises :class:`DlbugError` where
    this version cannot collect from the source.
    """

    def released_commits(library: str) -> pl.DataFrame:
        # The release names repository and hash of a commit; nothing else is known of it.
        known = artifact.commits(release(), library)
        return known.with_columns(
            *(pl.lit(None).alias(column) for column in _COMMIT_COLUMNS),
            pl.lit(None, pl.Datetime("us")).alias("authored_at"),
        )

    def released_repositories(library: str) -> pl.DataFrame:
        names = artifact.commits(release(), library).select("library", "full_name").unique(maintain_order=True)
        return names.with_columns(pl.lit(None).alias(column) for column in _REPOSITORY_COLUMNS)

    sources = {
        "sample": CommitSource(
            lambda library: sample.repositories(study, library),
            lambda library: sample.fix_commits(study, library),
            lambda library, shas: sample.commit_details(study, library, shas),
        ),
        "artifact": CommitSource(
            released_repositories,
            released_commits,
            lambda _library, _shas: pl.DataFrame(schema=dict.fromkeys(_DETAIL_COLUMNS, pl.String)),
        ),
    }
    if study.sources.commits not in sources:
        raise DlbugError(
            f"sources.commits = {study.sources.commits!r}: this version of dlbug takes commits from "
            f"{' or '.join(sources)} only. Run the study sample or islam2019."
        )
    return sources[study.sources.commits]
