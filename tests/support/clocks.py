"""A clock that tests turn."""

from datetime import UTC, datetime, timedelta

from dlbug_assets.clock import Clock


class TurnedClock(Clock):
    """Time passes only when somebody sleeps, or by ``pass_``."""

    def __init__(self, at: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.at = at
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_(seconds=seconds)

    def pass_(self, **duration: float) -> None:
        """Let time pass; arguments of timedelta."""
        self.at += timedelta(**duration)
