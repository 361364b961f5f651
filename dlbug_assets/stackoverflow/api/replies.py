"""Read landed replies as rows of questions and answers, and note irregularities.

A field of another type does not exclude a row: its value is converted if that is safe, otherwise NULL, and noted. An
item without an ID cannot be a row; it is left out and noted.
"""

import html
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from dlbug_assets.clock import utc_naive
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection, Reply
from dlbug_assets.stackoverflow.api.paging import deviations
from dlbug_assets.stackoverflow.api.transport import parse_reply
from dlbug_assets.stackoverflow.posts import ABSENCES, ANSWERS, IRREGULARITIES, QUESTIONS

#: How the reasons begin for items that a request should not have returned.
OUTSIDE = "is outside of the request"
_WHOLE_REPLY = "(all of it)"
_EXCERPT_CHARS = 200
_DIGITS = re.compile(r"\s*-?\d{1,19}\s*")


@dataclass(frozen=True)
class Observations:
    """What the replies of a collection contain.

    ``questions`` (columns QUESTIONS) has one row per observation, ``answers`` (ANSWERS) those of the question observed
    at ``retrieved_at``, ``absences`` (ABSENCES) the questions that were requested by ID and not returned, and
    ``irregularities`` (IRREGULARITIES) the deviations from the documented format.
    """

    questions: pl.DataFrame
    answers: pl.DataFrame
    absences: pl.DataFrame
    irregularities: pl.DataFrame


def read_replies(collection: Collection) -> Observations:
    """Return the contents of a collection's replies, in the order of their arrival."""
    done = collection.done if collection.is_done else {}
    tags = {*collection.begun.get("question", {}).get("tags", ()), *done.get("synonyms", {}).values()}
    reader = _Reader(collection.name)
    for reply in collection.replies():
        reader.begin(reply.file, reply.received_at)
        try:
            items = parse_reply(reply.body)["items"]
        except MalformedError as error:
            reader.note(0, None, _WHOLE_REPLY, str(error), reply.body[:_EXCERPT_CHARS].decode("utf-8", "replace"))
            continue
        if reply.request["method"] == "questions/{ids}/answers":
            _read_answers(reader, reply, items)
        elif reply.request["method"] in ("questions", "questions/{ids}"):
            _read_questions(reader, reply, items, tags)
    for post_id, (came, expected) in done.get("lacking_answers", {}).items():
        reason = f"{expected - came} of {expected} answers are unread; they are requested again by the next run"
        reader.note(0, int(post_id), "answers", reason, f"{came} answers")
    return reader.observations()


def _read_questions(reader: "_Reader", reply: Reply, items: Sequence[Mapping[str, Any]], tags: Container[str]) -> None:
    """Add the questions of a reply; note those outside of the request, and the ones that it requested by ID in vain."""
    ids, params = reply.request["ids"], reply.request["params"]
    returned: set[int | None] = set()
    for position, item in enumerate(items, start=1):
        post_id = reader.add_question(position, item)
        returned.add(post_id)
        for name, requested in deviations(item, params, tags):
            reason = f"{OUTSIDE} ({requested}); the question's own values decide on its scope"
            content = ", ".join(item[name]) if name == "tags" else item[name]
            reader.note(position, post_id, name, reason, content)
        if ids and post_id is not None and post_id not in ids:
            reader.note(position, post_id, "question_id", f"{OUTSIDE} by ID", post_id)
    reader.absences += [
        {"post_id": post_id, "retrieved_at": reply.received_at} for post_id in ids if post_id not in returned
    ]


def _read_answers(reader: "_Reader", reply: Reply, items: Sequence[Mapping[str, Any]]) -> None:
    """Add the answers of a reply; note those to other questions than the requested ones."""
    for position, item in enumerate(items, start=1):
        reader.add_answer(position, item, None)
        post_id = item.get("question_id")
        if isinstance(post_id, int) and post_id not in reply.request["ids"]:
            reader.note(position, post_id, "question_id", f"{OUTSIDE} by ID", post_id)


class _Reader:
    """Collects rows from one reply after the other."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._file = ""
        self._received_at = datetime.min
        self._questions: list[dict[str, Any]] = []
        self._answers: list[dict[str, Any]] = []
        self.absences: list[dict[str, Any]] = []
        self._irregularities: list[dict[str, Any]] = []
        self._unknown: set[str] = set()

    def observations(self) -> Observations:
        return Observations(
            pl.DataFrame(self._questions, schema=QUESTIONS),
            pl.DataFrame(self._answers, schema=ANSWERS),
            pl.DataFrame(self.absences, schema=ABSENCES),
            pl.DataFrame(self._irregularities, schema=IRREGULARITIES),
        )

    def begin(self, file: str, received_at: datetime) -> None:
        """Set the reply that the next items are from."""
        self._file, self._received_at = file, received_at

    def note(self, position: int, post_id: int | None, field: str, reason: str, content: Any) -> None:
        """Add an irregularity."""
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

    def add_question(self, position: int, item: Mapping[str, Any]) -> int | None:
        """Add a question with its answers; return its ID."""
        row = self._row(position, item, _QUESTION_FIELDS, "question_id", known={"answers"})
        if row is None:
            return None
        row["title"] = None if row["title"] is None else html.unescape(row["title"])
        self._questions.append(row)
        nested = item.get("answers", [])
        if isinstance(nested, list):
            for answer in nested:
                if isinstance(answer, dict):
                    self.add_answer(position, answer, row["post_id"])
        else:
            self.note(position, row["post_id"], "answers", "is not a list", nested)
        return row["post_id"]

    def add_answer(self, position: int, item: Mapping[str, Any], post_id: int | None) -> None:
        """Add an answer; ``post_id`` is the question that contains it, if any."""
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
        known: Iterable[str] = (),
    ) -> dict[str, Any] | None:
        """Return the row of an item, or None if its ID is not a number; ``known`` are further fields that are read."""
        number, is_valid = _number(item.get(identity))
        if not is_valid:
            self.note(position, None, identity, "is not a number: the item is left out", item)
            return None
        post_id = number if identity == "question_id" else None
        row: dict[str, Any] = {"retrieved_at": self._received_at}
        for name, spec in fields.items():
            value = item.get(name)
            if value is None:
                row[spec.column] = None
                if spec.is_required:
                    self.note(position, post_id, name, "is missing", number)
                continue
            row[spec.column], is_valid = spec.read(value)
            if not is_valid:
                # The value of an account may name a person.
                content = f"a {type(value).__name__}" if name == "owner" else value
                self.note(position, post_id, name, f"is not as described; read as {row[spec.column]!r}", content)
        # Sorted, so that each load numbers the notes alike.
        for name in sorted(item.keys() - fields.keys() - {*known, "is_accepted"}):
            if name not in self._unknown:
                self._unknown.add(name)
                self.note(position, post_id, name, "was not requested; it is kept in landing only", item[name])
        return row


def _excerpt(content: Any) -> str:
    """Return the beginning of a value; of an object only its keys, since its values may name a person."""
    if isinstance(content, dict):
        return f"an object with {', '.join(sorted(content))}"[:_EXCERPT_CHARS]
    return f"a list of {len(content)}" if isinstance(content, list) else str(content)[:_EXCERPT_CHARS]


@dataclass(frozen=True)
class _Field:
    """A field of the API and its column; ``read`` returns the value and whether it had the documented type."""

    column: str
    read: Callable[[Any], tuple[Any, bool]]
    is_required: bool = True


def _number(value: Any) -> tuple[int | None, bool]:
    """Return an integer of 64 bits, as tables hold."""
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not -(2**63) <= number < 2**63:
        return None, False
    return number, isinstance(value, int)


def _text(value: Any) -> tuple[str | None, bool]:
    if isinstance(value, str):
        return value, True
    return (str(value), False) if isinstance(value, int | float) else (None, False)


def _time(value: Any) -> tuple[datetime | None, bool]:
    seconds, is_valid = _number(value)
    try:
        return (None if seconds is None else utc_naive(datetime.fromtimestamp(seconds, UTC))), is_valid
    except (OverflowError, ValueError, OSError):
        return None, False


def _texts(value: Any) -> tuple[list[str] | None, bool]:
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return value, True
    return None, False


def _account(value: Any) -> tuple[str | None, bool]:
    if not isinstance(value, dict):
        return None, False
    user_id = value.get("user_id")  # deleted accounts have none
    return (str(user_id), True) if isinstance(user_id, int) else (None, user_id is None)


_SHARED_FIELDS = {
    "body": _Field("body_html", _text),
    "score": _Field("score", _number),
    "creation_date": _Field("created_at", _time),
    "last_activity_date": _Field("last_activity_at", _time),
    "owner": _Field("owner_id", _account),
    "content_license": _Field("content_license", _text, is_required=False),
}
_QUESTION_FIELDS = _SHARED_FIELDS | {
    "question_id": _Field("post_id", _number),
    "title": _Field("title", _text),
    "tags": _Field("tags", _texts),
    "view_count": _Field("view_count", _number),
    "answer_count": _Field("answer_count", _number),
    "accepted_answer_id": _Field("accepted_answer_id", _number, is_required=False),
    "link": _Field("link", _text),
}
_ANSWER_FIELDS = _SHARED_FIELDS | {
    "answer_id": _Field("answer_id", _number),
    "question_id": _Field("post_id", _number, is_required=False),
}
