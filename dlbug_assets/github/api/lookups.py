"""Commits that are known by their hash, looked up one by one."""

from typing import Any, ClassVar

import polars as pl

from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.api.replies import ask_for_details, change, commit_in, landed_details
from dlbug_assets.github.commits import CHANGES, COMMITS, Repository, change_row, commit_row
from dlbug_assets.ingest.landing import Collection, Landing


class CommitLookups:
    """The look-ups of one library."""

    KIND: ClassVar[str] = "look-up"

    def __init__(self, library: str, landing: Landing, access: ApiAccess) -> None:
        self._library = library
        self._landing = landing
        self._access = access

    @property
    def done(self) -> list[Collection]:
        """The collections that count, oldest first."""
        return self._landing.done(self._library, {self.KIND})

    def collect(self, known: pl.DataFrame) -> dict[str, Any]:
        """Land what GitHub says of the commits (full_name, sha) that were not looked up before. What was had as a whole
        counts even where the rest cannot be had now. Raises what the transport raises."""
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
                ask_for_details(client, f"repos/{name}", sha)
                looked_up += 1
        finally:
            if looked_up:
                counts = {"commits": looked_up, "repositories": len({name for name, _ in wanted[:looked_up]})}
                left = self._access.quota_status().quota_left
                now = self._access.now().isoformat()
                collection.finish({"finished_at": now, "requests": client.requests, "quota_left": left, **counts})
        return {"kind": self.KIND, "requests": client.requests, **counts}

    def commits(self, known: pl.DataFrame) -> pl.DataFrame:
        """What was looked up of these commits (full_name, sha), as the columns COMMITS of histories."""
        pages = landed_details(self.done)
        rows = [
            commit_row(self._library, Repository(name, name), commit_in(pages[sha][0]), is_reachable=None)
            for name, sha in known.select("full_name", "sha").rows()
            if pages.get(sha)
        ]
        return pl.DataFrame(rows, schema=COMMITS)

    def changes(self) -> pl.DataFrame:
        """What was looked up, as the columns CHANGES of histories."""
        pages = landed_details(self.done)
        rows = [change_row(self._library, sha, change(files)) for sha, files in pages.items() if files]
        return pl.DataFrame(rows, schema=CHANGES)
