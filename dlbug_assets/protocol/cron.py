"""Due times of cron expressions, in UTC."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from cronsim import CronSim


def next_due(cron: str, after: datetime) -> datetime:
    """Return when a cron expression is next due, in UTC.

    Raises cronsim.CronSimError for an invalid expression, and StopIteration for one that is never due.
    """
    return next(CronSim(cron, after.astimezone(UTC)))


def longest_interval(cron: str) -> timedelta:
    """Return the longest interval between two of the first hundred due times of a cron expression since 2000."""
    moments = islice(CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC)), 100)
    return max(later - earlier for earlier, later in pairwise(moments))
