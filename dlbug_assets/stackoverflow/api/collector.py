"""Collect posts from the API into landing, library by library."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

from dlbug_assets.clock import utc_naive
from dlbug_assets.ingest.landing import Collection, Landing
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.api import paging
from dlbug_assets.stackoverflow.api.access import StackExchangeAccess
from dlbug_assets.stackoverflow.api.client import CollectionClient, Page, StackExchangeClient
from dlbug_assets.stackoverflow.api.paging import InconsistentReplyError, Query, Tally

logger = logging.getLogger(__name__)

FULL, REFRESH, LOOK_UP = "full", "refresh", "look-up"
#: Kinds of collections that query a library; look-ups request given IDs only.
LIBRARY_KINDS = (FULL, REFRESH)

#: Resuming an older collection would mix data of different times.
_STALE = timedelta(days=7)


class Collector:
    """Collects from the API into landing, one request at a time for all libraries."""

    def __init__(self, study: Study, landing: Landing, access: StackExchangeAccess) -> None:
        self._study = study
        self._landing = landing
        self._access = access

    @cached_property
    def _client(self) -> StackExchangeClient:
        return self._access.client()

    def collect(self, library: str, *, sweep: bool) -> dict[str, Any]:
        """Bring a library's landing up to date and return a summary for the UI.

        Every question in scope is collected the first time, after a change of the study's selection and for a
        ``sweep``; otherwise only the questions active since the last collection. Raises what :class:`Transport` raises;
        replies that have landed until then are kept, and the next call does not request them again.
        """
        query = queries(self._study)[library]
        begun = {"question": dataclasses.asdict(query)}
        done = self._landing.done(library, LIBRARY_KINDS)
        same_query = bool(done) and done[-1].begun.get("question") == _as_json(begun)["question"]
        kind = REFRESH if same_query and not sweep else FULL
        collection = self._resumable(library, begun, {kind, FULL}) or self._landing.begin(library, kind, begun)
        client = CollectionClient(self._client, collection)
        ask = partial(self._ask, library, client)
        known = _in_scope(done)
        now = _seconds(collection.begun_at)
        try:
            if collection.kind == FULL:
                tally = paging.full(ask, query, known, now)
                state: dict[str, Any] = {"in_scope": sorted(tally.in_scope)}
            else:
                tally = paging.refresh(ask, query, known, done[-1].done["cursors"], now)
                state = {"entered": sorted(tally.in_scope - known), "left": sorted(known - tally.in_scope)}
        except InconsistentReplyError as error:
            collection.abandon(str(error))
            raise
        return self._finish(collection, client, tally, state)

    def look_up(self, library: str, post_ids: Sequence[int], *, again: bool) -> dict[str, Any]:
        """Land questions by their IDs, with their answers, and return a summary for the UI.

        Questions that have been looked up before are skipped unless ``again``. Raises what :class:`Transport` raises.
        """
        looked_up = {post_id for past in self._landing.done(library, {LOOK_UP}) for post_id in past.begun["numbers"]}
        wanted = sorted(set(post_ids) if again else set(post_ids) - looked_up)
        if not wanted:
            return {"kind": LOOK_UP, "note": "all looked up before"}
        begun = {"numbers": wanted}
        collection = self._resumable(library, begun, {LOOK_UP}) or self._landing.begin(library, LOOK_UP, begun)
        client = CollectionClient(self._client, collection)
        tally = Tally(Query((), 0, None, None), set(wanted))
        paging.look_up(partial(self._ask, library, client), tally, wanted, _seconds(collection.begun_at))
        return self._finish(collection, client, tally, {})

    def _resumable(self, library: str, begun: Mapping[str, Any], kinds: set[str]) -> Collection | None:
        """Return the unfinished collection if it is of these kinds, recent and has the same ``begun``."""
        last = self._landing.unfinished(library)
        if last is None or last.kind not in kinds or last.begun != _as_json(begun):
            return None
        return last if utc_naive(self._access.clock.now()) - last.begun_at < _STALE else None

    def _ask(self, library: str, client: CollectionClient, method: str, **params: Any) -> Page:
        """Return a page and log the request."""
        page = client.ask(method, **params)
        left = self._access.quota_status().quota_left
        quota = f", quota left {left}" if left else ""
        logger.info("%s: request %d, %d items%s", library, client.requests, len(page.items), quota)
        return page

    def _finish(
        self, collection: Collection, client: CollectionClient, tally: Tally, state: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Mark the collection as done, with the cursors of the next one, and return a summary for the UI."""
        now = utc_naive(self._access.clock.now())
        # A full collection may see activity later than changes that it missed while it ran. Its cursors are therefore
        # earlier than the latest activity by its duration; only the site's clock is used for the time itself.
        duration = int((now - collection.begun_at).total_seconds()) + 1
        back = duration if collection.kind == FULL else 0
        day_before = _seconds(collection.begun_at - timedelta(days=1))
        cursors = {tag: tally.newest[tag] - back if tag in tally.newest else day_before for tag in tally.query.tags}
        newest = max(tally.newest.values(), default=None)
        status = self._access.quota_status()
        done = {
            "finished_at": now.isoformat(),
            "requests": client.requests,
            "items": tally.items,
            "cursors": cursors,
            "newest_activity": None if newest is None else utc_naive(datetime.fromtimestamp(newest, UTC)).isoformat(),
            "quota_left": status.quota_left,
        }
        collection.finish({**done, **state})
        notes = {name: done[name] for name in ("requests", "items", "quota_left", "newest_activity")}
        waits = [f"{hold.method} until {hold.until:%H:%M:%S} UTC ({hold.reason})" for hold in status.holds]
        return {"kind": collection.kind, **notes, **({"waits": "; ".join(waits)} if waits else {})}


def queries(study: Study) -> dict[str, Query]:
    """Return the query of each library of the study."""
    return {library.name: Query.of(library, study.selection) for library in study.libraries}


def _in_scope(done: Sequence[Collection]) -> set[int]:
    """Return the IDs of the questions in scope after these collections."""
    post_ids: set[int] = set()
    for collection in done:
        summary = collection.done
        if "in_scope" in summary:
            post_ids = set(summary["in_scope"])
        else:
            post_ids = (post_ids | set(summary["entered"])) - set(summary["left"])
    return post_ids


def _as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value as it is after writing it as JSON and reading it again."""
    return {
        name: _as_json(entry) if isinstance(entry, Mapping) else list(entry) if isinstance(entry, tuple) else entry
        for name, entry in value.items()
    }


def _seconds(moment: datetime) -> int:
    """Return the Unix time of a time in UTC without a time zone."""
    return int(moment.replace(tzinfo=UTC).timestamp())
