"""Look-ups of commits by their hash, one request each."""

from typing import Any, ClassVar

import polars as pl

from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.api.replies import get_details, landed_details, parse_change, parse_commit
from dlbug_assets.github.commits import CHANGES, COMMITS, Repository, change_row, commit_row
from dlbug_assets.ingest.landing import Collection, Landing


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
        """Land GitHub's replies for the commits (full_name, sha) that were not looked up before; return counts.

        Commits looked up before an error stay looked up. Raises what :class:`.transport.Transport` raises.
        """
        before = set(landed_details(self.done))
        wanted = [(name, sha) for name, sha in known.select("full_name", "sha").rows() if sha not in before]
        if not wanted:
            return {"kind": self.KIND, "note": "all looked up before"}
        self._landing.discard_unfinished(self._library)
        collection = self._landing.begin(self._library, self.KIND, {"commits": len(wanted)})
        client = self._access.collection_client(collection)
        looked_up = 0
        counts: dict[str, int] = {}
        try:
            for name, sha in wanted:
                get_details(client, f"repos/{name}", sha)
                looked_up += 1
        finally:
            if looked_up:
                counts = {"commits": looked_up, "repositories": len({name for name, _ in wanted[:looked_up]})}
                left = self._access.quota_status().quota_left
                now = self._access.now().isoformat()
                collection.finish({"finished_at": now, "requests": client.requests, "quota_left": left, **counts})
        return {"kind": self.KIND, "requests": client.requests, **counts}

    def commits(self, known: pl.DataFrame) -> pl.DataFrame:
        """Return those of these commits (full_name, sha) that GitHub has, with the columns of COMMITS."""
        pages = landed_details(self.done)
        rows = [
            commit_row(self._library, Repository(name, name), parse_commit(pages[sha][0]), is_reachable=None)
            for name, sha in known.select("full_name", "sha").rows()
            if pages.get(sha)
        ]
        return pl.DataFrame(rows, schema=COMMITS)

    def changes(self) -> pl.DataFrame:
        """Return the changes of all commits that were looked up, with the columns of CHANGES."""
        pages = landed_details(self.done)
        rows = [change_row(self._library, sha, parse_change(replies)) for sha, replies in pages.items() if replies]
        return pl.DataFrame(rows, schema=CHANGES)
