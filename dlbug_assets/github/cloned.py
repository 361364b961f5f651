"""Commits from clones of listed repositories: what lands, and what the tables are made of.

The clones are the landing of histories. What of a look at the remotes is not in them (states, heads, the changes of
drawn commits, whose files a clone does not have) lands beside them as replies.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.clones import Clone, Commit, GitError
from dlbug_assets.github.sampling import bottom_k
from dlbug_assets.landing import Collection, Landing, Say
from dlbug_assets.privacy import blanked, hashed
from dlbug_assets.study import Library, Selection

_MOMENT = pl.Datetime("us")
_REPOSITORIES = {
    "library": pl.String, "repository_id": pl.Int64, "full_name": pl.String, "stars": pl.Int64, "is_fork": pl.Boolean,
    "is_archived": pl.Boolean, "created_at": _MOMENT, "pushed_at": _MOMENT, "default_branch": pl.String,
    "state": pl.String, "head_sha": pl.String,
}  # fmt: skip
_COMMITS = {
    "library": pl.String, "repository_id": pl.Int64, "full_name": pl.String, "sha": pl.String, "title": pl.String,
    "message": pl.String, "authored_at": _MOMENT, "committed_at": _MOMENT, "is_merge": pl.Boolean,
    "author": pl.String, "url": pl.String, "is_reachable": pl.Boolean,
}  # fmt: skip
CHANGES = {
    "library": pl.String, "sha": pl.String, "files_changed": pl.Int64, "additions": pl.Int64, "deletions": pl.Int64,
    "patch_excerpt": pl.String,
}  # fmt: skip
_LONGEST_EXCERPT = 20_000
_LOOKS, _DIFFS = "repositories", "changes"


@dataclass(frozen=True)
class Cloned:
    """The clones of one library's repositories."""

    KIND: ClassVar[str] = "clone"

    library: Library
    selection: Selection
    seed: int
    landing: Landing
    clones: Path

    def collect(self, say: Say) -> dict[str, Any]:
        """Look at every repository, fetch what has moved, and land the changes of the commits that are drawn.

        A repository that cannot be looked at now keeps what is known of it. Raises :class:`DlbugError` where the study
        lists none.
        """
        before = self._landed(_LOOKS)
        looks = [self._look(address, before.get(address), say) for address in self._addresses()]
        self.landing.discard_unfinished(self.library.name)
        if list(before.values()) == looks and self._asked() == self._last_begun():
            return {"kind": self.KIND, "repositories": len(looks), "note": "nothing new"}
        collection = self.landing.begin(self.library.name, self.KIND, self._asked())
        collection.land({"method": _LOOKS}, json.dumps(looks).encode())
        mined = self._mined(looks)
        drawn = bottom_k(mined, self.library.name, self.seed, self.selection.commits_per_library)
        changes = self._changes(drawn, {look["full_name"]: look["address"] for look in looks})
        collection.land({"method": _DIFFS}, json.dumps(changes).encode())
        now = collection.stamps.next().isoformat()
        collection.finish({"finished_at": now, "repositories": len(looks), "commits": mined.height})
        return {"kind": self.KIND, "repositories": len(looks), "commits": mined.height, "drawn": drawn.height}

    def repositories(self) -> pl.DataFrame:
        """github.repositories without retrieved_at."""
        rows = [
            {
                **dict.fromkeys(_REPOSITORIES),
                "library": self.library.name,
                "full_name": look["full_name"],
                "default_branch": look["branch"],
                "state": look["state"],
                "head_sha": look["head"],
            }
            for look in self._landed(_LOOKS).values()
        ]
        return pl.DataFrame(rows, schema=_REPOSITORIES)

    def commits(self, key: bytes) -> pl.DataFrame:
        """github.fix_commits without year: accounts as hashes with this key, addresses and trailers blanked."""
        mined = self._mined(list(self._landed(_LOOKS).values()))
        return mined.with_columns(
            hashed(key, mined["author"]).alias("author_hash"), blanked(pl.col("title")), blanked(pl.col("message"))
        ).drop("author")

    def changes(self) -> pl.DataFrame:
        """What landed of the drawn commits, addresses blanked: columns as in CHANGES."""
        rows = [{"library": self.library.name, **row} for row in self._landed(_DIFFS).values()]
        return pl.DataFrame(rows, schema=CHANGES).with_columns(blanked(pl.col("patch_excerpt")))

    def _addresses(self) -> Sequence[str]:
        if isinstance(self.library.repositories, str):
            raise DlbugError(
                f"libraries.{self.library.name}.repositories is the search {self.library.repositories!r}: this version "
                "clones repositories that are listed, as in repositories = ['owner/name', 'https://host/name.git', "
                "'./path']."
            )
        return list(dict.fromkeys(self.library.repositories))

    def _asked(self) -> dict[str, Any]:
        """What a collection depends on, as it comes back from JSON."""
        return {
            "repositories": list(self._addresses()),
            "fix_pattern": self.selection.fix_pattern,
            "commits_per_library": self.selection.commits_per_library,
            "seed": self.seed,
        }

    def _last(self) -> Collection | None:
        return next(reversed(self.landing.done(self.library.name, {self.KIND})), None)

    def _last_begun(self) -> dict[str, Any] | None:
        last = self._last()
        return last.begun if last else None

    def _landed(self, method: str) -> dict[str, dict[str, Any]]:
        """The rows of the last collection's reply of a kind, by address or sha."""
        last = self._last()
        for reply in last.replies() if last else ():
            if reply.request["method"] == method:
                return {row.get("address") or row["sha"]: row for row in json.loads(reply.body)}
        return {}

    def _clone(self, address: str) -> Clone:
        where = f"https://github.com/{address}.git" if re.fullmatch(r"[\w.-]+/[\w.-]+", address) else address
        return Clone(self.clones / f"{hashlib.sha256(where.encode()).hexdigest()[:16]}.git", where)

    def _look(self, address: str, before: Mapping[str, Any] | None, say: Say) -> dict[str, Any]:
        clone = self._clone(address)
        known = {"address": address, "full_name": full_name(address)}
        try:
            look = clone.look()
            rewritten = list(before["rewritten"]) if before else []
            if look.sha and look.sha != clone.head():
                old = clone.head()
                if clone.fetch(look.sha) and old:
                    say(f"{address}: its branch was rewritten; what was there before is kept")
                    rewritten.append(old)
        except GitError as error:
            say(f"{address} cannot be looked at now: {error}")
            if before:
                return dict(before)
            return {**known, "state": None, "branch": None, "head": None, "rewritten": []}
        return {**known, "state": look.state, "branch": look.branch, "head": clone.head(), "rewritten": rewritten}

    def _mined(self, looks: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        pattern = re.compile(self.selection.fix_pattern)
        rows = [
            self._row(look, commit, is_reachable=is_reachable)
            for look in looks
            for commit, is_reachable in self._history(look)
            if pattern.search(commit.title)
        ]
        # A commit that several rewritten heads reach is one commit.
        return pl.DataFrame(rows, schema=_COMMITS).unique(["full_name", "sha"], keep="first", maintain_order=True)

    def _history(self, look: Mapping[str, Any]) -> Iterator[tuple[Commit, bool]]:
        if look["head"] is None:
            return
        clone = self._clone(look["address"])
        for commit in clone.commits(look["head"]):
            yield commit, True
        for head in look["rewritten"]:
            for commit in clone.commits(head, [look["head"]]):
                yield commit, False

    def _row(self, look: Mapping[str, Any], commit: Commit, *, is_reachable: bool) -> dict[str, Any]:
        name = look["full_name"]
        return {
            "library": self.library.name,
            "repository_id": None,
            "full_name": name,
            "sha": commit.sha,
            "title": commit.title,
            "message": commit.message,
            "authored_at": commit.authored_at,
            "committed_at": commit.committed_at,
            "is_merge": len(commit.parents) > 1,
            "author": commit.author,
            "url": f"https://github.com/{name}/commit/{commit.sha}" if is_on_github(look["address"]) else None,
            "is_reachable": is_reachable,
        }

    def _changes(self, drawn: pl.DataFrame, addresses: Mapping[str, str]) -> list[dict[str, Any]]:
        known = self._landed(_DIFFS)
        rows = []
        for name, sha in drawn.select("full_name", "sha").rows():
            if sha in known:
                rows.append(known[sha])
                continue
            change = self._clone(addresses[name]).change(sha, _LONGEST_EXCERPT)
            rows.append(
                {
                    "sha": sha,
                    "files_changed": change.files,
                    "additions": change.additions,
                    "deletions": change.deletions,
                    "patch_excerpt": change.excerpt,
                }
            )
        return rows


def is_on_github(address: str) -> bool:
    """Whether an address is one of GitHub."""
    return bool(re.match(r"(https://|ssh://git@)github\.com/|[\w.-]+/[\w.-]+$", address))


def full_name(address: str) -> str:
    """How a repository is called: owner/name on GitHub, else its address without protocol and account."""
    name = re.sub(r"^\w+://([^@/]*@)?", "", address).removesuffix("/").removesuffix(".git")
    return name.removeprefix("github.com/")
