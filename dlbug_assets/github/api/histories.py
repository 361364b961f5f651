"""Histories from the API: collect them into landing, and read commits from there.

The first time, a history is listed page by page, pinned to its head so that a push in between changes nothing. After
that, GitHub compares the new head with the old one: what only the new head reaches is new, including side branches that
were merged late, whatever their dates; if the branch was rewritten, what only the old head reaches is not reachable any
more.
"""

import logging
from collections.abc import Mapping, Sequence
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
    has_expected_shape,
    landed_response,
)
from dlbug_assets.github.api.replies import commit_items, get_details, landed_details, parse_change, parse_commit
from dlbug_assets.github.api.transport import Response
from dlbug_assets.github.commits import CHANGES, Commit, FixCommitFilter, Repository, change_row
from dlbug_assets.github.sampling import bottom_k_sample
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection, Landing
from dlbug_assets.protocol.study import Library, Study

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

        If the replies for a repository are malformed, a warning is logged and its last state is kept. Raises what
        :class:`.transport.Transport` raises; the next run resumes after what has landed until then.
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
        known = set(self._details())
        for number, sha in sample.select("repository_id", "sha").rows():
            if sha not in known:
                get_details(client, f"repositories/{number}", sha)
        last = self._last()
        counts = {
            "repositories": len(states),
            "requests": client.requests,
            "quota_left": self._access.quota_status().quota_left,
        }
        is_same = all(
            state["how"] == _SAME and _comparable(state) == _comparable(before.get(key))
            for key, state in states.items()
        )
        if last and last.begun == inputs and is_same and set(sample["sha"]) <= known:
            self._landing.discard_unfinished(self._library.name)
            return {"kind": self.KIND, **counts, "note": "nothing new"}
        summary = {"finished_at": self._access.now().isoformat(), "looks": states, "commits": commits.height, **counts}
        collection.finish(summary)
        return {"kind": self.KIND, **counts, "commits": commits.height, "sampled": sample.height}

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

    def _details(self) -> dict[str, list[dict[str, Any]]]:
        return landed_details(collection for collection, _ in self._done())

    def _last(self) -> Collection | None:
        return next((collection for collection, _ in reversed(self._done())), None)

    def _follow(
        self, client: CollectionClient, repository: Repository, before: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Land what is new in a repository's history and return its remote state."""
        known = {"branch": None, "head": None, "etag": None, **(before or {}), "how": _SAME}
        if repository.number is None:  # listed by the study, but not on GitHub
            return {**known, "state": repository.state}
        path = f"repositories/{repository.number}"
        try:
            response = client.get(
                HEAD, f"{path}/commits", {"per_page": PAGE_SIZE}, etag=known["etag"], repository=repository.key
            )
            if response.status == NOT_MODIFIED:
                return {**known, "state": "ok" if known["head"] else _EMPTY}
            if response.status in STATES:
                return {**known, "etag": None, "state": STATES[response.status]}
            commits = commit_items(response)
            if not commits:
                return {**known, "state": _EMPTY}
            head = commits[0]["sha"]
            how = self._land_commits(client, repository, known["head"], head, response)
        except MalformedError as error:
            logger.warning("%s cannot be read now: %s", repository.full_name, error)
            return {**known, "state": known.get("state")}
        if how == _REWRITTEN:
            logger.warning("%s: its branch was rewritten; the earlier commits are kept", repository.full_name)
        return {
            "state": "ok",
            "branch": repository.facts.get("default_branch"),
            "head": head,
            "etag": response.headers.get("etag") or None,
            "how": how,
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
        if relation in ("ahead", "identical"):
            return _GREW
        if relation is not None and self._land_comparison(client, repository, head, old, LOST) is not None:
            return _REWRITTEN
        # The server no longer knows the old head: commits that the new one does not list are not reachable any more.
        self._land_list(client, repository, head, first)
        return _AGAIN

    def _land_list(self, client: CollectionClient, repository: Repository, head: str, first: Response) -> None:
        seen = {commit["sha"] for commit in commit_items(first)}
        response, page = first, 1
        while response.has_next:
            page += 1
            response = client.get(
                LISTED,
                f"repositories/{repository.number}/commits",
                {"sha": head, "per_page": PAGE_SIZE, "page": page},
                repository=repository.key,
            )
            seen = _advanced(seen, commit_items(response), repository)

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
                repository=repository.key,
            )
            if response.status in (404, 422):
                return None
            commits = commit_items(response)
            seen = _advanced(seen, commits, repository) if commits else seen
            if not response.has_next:
                break
        total = response.content.get("total_commits")
        if len(seen) != total:
            raise MalformedError(f"{repository.full_name}: the comparison lists {len(seen)} of {total} commits")
        return str(response.content.get("status"))

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
                if response.status != OK or not has_expected_shape(response, kind):
                    continue
                for commit in map(parse_commit, commit_items(response)):
                    if self._fix_filter.accepts(commit):
                        known[key][commit.sha] = (commit, kind != LOST)
        return self._fix_filter.rows((repository, known[repository.key].values()) for repository in repositories)


def _comparable(state: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the parts of a remote state whose change requires a new collection."""
    return {name: value for name, value in (state or {}).items() if name not in ("how", "etag")}


def _advanced(seen: set[str], commits: Sequence[Mapping[str, Any]], repository: Repository) -> set[str]:
    """Return ``seen`` and the hashes of a page; raise :class:`MalformedError` if the page has no new ones."""
    hashes = seen | {commit["sha"] for commit in commits}
    if hashes == seen:
        raise MalformedError(f"{repository.full_name}: the API reports more commits but repeats the same ones")
    return hashes
