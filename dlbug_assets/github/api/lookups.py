"""Look-ups of commits by their hash, one request each."""

import logging
from typing import Any, ClassVar

import polars as pl

from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.api.client import CollectionClient
from dlbug_assets.github.api.replies import get_details, landed_details, parse_change, parse_commit
from dlbug_assets.github.commits import CHANGES, COMMITS, Repository, change_row, commit_row
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection, Landing

logger = logging.getLogger(__name__)


class CommitLookups:
    """The look-ups of one library's commits."""

    KIND: ClassVar[str] = "look-up"

    def __init__(self, library: str, landing: Landing, access: ApiAccess) -> None:
        self._library = library
        self._landing = landing
        self._access = access

    @property
    def done(self) -> list[Collection]:
        """The finished collections, oldest first."""
        return self._landing.done(self._library, {self.KIND})

    def collect(self, known: pl.DataFrame) -> dict[str, Any]:
        """Land GitHub's replies for the commits (full_name, sha) of which no final reply has landed; return counts.

        Commits looked up before an error stay looked up; those that were refused before are looked up last. Raises what
        :class:`.transport.Transport` raises.
        """
        before = landed_details(self.done)
        wanted = [(name, sha) for name, sha in known.select("full_name", "sha").rows() if before.get(sha) is None]
        if not wanted:
            return {"kind": self.KIND, "note": "all looked up before"}
        self._landing.discard_unfinished(self._library)
        collection = self._landing.begin(self._library, self.KIND, {"commits": len(wanted)})
        client = self._access.collection_client(collection)
        names: list[str] = []
        is_news, missing = False, 0
        try:
            for name, sha in sorted(wanted, key=lambda row: row[1] in before):
                is_final = self._look_up(client, name, sha)
                missing += not is_final
                is_news |= is_final or sha not in before
                names.append(name)
        finally:
            counts: dict[str, int] = {"commits": len(names), "repositories": len(set(names))}
            if missing:
                counts["commits not read"] = missing
                logger.warning(
                    "%s: %d commits could not be looked up; the next run asks for them again", self._library, missing
                )
            # A collection in which the same commits were refused again would only repeat another one.
            if is_news:
                left = self._access.quota_status().quota_left
                now = collection.stamps.next().isoformat()
                collection.finish({"finished_at": now, "requests": client.requests, "quota_left": left, **counts})
        return {"kind": self.KIND, "requests": client.requests, **counts}

    def _look_up(self, client: CollectionClient, name: str, sha: str) -> bool:
        """Land the details of a commit; return whether the reply is final."""
        try:
            return get_details(client, f"repos/{name}", name, sha)
        except MalformedError as error:
            logger.info("%s", error)
            return False

    def commits(self, known: pl.DataFrame) -> pl.DataFrame:
        """Return those of these commits (full_name, sha) that GitHub has, with the columns of COMMITS."""
        pages = landed_details(self.done)
        rows = [
            commit_row(self._library, Repository(name, name), parse_commit(replies[0]), is_reachable=None)
            for name, sha in known.select("full_name", "sha").rows()
            if (replies := pages.get(sha))
        ]
        return pl.DataFrame(rows, schema=COMMITS)

    def changes(self) -> pl.DataFrame:
        """Return the changes of all commits that were looked up, with the columns of CHANGES."""
        pages = landed_details(self.done)
        rows = [change_row(self._library, sha, parse_change(replies)) for sha, replies in pages.items() if replies]
        return pl.DataFrame(rows, schema=CHANGES)
