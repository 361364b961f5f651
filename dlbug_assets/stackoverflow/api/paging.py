"""Query the Stack Exchange API such that no post is lost or duplicated while the site changes.

There are two kinds of collections. A *full* collection requests every question of a library by score, in windows of
creation time that are small enough for one page each: ranks may drift, but nothing moves between windows. A *refresh*
requests the questions active since the last collection, by a key that only rises: always the first page, from the last
value seen. A refresh cannot see deletions, nor scores that changed by votes alone; the next full collection can.

Nothing here depends on how a request is sent: ``ask`` takes a method, ids and parameters and returns a page.
"""

import bisect
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from functools import partial
from typing import Any

from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.protocol.sections import Library, Selection
from dlbug_assets.stackoverflow.api.client import PAGE_SIZE, Page

Ask = Callable[..., Page]
Item = Mapping[str, Any]

#: Replies may come from a cache, and clocks of servers differ: a refresh repeats this much of the last collection.
OVERLAP_SECONDS = 600
#: Stack Overflow opened on this day.
_OPENED = int(datetime(2008, 7, 31, tzinfo=UTC).timestamp())
#: The last second of the year 9999: a later activity is not a time.
_LAST_SECOND = 253_402_300_799
#: Number of questions that a window should hold: less than a page, since estimates may be too low.
_TARGET = 80
#: Number of items in a window from which the density after it can be estimated.
_ENOUGH = 30
#: Assumed number of items where the API does not report it: about two pages.
_ASSUMED_TOTAL = 250
#: Without a key, page 26 is an error.
_LAST_PAGE = 25
#: The field of questions by which the API sorts.
_SORT_FIELDS = {"votes": "score", "activity": "last_activity_date", "creation": "creation_date"}
#: A result may lack so many of the questions that the API counts, and a hundredth of them, as votes change meanwhile.
_TOLERATED = 3
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

    def including(self, tags: Iterable[str]) -> "Query":
        """Return the query with further tags."""
        return replace(self, tags=tuple(dict.fromkeys((*self.tags, *tags))))

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
            and any(tag in tags for tag in self.tags)
            and isinstance(created, int)
            and (self.created_from is None or created >= self.created_from)
            and (self.created_until is None or created <= self.created_until)
        )


@dataclass
class Lacking:
    """A question that came with fewer answers than it has: their number, and the IDs of those that came."""

    expected: int
    answers: set[int | str | None]


@dataclass
class Tally:
    """The questions that a collection has seen.

    ``query`` has the tags of the study and those that they are synonyms of. ``in_scope`` are the IDs of the questions
    in scope, and ``members`` of those that ever were. ``newest`` is the latest activity per tag (Unix time),
    ``matched`` the tags with a question in scope, ``synonyms`` the tags that others stand for, ``lacking_answers`` the
    members that came with fewer answers than they have, by ID, ``short`` the tags for which the API returned fewer
    questions than it counted, with both numbers, ``seen`` the IDs of all questions, ``asked`` the tags whose synonyms
    were requested, and ``items`` the number of questions, repeats included.
    """

    query: Query
    in_scope: set[int]
    members: set[int] = field(default_factory=set)
    synonyms: dict[str, str] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    matched: set[str] = field(default_factory=set)
    lacking_answers: dict[int, Lacking] = field(default_factory=dict)
    short: dict[str, tuple[int, int]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    items: int = 0

    def __post_init__(self) -> None:
        self.query = self.query.including(self.synonyms.values())

    def count(self, page: Page, tag: str | None = None) -> None:
        """Add the questions of a page; ``tag`` is the one that was requested."""
        for item in page.items:
            self.items += 1
            post_id, active = item.get("question_id"), item.get("last_activity_date")
            if not isinstance(post_id, int):
                continue
            self.seen.add(post_id)
            if tag is not None and isinstance(active, int) and 0 <= active <= _LAST_SECOND:
                self.newest[tag] = max(active, self.newest.get(tag, active))
            if self.query.matches(item):
                self.in_scope.add(post_id)
                self.members.add(post_id)
                if tag is not None:
                    self.matched.add(tag)
            else:
                self.in_scope.discard(post_id)
            self.lacking_answers.pop(post_id, None)
            expected, answers = item.get("answer_count"), item.get("answers")
            came = (
                {_identity(each) for each in answers if isinstance(each, dict)} if isinstance(answers, list) else set()
            )
            if post_id in self.members and isinstance(expected, int) and len(came) < expected:
                self.lacking_answers[post_id] = Lacking(expected, came)

    def expect(self, tag: str, total: int | None, returned: int) -> None:
        """Compare the number of questions that the API counted for a tag, if it did, with those that it returned."""
        if total is not None and total - returned > _TOLERATED + total // 100:
            self.short[tag] = returned, total


def full(ask: Ask, query: Query, members: Iterable[int], now: int) -> Tally:
    """Request all questions in scope, and by ID the ``members`` (those that ever were) that are not among them.

    ``now`` is in Unix time and need not be exact. Raises :class:`InconsistentReplyError` for replies that do not match
    the requests.
    """
    tally = Tally(query, set(), set(members))
    for tag in query.tags:
        totals: list[int | None] = []
        by_score = partial(
            _noting_totals, totals, ask, "questions", tagged=tag, sort="votes", order="desc", min=query.min_score
        )
        returned: set[int | str | None] = set()
        for page in windows(by_score, query.start, query.created_until, now):
            _follow_synonym(ask, tally, tag, page)
            tally.count(page, tag)
            returned |= {_identity(item) for item in page.items}
        tally.expect(tag, totals[0], len(returned))
    look_up(ask, tally, sorted(tally.members - tally.in_scope), now)
    return tally


def refresh(ask: Ask, query: Query, before: Tally, cursors: Mapping[str, int], now: int) -> Tally:
    """Request the questions active since the ``cursors`` (Unix time per tag); raises as :func:`full`.

    ``before`` is the tally of the last collection. The questions of which it lacks answers are requested again.
    """
    tally = Tally(query, set(before.in_scope), set(before.members), dict(before.synonyms))
    for tag in query.tags:
        active = partial(
            ask, "questions", tagged=tag, sort="activity", order="asc",
            fromdate=query.created_from, todate=query.created_until,
        )  # fmt: skip
        for page in rising(active, "last_activity_date", cursors[tag] - OVERLAP_SECONDS, query, now):
            _follow_synonym(ask, tally, tag, page)
            tally.count(page, tag)
    look_up(ask, tally, sorted(before.lacking_answers.keys() - tally.seen), now)
    return tally


def look_up(ask: Ask, tally: Tally, post_ids: Sequence[int], now: int) -> None:
    """Request questions by ID, and the answers that are lacking; the API omits questions that were deleted."""
    for chunk in _batched(post_ids):
        tally.count(ask("questions/{ids}", ids=list(chunk), sort="creation", order="asc"))
    for chunk in _batched(sorted(tally.lacking_answers)):
        answers = partial(ask, "questions/{ids}/answers", ids=list(chunk), sort="creation", order="asc")
        for page in rising(answers, "creation_date", _OPENED, tally.query, now):
            for item in page.items:
                post_id = item.get("question_id")
                if isinstance(post_id, int) and (lacking := tally.lacking_answers.get(post_id)):
                    lacking.answers.add(_identity(item))
    tally.lacking_answers = {
        post_id: lacking
        for post_id, lacking in tally.lacking_answers.items()
        if len(lacking.answers) < lacking.expected
    }


def _follow_synonym(ask: Ask, tally: Tally, tag: str, page: Page) -> None:
    """Find the tag that the site resolves ``tag`` to, where questions of a page have none of the tags of the query.

    A tag that all of these questions have is asked for its synonyms, once for each collection and tag.
    """
    tags = [set(item["tags"]) for item in page.items if _has_tags(item)]
    others = [each for each in tags if each.isdisjoint(tally.query.tags)]
    if tag in tally.asked or not others or not (candidates := set.intersection(*others)):
        return
    tally.asked.add(tag)
    synonyms = partial(ask, "tags/{ids}/synonyms", ids=sorted(candidates), sort="creation", order="asc")
    first = synonyms()
    for each in (first, *(_further_pages(synonyms, first) if first.has_more else ())):
        for item in each.items:
            if item.get("from_tag") == tag and item.get("to_tag") in candidates:
                tally.synonyms[tag] = item["to_tag"]
                tally.query = tally.query.including([item["to_tag"]])


def deviations(item: Item, params: Mapping[str, Any], tags: Container[str]) -> Iterator[tuple[str, str]]:
    """Yield each field in which a question is outside of the request that returned it, and the bound or tag requested.

    ``params`` are those of the request, and ``tags`` those of the query, with the tags that they are synonyms of.
    """
    if "tagged" in params and _has_tags(item) and not any(tag in tags for tag in item["tags"]):
        yield "tags", f"tagged {params['tagged']}"
    sort_field = _SORT_FIELDS.get(params.get("sort", ""), "")
    for field_name, least, most in ((sort_field, "min", "max"), ("creation_date", "fromdate", "todate")):
        value = item.get(field_name)
        if not isinstance(value, int):
            continue
        if least in params and value < params[least]:
            yield field_name, f"at least {params[least]}"
        if most in params and value > params[most]:
            yield field_name, f"at most {params[most]}"


def _has_tags(item: Item) -> bool:
    tags = item.get("tags")
    return isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)


def _noting_totals(totals: list[int | None], ask: Ask, *args: Any, **params: Any) -> Page:
    """Return a page, after adding the number of items on all pages to ``totals``."""
    page = ask(*args, **params)
    totals.append(page.total)
    return page


def windows(ask: Ask, start: int, end: int | None, now: int) -> Iterator[Page]:
    """Yield pages that together hold every item created from ``start`` to ``end``, each the only page of its window.

    The times are Unix times, both inclusive; an ``end`` of None is unbounded. The first window is all of it. The page
    of a window with more than one page is a sample of the creation times. The end of the next window is estimated by
    that sample or, after a window with enough items, by the density of that window. Raises
    :class:`InconsistentReplyError` if most items of a page are outside of its window, and there are more pages.
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
    is split by creation time. Raises :class:`InconsistentReplyError` for items in another order, or mostly below the
    border.
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


def _identity(item: Item) -> int | str | None:
    """Return the ID of an item, or the synonym; None if it is neither a number nor a text."""
    value = item.get("answer_id", item.get("question_id", item.get("from_tag")))
    return value if isinstance(value, int | str) else None


def _values_within(page: Page, key: str, low: int, high: int | None) -> list[int]:
    """Return the values of a key that are within the requested bounds.

    Items outside of them are noted when the reply is loaded. But an API that ignores the bounds, so that most items are
    outside, and always has more of them, would be queried endlessly.
    """
    values = [item[key] for item in page.items if isinstance(item.get(key), int)]
    within = [value for value in values if low <= value and (high is None or value <= high)]
    if page.has_more and len(within) * 2 < len(values):
        raise InconsistentReplyError(
            f"the API returned items outside of the requested {key} from {low} to {high or 'now'}. {_RETRY_LATER}"
        )
    return within


def _batched(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), PAGE_SIZE):
        yield numbers[start : start + PAGE_SIZE]


def _seconds(day: date | None, at: time) -> int | None:
    return None if day is None else int(datetime.combine(day, at, UTC).timestamp())
