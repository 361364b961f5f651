"""Synthetic repositories and bug-fix commits."""

import functools
import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

import polars as pl

from dlbug_assets.protocol.sections import Library
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.title_patterns import matches
from dlbug_assets.sample import texts
from dlbug_assets.sample.draw import Draw, digest
from dlbug_assets.sample.posts import span, time_within
from dlbug_assets.warehouse.rows import table_schema

_REPOSITORIES_PER_PART = 50
_COMMITS = (4, 26)
_FORKS = 0.08
_STATES = {"ok": 0.88, "renamed": 0.06, "gone": 0.03, "empty": 0.03}
_WORDS = ("net", "vision", "speech", "text", "gan", "segment", "detect", "caption", "rank", "pose", "style", "track")
_SHA_LENGTH = 40

_REPOSITORIES = table_schema("github.repositories", without=("retrieved_at",))
_FIX_COMMITS = table_schema("github.fix_commits", without=("year", "is_fix"))
_DETAILS = table_schema(
    "github.sampled_commits", only=("library", "sha", "files_changed", "additions", "deletions", "patch_excerpt")
)


@dataclass(frozen=True)
class _Corpus:
    """The repositories of one library in one part of the sample, and the commits in them."""

    repositories: tuple[dict[str, Any], ...]
    commits: tuple[dict[str, Any], ...]


def repositories(study: Study, library: str, part: int = 0) -> pl.DataFrame:
    """Return the repositories of one library: github.repositories without retrieved_at, times in UTC.

    A larger sample has ``sample_size`` parts, of which this is number ``part`` (0..), up to the library's
    max_repositories.
    """
    return pl.DataFrame(_corpus(study, library, part).repositories, schema=_REPOSITORIES)


def fix_commits(study: Study, library: str, part: int = 0) -> pl.DataFrame:
    """Return the commits of a part whose title matches fix_pattern: github.fix_commits without year and is_fix.

    Times are UTC. A fork has the first commits of the repository it was forked from; those are listed once for each
    repository.
    """
    return pl.DataFrame(_corpus(study, library, part).commits, schema=_FIX_COMMITS)


def commit_details(study: Study, library: str, shas: list[str]) -> pl.DataFrame:
    """Return one row per commit: library, sha, files_changed, additions, deletions, patch_excerpt."""
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
                # At least the line that is replaced in each file.
                "additions": len(files) * draw.between(1, 40),
                "deletions": len(files) * draw.between(1, 20),
                "patch_excerpt": "".join(patches),
            }
        )
    return pl.DataFrame(rows, schema=_DETAILS)


@functools.lru_cache(maxsize=8)
def _corpus(study: Study, library: str, part: int) -> _Corpus:
    place = study.library_names.index(library)
    known = study.libraries[place]
    first, last = span(study, library)
    if first > last:
        return _Corpus((), ())
    found: dict[int, dict[str, Any]] = {}
    commits: list[dict[str, Any]] = []
    for number in range(
        part * _REPOSITORIES_PER_PART, min((part + 1) * _REPOSITORIES_PER_PART, known.max_repositories)
    ):
        draw = Draw(study.study.seed, "repository", library, number)
        repository = _repository(draw, study, known, 1_000_000 * (place + 1) + number)
        # A deleted or empty repository has no commits.
        if repository["state"] in ("ok", "renamed"):
            if commits and draw.chance(_FORKS):
                repository["is_fork"] = True
                commits += _inherited(draw, repository, commits)
            commits += _own_commits(draw, study, library, repository)
        found[repository["repository_id"]] = repository
    are_fixes = matches(study.selection.fix_pattern, [commit["title"] for commit in commits])
    commits = [commit for commit, is_fix in zip(commits, are_fixes, strict=True) if is_fix]
    for commit in commits:
        repository = found[commit["repository_id"]]
        repository["head_sha"] = commit["sha"]
        repository["pushed_at"] = max(repository["pushed_at"], commit["committed_at"])
    return _Corpus(tuple(found.values()), tuple(commits))


def _repository(draw: Draw, study: Study, library: Library, number: int) -> dict[str, Any]:
    first, last = span(study, library.name)
    created_at = time_within(draw, first, max(first, last - timedelta(days=200)))
    return {
        "library": library.name,
        "repository_id": number,
        # An invented owner, so that no real account is named.
        "full_name": f"synthetic-{number}/{draw.one(_WORDS)}-{draw.one(_WORDS)}-{_slug(library)}",
        "stars": int(3 * (1 / (1 - draw.share()) - 1)),
        "is_fork": False,
        "is_archived": draw.chance(0.05),
        "created_at": created_at,
        "pushed_at": created_at,
        "default_branch": "master",
        "state": draw.weighted(_STATES),
        "unread_reason": None,
        "head_sha": None,
    }


def _slug(library: Library) -> str:
    """Return the end of repositories' names: the library's tag, or its name as one."""
    return library.tags[0] if library.tags else re.sub(r"[^a-z0-9]+", "-", library.name.lower()).strip("-")


def _own_commits(draw: Draw, study: Study, library: str, repository: dict[str, Any]) -> list[dict[str, Any]]:
    last = span(study, library)[1]
    end = datetime.combine(last, time(23, 59, 59))
    times = sorted(time_within(draw, repository["created_at"].date(), last) for _ in range(draw.between(*_COMMITS)))
    rows = []
    for number, authored_at in enumerate(times):
        title = texts.fix_title(draw, library)
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


def _inherited(draw: Draw, repository: dict[str, Any], commits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first half of another repository's commits, as commits of a fork."""
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
