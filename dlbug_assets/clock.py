"""Time, as one object that is handed in: what waits for hours in earnest need not do so in a test."""

import time
from datetime import UTC, datetime


class Clock:
    """This machine's time."""

    def now(self) -> datetime:
        """The time, UTC, with its time zone."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def shown(moment: datetime) -> str:
    """A moment for people, to the minute, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
