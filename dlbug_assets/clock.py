"""Read and wait for the time through one object that tests can replace; parse and format times."""

import time
from datetime import UTC, datetime


class Clock:
    """This machine's clock."""

    def now(self) -> datetime:
        """Return the current time, in UTC and with its time zone."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds."""
        time.sleep(seconds)


def utc_naive(moment: datetime) -> datetime:
    """Return a time in UTC without its time zone, as the tables store it; one without a zone is in UTC already.

    Raises OverflowError where the time in UTC is before year 1 or after year 9999.
    """
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def parse_timestamp(text: str) -> datetime:
    """Parse a time in ISO 8601, which is in UTC if it names no zone, into UTC without a time zone.

    Raises ValueError where the text is not a time, and OverflowError as `utc_naive`.
    """
    return utc_naive(datetime.fromisoformat(text))


def format_minute(moment: datetime) -> str:
    """Format a time with a time zone for people, to the minute, in UTC: ``2019-08-26 14:05 UTC``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
