"""Histories from the API: collect them into landing, and read commits from there.

The first time, a history is listed page by page, pinned to its head so that a push in between changes nothing. After
that, GitHub compares the new head with the old one: what only the new head reaches is new, including side branches that
were merged late, whatever their dates; if the branch was rewritten, what only the old head reaches is not reachable any
more.

A history counts as read only if it is complete: a first listing must contain the parents of all its commits, and a
comparison as many commits as it states. Otherwise the repository is unread, and the next collection starts again from
what was known before.
"""

import logging
from collections.abc import Container, Mapping, Sequence
from typing import Any, ClassVar

import polars as pl

from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.api.client import (
    AHEAD,
    HEAD,
    LISTED,
    LOST,
    NOT_MODIFIED,
    OK,
    PAGE_SIZE,
    STATES,
    CollectionClient,
    is_valid,
    landed_response,
)
from dlbug_assets.github.api.replies import commit_items, get_details, landed_details, parse_change, parse_commit
from dlbug_assets.github.api.transport import Response
from dlbug_assets.github.commits import (
    CHANGES,
    UNREAD,
    Commit,
    FixCommitFilter,
    Repository,
    change_row,
    future_commits,
)
from dlbug_assets.github.sampling import bottom_k_sample
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection, Landing, Reply
from dlbug_assets.protocol.sections import Library
from dlbug_assets.protocol.study import Study

logger = logging.getLogger(__name__)

#: How a collection followed a repository's history, and below the purposes of the requests that belong to each.
_SAME, _FIRST, _GREW, _REWRITTEN, _AGAIN = "same", "first", "grew", "rewritten", "again"
_PURPOSES: Mapping[str | None, tuple[str, ...]] = {
    _SAME: (),
    _FIRST: (HEAD, LISTED),
    _AGAIN: (HEAD, LISTED),
    _GREW: (AHEAD,),
    _REWRITTEN: (AHEAD, LOST),
}
_EMPTY = "empty"
#: How often a history is requested whose replies contradict each other.
_VISITS = 2


class InconsistentHistoryError(MalformedError):
    """Replies that are valid, but together not a complete history."""


class ApiHistories:
    """The histories of one library's repositories."""

    KIND: ClassVar[str] = "commits"

    def __init__(self, study: Study, library: Library, landing: Landing, access: ApiAccess) -> None:
        self._library = library
        self._selection = study.selection
        self._seed = study.study.seed
        self._landing = landing
        self._access = access
        self._fix_filter = FixCommitFilter(library, study.selection)

    def collect(self, repositories: Sequence[Repository]) -> dict[str, Any]:
        """Land the history of every repository and the changes of the sampled commits; return counts.

        A repository of which no complete history arrives keeps its last state, and ``unread`` is the reason; a warning
        is logged. Raises what :class:`.transport.Transport` raises; the next run resumes after what has landed until
        then.
        """
        inputs = self._inputs(repositories)
        collection = self._access.resume_or_begin(self._landing, self._library.name, self.KIND, inputs)
        client = self._access.collection_client(collection)
        before = self.remote_states()
        states = {}
        for position, repository in enumerate(repositories, 1):
            state = states[repository.key] = self._follow(client, repository, before.get(repository.key))
            if state["how"] != _SAME:
                progress = position, len(repositories), client.requests
                logger.info("%s: %s, %d of %d, request %d", self._library.name, repository.full_name, *progress)
        commits = self._fix_commits([*self._done(), (collection, states)], repositories)
        sample = bottom_k_sample(commits, self._library.name, self._seed, self._selection.commits_per_library)
        details = self._details()
        wanted = sample.filter(~pl.col("sha").is_in([sha for sha, pages in details.items() if pages is not None]))
        missing = self._land_details(client, wanted, set(details))
        last = self._last()
        counts = {
            "repositories": len(states),
            "requests": client.requests,
            "quota_left": self._access.quota_status().quota_left,
        }
        notes = self._irregularities(states, missing, future_commits(commits, client.now))
        is_same = all(
            state["how"] == _SAME and _comparable(state) == _comparable(before.get(key))
            for key, state in states.items()
        )
        if last and last.begun == inputs and is_same and missing == wanted.height:
            self._landing.discard_unfinished(self._library.name)
            return {"kind": self.KIND, **counts, **notes, "note": "nothing new"}
        finished_at = collection.stamps.next().isoformat()
        collection.finish({"finished_at": finished_at, "looks": states, "commits": commits.height, **counts, **notes})
        return {"kind": self.KIND, **counts, **notes, "commits": commits.height, "sampled": sample.height}

    def remote_states(self) -> dict[str, dict[str, Any]]:
        """Return the last state, branch, head, etag and how it was followed of each :attr:`Repository.key`."""
        last = self._last()
        return last.done["looks"] if last else {}

    def commits(self, repositories: Sequence[Repository]) -> pl.DataFrame:
        """Return the fix commits of these repositories, with the columns of COMMITS."""
        return self._fix_commits(self._done(), repositories)

    def changes(self) -> pl.DataFrame:
        """Return the landed changes of sampled commits, with the columns of CHANGES."""
        details = self._details().items()
        rows = [change_row(self._library.name, sha, parse_change(pages)) for sha, pages in details if pages]
        return pl.DataFrame(rows, schema=CHANGES)

    def _inputs(self, repositories: Sequence[Repository]) -> dict[str, Any]:
        """Return what a collection depends on, as JSON represents it."""
        selection = self._selection.model_dump(
            mode="json", include={"fix_pattern", "created_from", "created_until", "commits_per_library"}
        )
        return {"repositories": [repository.key for repository in repositories], "seed": self._seed, **selection}

    def _done(self) -> list[tuple[Collection, Mapping[str, Any]]]:
        done = self._landing.done(self._library.name, {self.KIND})
        return [(collection, collection.done["looks"]) for collection in done]

    def _details(self) -> dict[str, list[dict[str, Any]] | None]:
        return landed_details(collection for collection, _ in self._done())

    def _last(self) -> Collection | None:
        return next((collection for collection, _ in reversed(self._done())), None)

    def _follow(
        self, client: CollectionClient, repository: Repository, before: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Land what is new in a repository's history and return its remote state."""
        known = {"branch": None, "head": None, "etag": None, **(before or {}), "how": _SAME, "unread": None}
        if repository.number is None:  # listed by the study, but GitHub does not show it
            return {**known, "state": repository.state, "unread": repository.unread}
        try:
            return self._visit_again(client, repository, known)
        except MalformedError as error:
            logger.warning("%s cannot be read now: %s", repository.full_name, error)
            was_read = known["head"] is not None or known.get("state") == _EMPTY
            return {**known, "state": known["state"] if was_read else UNREAD, "unread": str(error)}

    def _visit_again(
        self, client: CollectionClient, repository: Repository, known: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the result of :meth:`_visit`, of the second one if the first is inconsistent."""
        for _ in range(_VISITS - 1):
            try:
                return self._visit(client, repository, known)
            except InconsistentHistoryError as error:
                logger.info("%s: %s, asking again", repository.full_name, error)
        return self._visit(client, repository, known)

    def _visit(self, client: CollectionClient, repository: Repository, known: Mapping[str, Any]) -> dict[str, Any]:
        """Land what is new in the history of a repository, whose last state is ``known``; return its remote state.

        Raises :class:`MalformedError` if its history cannot be read completely.
        """
        response = client.get(
            HEAD,
            f"repositories/{repository.number}/commits",
            {"per_page": PAGE_SIZE},
            what=_commits_of(repository),
            # Only what was known of a history can be unchanged.
            etag=known["etag"] if known["head"] else None,
            repository=repository.key,
        )
        if response.status == NOT_MODIFIED:
            return {**known, "state": "ok"}
        if response.status in STATES:
            return {**known, "etag": None, "state": STATES[response.status]}
        head = commit_items(response)[0]["sha"]
        how = self._land_commits(client, repository, known["head"], head, response)
        if how == _REWRITTEN:
            logger.warning("%s: its branch was rewritten; the earlier commits are kept", repository.full_name)
        return {
            "state": "ok",
            "branch": repository.facts.get("default_branch"),
            "head": head,
            "etag": response.headers.get("etag") or None,
            "how": how,
            "unread": None,
        }

    def _land_commits(
        self, client: CollectionClient, repository: Repository, old: str | None, head: str, first: Response
    ) -> str:
        """Land the commits between two heads and return how the history was followed."""
        if old == head:
            return _SAME
        if old is None:
            self._land_list(client, repository, head, first)
            return _FIRST
        relation = self._land_comparison(client, repository, old, head, AHEAD)
        if relation == "ahead":
            return _GREW
        if relation is not None and self._land_comparison(client, repository, head, old, LOST) is not None:
            return _REWRITTEN
        # The server no longer knows the old head: commits that the new one does not list are not reachable any more.
        self._land_list(client, repository, head, first)
        return _AGAIN

    def _land_list(self, client: CollectionClient, repository: Repository, head: str, first: Response) -> None:
        """Land all commits that a head reaches, of which ``first`` is the first page."""
        seen: set[str] = set()
        parents: set[str] = set()
        _add_page(first, seen, parents)
        response, page = first, 1
        while response.has_next:
            page += 1
            response = client.get(
                LISTED,
                f"repositories/{repository.number}/commits",
                {"sha": head, "per_page": PAGE_SIZE, "page": page},
                what=_commits_of(repository),
                repository=repository.key,
            )
            _add_page(response, seen, parents)
        if not parents <= seen:
            raise InconsistentHistoryError(f"GitHub lists {len(seen)} commits, but not the parents of all of them")

    def _land_comparison(
        self, client: CollectionClient, repository: Repository, old: str, new: str, purpose: str
    ) -> str | None:
        """Land the commits that only the new head reaches and return how the heads relate, None if one is unknown."""
        seen: set[str] = set()
        page = 0
        while True:
            page += 1
            response = client.get(
                purpose,
                f"repositories/{repository.number}/compare/{old}...{new}",
                {"per_page": PAGE_SIZE, "page": page},
                what=_commits_of(repository),
                repository=repository.key,
            )
            if response.status != OK:
                return None
            if not response.has_next:
                break
            _add_page(response, seen)
        seen.update(commit["sha"] for commit in commit_items(response))
        total, relation = response.content["total_commits"], response.content["status"]
        if len(seen) != total or relation == "identical" or (new in seen) != (relation in ("ahead", "diverged")):
            raise InconsistentHistoryError(
                f"GitHub states that {total} commits are new and the branch is {relation}, but lists {len(seen)}"
            )
        return relation

    def _land_details(self, client: CollectionClient, wanted: pl.DataFrame, refused: Container[str]) -> int:
        """Land the details of sampled commits; return the number of those that must be requested again.

        Commits that were ``refused`` before are requested last, so that they do not use up the quota of others.
        """
        rows = wanted.select("repository_id", "full_name", "sha").rows()
        missing = 0
        for number, full_name, sha in sorted(rows, key=lambda row: row[-1] in refused):
            try:
                missing += not get_details(client, f"repositories/{number}", full_name, sha)
            except MalformedError as error:
                logger.info("%s", error)
                missing += 1
        return missing

    def _irregularities(self, states: Mapping[str, Mapping[str, Any]], missing: int, future: int) -> dict[str, int]:
        """Return the numbers of what was not read or is not plausible, without zeros; log warnings."""
        if missing:
            logger.warning(
                "%s: the changes of %d sampled commits could not be read; the next run asks for them again",
                self._library.name,
                missing,
            )
        if future:
            logger.warning("%s: %d fix commits are dated in the future", self._library.name, future)
        unread = sum(state["unread"] is not None for state in states.values())
        numbers = {"unread repositories": unread, "changes not read": missing, "dated in the future": future}
        return {name: number for name, number in numbers.items() if number}

    def _fix_commits(
        self, collections: Sequence[tuple[Collection, Mapping[str, Any]]], repositories: Sequence[Repository]
    ) -> pl.DataFrame:
        """Return the fix commits in these collections; later collections override whether a commit is reachable."""
        known: dict[str, dict[str, tuple[Commit, bool]]] = {repository.key: {} for repository in repositories}
        for collection, states in collections:
            for key, state in states.items():
                if state["how"] == _AGAIN and key in known:
                    known[key] = {sha: (commit, False) for sha, (commit, _) in known[key].items()}
            for reply in collection.replies():
                purpose = reply.request["purpose"]
                key, kind = purpose.get("repository"), purpose["purpose"]
                how = states.get(key, {}).get("how") if key in known else None
                if kind not in _PURPOSES.get(how, ()):
                    continue
                response = landed_response(reply)
                if response.status != OK or not is_valid(response, kind):
                    continue
                # A visit that was given up may have had another head.
                if _head(reply, kind, response) != states[key]["head"]:
                    continue
                page = ((parse_commit(item), kind != LOST) for item in commit_items(response))
                known[key] |= {
                    commit.sha: (commit, is_reachable) for commit, is_reachable in self._fix_filter.fixes(page)
                }
        return self._fix_filter.rows((repository, known[repository.key].values()) for repository in repositories)


def _comparable(state: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the parts of a remote state whose change requires a new collection."""
    parts = {name: value for name, value in (state or {}).items() if name not in ("how", "etag")}
    return {"unread": None, **parts}


def _commits_of(repository: Repository) -> str:
    return f"the commits of {repository.full_name}"


def _head(reply: Reply, kind: str, response: Response) -> str:
    """Return the new head of the visit to which a reply belongs."""
    if kind == HEAD:
        return commit_items(response)[0]["sha"]
    if kind == LISTED:
        return reply.request["params"]["sha"]
    base, head = reply.request["path"].rsplit("/", 1)[-1].split("...")
    return base if kind == LOST else head


def _add_page(response: Response, seen: set[str], parents: set[str] | None = None) -> None:
    """Add the hashes of a page's commits and of their parents to sets.

    Raises :class:`InconsistentHistoryError` if the page has no new commits.
    """
    before = len(seen)
    for commit in commit_items(response):
        seen.add(commit["sha"])
        if parents is not None:
            parents.update(parent["sha"] for parent in commit["parents"])
    if len(seen) == before:
        raise InconsistentHistoryError("the API reports more commits but repeats the same ones")
