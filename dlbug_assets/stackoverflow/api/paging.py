"""What to ask the Stack Exchange API so that no post is lost and none comes twice, while the site changes.

Two kinds of collection. A *full* one asks for every question of a library by score, in windows of creation time small
enough to be answered in one page each: ranks may drift, nothing moves between windows. A *refresh* asks for what was
active since the last time, by a key that only rises: always the first page, from the last moment seen. A refresh cannot
see a score that changed by votes alone, nor a deletion; the next full collection can.

Nothing here knows how a request is made: ``ask`` takes a method, ids and parameters and gives a page.
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

#: Replies may come from a cache, and clocks of servers differ: so much is asked for twice.
OVERLAP_SECONDS = 600
#: Nothing on Stack Overflow is older.
_OPENED = int(datetime(2008, 7, 31, tzinfo=UTC).timestamp())
#: Questions that a window should hold: close to a page, with room for guesses that are too low.
_AIM = 80
#: So many items in a window say enough of the density after it.
_ENOUGH = 30
#: Taken where the API does not say how many there are: about two pages.
_GUESSED_TOTAL = 250
#: Without a key, page 26 is an error.
_LAST_PAGE = 25


class InconsistentReplyError(MalformedError):
    """Replies that are not to what was asked: together they make no sense, however sound each of them looks."""


@dataclass(frozen=True)
class Question:
    """What is asked of the site for one library: any of the tags, a score, and moments of creation (UTC seconds,
    both inclusive, NULL for open)."""

    tags: tuple[str, ...]
    min_score: int
    created_from: int | None
    created_until: int | None

    @classmethod
    def of(cls, library: Library, selection: Selection) -> "Question":
        return cls(
            library.tags,
            selection.min_score,
            _seconds(selection.created_from, time.min),
            _seconds(selection.created_until, time.max),
        )

    @property
    def start(self) -> int:
        """The first moment that anything can be from."""
        return _OPENED if self.created_from is None else self.created_from

    def is_answered_by(self, item: Item) -> bool:
        """Whether a question of the site is in scope; false where it lacks what that takes."""
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
    """What a collection has seen so far."""

    question: Question
    in_scope: set[int]
    newest: dict[str, int] = field(default_factory=dict)
    lacking_answers: set[int] = field(default_factory=set)
    items: int = 0

    def count(self, page: Page, tag: str | None = None) -> None:
        """Take a page of questions into account."""
        for item in page.items:
            self.items += 1
            number, active = item.get("question_id"), item.get("last_activity_date")
            if not isinstance(number, int):
                continue
            if tag is not None and isinstance(active, int):
                self.newest[tag] = max(active, self.newest.get(tag, active))
            was_known = number in self.in_scope
            if self.question.is_answered_by(item):
                self.in_scope.add(number)
            else:
                self.in_scope.discard(number)
            self.lacking_answers.discard(number)
            expected = item.get("answer_count")
            is_wanted = was_known or number in self.in_scope
            if is_wanted and isinstance(expected, int) and len(item.get("answers") or ()) < expected:
                self.lacking_answers.add(number)


def full(ask: Ask, question: Question, known: Iterable[int], now: int) -> Tally:
    """Ask for everything in scope; look up by number what was ``known`` and did not come. ``now`` is in UTC seconds,
    and need not be exact.

    The tally's in_scope are the questions in scope now. Raises :class:`InconsistentReplyError` for replies that make no sense.
    """
    tally = Tally(question, set())
    for tag in question.tags:
        by_score = partial(ask, "questions", tagged=tag, sort="votes", order="desc", min=question.min_score)
        for page in windows(by_score, question.start, question.created_until, now):
            tally.count(page, tag)
    look_up(ask, tally, sorted(set(known) - tally.in_scope), now)
    return tally


def refresh(ask: Ask, question: Question, known: Iterable[int], cursors: Mapping[str, int], now: int) -> Tally:
    """Ask for what was active since the ``cursors`` (per tag, UTC seconds)."""
    tally = Tally(question, set(known), dict(cursors))
    for tag in question.tags:
        active = partial(
            ask, "questions", tagged=tag, sort="activity", order="asc",
            fromdate=question.created_from, todate=question.created_until,
        )  # fmt: skip
        for page in rising(active, "last_activity_date", cursors[tag] - OVERLAP_SECONDS, question, now):
            tally.count(page, tag)
    _fetch_lacking_answers(ask, tally, now)
    return tally


def look_up(ask: Ask, tally: Tally, numbers: Sequence[int], now: int) -> None:
    """Ask for questions by their numbers (those that were deleted do not come) and for answers that are lacking."""
    for chunk in _batched(numbers):
        tally.count(ask("questions/{ids}", ids=list(chunk), sort="creation", order="asc"))
    _fetch_lacking_answers(ask, tally, now)


def _fetch_lacking_answers(ask: Ask, tally: Tally, now: int) -> None:
    for chunk in _batched(sorted(tally.lacking_answers)):
        answers = partial(ask, "questions/{ids}/answers", ids=list(chunk), sort="creation", order="asc")
        for _page in rising(answers, "creation_date", _OPENED, tally.question, now):
            pass  # landed: that is all there is to do


def windows(ask: Ask, start: int, end: int | None, now: int) -> Iterator[Page]:
    """Pages that together hold every item created from ``start`` to ``end`` (None: ever after), each of them the only
    page of its window.

    The first window is all of it. Where one has more, its page is a sample of when items were created: by that sample,
    and once a window had enough items by the density of the last one, the next window ends where a page may be full.
    """
    left, right = start, end
    samples: list[_Sample] = []
    while True:
        page = ask(fromdate=left, todate=right)
        created = sorted(_insist(page, "creation_date", left, right))
        if page.has_more and right != left:
            samples.append(_Sample(created, PAGE_SIZE / (page.total or _GUESSED_TOTAL)))
            # Where the site's clock is ahead of ours, an open window holds what is younger than now.
            right = _shorter(samples[-1], left, max(now, left, *created) if right is None else right)
            continue
        yield page
        if page.has_more:  # more than a page in one second
            yield from _further_pages(partial(ask, fromdate=left, todate=right), page)
        if right is None or right == end:
            return
        length = (right - left + 1) * _AIM // max(len(created), 1)
        left = right + 1
        samples = [later for sample in samples if (later := sample.after(right)).created]
        if not samples:
            right = end
        elif len(created) >= _ENOUGH:
            right = left + length
        else:
            right = max(left, samples[-1].window())
        if right is not None and right >= (now if end is None else end):
            right = end


@dataclass(frozen=True)
class _Sample:
    """Creation times of some items of a stretch, in order, and which share of the stretch's items they are."""

    created: list[int]
    share: float

    def after(self, moment: int) -> "_Sample":
        return _Sample(self.created[bisect.bisect_right(self.created, moment) :], self.share)

    def window(self) -> int:
        """The moment up to which as many items are expected as a window should hold."""
        return self.created[min(round(_AIM * self.share), len(self.created) - 1)]


def _shorter(sample: _Sample, left: int, right: int) -> int:
    """The end of a window that began at ``left`` and held too much: from ``left`` on, and earlier than ``right`` unless
    that is ``left`` itself."""
    guess = sample.window() if sample.created else right
    return guess if left <= guess < right else (left + right) // 2


def rising(ask: Ask, key: str, low: int, question: Question, now: int) -> Iterator[Page]:
    """Pages of everything whose ``key`` is at least ``low``, in rising order: always the first page from the last
    value seen, so that what moves to the end meanwhile comes again there, and nothing slips between two pages.

    Items on the border come twice. A second that fills more than a page is cut by creation times.
    """
    while True:
        page = ask(min=low)
        seen = _insist(page, key, low, None)
        if seen != sorted(seen):
            raise InconsistentReplyError(
                f"the API was asked for a rising {key} and sent another order. Nothing of this is used."
            )
        yield page
        if not page.has_more:
            return
        last = max(seen, default=low)
        if last > low:
            low = last
        else:
            yield from windows(partial(ask, min=low, max=low), question.start, question.created_until, now)
            low += 1


def _further_pages(ask: Ask, first: Page) -> Iterator[Page]:
    seen = {_identity(item) for item in first.items}
    for number in range(2, _LAST_PAGE + 1):
        page = ask(page=number)
        fresh = {_identity(item) for item in page.items} - seen
        if page.has_more and not fresh:
            break
        seen |= fresh
        yield page
        if not page.has_more:
            return
    raise InconsistentReplyError(
        "the API says there is ever more, but shows the same: it does not heed what it is asked. Nothing of this "
        "collection is used; run again later."
    )


def _identity(item: Item) -> Any:
    return item.get("answer_id", item.get("question_id"))


def _insist(page: Page, key: str, low: int, high: int | None) -> list[int]:
    """The values of a key, which must be what was asked for: an API that ignores the question would be asked for
    ever, and what it sends would be taken for something else."""
    values = [item[key] for item in page.items if isinstance(item.get(key), int)]
    if any(value < low or (high is not None and value > high) for value in values):
        raise InconsistentReplyError(
            f"the API was asked for {key} from {low} to {high or 'now'} and sent others: it does not heed what it is "
            "asked. Nothing of this collection is used; run again later."
        )
    return values


def _batched(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), PAGE_SIZE):
        yield numbers[start : start + PAGE_SIZE]


def _seconds(day: date | None, at: time) -> int | None:
    return None if day is None else int(datetime.combine(day, at, UTC).timestamp())
