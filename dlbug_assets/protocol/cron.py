"""When cron expressions are due, in UTC."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from cronsim import CronSim


def next_due(cron: str, after: datetime) -> datetime:
    """When a cron expression comes due next, UTC."""
    return next(CronSim(cron, after.astimezone(UTC)))


def longest_interval(cron: str) -> timedelta:
    """The longest time between two of the next hundred moments at which a cron expression comes due."""
    moments = islice(CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC)), 100)
    return max(later - earlier for earlier, later in pairwise(moments))
