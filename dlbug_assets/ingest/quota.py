"""The quota ledger: every request to an API, what is left of its quota, and what must not be asked before when.

It outlives the process, so that a second run neither asks too early nor touches the reserve, and it is shared by all
studies of a home, because the services count by address or credential, not by study. A service is named by the root
of its API and whether a credential is used; the credential itself never gets here.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from dlbug_assets.clock import Clock, format_minute
from dlbug_assets.errors import DlbugError

logger = logging.getLogger(__name__)

_TABLES = """
create table if not exists requests (
    id integer primary key, service text not null, method text not null, asked_at text not null,
    outcome text, quota_left integer, quota_max integer, answered_at text);
create index if not exists requests_of_service on requests (service, asked_at);
create table if not exists holds (
    service text not null, method text not null, until text not null, reason text not null,
    primary key (service, method));
create table if not exists facts (
    service text not null, name text not null, value text not null, primary key (service, name));
"""
#: Holds that bind every method of a service.
EVERY = "*"
_DAY = timedelta(days=1)


class DeferredError(DlbugError):
    """A request that must wait longer than a worker should; nothing was asked. ``until`` says when it may be."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


@dataclass(frozen=True)
class Hold:
    """Nothing of this method may be asked before ``until`` (UTC)."""

    method: str
    until: datetime
    reason: str


@dataclass(frozen=True)
class QuotaStatus:
    """How things stand with a service: requests ever and in the last 24 hours, quota when last seen, holds."""

    service: str
    requests: int
    requests_of_the_day: int
    quota_left: int | None
    quota_max: int | None
    seen_at: datetime | None
    holds: tuple[Hold, ...]


class Ledger:
    """The ledger of a home, an SQLite file; several processes may use it at once."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=60)) as connection, connection:
                connection.executescript(_TABLES)
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise DlbugError(
                f"cannot use the quota ledger {self.path}: {error}. Free some disk space or make the folder writable, "
                "and run again; nothing is asked of an API without it."
            ) from None

    def record_request(self, service: str, method: str) -> int:
        """Write down a request before it is sent; returns its number."""
        with self._opened() as connection:
            cursor = connection.execute(
                "insert into requests (service, method, asked_at) values (?, ?, ?)",
                [service, method, self.clock.now().isoformat()],
            )
            return int(cursor.lastrowid or 0)

    def record_response(
        self, number: int, outcome: str, quota_left: int | None = None, quota_max: int | None = None
    ) -> None:
        """Write down how a request ended and what it said of the quota."""
        with self._opened() as connection:
            connection.execute(
                "update requests set outcome = ?, quota_left = ?, quota_max = ?, answered_at = ? where id = ?",
                [outcome, quota_left, quota_max, self.clock.now().isoformat(), number],
            )

    def hold(self, service: str, method: str, seconds: float, reason: str) -> datetime:
        """Let nothing of a method (or EVERY) be asked for some seconds; a longer hold stays. Returns its end."""
        until = self.clock.now() + timedelta(seconds=seconds)
        with self._opened() as connection:
            connection.execute(
                "insert into holds values (?, ?, ?, ?) on conflict do update "
                "set until = excluded.until, reason = excluded.reason where excluded.until > until",
                [service, method, until.isoformat(), reason],
            )
        return until

    def held(self, service: str, method: str) -> Hold | None:
        """The hold that binds a method longest, where one does now."""
        binding = [hold for hold in self.quota_status(service).holds if hold.method in (method, EVERY)]
        return max(binding, key=lambda hold: hold.until, default=None)

    def quota_status(self, service: str) -> QuotaStatus:
        """How things stand now; quota as seen within the last 24 hours, since every quota is new after a day."""
        now = self.clock.now()
        day_ago = (now - _DAY).isoformat()
        with self._opened() as connection:
            (total,) = connection.execute("select count(*) from requests where service = ?", [service]).fetchone()
            (of_day,) = connection.execute(
                "select count(*) from requests where service = ? and asked_at > ?", [service, day_ago]
            ).fetchone()
            seen = connection.execute(
                "select quota_left, quota_max, answered_at from requests where service = ? and quota_left is not null "
                "and answered_at > ? order by id desc limit 1",
                [service, day_ago],
            ).fetchone()
            holds = connection.execute(
                "select method, until, reason from holds where service = ? and until > ? order by until",
                [service, now.isoformat()],
            ).fetchall()
        left, most, at = seen or (None, None, None)
        return QuotaStatus(
            service,
            total,
            of_day,
            left,
            most,
            datetime.fromisoformat(at) if at else None,
            tuple(Hold(method, datetime.fromisoformat(until), reason) for method, until, reason in holds),
        )

    def services(self) -> list[str]:
        """Every service that was ever asked."""
        if not self.path.exists():
            return []
        with self._opened() as connection:
            return [row[0] for row in connection.execute("select distinct service from requests order by service")]

    def remember(self, service: str, name: str, value: str) -> None:
        """Keep something that a service said once and for all."""
        with self._opened() as connection:
            connection.execute("insert or replace into facts values (?, ?, ?)", [service, name, value])

    def recall(self, service: str, name: str) -> str | None:
        """What was remembered."""
        with self._opened() as connection:
            row = connection.execute("select value from facts where service = ? and name = ?", [service, name])
            found = row.fetchone()
        return found[0] if found else None


def wait_for_holds(ledger: Ledger, service: str, method: str, longest: float, *, name: str) -> None:
    """Wait for the holds that bind a method; raises :class:`DeferredError` for one of more than ``longest`` seconds.
    ``name`` is how people call the service."""
    while hold := ledger.held(service, method):
        seconds = (hold.until - ledger.clock.now()).total_seconds()
        if seconds > longest:
            raise DeferredError(
                f"{name}: {hold.reason}; nothing is asked before {format_minute(hold.until)}. "
                "What was collected is kept; run again after that to go on.",
                hold.until,
            )
        logger.info("%s: waiting %.0f s (%s)", method, seconds, hold.reason)
        ledger.clock.sleep(max(seconds, 0))


def format_status(standing: QuotaStatus) -> str:
    """A standing in one line for people."""
    parts = [f"{standing.requests_of_the_day} requests in the last 24 hours"]
    if standing.quota_left is not None and standing.seen_at:
        parts.append(f"{standing.quota_left} of {standing.quota_max} left at {format_minute(standing.seen_at)}")
    for hold in standing.holds:
        what = "nothing" if hold.method == EVERY else f"no {hold.method}"
        parts.append(f"{what} before {format_minute(hold.until)} ({hold.reason})")
    return ", ".join(parts)
