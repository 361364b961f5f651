"""Commits from clones: what lands, and what the tables are made of.

The clones are the landing of histories. What of a look at the remotes is not in them (states, heads, the changes of
drawn commits, whose files a clone does not have) lands beside them.

What is done with each repository by itself (look, fetch, mine, read changes) is done by *workers*: threads here, or
executors of Spark. What becomes of it all (what was known before, which commits are drawn, what lands) is this
process's alone.
"""

import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import polars as pl

from dlbug_assets.github.clones.git import Clone, GitError, RemoteState, end_all, keep_to_owner, weighed
from dlbug_assets.github.commits import CHANGES, COMMITS, Commit, FixCommitFilter, Repository, change_row
from dlbug_assets.github.sampling import bottom_k_sample
from dlbug_assets.ingest.landing import Collection, Landing
from dlbug_assets.protocol.study import Library, Study

logger = logging.getLogger(__name__)

#: Repositories that are looked at and fetched at the same time.
_AT_A_TIME = 8

T = TypeVar("T")
R = TypeVar("R")


class Each(Protocol):
    """How workers do something with each of some items: so many at a time, results in the order of the items.

    Here and there, the function and the items are plain values, which can be sent elsewhere. An error of the function
    is raised in its place among the results.
    """

    def __call__(self, function: Callable[[T], R], items: Sequence[T], at_a_time: int) -> Iterator[R]: ...


#: Workers that see a folder of clones; they go with the context.
Workers = Callable[[Path], AbstractContextManager[Each]]


@contextmanager
def in_threads(_clones: Path) -> Iterator[Each]:
    """Workers of this process: most of what they do is waiting for git."""

    pools: list[ThreadPoolExecutor] = []
    pending: set[Future[Any]] = set()

    def submitted(function: Callable[[T], R], item: T) -> Future[R]:
        future = pools[-1].submit(function, item)
        pending.add(future)
        future.add_done_callback(pending.discard)
        return future

    def each(function: Callable[[T], R], items: Sequence[T], at_a_time: int) -> Iterator[R]:
        pools.append(ThreadPoolExecutor(at_a_time))
        futures = deque(submitted(function, item) for item in items)
        return (futures.popleft().result() for _ in items)

    try:
        yield each
    except BaseException:  # such as an interruption: who waits for a pool waits for git
        for future in tuple(pending):
            future.cancel()
        while pending:
            end_all()  # not once: a worker may be about to start its git
            wait(tuple(pending), timeout=0.05)
        raise
    finally:
        for pool in pools:
            pool.shutdown()


@dataclass(frozen=True)
class Mining:
    """What workers do with a repository of a library, in the folder of its clones."""

    clones: Path
    library: str
    fixes: FixCommitFilter

    def look(self, asked: tuple[Repository, dict[str, Any] | None]) -> tuple[dict[str, Any], str | None]:
        """What a look found, and a warning about it, if any. Where the head is as before, it costs one question."""
        target, before = asked
        clone = self._clone(target)
        known = before or {"state": None, "branch": None, "head": None, "rewritten": []}
        rewritten, warning = list(known["rewritten"]), None
        try:
            # What its name leads to is another one.
            look = RemoteState("gone") if target.is_replaced else clone.look()
            head = (known["head"] or clone.head()) if clone.is_there else None
            if look.sha and look.sha != head:
                old, head = known["head"] or head, look.sha
                clone.fetch(head)
                if old and not clone.is_ancestor(old, head):
                    warning = f"{target.full_name}: its branch was rewritten; the earlier commits are kept"
                    rewritten.append(old)
            lost = clone.lost(rewritten) if head and rewritten else []
        except GitError as error:
            return known, f"{target.full_name} cannot be read now: {error}"
        if lost:
            warning = (
                f"{target.full_name}: its branch was rewritten, and the earlier commits are neither in its clone nor "
                f"at the remote: commits that only {' and '.join(lost)} reached are lost"
            )
        if known["head"] and not head:
            warning = f"{target.full_name} is {look.state}, and its clone is missing: its commits are lost"
        kept = [sha for sha in rewritten if sha not in lost]
        return {"state": look.state, "branch": look.branch, "head": head, "rewritten": kept}, warning

    def commits(self, looked: tuple[Repository, Mapping[str, Any]]) -> pl.DataFrame:
        """Its fixing commits, as the columns COMMITS of histories."""
        target, look = looked
        return self.fixes.rows([(target, self._history(target, look))])

    def changes(self, drawn: tuple[Repository, Sequence[str], str]) -> list[dict[str, Any]]:
        """What these commits of it change, as the columns CHANGES of histories. Of a repository in another state than
        ok, those that can be told: files that a clone does not have are nowhere any more."""
        target, shas, state = drawn
        clone = self._clone(target)
        if state == "ok":
            changes = clone.changes(shas)
            return [change_row(self.library, sha, change) for sha, change in zip(shas, changes, strict=True)]
        told = []
        for sha in shas:
            with suppress(GitError):
                told.append(change_row(self.library, sha, clone.change(sha)))
        return told

    def _history(self, target: Repository, look: Mapping[str, Any]) -> Iterator[tuple[Commit, bool]]:
        if look["head"] is None:
            return
        clone = self._clone(target)
        for commit in clone.commits(look["head"]):
            yield commit, True
        for head in look["rewritten"]:
            for commit in clone.commits(head, [look["head"]]):
                yield commit, False

    def _clone(self, target: Repository) -> Clone:
        # A number outlives the names of its repository, and a clone should, too.
        name = hashlib.sha256(target.address.encode()).hexdigest()[:16] if target.number is None else target.key
        return Clone(self.clones / f"{name}.git", target.address)


class CloneHistories:
    """The clones of one library's repositories."""

    KIND: ClassVar[str] = "clone"

    def __init__(
        self, study: Study, library: Library, landing: Landing, clones: Path, workers: Workers = in_threads
    ) -> None:
        self._library = library
        self._selection = study.selection
        self._seed = study.study.seed
        self._landing = landing
        self._mining = Mining(clones, library.name, FixCommitFilter(library, study.selection))
        self._workers = workers

    def collect(self, targets: Sequence[Repository]) -> dict[str, Any]:
        """Look at every repository, fetch what has moved, and land the changes of the commits that are drawn.

        A repository that cannot be looked at now keeps what is known of it.
        """
        with self._workers(self._mining.clones) as each:
            return self._collected(targets, each)

    def _collected(self, targets: Sequence[Repository], each: Each) -> dict[str, Any]:
        keep_to_owner(self._mining.clones)
        before = self.remote_states()
        looks = self._looks(targets, before, each)
        self._landing.discard_unfinished(self._library.name)
        asked = self._asked(targets)
        last = self._last()
        if last and before == looks and asked == last.begun:
            return {"kind": self.KIND, "repositories": len(looks), "note": "nothing new"}
        collection = self._landing.begin(self._library.name, self.KIND, asked)
        mined = self._mined(targets, looks, each)
        drawn = bottom_k_sample(mined, self._library.name, self._seed, self._selection.commits_per_library)
        changes = self._changed(drawn, targets, looks, each)
        collection.land({"method": "changes"}, json.dumps(changes).encode())
        counts = {"repositories": len(looks), "commits": mined.height}
        collection.finish({"finished_at": collection.stamps.next().isoformat(), "looks": looks, **counts})
        _, taken = weighed(self._mining.clones)
        return {"kind": self.KIND, **counts, "drawn": drawn.height, "MiB of clones": taken >> 20}

    def remote_states(self) -> dict[str, dict[str, Any]]:
        """What the last look found, by key: state, branch, head, and the heads that were rewritten."""
        last = self._last()
        return last.done["looks"] if last else {}

    def commits(self, targets: Sequence[Repository]) -> pl.DataFrame:
        """The fixing commits of these repositories, as the columns COMMITS of histories."""
        with self._workers(self._mining.clones) as each:
            return self._mined(targets, self.remote_states(), each)

    def changes(self) -> pl.DataFrame:
        """What landed of drawn commits, as the columns CHANGES of histories."""
        return pl.DataFrame(list(self._landed_changes().values()), schema=CHANGES)

    def _asked(self, targets: Sequence[Repository]) -> dict[str, Any]:
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

    def _looks(
        self, targets: Sequence[Repository], before: Mapping[str, dict[str, Any]], each: Each
    ) -> dict[str, dict[str, Any]]:
        """Look at all repositories; warnings are logged in the order of the targets, whichever worker is first."""
        looks = {}
        found = each(self._mining.look, [(target, before.get(target.key)) for target in targets], _AT_A_TIME)
        for target, (look, warning) in zip(targets, found, strict=True):
            looks[target.key] = look
            if warning:
                logger.warning(warning)
        return looks

    def _mined(self, targets: Sequence[Repository], looks: Mapping[str, Mapping[str, Any]], each: Each) -> pl.DataFrame:
        known = [(target, looks[target.key]) for target in targets if target.key in looks]
        mined = pl.concat([pl.DataFrame(schema=COMMITS), *each(self._mining.commits, known, 1)])
        # Of one that was deleted and made again under its name, both may have a commit.
        return mined.unique(["full_name", "sha"], keep="first", maintain_order=True)

    def _changed(
        self,
        drawn: pl.DataFrame,
        targets: Sequence[Repository],
        looks: Mapping[str, Mapping[str, Any]],
        each: Each,
    ) -> list[dict[str, Any]]:
        """What the drawn commits change, in their order, as far as it can be told."""
        known = self._landed_changes()
        wanted: dict[tuple[int | None, str], list[str]] = {}
        for number, name, sha in drawn.select("repository_id", "full_name", "sha").rows():
            if sha not in known:
                wanted.setdefault((number, name), []).append(sha)
        places = {(target.number, target.full_name): target for target in targets}
        asked = [(places[place], shas, looks[places[place].key]["state"]) for place, shas in wanted.items()]
        for (target, shas, state), changes in zip(asked, each(self._mining.changes, asked, 1), strict=True):
            known |= {change["sha"]: change for change in changes}
            if len(changes) < len(shas):
                logger.warning(
                    "%s is %s, and its clone lacks some files: the changes of %d of its sampled commits are unknown",
                    target.full_name,
                    state,
                    len(shas) - len(changes),
                )
        return [known[sha] for sha in drawn["sha"] if sha in known]
