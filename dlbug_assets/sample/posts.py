"""Synthetic questions and answers."""

import functools
import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from dlbug_assets.protocol.sections import Library
from dlbug_assets.protocol.study import STACK_OVERFLOW, Study
from dlbug_assets.sample import texts
from dlbug_assets.sample.draw import Draw, digest
from dlbug_assets.sample.published import published
from dlbug_assets.warehouse.rows import table_schema

_SITE_OPENED = date(2008, 9, 15)
_LAST_DAY = date(2018, 12, 31)
#: A new id every six seconds results in ids of the same size as the site's.
_SECONDS_PER_NUMBER = 6
_ANSWER_COUNTS = {"0": 0.08, "1": 0.42, "2": 0.28, "3": 0.14, "4": 0.08}
_SHARED = 0.03
_WITHOUT_CODE = 0.15
_LICENCES = ((date(2018, 5, 2), "CC BY-SA 4.0"), (date(2011, 4, 8), "CC BY-SA 3.0"), (date.min, "CC BY-SA 2.5"))

_POSTS = table_schema("stackoverflow.raw_posts", without=("retrieved_at",))
_ANSWERS = table_schema("stackoverflow.raw_answers", without=("retrieved_at",))


@dataclass(frozen=True)
class _Corpus:
    """All questions, each with the libraries it is tagged with, and all answers."""

    questions: tuple[tuple[tuple[str, ...], dict[str, object]], ...]
    answers: tuple[dict[str, object], ...]


def posts(study: Study, library: str, part: int = 0) -> pl.DataFrame:
    """Return the questions of one library: stackoverflow.raw_posts without retrieved_at, times in UTC.

    Some have no code block, and some are tagged with two libraries: those are the same for both. A larger sample has
    ``sample_size`` parts, of which this is number ``part`` (0..): the same texts and dates under other ids.
    """
    rows = _renumbered(_of_library(study, library)[0], study, part)
    return rows.with_columns(pl.format("https://stackoverflow.com/questions/{}", "post_id").alias("link"))


def answers(study: Study, library: str, part: int = 0) -> pl.DataFrame:
    """Return the answers to the questions of a part: stackoverflow.raw_answers without retrieved_at, times in UTC."""
    return _renumbered(_of_library(study, library)[1], study, part)


def _renumbered(rows: pl.DataFrame, study: Study, part: int) -> pl.DataFrame:
    """Return the rows of a part, with ids that still rise with time and occur in this part only."""
    ids = pl.col("^(post|answer|accepted_answer)_id$")
    return rows.with_columns(ids * study.sources.sample_size + part)


@functools.lru_cache(maxsize=8)
def _of_library(study: Study, library: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the questions and answers of a library in a sample of size 1."""
    corpus = _corpus(study)
    rows = [{"library": library, **row} for libraries, row in corpus.questions if library in libraries]
    asked = {row["post_id"] for row in rows}
    answered = [row for row in corpus.answers if row["post_id"] in asked]
    return pl.DataFrame(rows, schema=_POSTS), pl.DataFrame(answered, schema=_ANSWERS)


@functools.lru_cache(maxsize=1)
def _corpus(study: Study) -> _Corpus:
    # Each post shared with another library counts for both: a library needs fewer of its own.
    sizes = {name: published(study).size(name, STACK_OVERFLOW, "items") for name in study.library_names}
    questions: list[tuple[tuple[str, ...], datetime, Draw, bool]] = []
    for library in study.libraries:
        first, last = span(study, library.name)
        if first > last:
            continue
        shared_by_others = sum(
            _SHARED * sizes[other] * sizes[library.name] / (sum(sizes.values()) - sizes[other])
            for other in sizes
            if other != library.name
        )
        candidates = round(sizes[library.name] - shared_by_others)
        for number in range(candidates + round(candidates * _WITHOUT_CODE)):
            draw = Draw(study.study.seed, "post", library.name, number)
            names = (library.name,)
            others = {name: value for name, value in sizes.items() if name != library.name}
            if others and draw.chance(_SHARED):
                names = (library.name, draw.weighted(others))
            questions.append((names, _asked_at(draw, study, names), draw, number < candidates))
    questions.sort(key=lambda question: (question[1], question[0]))
    ids = _IdSequence()
    rows = []
    answer_rows: list[dict[str, object]] = []
    for names, created_at, draw, has_code in questions:
        row, its_answers = _question(draw, study, names, created_at, ids, has_code=has_code)
        rows.append((names, row))
        answer_rows += its_answers
    return _Corpus(tuple(rows), tuple(answer_rows))


class _IdSequence:
    """Ids of questions and answers, which share one sequence that rises with time."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def next_at(self, moment: datetime) -> int:
        """Return an unused id for a post of this time."""
        opened = datetime(_SITE_OPENED.year, _SITE_OPENED.month, _SITE_OPENED.day)
        number = 1 + int((moment - opened).total_seconds()) // _SECONDS_PER_NUMBER
        while number in self._taken:
            number += 1
        self._taken.add(number)
        return number


def span(study: Study, library: str) -> tuple[date, date]:
    """Return the first and last day of activity around a library, within the study's selection.

    The first is after the last where the selection ends before the site opened: there is no activity then.
    """
    first = max(study.selection.created_from or _SITE_OPENED, _SITE_OPENED)
    last = study.selection.created_until or max(_LAST_DAY, first)
    first_year = study.libraries[study.library_names.index(library)].first_year
    began = first if first_year is None else date(first_year, 1, 1)
    return (began if first < began <= last else first), last


def time_within(draw: Draw, first: date, last: date) -> datetime:
    """Return a time (UTC) from the first to the last day; later times are more likely."""
    start = datetime(first.year, first.month, first.day)
    seconds = ((last - first).days + 1) * 86_400 - 1
    return start + timedelta(seconds=int(math.sqrt(draw.share()) * seconds))


def _asked_at(draw: Draw, study: Study, names: tuple[str, ...]) -> datetime:
    """Return when a question about these libraries was asked, which is not before all of them existed."""
    first = max(span(study, name)[0] for name in names)
    return time_within(draw, first, span(study, names[0])[1])


def _question(
    draw: Draw, study: Study, names: tuple[str, ...], created_at: datetime, ids: _IdSequence, *, has_code: bool
) -> tuple[dict[str, object], list[dict[str, object]]]:
    library = names[0]
    tagged: dict[str, Library] = {known.name: known for known in study.libraries}
    post_id = ids.next_at(created_at)
    # Scores follow a power law. Of all roots, only the square root is rounded the same on every machine.
    score = study.selection.min_score + int(4 * (1 / math.sqrt(1 - draw.share()) - 1))
    end = datetime.combine(span(study, library)[1], datetime.max.time()).replace(microsecond=0)
    title = texts.title(draw, library)
    body = texts.question(draw, library, draw.between(1, 3) if has_code else 0)
    answers = []
    for number in range(int(draw.weighted(_ANSWER_COUNTS))):
        written_at = min(created_at + timedelta(minutes=draw.between(4, 60 * 24 * 30)), end)
        answers.append(
            {
                "answer_id": ids.next_at(written_at),
                "post_id": post_id,
                "score": draw.between(-1, score),
                "is_accepted": False,
                "body_html": texts.answer(draw, library),
                "created_at": written_at,
                "last_activity_at": written_at,
                "owner_hash": digest(study.study.seed, "owner", post_id, number),
                "content_license": _licence(written_at),
            }
        )
    accepted = answers[0] if answers and draw.chance(0.75) else None
    if accepted:
        accepted["is_accepted"] = True
    question = {
        "post_id": post_id,
        "title": title,
        "body_html": body,
        "tags": [tagged[name].tags[0] for name in names] + draw.some(("python", "deep-learning", "numpy", "gpu"), 2),
        "score": score,
        "view_count": score * draw.between(80, 900),
        "answer_count": len(answers),
        "accepted_answer_id": accepted["answer_id"] if accepted else None,
        "created_at": created_at,
        "last_activity_at": max([created_at, *(row["created_at"] for row in answers)]),
        "owner_hash": digest(study.study.seed, "owner", post_id),
        "link": f"https://stackoverflow.com/questions/{post_id}",
        "content_license": _licence(created_at),
        "in_scope": True,
        "deleted_at": None,
    }
    return question, answers


def _licence(moment: datetime) -> str:
    return next(licence for since, licence in _LICENCES if moment.date() >= since)
