"""Clocks that tests advance by hand."""

from datetime import UTC, datetime, timedelta

from dlbug_assets.clock import Clock


class ManualClock(Clock):
    """A clock whose time passes only by ``sleep`` and ``advance``; ``slept`` lists the seconds of each sleep."""

    def __init__(self, at: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.at = at
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds=seconds)

    def advance(self, **duration: float) -> None:
        """Let time pass; the arguments are those of timedelta."""
        self.at += timedelta(**duration)


class ShiftedClock(Clock):
    """This machine's clock, ``ahead`` by as much as a test sets."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead
