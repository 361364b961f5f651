"""Repositories and commits of every source: the columns of their rows, and the filter for fix commits."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import compress
from typing import Any

import polars as pl

from dlbug_assets.clock import parse_timestamp
from dlbug_assets.privacy import pseudonymize, redact_emails
from dlbug_assets.protocol.sections import Library, Selection
from dlbug_assets.protocol.title_patterns import matches
from dlbug_assets.warehouse.rows import table_schema

REPOSITORIES = table_schema("github.repositories", without=["retrieved_at"])
#: ``author`` is the author's e-mail address, which the table holds as a keyed hash only.
COMMITS = table_schema("github.fix_commits", without=["year", "is_fix", "author_hash"], author=pl.String)
#: What a source adds to the sampled commits.
CHANGES = table_schema(
    "github.sampled_commits",
    only=["library", "sha", "files_changed", "additions", "deletions", "patch_excerpt"],
)
#: The state of a repository whose history was never read completely.
UNREAD = "unread"
#: Characters of an excerpt, a title and a message; what is longer is cut.
LONGEST_EXCERPT = 20_000
_LONGEST_TITLE = 20_000
_LONGEST_MESSAGE = 100_000
#: Commits that are filtered together, and the characters of their messages after which there are fewer.
_BATCH, _BATCH_CHARACTERS = 1000, 10_000_000
_FACTS = ("stars", "is_fork", "is_archived", "created_at", "pushed_at", "default_branch")


@dataclass(frozen=True)
class Repository:
    """A repository to follow, identified by its ID where GitHub's API returned one, else by its address.

    ``number`` is the ID, ``address`` what git clones, ``page`` the web page if there is one. Discovery fills in
    ``state`` and ``facts``, the metadata that GitHub returns (times as ISO 8601 text in UTC), sets ``is_replaced``
    where another repository has the name now, and ``unread`` to the reason why it found nothing at the name.
    """

    address: str
    full_name: str
    number: int | None = None
    page: str | None = None
    state: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_replaced: bool = False
    unread: str | None = None

    @property
    def key(self) -> str:
        """The key of the repository in landed data, which a new name does not change."""
        return self.address if self.number is None else str(self.number)


@dataclass(frozen=True)
class Commit:
    """A commit; times are in UTC, without a time zone; ``author`` is the author's e-mail address."""

    sha: str
    parents: tuple[str, ...]
    author: str
    authored_at: datetime | None
    committed_at: datetime | None
    message: str

    @property
    def title(self) -> str:
        """The first line of the message that is not blank, up to 20,000 characters, or an empty text."""
        return next((line.strip() for line in self.message.split("\n") if line.strip()), "")[:_LONGEST_TITLE]


@dataclass(frozen=True)
class Change:
    """The diff of a commit against its first parent: counts of files and lines, and the beginning of the patch."""

    files: int
    additions: int
    deletions: int
    excerpt: str


def excerpt(files: Iterable[tuple[str, str, str]]) -> str:
    """Return the first 20,000 characters of a patch; ``files`` are name before, name after and hunks of each file."""
    parts: list[str] = []
    length = 0
    for old, new, hunks in files:
        parts.append(f"diff --git a/{old} b/{new}\n" + (f"{hunks.removesuffix(chr(10))}\n" if hunks else ""))
        length += len(parts[-1])
        if length > LONGEST_EXCERPT:
            break
    return "".join(parts).replace("\0", "\N{REPLACEMENT CHARACTER}")[:LONGEST_EXCERPT]


class FixCommitFilter:
    """The criteria for a library's fix commits: the title matches the study's pattern, the date is in its range."""

    def __init__(self, library: Library, selection: Selection) -> None:
        self._library = library
        self._pattern = selection.fix_pattern
        self._from, self._until = selection.created_from, selection.created_until

    def rows(self, histories: Iterable[tuple[Repository, Iterable[tuple[Commit, bool]]]]) -> pl.DataFrame:
        """Return the fix commits of some histories, with the columns of COMMITS.

        A history is a repository and its commits, each with whether the head of the branch reaches it.
        """
        rows = [
            commit_row(self._library.name, repository, commit, is_reachable=is_reachable)
            for repository, history in histories
            for commit, is_reachable in self.fixes(history)
        ]
        # Several rewritten heads may reach the same commit.
        return pl.DataFrame(rows, schema=COMMITS).unique(["full_name", "sha"], keep="first", maintain_order=True)

    def fixes(self, history: Iterable[tuple[Commit, bool]]) -> Iterator[tuple[Commit, bool]]:
        """Yield the fix commits of a history, in its order."""
        for batch in _batches(history):
            are_fixes = matches(self._pattern, [commit.title for commit, _ in batch])
            for entry in compress(batch, are_fixes):
                if self._is_in_range(entry[0]):
                    yield entry

    def _is_in_range(self, commit: Commit) -> bool:
        if self._from is None and self._until is None:
            return True
        day = commit.authored_at and commit.authored_at.date()
        return day is not None and (self._from or day) <= day <= (self._until or day)


def _batches(history: Iterable[tuple[Commit, bool]]) -> Iterator[list[tuple[Commit, bool]]]:
    """Yield a history in parts of bounded size: matching many titles at once takes a fraction of the time."""
    batch: list[tuple[Commit, bool]] = []
    characters = 0
    for commit, is_reachable in history:
        batch.append((commit, is_reachable))
        characters += len(commit.message)
        if len(batch) == _BATCH or characters > _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def commit_row(library: str, repository: Repository, commit: Commit, *, is_reachable: bool | None) -> dict[str, Any]:
    """Return a row with the columns of COMMITS."""
    return {
        "library": library,
        "repository_id": repository.number,
        "full_name": repository.full_name,
        "sha": commit.sha,
        "title": commit.title,
        # git and the API differ in the blank lines at the end.
        "message": commit.message.strip()[:_LONGEST_MESSAGE],
        "authored_at": commit.authored_at,
        "committed_at": commit.committed_at,
        "is_merge": len(commit.parents) > 1,
        "author": commit.author,
        "url": f"{repository.page}/commit/{commit.sha}" if repository.page else None,
        "is_reachable": is_reachable,
    }


def pseudonymize_authors(commits: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Return commits (COMMITS) with ``author_hash``, keyed by ``key``, for ``author``; titles and messages redacted."""
    return commits.with_columns(
        pseudonymize(key, commits["author"]).alias("author_hash"),
        redact_emails(pl.col("title")),
        redact_emails(pl.col("message")),
    ).drop("author")


def repository_rows(
    library: str, repositories: Iterable[Repository], remote_states: Mapping[str, Mapping[str, Any]] | None
) -> pl.DataFrame:
    """Return rows with the columns of REPOSITORIES, without repositories that another one replaced under their name.

    ``remote_states`` are state, branch, head and the reason why it is unread, by :attr:`Repository.key`, for
    repositories that were visited. It is None for a source that visits no repository.
    """
    rows = []
    for repository in repositories:
        if repository.is_replaced:
            continue
        remote = _remote_state(repository, remote_states)
        state = remote.get("state")
        if state in (None, "gone") and repository.state not in (None, "ok", "renamed"):
            state = repository.state  # git cannot distinguish blocked from gone
        state = state or repository.state
        rows.append(
            {
                "library": library,
                "repository_id": repository.number,
                "full_name": repository.full_name,
                **{name: repository.facts.get(name) for name in _FACTS},
                **{name: _parsed(repository.facts.get(name)) for name in ("created_at", "pushed_at")},
                "default_branch": remote.get("branch") or repository.facts.get("default_branch"),
                # A renamed repository can be visited like any other.
                "state": "renamed" if state == "ok" and repository.state == "renamed" else state,
                "unread_reason": remote.get("unread"),
                "head_sha": remote.get("head"),
            }
        )
    return pl.DataFrame(rows, schema=REPOSITORIES)


def _remote_state(repository: Repository, remote_states: Mapping[str, Mapping[str, Any]] | None) -> Mapping[str, Any]:
    """Return the state of a repository at the last visit, or why there is none."""
    if remote_states is None:
        return {}
    not_visited = {"state": UNREAD, "unread": repository.unread or "its history was not collected yet"}
    return remote_states.get(repository.key, not_visited)


def future_commits(commits: pl.DataFrame, now: datetime) -> int:
    """Return the number of commits (COMMITS) whose author's or committer's date is after ``now`` (UTC)."""
    return commits.filter((pl.col("authored_at") > now) | (pl.col("committed_at") > now)).height


def change_row(library: str, sha: str, change: Change) -> dict[str, Any]:
    """Return a row with the columns of CHANGES."""
    return {
        "library": library,
        "sha": sha,
        "files_changed": change.files,
        "additions": change.additions,
        "deletions": change.deletions,
        "patch_excerpt": change.excerpt,
    }


def _parsed(text: str | None) -> datetime | None:
    return parse_timestamp(text) if text else None
