"""Commits from clones: what lands, and what the tables are made of.

The clones are the landing of histories. What of a look at the remotes is not in them (states, heads, the changes of
drawn commits, whose files a clone does not have) lands beside them.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from dlbug_assets.github.clones import Clone, GitError, end_all, weighed
from dlbug_assets.github.histories import CHANGES, Commit, Fixes, Target, change_row
from dlbug_assets.github.sampling import bottom_k
from dlbug_assets.landing import Collection, Landing, Say
from dlbug_assets.study import Library, Study

#: Repositories that are looked at and fetched at the same time.
_AT_A_TIME = 8


class Cloned:
    """The clones of one library's repositories."""

    KIND: ClassVar[str] = "clone"

    def __init__(self, study: Study, library: Library, landing: Landing, clones: Path) -> None:
        self._library = library
        self._selection = study.selection
        self._seed = study.study.seed
        self._landing = landing
        self._clones = clones
        self._fixes = Fixes(library, study.selection)

    def collect(self, targets: Sequence[Target], say: Say) -> dict[str, Any]:
        """Look at every repository, fetch what has moved, and land the changes of the commits that are drawn.

        A repository that cannot be looked at now keeps what is known of it.
        """
        before = self.looks()
        looks = self._looks(targets, before, say)
        self._landing.discard_unfinished(self._library.name)
        asked = self._asked(targets)
        last = self._last()
        if last and before == looks and asked == last.begun:
            return {"kind": self.KIND, "repositories": len(looks), "note": "nothing new"}
        collection = self._landing.begin(self._library.name, self.KIND, asked)
        mined = self._mined(targets, looks)
        drawn = bottom_k(mined, self._library.name, self._seed, self._selection.commits_per_library)
        changes = self._changed(drawn, {target.full_name: target for target in targets})
        collection.land({"method": "changes"}, json.dumps(changes).encode())
        counts = {"repositories": len(looks), "commits": mined.height}
        collection.finish({"finished_at": collection.stamps.next().isoformat(), "looks": looks, **counts})
        return {"kind": self.KIND, **counts, "drawn": drawn.height, "MiB of clones": weighed(self._clones)[1] >> 20}

    def looks(self) -> dict[str, dict[str, Any]]:
        """What the last look found, by key: state, branch, head, and the heads that were rewritten."""
        last = self._last()
        return last.done["looks"] if last else {}

    def commits(self, targets: Sequence[Target]) -> pl.DataFrame:
        """The fixing commits of these repositories, as the columns COMMITS of histories."""
        return self._mined(targets, self.looks())

    def changes(self) -> pl.DataFrame:
        """What landed of drawn commits, as the columns CHANGES of histories."""
        return pl.DataFrame(list(self._landed_changes().values()), schema=CHANGES)

    def _asked(self, targets: Sequence[Target]) -> dict[str, Any]:
        """What a collection depends on, as it comes back from JSON."""
        asked = self._selection.model_dump(
            mode="json", include={"fix_pattern", "created_from", "created_until", "commits_per_library"}
        )
        return {"repositories": [target.key for target in targets], "seed": self._seed, **asked}

    def _last(self) -> Collection | None:
        return next(reversed(self._landing.done(self._library.name, {self.KIND})), None)

    def _landed_changes(self) -> dict[str, dict[str, Any]]:
        last = self._last()
        return {row["sha"]: row for reply in (last.replies() if last else ()) for row in json.loads(reply.body)}

    def _clone(self, target: Target) -> Clone:
        # A number outlives the names of its repository, and a clone should, too.
        name = hashlib.sha256(target.address.encode()).hexdigest()[:16] if target.number is None else target.key
        return Clone(self._clones / f"{name}.git", target.address)

    def _looks(
        self, targets: Sequence[Target], before: Mapping[str, dict[str, Any]], say: Say
    ) -> dict[str, dict[str, Any]]:
        """Looks at all repositories, some at a time: most of it is waiting for servers. What there is to say of them is
        said in their order."""
        looks = {}
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            found = pool.map(lambda target: self._look(target, before.get(target.key)), targets)
            try:
                for target, (look, words) in zip(targets, found, strict=True):
                    looks[target.key] = look
                    if words:
                        say(words)
            except BaseException:  # such as an interruption: who waits for the pool waits for git
                pool.shutdown(wait=False, cancel_futures=True)
                end_all()
                raise
        return looks

    def _look(self, target: Target, before: dict[str, Any] | None) -> tuple[dict[str, Any], str | None]:
        """What a look found, and what there is to say of it. Where the head is as before, it costs one question."""
        clone = self._clone(target)
        words = None
        try:
            look = clone.look()
            if before and look.sha == before["head"] and clone.is_there:
                return {**before, "state": look.state, "branch": look.branch}, None
            rewritten = list(before["rewritten"]) if before else []
            head = clone.head()
            if look.sha and look.sha != head:
                if clone.fetch(look.sha) and head:
                    words = f"{target.full_name}: its branch was rewritten; what was there before is kept"
                    rewritten.append(head)
                head = look.sha
        except GitError as error:
            known = before or {"state": None, "branch": None, "head": None, "rewritten": []}
            return known, f"{target.full_name} cannot be looked at now: {error}"
        return {"state": look.state, "branch": look.branch, "head": head, "rewritten": rewritten}, words

    def _mined(self, targets: Sequence[Target], looks: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
        known = (target for target in targets if target.key in looks)
        return self._fixes.rows((target, self._history(target, looks[target.key])) for target in known)

    def _history(self, target: Target, look: Mapping[str, Any]) -> Iterator[tuple[Commit, bool]]:
        if look["head"] is None:
            return
        clone = self._clone(target)
        for commit in clone.commits(look["head"]):
            yield commit, True
        for head in look["rewritten"]:
            for commit in clone.commits(head, [look["head"]]):
                yield commit, False

    def _changed(self, drawn: pl.DataFrame, targets: Mapping[str, Target]) -> list[dict[str, Any]]:
        known = self._landed_changes()
        rows = drawn.select("full_name", "sha").rows()
        asked: dict[str, list[str]] = {}
        for name, sha in rows:
            if sha not in known:
                asked.setdefault(name, []).append(sha)
        for name, shas in asked.items():
            changes = self._clone(targets[name]).changes(shas)
            for sha, change in zip(shas, changes, strict=True):
                known[sha] = change_row(self._library.name, sha, change)
        return [known[sha] for _, sha in rows]
