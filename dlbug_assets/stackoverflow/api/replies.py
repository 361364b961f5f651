"""Landed replies as rows: what they say of questions and answers, and what in them was not as it should be.

A field of the wrong type never stops a row: it is read as far as that is safe, else NULL, and noted. An item without a
number cannot be a row; it is left out and noted.
"""

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection
from dlbug_assets.stackoverflow.api.transport import parsed
from dlbug_assets.stackoverflow.posts import ABSENCES, ANSWERS, IRREGULARITIES, QUESTIONS

_WHOLE = "(all of it)"
_EXCERPT = 200
_DIGITS = re.compile(r"\s*-?\d{1,19}\s*")


@dataclass(frozen=True)
class Observed:
    """What collections saw: questions (one row per sighting), answers (with post_id; those of the sighting at
    ``retrieved_at``), questions that were looked up in vain, and irregularities."""

    questions: pl.DataFrame
    answers: pl.DataFrame
    absences: pl.DataFrame
    irregularities: pl.DataFrame


def observed(collection: Collection) -> Observed:
    """Everything in the replies of a collection, in the order in which it came."""
    reader = _Reader(collection.name)
    for reply in collection.replies():
        reader.at(reply.file, reply.received_at)
        try:
            items = parsed(reply.body)["items"]
        except MalformedError as error:
            reader.note(0, None, _WHOLE, str(error), reply.body[:_EXCERPT].decode("utf-8", "replace"))
            continue
        if reply.request["method"] == "questions/{ids}/answers":
            for position, item in enumerate(items, start=1):
                reader.answer(position, item, None)
        else:
            came = {reader.question(position, item) for position, item in enumerate(items, start=1)}
            reader.absences += [
                {"post_id": number, "retrieved_at": reply.received_at}
                for number in reply.request["ids"]
                if number not in came
            ]
    return reader.frames()


class _Reader:
    """Gathers rows; knows which reply it is at."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._questions: list[dict[str, Any]] = []
        self._answers: list[dict[str, Any]] = []
        self.absences: list[dict[str, Any]] = []
        self._irregularities: list[dict[str, Any]] = []
        self._unknown: set[str] = set()

    def frames(self) -> Observed:
        return Observed(
            pl.DataFrame(self._questions, schema=QUESTIONS),
            pl.DataFrame(self._answers, schema=ANSWERS),
            pl.DataFrame(self.absences, schema=ABSENCES),
            pl.DataFrame(self._irregularities, schema=IRREGULARITIES),
        )

    def at(self, file: str, received_at: datetime) -> None:
        self._file, self._received_at = file, received_at

    def note(self, position: int, post_id: int | None, field: str, reason: str, content: Any) -> None:
        self._irregularities.append(
            {
                "collection": self._collection,
                "number": len(self._irregularities) + 1,
                "file": self._file,
                "position": position,
                "post_id": post_id,
                "field": field,
                "reason": reason,
                "content": _excerpt(content),
            }
        )

    def question(self, position: int, item: Mapping[str, Any]) -> int | None:
        """Take an item of a list of questions; returns its number."""
        row = self._row(position, item, _QUESTION_FIELDS, "question_id", known={"answers"})
        if row is None:
            return None
        row["title"] = None if row["title"] is None else html.unescape(row["title"])
        self._questions.append(row)
        nested = item.get("answers", [])
        if isinstance(nested, list):
            for answer in nested:
                if isinstance(answer, dict):
                    self.answer(position, answer, row["post_id"])
        else:
            self.note(position, row["post_id"], "answers", "is no list", nested)
        number: int = row["post_id"]
        return number

    def answer(self, position: int, item: Mapping[str, Any], post_id: int | None) -> None:
        """Take an answer; nested ones belong to the question they stand in."""
        row = self._row(position, item, _ANSWER_FIELDS, "answer_id")
        if row is None:
            return
        row["post_id"] = row["post_id"] if post_id is None else post_id
        row["is_accepted"] = item.get("is_accepted") is True
        if row["post_id"] is None:
            self.note(position, None, "question_id", "is missing: the answer is left out", item)
        else:
            self._answers.append(row)

    def _row(
        self,
        position: int,
        item: Mapping[str, Any],
        fields: Mapping[str, "_Field"],
        identity: str,
        known: frozenset[str] | set[str] = frozenset(),
    ) -> dict[str, Any] | None:
        number, is_sound = _number(item.get(identity))
        if not is_sound:
            self.note(position, None, identity, "is no number: the item is left out", item)
            return None
        post_id = number if identity == "question_id" else None
        row: dict[str, Any] = {"retrieved_at": self._received_at}
        for name, spec in fields.items():
            value = item.get(name)
            if value is None:
                row[spec.column] = None
                if spec.is_needed:
                    self.note(position, post_id, name, "is missing", number)
                continue
            row[spec.column], is_sound = spec.read(value)
            if not is_sound:
                # Whatever stands in the place of an account may name a person.
                shown = f"a {type(value).__name__}" if name == "owner" else value
                self.note(position, post_id, name, f"is not as described; read as {row[spec.column]!r}", shown)
        for name in item.keys() - fields.keys() - known - {"is_accepted"}:
            if name not in self._unknown:
                self._unknown.add(name)
                self.note(position, post_id, name, "was not asked for; it is kept in landing alone", item[name])
        return row


def _excerpt(content: Any) -> str:
    """The beginning of a value; of a structure its keys only, since whatever is in it may name a person."""
    if isinstance(content, dict):
        return f"an object with {', '.join(sorted(content))}"[:_EXCERPT]
    return f"a list of {len(content)}" if isinstance(content, list) else str(content)[:_EXCERPT]


@dataclass(frozen=True)
class _Field:
    """How a field of the API becomes a column: ``read`` gives the value and whether it was sound."""

    column: str
    read: Callable[[Any], tuple[Any, bool]]
    is_needed: bool = True


def _number(value: Any) -> tuple[int | None, bool]:
    """A whole number of 64 bits, which is what a table holds."""
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not -(2**63) <= number < 2**63:
        return None, False
    return number, isinstance(value, int)


def _text(value: Any) -> tuple[str | None, bool]:
    if isinstance(value, str):
        return value, True
    return (str(value), False) if isinstance(value, int | float) else (None, False)


def _moment(value: Any) -> tuple[datetime | None, bool]:
    seconds, is_sound = _number(value)
    try:
        return (None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)), is_sound
    except (OverflowError, ValueError, OSError):
        return None, False


def _texts(value: Any) -> tuple[list[str] | None, bool]:
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return value, True
    return None, False


def _account(value: Any) -> tuple[str | None, bool]:
    if not isinstance(value, dict):
        return None, False
    number = value.get("user_id")  # accounts that were deleted have none
    return (str(number), True) if isinstance(number, int) else (None, number is None)


_SHARED_FIELDS = {
    "body": _Field("body_html", _text),
    "score": _Field("score", _number),
    "creation_date": _Field("created_at", _moment),
    "last_activity_date": _Field("last_activity_at", _moment),
    "owner": _Field("owner_id", _account),
    "content_license": _Field("content_license", _text, is_needed=False),
}
_QUESTION_FIELDS = _SHARED_FIELDS | {
    "question_id": _Field("post_id", _number),
    "title": _Field("title", _text),
    "tags": _Field("tags", _texts),
    "view_count": _Field("view_count", _number),
    "answer_count": _Field("answer_count", _number),
    "accepted_answer_id": _Field("accepted_answer_id", _number, is_needed=False),
    "link": _Field("link", _text),
}
_ANSWER_FIELDS = _SHARED_FIELDS | {
    "answer_id": _Field("answer_id", _number),
    "question_id": _Field("post_id", _number, is_needed=False),
}
