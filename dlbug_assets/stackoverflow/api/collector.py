"""Collect posts from the API into landing, library by library."""

import dataclasses
import logging
from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

from dlbug_assets.clock import parse_timestamp, utc_naive
from dlbug_assets.ingest.landing import Collection, Landing
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.api import paging
from dlbug_assets.stackoverflow.api.access import StackExchangeAccess
from dlbug_assets.stackoverflow.api.client import CollectionClient, Page, StackExchangeClient
from dlbug_assets.stackoverflow.api.paging import InconsistentReplyError, Lacking, Query, Tally

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
        question = _as_json(dataclasses.asdict(query))
        done = self._landing.done(library, LIBRARY_KINDS)
        last = done[-1].done if done and done[-1].begun.get("question") == question else {}
        before = _tally(query, done)
        # Once: an API whose counts are wrong for good would otherwise be asked for everything by every run.
        repeats = bool(last.get("short")) and not any(past.done.get("short") for past in done[-2:-1])
        kind = FULL if not last or repeats or sweep else REFRESH
        collection = self._begin(library, kind, {"question": question}, {kind, FULL})
        client = CollectionClient(self._client, collection)
        ask = partial(self._ask, library, client)
        now = _seconds(collection.begun_at)
        cursors: dict[str, int] = {}
        try:
            if collection.kind == FULL:
                tally = paging.full(ask, query, before.members, now)
                state = {"in_scope": tally.in_scope, "out_of_scope": tally.members - tally.in_scope}
            else:
                cursors = last["cursors"]
                tally = paging.refresh(ask, query, before, cursors, now)
                tally.short = {tag: (returned, total) for tag, (returned, total) in last.get("short", {}).items()}
                # A question that entered and left meanwhile has left.
                left = (before.in_scope | tally.members - before.members) - tally.in_scope
                state = {"entered": tally.in_scope - before.in_scope, "left": left}
        except InconsistentReplyError as error:
            collection.abandon(str(error))
            raise
        unmatched = [tag for tag in _never_matched(query, last, before) if tag not in tally.matched]
        notes = self._finish(
            collection,
            client,
            tally,
            {
                **{name: sorted(post_ids) for name, post_ids in state.items()},
                "cursors": _cursors(query, tally, cursors, client.served_at),
                "newest_activity": _newest_activity(tally, last),
                "synonyms": tally.synonyms,
                "unmatched": unmatched,
                "short": tally.short,
                "unread": _unread(query, tally, unmatched),
            },
        )
        if "unread" in notes:
            logger.warning("%s: unread: %s", library, notes["unread"])
        # A cursor in the site's future, from a time when a clock was ahead, hides what happened until then.
        if client.served_at and max(cursors.values(), default=0) > client.served_at[-1]:
            logger.warning(
                "%s: the last collection ended in the future of the site, so all is collected again", library
            )
            return self.collect(library, sweep=True)
        return notes

    def look_up(self, library: str, post_ids: Sequence[int], *, again: bool) -> dict[str, Any]:
        """Land questions by their IDs, with their answers, and return a summary for the UI.

        Questions that have been looked up before are skipped unless ``again``. Raises what :class:`Transport` raises.
        """
        looked_up: set[int] = set()
        for past in self._landing.done(library, {LOOK_UP}):
            looked_up = (looked_up | set(past.begun["numbers"])) - _lacking_answers(past.done).keys()
        wanted = sorted(set(post_ids) if again else set(post_ids) - looked_up)
        if not wanted:
            return {"kind": LOOK_UP, "note": "all looked up before"}
        collection = self._begin(library, LOOK_UP, {"numbers": wanted}, {LOOK_UP})
        client = CollectionClient(self._client, collection)
        tally = Tally(Query((), 0, None, None), set(), set(wanted))
        paging.look_up(partial(self._ask, library, client), tally, wanted, _seconds(collection.begun_at))
        return self._finish(collection, client, tally, {"newest_activity": None})

    def _begin(self, library: str, kind: str, begun: Mapping[str, Any], resumable: Container[str]) -> Collection:
        """Return the unfinished collection if it is ``resumable``, recent and began with the same, else a new one."""
        now = utc_naive(self._access.clock.now())
        last = self._landing.unfinished(library)
        if last is not None and last.kind in resumable:
            parameters = last.begun
            # By the clock of that time: the times in landing never run backwards, even if the clock was corrected.
            began = parse_timestamp(parameters.pop("clock", last.begun_at.isoformat()))
            if parameters == begun and abs(now - began) < _STALE:
                return last
        return self._landing.begin(library, kind, {**begun, "clock": now.isoformat()})

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
        """Mark the collection as done, with what the next one needs, and return a summary for the UI."""
        status = self._access.quota_status()
        done = {
            "finished_at": utc_naive(self._access.clock.now()).isoformat(),
            "requests": client.requests,
            "items": tally.items,
            "quota_left": status.quota_left,
            "lacking_answers": {
                post_id: [len(lacking.answers), lacking.expected] for post_id, lacking in tally.lacking_answers.items()
            },
            **state,
        }
        collection.finish(done)
        notes = {name: done[name] for name in ("requests", "items", "quota_left", "newest_activity")}
        waits = [f"until {hold.until:%H:%M:%S} UTC ({hold.reason})" for hold in status.holds]
        extra = {"waits": "; ".join(waits), "unread": done.get("unread")}
        return {"kind": collection.kind, **notes, **{name: value for name, value in extra.items() if value}}


def queries(study: Study) -> dict[str, Query]:
    """Return the query of each library of the study."""
    return {library.name: Query.of(library, study.selection) for library in study.libraries}


def resolved_queries(study: Study, landing: Landing) -> dict[str, Query]:
    """Return the query of each library, with the tags that its tags are synonyms of, by its last collection."""
    return {
        library: query.including(_synonyms(query, landing.done(library, LIBRARY_KINDS)[-1:]).values())
        for library, query in queries(study).items()
    }


def _synonyms(query: Query, done: Sequence[Collection]) -> dict[str, str]:
    """Return the synonyms among the tags of a query, and what they stand for, by the last of these collections."""
    known = done[-1].done.get("synonyms", {}) if done else {}
    return {tag: other for tag, other in known.items() if tag in query.tags}


def _tally(query: Query, done: Sequence[Collection]) -> Tally:
    """Return the tally of the questions in scope, and ever in scope, after these collections."""
    in_scope: set[int] = set()
    members: set[int] = set()
    summary: dict[str, Any] = {}
    for collection in done:
        summary = collection.done
        if "in_scope" in summary:
            in_scope = set(summary["in_scope"])
        else:
            in_scope = (in_scope | set(summary["entered"])) - set(summary["left"])
        members = members.union(in_scope, *(summary.get(name, ()) for name in ("out_of_scope", "left")))
    return Tally(query, in_scope, members, _synonyms(query, done), lacking_answers=_lacking_answers(summary))


def _lacking_answers(summary: Mapping[str, Any]) -> dict[int, Lacking]:
    """Return the questions that lacked answers at the end of a collection."""
    lacking = summary.get("lacking_answers", {})
    return {int(post_id): Lacking(expected, set()) for post_id, (_, expected) in lacking.items()}


def _cursors(query: Query, tally: Tally, before: Mapping[str, int], served_at: Sequence[int]) -> dict[str, int]:
    """Return where the next refresh starts, per tag: the latest activity, by the site's clock alone.

    ``before`` are the cursors of a refresh, of which a full collection has none. That may see activity later than
    changes that it missed while it ran; its cursors are earlier by its duration.
    """
    latest = max(tally.newest.values(), default=query.start)
    if before:
        cursors = {tag: max(cursor, tally.newest.get(tag, cursor)) for tag, cursor in before.items()}
    else:
        duration = served_at[-1] - served_at[0] if served_at else int(_STALE.total_seconds())
        cursors = {tag: tally.newest.get(tag, latest) - max(duration, 0) - 1 for tag in query.tags}
    present = served_at[-1] if served_at else max(cursors.values())
    return {tag: min(cursor, present) for tag, cursor in cursors.items()}


def _newest_activity(tally: Tally, last: Mapping[str, Any]) -> str | None:
    """Return the latest activity that a collection saw, or else the last one, in UTC."""
    if not tally.newest:
        return last.get("newest_activity")
    return utc_naive(datetime.fromtimestamp(max(tally.newest.values()), UTC)).isoformat()


def _never_matched(query: Query, last: Mapping[str, Any], before: Tally) -> Sequence[str]:
    """Return the tags for which no question has ever been in scope; ``last`` is the last collection's summary."""
    if last and before.members:
        return last.get("unmatched", ())
    return query.tags


def _unread(query: Query, tally: Tally, unmatched: Sequence[str]) -> str | None:
    """Return which questions were not read and why, if any."""
    reasons = [
        f"the site counts {total} questions tagged {tag}, but returned {returned}; run again with --sweep"
        for tag, (returned, total) in tally.short.items()
    ]
    if unmatched:
        dates = "" if query.created_from is query.created_until is None else " and a date within those of the study"
        reasons.append(
            f"no question tagged {' or '.join(unmatched)} has a score of {query.min_score} or more{dates}; check the "
            "spelling of the tag and the study's selection"
        )
    return "; ".join(reasons) or None


def _as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value as it is after writing it as JSON and reading it again."""
    return {
        name: _as_json(entry) if isinstance(entry, Mapping) else list(entry) if isinstance(entry, tuple) else entry
        for name, entry in value.items()
    }


def _seconds(moment: datetime) -> int:
    """Return the Unix time of a time in UTC without a time zone."""
    return int(moment.replace(tzinfo=UTC).timestamp())
