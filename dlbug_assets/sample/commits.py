"""Synthetic repositories and commits that fix something."""

import functools
import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

import polars as pl

from dlbug_assets.protocol.study import Library, Study
from dlbug_assets.sample import texts
from dlbug_assets.sample.draw import Draw, digest
from dlbug_assets.sample.posts import moment_within, span

_REPOSITORIES = 50
_COMMITS = (4, 26)
_FORKS = 0.08
_STATES = {"ok": 0.88, "renamed": 0.06, "gone": 0.03, "empty": 0.03}
_WORDS = ("net", "vision", "speech", "text", "gan", "segment", "detect", "caption", "rank", "pose", "style", "track")
_SHA_LENGTH = 40

_REPOSITORY_COLUMNS = {
    "library": pl.String,
    "repository_id": pl.Int64,
    "full_name": pl.String,
    "stars": pl.Int64,
    "is_fork": pl.Boolean,
    "is_archived": pl.Boolean,
    "created_at": pl.Datetime("us"),
    "pushed_at": pl.Datetime("us"),
    "default_branch": pl.String,
    "state": pl.String,
    "head_sha": pl.String,
}
_COMMIT_COLUMNS = {
    "library": pl.String,
    "repository_id": pl.Int64,
    "full_name": pl.String,
    "sha": pl.String,
    "title": pl.String,
    "message": pl.String,
    "authored_at": pl.Datetime("us"),
    "committed_at": pl.Datetime("us"),
    "is_merge": pl.Boolean,
    "author_hash": pl.String,
    "is_reachable": pl.Boolean,
    "url": pl.String,
}
_DETAIL_COLUMNS = {
    "library": pl.String,
    "sha": pl.String,
    "files_changed": pl.Int64,
    "additions": pl.Int64,
    "deletions": pl.Int64,
    "patch_excerpt": pl.String,
}


@dataclass(frozen=True)
class _Corpus:
    """Repositories of one library and the commits in them: a part of what there is."""

    repositories: tuple[dict[str, object], ...]
    commits: tuple[dict[str, object], ...]


def repositories(study: Study, library: str, part: int = 0) -> pl.DataFrame:
    """One library's repositories: the columns of github.repositories but for retrieved_at, times in UTC.

    A larger sample has ``sample_size`` parts, of which this is number ``part`` (0..), as far as the library's
    max_repositories goes.
    """
    return pl.DataFrame(_corpus(study, library, part).repositories, schema=_REPOSITORY_COLUMNS)


def fix_commits(study: Study, library: str, part: int = 0) -> pl.DataFrame:
    """The commits of a part whose title matches the study's fix_pattern: github.fix_commits but for year, UTC.

    Forks hold the first commits of the repository they come from: those stand here once for each.
    """
    return pl.DataFrame(_corpus(study, library, part).commits, schema=_COMMIT_COLUMNS)


def commit_details(study: Study, library: str, shas: list[str]) -> pl.DataFrame:
    """library, sha, files_changed, additions, deletions, patch_excerpt: one row for each of these commits."""
    rows = []
    for sha in shas:
        draw = Draw(study.study.seed, "details", library, sha)
        files = texts.changed_files(draw, draw.between(1, 4))
        patches = [texts.patch(draw, library, path) for path in files[:2]]
        rows.append(
            {
                "library": library,
                "sha": sha,
                "files_changed": len(files),
                # At least the line that each file's patch replaces.
                "additions": len(files) * draw.between(1, 40),
                "deletions": len(files) * draw.between(1, 20),
                "patch_excerpt": "".join(patches),
            }
        )
    return pl.DataFrame(rows, schema=_DETAIL_COLUMNS)


@functools.lru_cache(maxsize=8)
def _corpus(study: Study, library: str, part: int) -> _Corpus:
    place = study.library_names.index(library)
    known = study.libraries[place]
    first, last = span(study, library)
    if first > last:
        return _Corpus((), ())
    found: list[dict[str, object]] = []
    commits: list[dict[str, object]] = []
    for number in range(part * _REPOSITORIES, min((part + 1) * _REPOSITORIES, known.max_repositories)):
        draw = Draw(study.study.seed, "repository", library, number)
        repository = _repository(draw, study, known, 1_000_000 * (place + 1) + number)
        its_commits: list[dict[str, object]] = []
        # A repository that is gone or empty has no history to read.
        if repository["state"] in ("ok", "renamed"):
            if commits and draw.chance(_FORKS):
                repository["is_fork"] = True
                its_commits = _inherited(draw, repository, commits)
            its_commits += _own_commits(draw, study, library, repository)
            repository["head_sha"] = its_commits[-1]["sha"] if its_commits else None
            repository["pushed_at"] = max(
                (row["committed_at"] for row in its_commits), default=repository["created_at"]
            )
        found.append(repository)
        commits += its_commits
    return _Corpus(tuple(found), tuple(commits))


def _repository(draw: Draw, study: Study, library: Library, number: int) -> dict[str, object]:
    first, last = span(study, library.name)
    created_at = moment_within(draw, first, max(first, last - timedelta(days=200)))
    return {
        "library": library.name,
        "repository_id": number,
        # An owner that no account can have by accident: nobody real is named.
        "full_name": f"synthetic-{number}/{draw.one(_WORDS)}-{draw.one(_WORDS)}-{library.tags[0]}",
        "stars": int(3 * (1 / (1 - draw.share()) - 1)),
        "is_fork": False,
        "is_archived": draw.chance(0.05),
        "created_at": created_at,
        "pushed_at": created_at,
        "default_branch": "master",
        "state": draw.weighted(_STATES),
        "head_sha": None,
    }


def _own_commits(draw: Draw, study: Study, library: str, repository: dict[str, object]) -> list[dict[str, object]]:
    pattern = re.compile(study.selection.fix_pattern)
    last = span(study, library)[1]
    end = datetime.combine(last, time(23, 59, 59))
    created_at = repository["created_at"]
    assert isinstance(created_at, datetime)  # noqa: S101 - tells the type checker what _repository made
    moments = sorted(moment_within(draw, created_at.date(), last) for _ in range(draw.between(*_COMMITS)))
    rows = []
    for number, authored_at in enumerate(moments):
        title = texts.fix_title(draw, library)
        if not pattern.search(title):
            continue
        sha = digest(study.study.seed, "commit", repository["repository_id"], number)[:_SHA_LENGTH]
        rows.append(
            {
                "library": library,
                "repository_id": repository["repository_id"],
                "full_name": repository["full_name"],
                "sha": sha,
                "title": title,
                "message": f"{title}\n\nFound while training on more data.\n" if draw.chance(0.3) else f"{title}\n",
                "authored_at": authored_at,
                "committed_at": min(authored_at + timedelta(minutes=draw.between(0, 600)), end),
                "is_merge": draw.chance(0.04),
                "author_hash": digest(study.study.seed, "author", repository["repository_id"], draw.between(1, 4)),
                "is_reachable": True,
                "url": f"https://github.com/{repository['full_name']}/commit/{sha}",
            }
        )
    return rows


def _inherited(draw: Draw, repository: dict[str, object], commits: list[dict[str, object]]) -> list[dict[str, object]]:
    """The first half of another repository's commits, as a fork has them."""
    origin = draw.one(commits)["repository_id"]
    history = [row for row in commits if row["repository_id"] == origin]
    return [
        row
        | {
            "repository_id": repository["repository_id"],
            "full_name": repository["full_name"],
            "url": f"https://github.com/{repository['full_name']}/commit/{row['sha']}",
        }
        for row in history[: (len(history) + 1) // 2]
    ]
