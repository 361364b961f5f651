"""Commits from the API: what lands, and what the tables are made of.

A history is listed from its head once, page by page, pinned to that head so that a push in between changes nothing.
From then on the question is what the new head reaches that the old one did not (`compare`), which finds a side branch
that was merged late, whatever its dates; and, where the branch was rewritten, what only the old one reached.
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
    answer_in,
    is_whole,
)
from dlbug_assets.github.api.replies import ask_for_details, change, commit_in, commits_in, landed_details
from dlbug_assets.github.api.transport import Answer
from dlbug_assets.github.commits import CHANGES, Commit, FixCommitFilter, Repository, change_row
from dlbug_assets.github.sampling import bottom_k_sample
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection, Landing
from dlbug_assets.protocol.study import Library, Study

logger = logging.getLogger(__name__)

#: How a repository's history was followed in a collection.
_SAME, _FIRST, _GREW, _REWRITTEN, _AGAIN = "same", "first", "grew", "rewritten", "again"
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
        self._fixes = FixCommitFilter(library, study.selection)

    def collect(self, targets: Sequence[Repository]) -> dict[str, Any]:
        """Follow every repository's history and land it, and the changes of the commits that are drawn.

        A repository whose replies make no sense now keeps what is known of it. Raises what the transport raises; what
        has landed until then is kept and not asked for again.
        """
        asked = self._asked(targets)
        collection = self._access.to_go_on_with(self._landing, self._library.name, self.KIND, asked)
        client = self._access.collection_client(collection)
        before = self.remote_states()
        looks = {}
        for place, target in enumerate(targets, 1):
            looks[target.key] = self._look(client, target, before.get(target.key))
            if looks[target.key]["how"] != _SAME:
                done = place, len(targets), client.requests
                logger.info("%s: %s, %d of %d, request %d", self._library.name, target.full_name, *done)
        mined = self._mined([*self._done(), (collection, looks)], targets)
        drawn = bottom_k_sample(mined, self._library.name, self._seed, self._selection.commits_per_library)
        known = set(self._details())
        for number, sha in drawn.select("repository_id", "sha").rows():
            if sha not in known:
                ask_for_details(client, f"repositories/{number}", sha)
        last = self._last()
        counts = {
            "repositories": len(looks),
            "requests": client.requests,
            "quota_left": self._access.quota_status().quota_left,
        }
        is_same = all(look["how"] == _SAME and _plain(look) == _plain(before.get(key)) for key, look in looks.items())
        if last and last.begun == asked and is_same and set(drawn["sha"]) <= known:
            self._landing.discard_unfinished(self._library.name)
            return {"kind": self.KIND, **counts, "note": "nothing new"}
        summary = {"finished_at": self._access.now().isoformat(), "looks": looks, "commits": mined.height, **counts}
        collection.finish(summary)
        return {"kind": self.KIND, **counts, "commits": mined.height, "drawn": drawn.height}

    def remote_states(self) -> dict[str, dict[str, Any]]:
        """What the last look found, by key: state, branch, head, etag, and how it was followed."""
        last = self._last()
        return last.done["looks"] if last else {}

    def commits(self, targets: Sequence[Repository]) -> pl.DataFrame:
        """The fixing commits of these repositories, as the columns COMMITS of histories."""
        return self._mined(self._done(), targets)

    def changes(self) -> pl.DataFrame:
        """What landed of drawn commits, as the columns CHANGES of histories."""
        rows = [change_row(self._library.name, sha, change(pages)) for sha, pages in self._details().items() if pages]
        return pl.DataFrame(rows, schema=CHANGES)

    def _asked(self, targets: Sequence[Repository]) -> dict[str, Any]:
        """What a collection depends on, as it comes back from JSON."""
        asked = self._selection.model_dump(
            mode="json", include={"fix_pattern", "created_from", "created_until", "commits_per_library"}
        )
        return {"repositories": [target.key for target in targets], "seed": self._seed, **asked}

    def _done(self) -> list[tuple[Collection, Mapping[str, Any]]]:
        done = self._landing.done(self._library.name, {self.KIND})
        return [(collection, collection.done["looks"]) for collection in done]

    def _details(self) -> dict[str, list[dict[str, Any]]]:
        return landed_details(collection for collection, _ in self._done())

    def _last(self) -> Collection | None:
        return next((collection for collection, _ in reversed(self._done())), None)

    def _look(self, client: CollectionClient, target: Repository, before: Mapping[str, Any] | None) -> dict[str, Any]:
        known = {"branch": None, "head": None, "etag": None, **(before or {}), "how": _SAME}
        if target.number is None:  # it was listed, and is not there
            return {**known, "state": target.state}
        path = f"repositories/{target.number}"
        try:
            answer = client.ask(
                HEAD, f"{path}/commits", {"per_page": PAGE_SIZE}, etag=known["etag"], repository=target.key
            )
            if answer.status == NOT_MODIFIED:
                return {**known, "state": "ok" if known["head"] else _EMPTY}
            if answer.status in STATES:
                return {**known, "etag": None, "state": STATES[answer.status]}
            commits = commits_in(answer)
            if not commits:
                return {**known, "state": _EMPTY}
            head = commits[0]["sha"]
            how = self._followed(client, target, known["head"], head, answer)
        except MalformedError as error:
            logger.warning("%s cannot be read now: %s", target.full_name, error)
            return {**known, "state": known.get("state")}
        if how == _REWRITTEN:
            logger.warning("%s: its branch was rewritten; the earlier commits are kept", target.full_name)
        return {
            "state": "ok",
            "branch": target.facts.get("default_branch"),
            "head": head,
            "etag": answer.headers.get("etag") or None,
            "how": how,
        }

    def _followed(self, client: CollectionClient, target: Repository, old: str | None, head: str, first: Answer) -> str:
        """Ask for what is new between two heads; returns how."""
        if old == head:
            return _SAME
        if old is None:
            self._list(client, target, head, first)
            return _FIRST
        relation = self._compared(client, target, old, head, AHEAD)
        if relation in ("ahead", "identical"):
            return _GREW
        if relation is not None and self._compared(client, target, head, old, LOST) is not None:
            return _REWRITTEN
        # The server no longer knows the old head: what the new one does not list is not reached any more.
        self._list(client, target, head, first)
        return _AGAIN

    def _list(self, client: CollectionClient, target: Repository, head: str, first: Answer) -> None:
        seen = {commit["sha"] for commit in commits_in(first)}
        answer, page = first, 1
        while answer.has_next:
            page += 1
            answer = client.ask(
                LISTED,
                f"repositories/{target.number}/commits",
                {"sha": head, "per_page": PAGE_SIZE, "page": page},
                repository=target.key,
            )
            seen = _progress(seen, commits_in(answer), target)

    def _compared(self, client: CollectionClient, target: Repository, old: str, new: str, purpose: str) -> str | None:
        """Ask for what one head reaches and the other does not; returns how they relate, None where one is unknown."""
        seen: set[str] = set()
        page = 0
        while True:
            page += 1
            answer = client.ask(
                purpose,
                f"repositories/{target.number}/compare/{old}...{new}",
                {"per_page": PAGE_SIZE, "page": page},
                repository=target.key,
            )
            if answer.status in (404, 422):
                return None
            commits = commits_in(answer)
            seen = _progress(seen, commits, target) if commits else seen
            if not answer.has_next:
                break
        if len(seen) != answer.content.get("total_commits"):
            raise MalformedError(
                f"compare shows {len(seen)} commits of {answer.content.get('total_commits')} in {target.full_name}"
            )
        return str(answer.content.get("status"))

    def _mined(
        self, collections: Sequence[tuple[Collection, Mapping[str, Any]]], targets: Sequence[Repository]
    ) -> pl.DataFrame:
        """What all these collections, one after the other, say of the commits."""
        known: dict[str, dict[str, tuple[Commit, bool]]] = {target.key: {} for target in targets}
        for collection, looks in collections:
            for key, look in looks.items():
                if look["how"] == _AGAIN and key in known:
                    known[key] = {sha: (commit, False) for sha, (commit, _) in known[key].items()}
            for reply in collection.replies():
                purpose = reply.request["purpose"]
                key, kind = purpose.get("repository"), purpose["purpose"]
                how, answer = looks.get(key, {}).get("how"), answer_in(reply)
                if key not in known or not _counts(kind, how) or answer.status != OK or not is_whole(answer, kind):
                    continue
                for item in commits_in(answer):
                    commit = commit_in(item)
                    if self._fixes.accepts(commit):
                        known[key][commit.sha] = (commit, kind != LOST)
        return self._fixes.rows((target, known[target.key].values()) for target in targets)


def _counts(kind: str, how: str | None) -> bool:
    """Whether a reply asked for this reason belongs to a history that was followed in this way to its end."""
    return (
        how is not None
        and kind
        in {
            _FIRST: (HEAD, LISTED),
            _AGAIN: (HEAD, LISTED),
            _GREW: (AHEAD,),
            _REWRITTEN: (AHEAD, LOST),
            _SAME: (),
        }[how]
    )


def _plain(look: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of a look is worth a collection of its own when it changes."""
    return {name: value for name, value in (look or {}).items() if name not in ("how", "etag")}


def _progress(seen: set[str], commits: Sequence[Mapping[str, Any]], target: Repository) -> set[str]:
    now = seen | {commit["sha"] for commit in commits}
    if now == seen:
        raise MalformedError(f"the list of commits of {target.full_name} goes on for ever")
    return now
