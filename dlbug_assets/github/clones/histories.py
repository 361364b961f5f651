"""Fixing commits from clones: collect them, and return the rows that the tables are loaded from.

The clones are the landing of histories. What they don't contain is landed beside them: the states and heads of the
remotes, and the changes of sampled commits, whose files a clone does not have.

Workers (threads, or executors of Spark) do what concerns one repository: ask for its state, fetch, and read commits
and changes. This process does the rest: it keeps the states, samples commits and lands changes.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from dlbug_assets.github.clones.git import Clone, RemoteState, count_and_size, restrict_to_owner
from dlbug_assets.github.clones.git_process import GitError
from dlbug_assets.github.clones.workers import WorkerMap, Workers, in_threads
from dlbug_assets.github.commits import (
    CHANGES,
    COMMITS,
    UNREAD,
    Commit,
    FixCommitFilter,
    Repository,
    change_row,
    future_commits,
)
from dlbug_assets.github.sampling import bottom_k_sample
from dlbug_assets.ingest.landing import Collection, Landing
from dlbug_assets.protocol.sections import Library
from dlbug_assets.protocol.study import Study

logger = logging.getLogger(__name__)

#: Number of repositories that are fetched in parallel.
_FETCHES = 8

#: State of a remote as JSON: state, branch, head, the heads that were reachable before the branch was rewritten, and
#: ``unread``, the reason why something could not be read at the last visit.
State = dict[str, Any]
_NEVER_SEEN = {
    "gone": "there is no repository at its address: correct the address or path in the study",
    "blocked": "access to it is denied",
}


@dataclass(frozen=True)
class Mining:
    """What workers do with one repository of a library, whose clone is in the folder ``clones``."""

    clones: Path
    library: str
    fixes: FixCommitFilter

    def update(self, job: tuple[Repository, State | None]) -> tuple[State, str | None]:
        """Fetch a repository whose head has moved; return its state and a warning, if any.

        The job is the repository and its previous state. Where the head has not moved, this is one request. What cannot
        be read now keeps its previous state, with the reason.
        """
        repository, previous = job
        clone = self._clone(repository)
        known = {"state": None, "branch": None, "head": None, "rewritten": [], "unread": None} | (previous or {})
        rewritten, warning = list(known["rewritten"]), None
        try:
            head = (known["head"] or clone.head()) if clone.exists else None
            remote = _remote_state(repository, clone, was_seen=bool(head) or _was_seen(repository, previous))
            if remote.sha and remote.sha != head:
                old, head = known["head"] or head, remote.sha
                clone.fetch(head)
                if old and not clone.is_ancestor(old, head):
                    warning = f"{repository.full_name}: its branch was rewritten; the earlier commits are kept"
                    rewritten.append(old)
            lost = clone.lost_heads(rewritten) if head and rewritten else []
        except GitError as error:
            state = {**known, "state": known["state"] or UNREAD, "unread": str(error)}
            return state, f"{repository.full_name} cannot be read now: {error}"
        if lost:
            warning = (
                f"{repository.full_name}: its branch was rewritten, and neither its clone nor the remote has the "
                f"earlier commits: commits that only {' and '.join(lost)} reached are lost"
            )
        unread = None
        if known["head"] and not head:
            unread = "its clone is missing: its commits are lost"
            warning = f"{repository.full_name} is {remote.state}, and {unread}"
        elif not head and remote.state == known["state"] == "gone":
            unread = known["unread"]
        kept = [sha for sha in rewritten if sha not in lost]
        state = {"state": remote.state, "branch": remote.branch, "head": head, "rewritten": kept, "unread": unread}
        return state, warning

    def commits(self, job: tuple[Repository, State]) -> tuple[pl.DataFrame, str | None]:
        """Return the fixing commits of a repository, with the columns COMMITS; the job has its state.

        Where its clone is damaged, there are none, but the reason.
        """
        repository, state = job
        try:
            return self.fixes.rows([(repository, self._history(repository, state))]), None
        except GitError as error:
            folder = self._clone(repository).folder
            return pl.DataFrame(schema=COMMITS), (
                f"its clone is damaged ({error}): delete {folder}, and it is fetched again"
            )

    def changes(self, job: tuple[Repository, Sequence[str], str]) -> tuple[list[dict[str, Any]], str | None]:
        """Return what commits of a repository change, as rows with the columns CHANGES, and why some are left out.

        The job is the repository, hashes of commits and the state of the remote. Where it isn't ok, only files that are
        in the clone are read.
        """
        repository, shas, state = job
        clone = self._clone(repository)
        try:
            if state == "ok":
                clone.fetch_files(shas)
            return [change_row(self.library, *each) for each in zip(shas, clone.changes(shas), strict=True)], None
        except GitError as error:
            rows = []
            for sha in shas:
                with suppress(GitError):
                    rows.append(change_row(self.library, sha, clone.change(sha)))
            return rows, str(error)

    def _history(self, repository: Repository, state: State) -> Iterator[tuple[Commit, bool]]:
        """Yield commits with whether the head reaches them."""
        if state["head"] is None:
            return
        clone = self._clone(repository)
        for commit in clone.commits(state["head"]):
            yield commit, True
        for head in state["rewritten"]:
            for commit in clone.commits(head, [state["head"]]):
                yield commit, False

    def _clone(self, repository: Repository) -> Clone:
        # A repository's number outlives its names, and so should its clone.
        is_numbered = repository.number is not None
        name = repository.key if is_numbered else hashlib.sha256(repository.address.encode()).hexdigest()[:16]
        return Clone(self.clones / f"{name}.git", repository.address)


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

    def collect(self, repositories: Sequence[Repository]) -> dict[str, Any]:
        """Fetch the repositories whose heads have moved, and land the changes of sampled commits; return notes.

        A repository that cannot be reached now keeps its previous state.
        """
        with self._workers(self._mining.clones) as worker_map:
            return self._collect(repositories, worker_map)

    def _collect(self, repositories: Sequence[Repository], worker_map: WorkerMap) -> dict[str, Any]:
        restrict_to_owner(self._mining.clones)
        previous, landed = self.remote_states(), list(self._landed_changes().values())
        states = self._update(repositories, previous, worker_map)
        self._landing.discard_unfinished(self._library.name)
        parameters = self._parameters(repositories)
        last = self._last_collection()
        nothing_new = {"kind": self.KIND, "repositories": len(states), "note": "nothing new"}
        if last and previous == states and parameters == last.begun:
            return nothing_new
        collection = self._landing.begin(self._library.name, self.KIND, parameters)
        commits, damaged = self._commits(repositories, states, worker_map)
        sampled = bottom_k_sample(commits, self._library.name, self._seed, self._selection.commits_per_library)
        changes, unread = self._sampled_changes(sampled, repositories, states, worker_map)
        for (name, key), reason in (damaged | unread).items():
            logger.warning("%s: %s", name, reason)
            # The rows of a damaged clone are not there any more.
            was_read = previous.get(key, {}).get("state") not in (None, UNREAD) and (name, key) not in damaged
            states[key] |= {"unread": reason} | ({} if was_read else {"state": UNREAD})
        if last and (previous, landed, last.begun) == (states, changes, parameters):  # what was unread still is
            self._landing.discard_unfinished(self._library.name)
            return nothing_new
        collection.land({"method": "changes"}, json.dumps(changes).encode())
        counts = {"repositories": len(states), "commits": commits.height}
        if future := future_commits(commits, collection.begun_at):
            logger.warning("%s: %d fix commits are dated in the future", self._library.name, future)
            counts["dated in the future"] = future
        collection.finish({"finished_at": collection.stamps.next().isoformat(), "looks": states, **counts})
        _, size = count_and_size(self._mining.clones)
        return {"kind": self.KIND, **counts, "sampled": sampled.height, "MiB of clones": size >> 20}

    def remote_states(self) -> dict[str, State]:
        """Return the state of each repository at the last collection, by key."""
        last = self._last_collection()
        return last.done["looks"] if last else {}

    def commits(self, repositories: Sequence[Repository]) -> pl.DataFrame:
        """Return the fixing commits of repositories, with the columns COMMITS.

        Raises :class:`GitError` where a clone was damaged since it was collected.
        """
        with self._workers(self._mining.clones) as worker_map:
            states = self.remote_states()
            commits, damaged = self._commits(repositories, states, worker_map)
        for (name, key), reason in damaged.items():
            if states[key]["state"] != UNREAD:
                raise GitError(f"{name}: {reason}")
        return commits

    def changes(self) -> pl.DataFrame:
        """Return what sampled commits change, as far as it was landed, with the columns CHANGES."""
        return pl.DataFrame(list(self._landed_changes().values()), schema=CHANGES)

    def _parameters(self, repositories: Sequence[Repository]) -> dict[str, Any]:
        """Return what a collection depends on, as JSON values."""
        selection = self._selection.model_dump(
            mode="json", include={"fix_pattern", "created_from", "created_until", "commits_per_library"}
        )
        return {"repositories": [repository.key for repository in repositories], "seed": self._seed, **selection}

    def _last_collection(self) -> Collection | None:
        return next(reversed(self._landing.done(self._library.name, {self.KIND})), None)

    def _landed_changes(self) -> dict[str, dict[str, Any]]:
        last = self._last_collection()
        return {row["sha"]: row for reply in (last.replies() if last else ()) for row in json.loads(reply.body)}

    def _update(
        self, repositories: Sequence[Repository], previous: Mapping[str, State], worker_map: WorkerMap
    ) -> dict[str, State]:
        """Update all clones and return their states; warnings are logged in the order of the repositories."""
        states = {}
        jobs = [(repository, previous.get(repository.key)) for repository in repositories]
        results = worker_map(self._mining.update, jobs, _FETCHES)
        for repository, (state, warning) in zip(repositories, results, strict=True):
            states[repository.key] = state
            if warning:
                logger.warning(warning)
        return states

    def _commits(
        self, repositories: Sequence[Repository], states: Mapping[str, State], worker_map: WorkerMap
    ) -> tuple[pl.DataFrame, dict[tuple[str, str], str]]:
        """Return the fixing commits, and by name and key of a repository why it has none."""
        jobs = [(repository, states[repository.key]) for repository in repositories if repository.key in states]
        results = list(worker_map(self._mining.commits, jobs, 1))
        commits = pl.concat([pl.DataFrame(schema=COMMITS), *(found for found, _ in results)])
        reasons = {
            (job.full_name, job.key): reason for (job, _), (_, reason) in zip(jobs, results, strict=True) if reason
        }
        # A repository that was deleted and one created under the same name may share commits.
        return commits.unique(["full_name", "sha"], keep="first", maintain_order=True), reasons

    def _sampled_changes(
        self,
        sampled: pl.DataFrame,
        repositories: Sequence[Repository],
        states: Mapping[str, State],
        worker_map: WorkerMap,
    ) -> tuple[list[dict[str, Any]], dict[tuple[str, str], str]]:
        """Return what the sampled commits change, in their order, without those whose files cannot be read.

        The second value has the reason, by name and key of a repository, where it might be read later.
        """
        known = self._landed_changes()
        wanted: dict[tuple[int | None, str], list[str]] = {}
        for number, name, sha in sampled.select("repository_id", "full_name", "sha").rows():
            if sha not in known:
                wanted.setdefault((number, name), []).append(sha)
        by_name = {(repository.number, repository.full_name): repository for repository in repositories}
        jobs = [(by_name[name], shas, states[by_name[name].key]["state"]) for name, shas in wanted.items()]
        reasons = {}
        results = worker_map(self._mining.changes, jobs, 1)
        for (repository, shas, state), (changes, reason) in zip(jobs, results, strict=True):
            known |= {change["sha"]: change for change in changes}
            missing = f"the changes of {len(shas) - len(changes)} of its sampled commits are unknown"
            if reason and state == "ok":
                reasons[repository.full_name, repository.key] = f"{missing}: {reason}"
            elif reason:
                logger.warning("%s is %s, and its clone lacks some files: %s", repository.full_name, state, missing)
        return [known[sha] for sha in sampled["sha"] if sha in known], reasons


def _remote_state(repository: Repository, clone: Clone, *, was_seen: bool) -> RemoteState:
    """Return the state of the remote; raise :class:`GitError` where a repository that was never seen is not there."""
    if repository.is_replaced:  # its name may lead to another repository now
        return RemoteState("gone")
    remote = clone.remote_state()
    if remote.state in _NEVER_SEEN and not was_seen:
        raise GitError(_NEVER_SEEN[remote.state])
    return remote


def _was_seen(repository: Repository, previous: State | None) -> bool:
    """Return whether discovery or an earlier visit found a repository."""
    if repository.number is not None or previous is None:
        return repository.number is not None
    # Without the key "unread", gone may mean that it was never found.
    return previous["state"] in ("ok", "empty") or (previous["state"] == "gone" and "unread" in previous)
