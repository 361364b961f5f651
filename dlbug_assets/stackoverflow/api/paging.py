"""Query the Stack Exchange API such that no post is lost or duplicated while the site changes.

There are two kinds of collections. A *full* collection requests every question of a library by score, in windows of
creation time that are small enough for one page each: ranks may drift, but nothing moves between windows. A *refresh*
requests the questions active since the last collection, by a key that only rises: always the first page, from the last
value seen. A refresh cannot see deletions, nor scores that changed by votes alone; the next full collection can.

Nothing here depends on how a request is sent: ``ask`` takes a method, ids and parameters and returns a page.
"""

import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import partial
from typing import Any

from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.protocol.study import Library, Selection
from dlbug_assets.stackoverflow.api.client import PAGE_SIZE, Page

Ask = Callable[..., Page]
Item = Mapping[str, Any]

#: Replies may come from a cache, and clocks of servers differ: a refresh repeats this much of the last collection.
OVERLAP_SECONDS = 600
#: Stack Overflow opened on this day.
_OPENED = int(datetime(2008, 7, 31, tzinfo=UTC).timestamp())
#: Number of questions that a window should hold: less than a page, since estimates may be too low.
_TARGET = 80
#: Number of items in a window from which the density after it can be estimated.
_ENOUGH = 30
#: Assumed number of items where the API does not report it: about two pages.
_ASSUMED_TOTAL = 250
#: Without a key, page 26 is an error.
_LAST_PAGE = 25
_RETRY_LATER = "Nothing of this collection is used; run again later."


class InconsistentReplyError(MalformedError):
    """Replies that are well-formed but do not match the request."""


@dataclass(frozen=True)
class Query:
    """The criteria of a library: any of the tags, a minimum score, and bounds of the creation time.

    The bounds are Unix times in seconds, inclusive; None is unbounded.
    """

    tags: tuple[str, ...]
    min_score: int
    created_from: int | None
    created_until: int | None

    @classmethod
    def of(cls, library: Library, selection: Selection) -> "Query":
        """Return the query of a library of a study."""
        return cls(
            library.tags,
            selection.min_score,
            _seconds(selection.created_from, time.min),
            _seconds(selection.created_until, time.max),
        )

    @property
    def start(self) -> int:
        """The earliest possible creation time, as Unix time."""
        return _OPENED if self.created_from is None else self.created_from

    def matches(self, item: Item) -> bool:
        """Return whether a question of the API is in scope; false if a field for that is missing or malformed."""
        created, score, tags = item.get("creation_date"), item.get("score"), item.get("tags")
        return (
            isinstance(score, int)
            and score >= self.min_score
            and isinstance(tags, list)
            and not set(self.tags).isdisjoint(tags)
            and isinstance(created, int)
            and (self.created_from is None or created >= self.created_from)
            and (self.created_until is None or created <= self.created_until)
        )


@dataclass
class Tally:
    """The questions that a collection has seen.

    ``in_scope`` are the IDs of those in scope, ``newest`` the latest activity per tag (Unix time), ``lacking_answers``
    the IDs of those that came with fewer answers than they have, ``items`` the number of questions, repeats included.
    """

    query: Query
    in_scope: set[int]
    newest: dict[str, int] = field(default_factory=dict)
    lacking_answers: set[int] = field(default_factory=set)
    items: int = 0

    def count(self, page: Page, tag: str | None = None) -> None:
        """Add the questions of a page; ``tag`` is the one that was requested."""
        for item in page.items:
            self.items += 1
            post_id, active = item.get("question_id"), item.get("last_activity_date")
            if not isinstance(post_id, int):
                continue
            if tag is not None and isinstance(active, int):
                self.newest[tag] = max(active, self.newest.get(tag, active))
            was_in_scope = post_id in self.in_scope
            if self.query.matches(item):
                self.in_scope.add(post_id)
            else:
                self.in_scope.discard(post_id)
            self.lacking_answers.discard(post_id)
            expected = item.get("answer_count")
            is_relevant = was_in_scope or post_id in self.in_scope
            if is_relevant and isinstance(expected, int) and len(item.get("answers") or ()) < expected:
                self.lacking_answers.add(post_id)


def full(ask: Ask, query: Query, known: Iterable[int], now: int) -> Tally:
    """Request all questions in scope, and by ID the ``known`` ones that are not among them.

    ``now`` is in Unix time and need not be exact. Raises :class:`InconsistentReplyError` for replies that do not match
    the requests.
    """
    tally = Tally(query, set())
    for tag in query.tags:
        by_score = partial(ask, "questions", tagged=tag, sort="votes", order="desc", min=query.min_score)
        for page in windows(by_score, query.start, query.created_until, now):
            tally.count(page, tag)
    look_up(ask, tally, sorted(set(known) - tally.in_scope), now)
    return tally


def refresh(ask: Ask, query: Query, known: Iterable[int], cursors: Mapping[str, int], now: int) -> Tally:
    """Request the questions active since the ``cursors`` (Unix time per tag); raises as :func:`full`."""
    tally = Tally(query, set(known), dict(cursors))
    for tag in query.tags:
        active = partial(
            ask, "questions", tagged=tag, sort="activity", order="asc",
            fromdate=query.created_from, todate=query.created_until,
        )  # fmt: skip
        for page in rising(active, "last_activity_date", cursors[tag] - OVERLAP_SECONDS, query, now):
            tally.count(page, tag)
    _fetch_lacking_answers(ask, tally, now)
    return tally


def look_up(ask: Ask, tally: Tally, post_ids: Sequence[int], now: int) -> None:
    """Request questions by ID, and the answers that are lacking; the API omits questions that were deleted."""
    for chunk in _batched(post_ids):
        tally.count(ask("questions/{ids}", ids=list(chunk), sort="creation", order="asc"))
    _fetch_lacking_answers(ask, tally, now)


def _fetch_lacking_answers(ask: Ask, tally: Tally, now: int) -> None:
    for chunk in _batched(sorted(tally.lacking_answers)):
        answers = partial(ask, "questions/{ids}/answers", ids=list(chunk), sort="creation", order="asc")
        for _page in rising(answers, "creation_date", _OPENED, tally.query, now):
            pass  # the page has landed


def windows(ask: Ask, start: int, end: int | None, now: int) -> Iterator[Page]:
    """Yield pages that together hold every item created from ``start`` to ``end``, each the only page of its window.

    The times are Unix times, both inclusive; an ``end`` of None is unbounded. The first window is all of it. The page
    of a window with more than one page is a sample of the creation times. The end of the next window is estimated by
    that sample or, after a window with enough items, by the density of that window. Raises
    :class:`InconsistentReplyError` for items outside of the window.
    """
    left, right = start, end
    samples: list[_Sample] = []
    while True:
        page = ask(fromdate=left, todate=right)
        created = sorted(_values_within(page, "creation_date", left, right))
        if page.has_more and right != left:
            samples.append(_Sample(created, PAGE_SIZE / (page.total or _ASSUMED_TOTAL)))
            # If the site's clock is ahead of ours, an unbounded window holds items younger than now.
            right = _shorter(samples[-1], left, max(now, left, *created) if right is None else right)
            continue
        yield page
        if page.has_more:  # more than a page in one second
            yield from _further_pages(partial(ask, fromdate=left, todate=right), page)
        if right is None or right == end:
            return
        length = (right - left + 1) * _TARGET // max(len(created), 1)
        left = right + 1
        samples = [later for sample in samples if (later := sample.after(right)).created]
        if not samples:
            right = end
        elif len(created) >= _ENOUGH:
            right = left + length
        else:
            right = max(left, samples[-1].window_end())
        if right is not None and right >= (now if end is None else end):
            right = end


@dataclass(frozen=True)
class _Sample:
    """Sorted creation times of some items of an interval, and their share of all items of the interval."""

    created: list[int]
    share: float

    def after(self, moment: int) -> "_Sample":
        return _Sample(self.created[bisect.bisect_right(self.created, moment) :], self.share)

    def window_end(self) -> int:
        """Return the time until which as many items are expected as a window should hold."""
        return self.created[min(round(_TARGET * self.share), len(self.created) - 1)]


def _shorter(sample: _Sample, left: int, right: int) -> int:
    """Return an earlier end for the window from ``left`` to ``right``, which held too many items.

    It is at least ``left``, and less than ``right`` unless they are equal.
    """
    estimate = sample.window_end() if sample.created else right
    return estimate if left <= estimate < right else (left + right) // 2


def rising(ask: Ask, key: str, low: int, query: Query, now: int) -> Iterator[Page]:
    """Yield pages of all items whose ``key`` is at least ``low``, in rising order.

    Every request is for the first page from the last value seen. Items that move to the end meanwhile are therefore
    repeated there, and none is lost between two pages. Items at the border are repeated. A second with more than a page
    is split by creation time. Raises :class:`InconsistentReplyError` for items below the border or in another order.
    """
    while True:
        page = ask(min=low)
        seen = _values_within(page, key, low, None)
        if seen != sorted(seen):
            raise InconsistentReplyError(
                f"the API returned items that are not in rising order of {key}, as requested. {_RETRY_LATER}"
            )
        yield page
        if not page.has_more:
            return
        last = max(seen, default=low)
        if last > low:
            low = last
        else:
            yield from windows(partial(ask, min=low, max=low), query.start, query.created_until, now)
            low += 1


def _further_pages(ask: Ask, first: Page) -> Iterator[Page]:
    """Yield the second and later pages of a request."""
    seen = {_identity(item) for item in first.items}
    for number in range(2, _LAST_PAGE + 1):
        page = ask(page=number)
        new = {_identity(item) for item in page.items} - seen
        if page.has_more and not new:
            break
        seen |= new
        yield page
        if not page.has_more:
            return
    raise InconsistentReplyError(f"the API keeps reporting more pages but repeats the same items. {_RETRY_LATER}")


def _identity(item: Item) -> Any:
    return item.get("answer_id", item.get("question_id"))


def _values_within(page: Page, key: str, low: int, high: int | None) -> list[int]:
    """Return the values of a key, which must be within the requested bounds.

    An API that ignores the bounds would be queried endlessly, and its items mistaken for others.
    """
    values = [item[key] for item in page.items if isinstance(item.get(key), int)]
    if any(value < low or (high is not None and value > high) for value in values):
        raise InconsistentReplyError(
            f"the API returned items outside of the requested {key} from {low} to {high or 'now'}. {_RETRY_LATER}"
        )
    return values


def _batched(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), PAGE_SIZE):
        yield numbers[start : start + PAGE_SIZE]


def _seconds(day: date | None, at: time) -> int | None:
    return None if day is None else int(datetime.combine(day, at, UTC).timestamp())
