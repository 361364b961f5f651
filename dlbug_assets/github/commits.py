"""What commits and repositories are, whichever way they come: the shapes of their rows, and which commits count."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from dlbug_assets.privacy import pseudonymize, redact_emails
from dlbug_assets.protocol.study import Library, Selection

_MOMENT = pl.Datetime("us")
#: github.repositories without retrieved_at.
REPOSITORIES = {
    "library": pl.String, "repository_id": pl.Int64, "full_name": pl.String, "stars": pl.Int64, "is_fork": pl.Boolean,
    "is_archived": pl.Boolean, "created_at": _MOMENT, "pushed_at": _MOMENT, "default_branch": pl.String,
    "state": pl.String, "head_sha": pl.String,
}  # fmt: skip
#: github.fix_commits without year, and with the author's address instead of its hash.
COMMITS = {
    "library": pl.String, "repository_id": pl.Int64, "full_name": pl.String, "sha": pl.String, "title": pl.String,
    "message": pl.String, "authored_at": _MOMENT, "committed_at": _MOMENT, "is_merge": pl.Boolean,
    "author": pl.String, "url": pl.String, "is_reachable": pl.Boolean,
}  # fmt: skip
#: What is known of drawn commits beyond that.
CHANGES = {
    "library": pl.String, "sha": pl.String, "files_changed": pl.Int64, "additions": pl.Int64, "deletions": pl.Int64,
    "patch_excerpt": pl.String,
}  # fmt: skip
_LONGEST_EXCERPT = 20_000
_FACTS = ("stars", "is_fork", "is_archived", "created_at", "pushed_at", "default_branch")


@dataclass(frozen=True)
class Repository:
    """A repository to follow: by its number where GitHub was asked for it, else by its address.

    ``facts`` are what the search or the look at it said (ISO moments); ``page`` is its page on the web, where it has
    one; ``state`` what the search made of it; ``is_replaced`` says that another one bears its name now.
    """

    address: str
    full_name: str
    number: int | None = None
    page: str | None = None
    state: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_replaced: bool = False

    @property
    def key(self) -> str:
        """What stays the same when it is renamed."""
        return self.address if self.number is None else str(self.number)


@dataclass(frozen=True)
class Commit:
    """A commit; times in UTC, without zone; ``author`` is its author's e-mail address."""

    sha: str
    parents: tuple[str, ...]
    author: str
    authored_at: datetime | None
    committed_at: datetime | None
    message: str

    @property
    def title(self) -> str:
        """The first line of its message that says something."""
        return next((line.strip() for line in self.message.split("\n") if line.strip()), "")


@dataclass(frozen=True)
class Change:
    """What a commit changes, against its first parent: files, lines, and the beginning of its patch."""

    files: int
    additions: int
    deletions: int
    excerpt: str


def excerpt(files: Iterable[tuple[str, str, str]]) -> str:
    """The beginning of a patch, of each file's name before and after and its hunks."""
    parts: list[str] = []
    length = 0
    for old, new, hunks in files:
        parts.append(f"diff --git a/{old} b/{new}\n" + (f"{hunks.removesuffix(chr(10))}\n" if hunks else ""))
        length += len(parts[-1])
        if length > _LONGEST_EXCERPT:
            break
    return "".join(parts).replace("\0", "\N{REPLACEMENT CHARACTER}")[:_LONGEST_EXCERPT]


class FixCommitFilter:
    """Which commits of a library count: their title says that they fix something, and they were written in time."""

    def __init__(self, library: Library, selection: Selection) -> None:
        self._library = library
        self._pattern = re.compile(selection.fix_pattern)
        self._from, self._until = selection.created_from, selection.created_until

    def accepts(self, commit: Commit) -> bool:
        """Whether a commit counts."""
        if not self._pattern.search(commit.title):
            return False
        if self._from is None and self._until is None:
            return True
        day = commit.authored_at and commit.authored_at.date()
        return day is not None and (self._from or day) <= day <= (self._until or day)

    def rows(self, histories: Iterable[tuple[Repository, Iterable[tuple[Commit, bool]]]]) -> pl.DataFrame:
        """Repositories and their commits, each with whether the head still reaches it, as the columns COMMITS; those
        that do not count are left out."""
        rows = [
            commit_row(self._library.name, target, commit, is_reachable=is_reachable)
            for target, history in histories
            for commit, is_reachable in history
            if self.accepts(commit)
        ]
        # A commit that several rewritten heads reach is one commit.
        return pl.DataFrame(rows, schema=COMMITS).unique(["full_name", "sha"], keep="first", maintain_order=True)


def commit_row(library: str, target: Repository, commit: Commit, *, is_reachable: bool | None) -> dict[str, Any]:
    """A row with the columns COMMITS."""
    return {
        "library": library,
        "repository_id": target.number,
        "full_name": target.full_name,
        "sha": commit.sha,
        "title": commit.title,
        # How a message ends depends on who tells it; nothing is said there.
        "message": commit.message.strip(),
        "authored_at": commit.authored_at,
        "committed_at": commit.committed_at,
        "is_merge": len(commit.parents) > 1,
        "author": commit.author,
        "url": f"{target.page}/commit/{commit.sha}" if target.page else None,
        "is_reachable": is_reachable,
    }


def pseudonymize_authors(commits: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Commits with their authors as hashes with this key, addresses and trailers blanked."""
    return commits.with_columns(
        pseudonymize(key, commits["author"]).alias("author_hash"),
        redact_emails(pl.col("title")),
        redact_emails(pl.col("message")),
    ).drop("author")


def repository_rows(
    library: str, targets: Iterable[Repository], looks: Mapping[str, Mapping[str, Any]]
) -> pl.DataFrame:
    """The columns REPOSITORIES, of a name the one that bears it now; ``looks`` has state, branch and head by key, where
    there was a look."""
    rows = []
    for target in targets:
        if target.is_replaced:
            continue
        look = looks.get(target.key, {})
        state = look.get("state")
        if state in (None, "gone") and target.state not in (None, "ok", "renamed"):
            state = target.state  # git cannot tell blocked from gone
        state = state or target.state
        rows.append(
            {
                "library": library,
                "repository_id": target.number,
                "full_name": target.full_name,
                **{name: target.facts.get(name) for name in _FACTS},
                **{name: _moment(target.facts.get(name)) for name in ("created_at", "pushed_at")},
                "default_branch": look.get("branch") or target.facts.get("default_branch"),
                # A renamed repository can be looked at as any other.
                "state": "renamed" if state == "ok" and target.state == "renamed" else state,
                "head_sha": look.get("head"),
            }
        )
    return pl.DataFrame(rows, schema=REPOSITORIES)


def change_row(library: str, sha: str, change: Change) -> dict[str, Any]:
    """A row with the columns CHANGES."""
    return {
        "library": library,
        "sha": sha,
        "files_changed": change.files,
        "additions": change.additions,
        "deletions": change.deletions,
        "patch_excerpt": change.excerpt,
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
