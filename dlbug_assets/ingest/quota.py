"""Record every request to an API, the quota that is left, and the times before which no request may be sent.

The ledger outlives the process, so that the next run neither sends a request too early nor uses up the reserve. All
studies of a home share it, because services count by IP address or credential, not by study. A service is identified by
the root of its API and whether a credential is used; the credential itself is never stored.

This machine's clock may be wrong, and corrected later. A hold is therefore stored as a duration, at most LONGEST_HOLD,
from the time at which it started. A start in the future was read from a clock that was ahead: the duration then counts
from the present, once. A quota that was seen in the future is forgotten.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from dlbug_assets.atomic_files import is_full
from dlbug_assets.clock import Clock, format_minute
from dlbug_assets.errors import DlbugError

logger = logging.getLogger(__name__)

_TABLES = """
create table if not exists requests (
    id integer primary key, service text not null, method text not null, asked_at text not null,
    outcome text, quota_left integer, quota_max integer, answered_at text);
create index if not exists requests_of_service on requests (service, asked_at);
create table if not exists waits (
    service text not null, method text not null, started_at text not null, seconds real not null, reason text not null,
    primary key (service, method));
drop table if exists holds;
create table if not exists facts (
    service text not null, name text not null, value text not null, primary key (service, name));
"""
#: The method of holds that apply to every method of a service.
EVERY = "*"
#: The longest hold: every quota is renewed within a day, and an hour is added for holds with a margin.
LONGEST_HOLD = timedelta(hours=25)
_DAY = timedelta(days=1)


class DeferredError(DlbugError):
    """A request that was not sent because it would have to wait for too long, ``until`` then (UTC)."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


@dataclass(frozen=True)
class Hold:
    """A time (UTC) before which no request of a method may be sent."""

    method: str
    until: datetime
    reason: str


@dataclass(frozen=True)
class QuotaStatus:
    """The use of a service: requests ever and in the last 24 hours, quota of its last reply and when, and holds."""

    service: str
    requests: int
    requests_last_24_hours: int
    quota_left: int | None
    quota_max: int | None
    seen_at: datetime | None
    holds: tuple[Hold, ...]


class Ledger:
    """The ledger of a home, an SQLite file that several processes may use in parallel."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=60)) as connection, connection:
                connection.executescript(_TABLES)
                yield connection
        except (sqlite3.Error, OSError) as error:
            reason = "the disk is full" if self.path.parent.is_dir() and is_full(self.path.parent) else error
            raise DlbugError(
                f"cannot use the quota ledger {self.path}: {reason}. Free some disk space or make the folder writable, "
                "and run again; no request is sent to an API without it."
            ) from None

    def record_request(self, service: str, method: str) -> int:
        """Record a request before it is sent; return its number."""
        with self._connection() as connection:
            cursor = connection.execute(
                "insert into requests (service, method, asked_at) values (?, ?, ?)",
                [service, method, self.clock.now().isoformat()],
            )
            return int(cursor.lastrowid or 0)

    def record_response(
        self, number: int, outcome: str, quota_left: int | None = None, quota_max: int | None = None
    ) -> None:
        """Record the outcome of a request, and the quota that the reply reported."""
        with self._connection() as connection:
            connection.execute(
                "update requests set outcome = ?, quota_left = ?, quota_max = ?, answered_at = ? where id = ?",
                [outcome, _storable(quota_left), _storable(quota_max), self.clock.now().isoformat(), number],
            )

    def hold(self, service: str, method: str, seconds: float, reason: str) -> datetime:
        """Send no request of a method (or EVERY) for some seconds, and return when they end; a longer hold stays."""
        now = self.clock.now()
        longest = LONGEST_HOLD.total_seconds()
        duration = max(seconds, 0) if seconds <= longest else longest  # NaN, too
        until = now + timedelta(seconds=duration)
        with self._connection() as connection:
            connection.execute("begin immediate")
            holds = _holds(connection, service, now)
            if not any(hold.method == method and hold.until >= until for hold in holds):
                connection.execute(
                    "insert or replace into waits values (?, ?, ?, ?, ?)",
                    [service, method, now.isoformat(), duration, reason],
                )
        return until

    def active_hold(self, service: str, method: str) -> Hold | None:
        """Return the hold of a method that ends last, if there is any now."""
        active = [hold for hold in self.quota_status(service).holds if hold.method in (method, EVERY)]
        return max(active, key=lambda hold: hold.until, default=None)

    def quota_status(self, service: str) -> QuotaStatus:
        """Return the status of a service; the quota is None after 24 hours, when every quota has been renewed."""
        now = self.clock.now()
        day_ago = now - _DAY
        with self._connection() as connection:
            (total,) = connection.execute("select count(*) from requests where service = ?", [service]).fetchone()
            (recent,) = connection.execute(
                "select count(*) from requests where service = ? and asked_at > ?", [service, day_ago.isoformat()]
            ).fetchone()
            seen = connection.execute(
                "select quota_left, quota_max, answered_at from requests where service = ? and quota_left is not null "
                "order by id desc limit 1",
                [service],
            ).fetchone()
            holds = _holds(connection, service, now)
        left, most, at = seen or (None, None, now.isoformat())
        seen_at = datetime.fromisoformat(at)
        if seen_at > now:
            self._forget_quota(service, now)
        if left is None or not day_ago < seen_at <= now:
            left = most = seen_at = None
        return QuotaStatus(service, total, recent, left, most, seen_at, holds)

    def _forget_quota(self, service: str, now: datetime) -> None:
        """Remove the quotas that were seen in the future, which would count again when that time has come."""
        with self._connection() as connection:
            connection.execute(
                "update requests set quota_left = null, quota_max = null where service = ? and answered_at > ?",
                [service, now.isoformat()],
            )

    def services(self) -> list[str]:
        """Return every service to which a request was ever sent."""
        if not self.path.exists():
            return []
        with self._connection() as connection:
            return [row[0] for row in connection.execute("select distinct service from requests order by service")]

    def remember(self, service: str, name: str, value: str) -> None:
        """Store a permanent fact that a service reported."""
        with self._connection() as connection:
            connection.execute("insert or replace into facts values (?, ?, ?)", [service, name, value])

    def recall(self, service: str, name: str) -> str | None:
        """Return a fact that was stored, if any."""
        with self._connection() as connection:
            row = connection.execute("select value from facts where service = ? and name = ?", [service, name])
            found = row.fetchone()
        return found[0] if found else None


def _storable(quota: int | None) -> int | None:
    """Return a quota that a service reported, unless no database can hold it."""
    return quota if quota is not None and abs(quota) < 2**63 else None


def _holds(connection: sqlite3.Connection, service: str, now: datetime) -> tuple[Hold, ...]:
    """Return the holds of a service that have not ended, by their end; those started in the future start ``now``."""
    rows = connection.execute("select method, started_at, seconds, reason from waits where service = ?", [service])
    holds: list[Hold] = []
    for method, started_at, seconds, reason in rows.fetchall():
        started = datetime.fromisoformat(started_at)
        hold = Hold(method, min(started, now) + timedelta(seconds=seconds), reason)
        if hold.until <= now:  # it must not start again if the clock is set back
            connection.execute("delete from waits where service = ? and method = ?", [service, method])
            continue
        if started > now:
            connection.execute(
                "update waits set started_at = ? where service = ? and method = ?", [now.isoformat(), service, method]
            )
        holds.append(hold)
    return tuple(sorted(holds, key=lambda hold: hold.until))


def wait_for_holds(ledger: Ledger, service: str, method: str, longest: float, *, name: str) -> None:
    """Wait until no hold applies to a method; ``name`` is the name of the service in messages.

    Raises :class:`DeferredError` for a hold of more than ``longest`` seconds.
    """
    while hold := ledger.active_hold(service, method):
        seconds = (hold.until - ledger.clock.now()).total_seconds()
        if seconds > longest:
            raise DeferredError(
                f"{name}: {hold.reason}; no request is sent before {format_minute(hold.until)}. "
                "Collected data is kept; run again after that to continue.",
                hold.until,
            )
        logger.info("%s: waiting %.0f s (%s)", name, seconds, hold.reason)
        ledger.clock.sleep(max(seconds, 0))


def format_status(status: QuotaStatus) -> str:
    """Return a status as one line of text for users."""
    parts = [f"{status.requests_last_24_hours} requests in the last 24 hours"]
    if status.quota_left is not None and status.seen_at:
        parts.append(f"{status.quota_left} of {status.quota_max} left at {format_minute(status.seen_at)}")
    for hold in status.holds:
        what = "no requests" if hold.method == EVERY else "some requests not"
        parts.append(f"{what} before {format_minute(hold.until)} ({hold.reason})")
    return ", ".join(parts)
