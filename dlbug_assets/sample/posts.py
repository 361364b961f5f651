"""Synthetic questions and answers."""

import functools
import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from dlbug_assets.protocol.study import Library, Study
from dlbug_assets.sample import texts
from dlbug_assets.sample.draw import Draw, digest
from dlbug_assets.sample.published import size

#: When people began to ask about a library; others are asked about from the selection's first day on.
_FIRST_YEARS = {"Theano": 2010, "Caffe": 2014, "Keras": 2015, "Tensorflow": 2015}
_SITE_OPENED = date(2008, 9, 15)
_LAST_DAY = date(2018, 12, 31)
#: A new number every six seconds gives numbers such as the site's.
_SECONDS_PER_NUMBER = 6
_ANSWER_COUNTS = {"0": 0.08, "1": 0.42, "2": 0.28, "3": 0.14, "4": 0.08}
_SHARED = 0.03
_WITHOUT_CODE = 0.15
_LICENCES = ((date(2018, 5, 2), "CC BY-SA 4.0"), (date(2011, 4, 8), "CC BY-SA 3.0"), (date.min, "CC BY-SA 2.5"))

_POSTS = {
    "library": pl.String,
    "post_id": pl.Int64,
    "title": pl.String,
    "body_html": pl.String,
    "tags": pl.List(pl.String),
    "score": pl.Int64,
    "view_count": pl.Int64,
    "answer_count": pl.Int64,
    "accepted_answer_id": pl.Int64,
    "created_at": pl.Datetime("us"),
    "last_activity_at": pl.Datetime("us"),
    "owner_hash": pl.String,
    "link": pl.String,
    "content_license": pl.String,
    "in_scope": pl.Boolean,
    "deleted_at": pl.Datetime("us"),
}
_ANSWERS = {
    "answer_id": pl.Int64,
    "post_id": pl.Int64,
    "score": pl.Int64,
    "is_accepted": pl.Boolean,
    "body_html": pl.String,
    "created_at": pl.Datetime("us"),
    "last_activity_at": pl.Datetime("us"),
    "owner_hash": pl.String,
    "content_license": pl.String,
}


@dataclass(frozen=True)
class _Corpus:
    """All questions, each with the libraries it is tagged with, and all answers."""

    questions: tuple[tuple[tuple[str, ...], dict[str, object]], ...]
    answers: tuple[dict[str, object], ...]


def posts(study: Study, library: str, part: int = 0) -> pl.DataFrame:
    """The questions of one library: the columns of stackoverflow.raw_posts but for retrieved_at, times in UTC.

    Some have no code block, and some are tagged with two libraries: those come out alike under both. A larger sample
    has ``sample_size`` parts, of which this is number ``part`` (0..): the same texts and dates under other numbers.
    """
    rows = _renumbered(_of_library(study, library)[0], study, part)
    return rows.with_columns(pl.format("https://stackoverflow.com/questions/{}", "post_id").alias("link"))


def answers(study: Study, library: str, part: int = 0) -> pl.DataFrame:
    """The answers to one library's questions in a part: the columns of stackoverflow.raw_answers but for
    retrieved_at, UTC."""
    return _renumbered(_of_library(study, library)[1], study, part)


def _renumbered(rows: pl.DataFrame, study: Study, part: int) -> pl.DataFrame:
    """The rows of a part: numbers still rise with time, and are no other part's."""
    numbers = pl.col("^(post|answer|accepted_answer)_id$")
    return rows.with_columns(numbers * study.sources.sample_size + part)


@functools.lru_cache(maxsize=8)
def _of_library(study: Study, library: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Questions and answers of a library as they are in a sample of size 1."""
    corpus = _corpus(study)
    rows = [{"library": library, **row} for libraries, row in corpus.questions if library in libraries]
    asked = {row["post_id"] for row in rows}
    answered = [row for row in corpus.answers if row["post_id"] in asked]
    return pl.DataFrame(rows, schema=_POSTS), pl.DataFrame(answered, schema=_ANSWERS)


@functools.lru_cache(maxsize=1)
def _corpus(study: Study) -> _Corpus:
    # A post that two libraries share is counted under both: so many fewer are a library's own.
    sizes = {library.name: size(library.name, "so_posts") for library in study.libraries}
    questions: list[tuple[tuple[str, ...], datetime, Draw, bool]] = []
    for library in study.libraries:
        first, last = span(study, library.name)
        if first > last:
            continue
        arriving = sum(
            _SHARED * sizes[other] * sizes[library.name] / (sum(sizes.values()) - sizes[other])
            for other in sizes
            if other != library.name
        )
        candidates = round(sizes[library.name] - arriving)
        for number in range(candidates + round(candidates * _WITHOUT_CODE)):
            draw = Draw(study.study.seed, "post", library.name, number)
            names = (library.name,)
            others = {name: value for name, value in sizes.items() if name != library.name}
            if others and draw.chance(_SHARED):
                names = (library.name, draw.weighted(others))
            questions.append((names, _moment(draw, study, names), draw, number < candidates))
    questions.sort(key=lambda question: (question[1], question[0]))
    numbers = _Numbers()
    rows = []
    answer_rows: list[dict[str, object]] = []
    for names, created_at, draw, has_code in questions:
        row, its_answers = _question(draw, study, names, created_at, numbers, has_code=has_code)
        rows.append((names, row))
        answer_rows += its_answers
    return _Corpus(tuple(rows), tuple(answer_rows))


class _Numbers:
    """Numbers of questions and answers, which share one sequence that rises with time."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def at(self, moment: datetime) -> int:
        opened = datetime(_SITE_OPENED.year, _SITE_OPENED.month, _SITE_OPENED.day)
        number = 1 + int((moment - opened).total_seconds()) // _SECONDS_PER_NUMBER
        while number in self._taken:
            number += 1
        self._taken.add(number)
        return number


def span(study: Study, library: str) -> tuple[date, date]:
    """The first and last day on which something can happen around a library, within the study's selection.

    The first is after the last where the selection ends before the site opened: nothing can happen then.
    """
    first = max(study.selection.created_from or _SITE_OPENED, _SITE_OPENED)
    last = study.selection.created_until or max(_LAST_DAY, first)
    began = date(_FIRST_YEARS[library], 1, 1) if library in _FIRST_YEARS else first
    return (began if first < began <= last else first), last


def moment_within(draw: Draw, first: date, last: date) -> datetime:
    """A second between two days, both included, UTC: ever more happens as time goes on."""
    start = datetime(first.year, first.month, first.day)
    seconds = ((last - first).days + 1) * 86_400 - 1
    return start + timedelta(seconds=int(math.sqrt(draw.share()) * seconds))


def _moment(draw: Draw, study: Study, names: tuple[str, ...]) -> datetime:
    """When a question about these libraries was asked: not before all of them existed."""
    first = max(span(study, name)[0] for name in names)
    return moment_within(draw, first, span(study, names[0])[1])


def _question(
    draw: Draw, study: Study, names: tuple[str, ...], created_at: datetime, numbers: _Numbers, *, has_code: bool
) -> tuple[dict[str, object], list[dict[str, object]]]:
    library = names[0]
    tagged: dict[str, Library] = {known.name: known for known in study.libraries}
    post_id = numbers.at(created_at)
    # Few questions are liked a lot: scores fall off as a power (a root is rounded alike on every machine).
    score = study.selection.min_score + int(4 * (1 / math.sqrt(1 - draw.share()) - 1))
    end = datetime.combine(span(study, library)[1], datetime.max.time()).replace(microsecond=0)
    title = texts.title(draw, library)
    body = texts.question(draw, library, draw.between(1, 3) if has_code else 0)
    answers = []
    for number in range(int(draw.weighted(_ANSWER_COUNTS))):
        written_at = min(created_at + timedelta(minutes=draw.between(4, 60 * 24 * 30)), end)
        answers.append(
            {
                "answer_id": numbers.at(written_at),
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
