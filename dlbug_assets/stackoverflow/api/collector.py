"""Posts from the live API: collections land library by library, and are merged into the tables from there."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from dlbug_assets.clock import Clock
from dlbug_assets.ingest.http_client import RetryPolicy
from dlbug_assets.ingest.landing import Collection, Landing
from dlbug_assets.ingest.quota import Ledger, QuotaStatus
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.api import paging
from dlbug_assets.stackoverflow.api.client import CollectionClient, StackExchangeClient
from dlbug_assets.stackoverflow.api.paging import InconsistentReplyError, Question, Tally
from dlbug_assets.stackoverflow.api.transport import Transport, service_name

logger = logging.getLogger(__name__)

PUBLIC_ROOT = "https://api.stackexchange.com"
FULL, REFRESH, LOOK_UP = "full", "refresh", "look-up"
#: Kinds that follow a library; look-ups only ever ask for given numbers.
FOLLOWING = (FULL, REFRESH)

#: An unfinished collection that is older would mix what is too far apart.
_STALE = timedelta(days=7)


@dataclasses.dataclass(frozen=True)
class Api:
    """How the API is reached: its root, the key if there is one, the ledger, and how patient to be."""

    root: str
    key: str | None
    ledger: Ledger
    clock: Clock
    patience: RetryPolicy = dataclasses.field(default_factory=RetryPolicy)

    @classmethod
    def of(cls, environ: Mapping[str, str], ledger: Path) -> "Api":
        """As DLBUG_STACKEXCHANGE_URL and STACKEXCHANGE_KEY say."""
        clock = Clock()
        root = environ.get("DLBUG_STACKEXCHANGE_URL") or PUBLIC_ROOT
        return cls(root, environ.get("STACKEXCHANGE_KEY") or None, Ledger(ledger, clock), clock)

    def quota_status(self) -> QuotaStatus:
        """How things stand with its quota."""
        return self.ledger.quota_status(service_name(self.root, self.key))

    def client(self) -> StackExchangeClient:
        """A client of Stack Overflow there."""
        return StackExchangeClient(
            Transport(self.root, self.key, self.ledger, self.clock, patience=self.patience), self.ledger
        )


class Collector:
    """Collects from the API into landing; one request at a time, whatever the number of libraries."""

    def __init__(self, study: Study, landing: Landing, api: Api) -> None:
        self._study = study
        self._landing = landing
        self._api = api

    @cached_property
    def _client(self) -> StackExchangeClient:
        return self._api.client()

    def collect(self, library: str, *, sweep: bool) -> dict[str, Any]:
        """Bring a library's landing up to date: everything at the first time, after a change of the study's selection
        and for a ``sweep``, else what was active since the last time. Returns notes on it.

        Raises what :class:`Transport` raises; what has landed until then is kept and not asked for again.
        """
        question = questions(self._study)[library]
        asked = {"question": dataclasses.asdict(question)}
        done = self._landing.done(library, FOLLOWING)
        same = bool(done) and done[-1].begun.get("question") == _plain(asked)["question"]
        kind = REFRESH if same and not sweep else FULL
        collection = self._to_go_on_with(library, asked, {kind, FULL}) or self._landing.begin(library, kind, asked)
        client = CollectionClient(self._client, collection)
        ask = partial(self._told, library, client)
        known = _in_scope(done)
        now = _seconds(collection.begun_at)
        try:
            if collection.kind == FULL:
                tally = paging.full(ask, question, known, now)
                state: dict[str, Any] = {"in_scope": sorted(tally.in_scope)}
            else:
                tally = paging.refresh(ask, question, known, done[-1].done["cursors"], now)
                state = {"entered": sorted(tally.in_scope - known), "left": sorted(known - tally.in_scope)}
        except InconsistentReplyError as error:
            collection.abandon(str(error))
            raise
        return self._finish(collection, client, tally, state)

    def look_up(self, library: str, numbers: Sequence[int], *, again: bool) -> dict[str, Any]:
        """Land questions by their numbers, with their answers; those that landed before only ``again``."""
        question = Question((), 0, None, None)
        looked_up = {number for past in self._landing.done(library, {LOOK_UP}) for number in past.begun["numbers"]}
        wanted = sorted(set(numbers) if again else set(numbers) - looked_up)
        if not wanted:
            return {"kind": LOOK_UP, "note": "all looked up before"}
        asked = {"numbers": wanted}
        collection = self._to_go_on_with(library, asked, {LOOK_UP}) or self._landing.begin(library, LOOK_UP, asked)
        client = CollectionClient(self._client, collection)
        tally = Tally(question, set(wanted))
        paging.look_up(partial(self._told, library, client), tally, wanted, _seconds(collection.begun_at))
        return self._finish(collection, client, tally, {})

    def _to_go_on_with(self, library: str, asked: Mapping[str, Any], kinds: set[str]) -> Collection | None:
        """The collection that was begun last, where it is not done and asked the same not too long ago."""
        last = self._landing.unfinished(library)
        if last is None or last.kind not in kinds or last.begun != _plain(asked):
            return None
        return last if self._api.clock.now().replace(tzinfo=None) - last.begun_at < _STALE else None

    def _told(self, library: str, client: CollectionClient, method: str, **params: Any) -> Any:
        page = client.ask(method, **params)
        left = self._api.quota_status().quota_left
        quota = f", quota left {left}" if left else ""
        logger.info("%s: request %d, %d items%s", library, client.requests, len(page.items), quota)
        return page

    def _finish(
        self, collection: Collection, client: CollectionClient, tally: Tally, state: Mapping[str, Any]
    ) -> dict[str, Any]:
        now = self._api.clock.now().replace(tzinfo=None)
        # Nothing that changed since this began may lie before the cursor, and the newest moment seen may be younger
        # than that; so it goes back by as long as this took. No clock but the site's own counts.
        took = int((now - collection.begun_at).total_seconds()) + 1
        back = took if collection.kind == FULL else 0
        began = _seconds(collection.begun_at - timedelta(days=1))
        cursors = {tag: tally.newest[tag] - back if tag in tally.newest else began for tag in tally.question.tags}
        newest = max(tally.newest.values(), default=None)
        summary = {
            "finished_at": now.isoformat(),
            "requests": client.requests,
            "items": tally.items,
            "cursors": cursors,
            "newest_activity": None if newest is None else _moment(newest).isoformat(),
            "quota_left": self._api.quota_status().quota_left,
        }
        collection.finish({**summary, **state})
        told = {name: summary[name] for name in ("requests", "items", "quota_left", "newest_activity")}
        waits = [
            f"{hold.method} until {hold.until:%H:%M:%S} UTC ({hold.reason})" for hold in self._api.quota_status().holds
        ]
        return {"kind": collection.kind, **told, **({"waits": "; ".join(waits)} if waits else {})}


def questions(study: Study) -> dict[str, Question]:
    """What is asked for each library of the study."""
    return {library.name: Question.of(library, study.selection) for library in study.libraries}


def _in_scope(done: Sequence[Collection]) -> set[int]:
    """The questions in scope after these collections."""
    numbers: set[int] = set()
    for collection in done:
        summary = collection.done
        if "in_scope" in summary:
            numbers = set(summary["in_scope"])
        else:
            numbers = (numbers | set(summary["entered"])) - set(summary["left"])
    return numbers


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """A value as it comes back from JSON."""
    return {
        name: _plain(entry) if isinstance(entry, Mapping) else list(entry) if isinstance(entry, tuple) else entry
        for name, entry in value.items()
    }


def _seconds(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp())


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
