"""Reading Stack Overflow's data dump: from its rows, a study's questions and their answers are taken.

What belongs here: what a row of `Posts.xml` says, which rows a library gets, and what in them was not as it should be.
What doesn't: hiding who wrote them, and what becomes of the files.

A row by itself cannot declare entities, so parsing one cannot blow up. The parser does as XML says: raw tabs and line
ends in a value become spaces (those of bodies are written as references, and stay).
"""

import io
import logging
import os
import re
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.stackoverflow.dump.parallel_rows import SharedRows
from dlbug_assets.stackoverflow.dump.rows import Note, Row, Rows

logger = logging.getLogger(__name__)

_BATCH_ROWS = 2_500
_BATCH_BYTES = 16 << 20
_EXCERPT = 200
#: Answers before their question are kept in memory until that is read: so many bytes of them at most.
_WAITING_BYTES = 32 << 20
_TAGS = re.compile(r"(<[^<>|]+>)+|\|([^<>|]+\|)+")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")
_LEFT_OUT = "; the row is left out"

#: Columns of questions and answers: accounts by number, addresses still in the texts, times in UTC.
QUESTIONS: dict[str, Any] = {
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
    "owner_id": pl.String,
    "content_license": pl.String,
}
ANSWERS: dict[str, Any] = {
    "answer_id": pl.Int64,
    "post_id": pl.Int64,
    "score": pl.Int64,
    "is_accepted": pl.Boolean,
    "body_html": pl.String,
    "created_at": pl.Datetime("us"),
    "last_activity_at": pl.Datetime("us"),
    "owner_id": pl.String,
    "content_license": pl.String,
}
#: ``position`` counts the rows of the file from 1; ``field`` is an attribute, NULL for the row as a whole.
IRREGULARITIES: dict[str, Any] = {
    "position": pl.Int64,
    "post_id": pl.Int64,
    "field": pl.String,
    "reason": pl.String,
    "content": pl.String,
}


@dataclass(frozen=True)
class Wanted:
    """What to take for one library: questions with any of these tags."""

    tags: tuple[str, ...]


@dataclass(frozen=True)
class Scope:
    """Which questions count: those of this score or more, created on these UTC days or between them."""

    min_score: int
    first: date
    last: date

    def __contains__(self, question: Mapping[str, Any]) -> bool:
        return question["score"] >= self.min_score and self.first <= question["created_at"].date() <= self.last


#: Opens the rows of a dump: from its path, the tags, the questions taken so far, and the function that notes
#: irregularities.
Opened = Callable[[Path, Collection[str], Container[int], Note], Rows]


@dataclass(frozen=True)
class DumpReading:
    """What a reading found: rows in the file, planted ones among them, irregularities (each counted once), questions
    and answers per library, how tags are written (or "none seen"), and whether the file goes on to its end."""

    rows: int
    planted: int
    irregular: int
    questions: dict[str, int]
    answers: dict[str, int]
    notation: str
    complete: bool


def extract(
    path: Path,
    libraries: Mapping[str, Sequence[str]],
    folders: Mapping[str, Path],
    *,
    min_score: int,
    created_from: date | None,
    created_until: date | None,
    opened: Opened = SharedRows,
) -> DumpReading:
    """Take each library's questions and all their answers from a dump.

    ``path`` is a Posts.xml, or a .7z that contains one; it is streamed once, and once more where its Ids do not ascend
    or too many answers stand before their questions. ``libraries`` maps a name to tags, ``folders`` the same name to an
    empty folder. That gets ``questions-00001.parquet`` and so on with the columns of :data:`QUESTIONS`, in the same way
    ``answers`` and ``irregularities``, each at least once. Taken are questions with one of the tags, of ``min_score``
    or more, created on a UTC day from ``created_from`` to ``created_until``, both included. Their order is that of the
    file, but for answers that stand before their questions: these come last. In memory there are two batches of each
    kind, one of which is being written, and some 300 bytes per question or answer.

    A question without a readable Id, Score or CreationDate is left out, and so is a second post with an Id; any other
    field that cannot be read is NULL. All this is noted, for every library where it cannot be told which one it is.
    Raises :class:`DlbugError` for a file that is no such dump or cannot be read to its end, and for a folder that
    cannot be written; the files are of no use then.
    """
    with ThreadPoolExecutor(thread_name_prefix="dump") as writers:
        shelves = {name: _Shelf(Wanted(tuple(tags)), folders[name], writers) for name, tags in libraries.items()}
        reader = _Reader(path, list(shelves.values()), opened)
        rows = reader.read(Scope(min_score, created_from or date.min, created_until or date.max))
        kinds = [kind for shelf in shelves.values() for kind in (shelf.questions, shelf.answers, shelf.irregularities)]
        for batches in kinds:
            batches.write_rest()
        for batches in kinds:
            batches.wait()
    return DumpReading(
        rows=rows.count,
        planted=rows.planted,
        irregular=reader.irregular,
        questions={name: shelf.questions.count for name, shelf in shelves.items()},
        answers={name: shelf.answers.count for name, shelf in shelves.items()},
        notation=" and ".join(sorted(rows.notations)) or "none seen",
        complete=rows.is_complete,
    )


class _Batches:
    """Rows of one kind on their way into numbered files, each of which is written while the next is collected."""

    def __init__(self, folder: Path, kind: str, schema: dict[str, Any], writers: Executor) -> None:
        self.count = 0
        self._folder, self._kind, self._schema, self._writers = folder, kind, schema, writers
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._files = 0
        self._written: Future[None] | None = None

    def add(self, row: dict[str, Any], size: int) -> None:
        """One more, of so many bytes in the file."""
        self.count += 1
        self._rows.append(row)
        self._bytes += size
        if len(self._rows) >= _BATCH_ROWS or self._bytes >= _BATCH_BYTES:
            self._write()

    def write_rest(self) -> None:
        """Write what is left; where there was nothing at all, a file without rows, so that readers find the schema."""
        if self._rows or not self._files:
            self._write()

    def wait(self) -> None:
        """Until everything is written; raises :class:`DlbugError` where it cannot be."""
        if self._written:
            self._written.result()

    def _write(self) -> None:
        self.wait()
        self._files += 1
        path = self._folder / f"{self._kind}-{self._files:05}.parquet"
        self._written = self._writers.submit(_write_parquet, path, self._rows, self._schema)
        self._rows, self._bytes = [], 0


def _write_parquet(path: Path, rows: list[dict[str, Any]], schema: dict[str, Any]) -> None:
    content = io.BytesIO()
    pl.DataFrame(rows, schema=schema).write_parquet(content)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DlbugError(
            f"cannot write {path}: {error.strerror}. Its folder must be empty and writable, with space on its disk."
        ) from None


class _Shelf:
    """What is taken for one library, and where it goes."""

    def __init__(self, wanted: Wanted, folder: Path, writers: Executor) -> None:
        self.wanted = wanted
        self.accepted: dict[int, int | None] = {}  # each question taken, and its accepted answer
        self.questions = _Batches(folder, "questions", QUESTIONS, writers)
        self.answers = _Batches(folder, "answers", ANSWERS, writers)
        self.irregularities = _Batches(folder, "irregularities", IRREGULARITIES, writers)


def _number(value: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise ValueError(value)
    return int(value)


def _moment(value: str) -> datetime:
    if not _MOMENT.fullmatch(value):
        raise ValueError(value)
    return datetime.fromisoformat(value)


def _tags(value: str) -> list[str]:
    if not _TAGS.fullmatch(value):
        raise ValueError(value)
    return re.findall(r"[^<>|]+", value)


@dataclass(frozen=True)
class _Kind:
    """A kind of post: its PostTypeId, the attribute and the reader of each column, whether such a record belongs to a
    library, and the columns without which it is of no use (the first of them has its own number)."""

    type: int
    columns: dict[str, tuple[str, Callable[[str], Any]]]
    belongs: Callable[[dict[str, Any], _Shelf], bool]
    needed: tuple[str, ...]


#: A missing one of these is noted; a missing other one has a meaning (a deleted account, no accepted answer).
_ALWAYS_THERE = {"Id", "PostTypeId", "ParentId", "Score", "CreationDate"}
_SHARED = {
    "type": ("PostTypeId", _number),
    "body_html": ("Body", str),
    "score": ("Score", _number),
    "created_at": ("CreationDate", _moment),
    "last_activity_at": ("LastActivityDate", _moment),
    "owner_id": ("OwnerUserId", lambda value: str(_number(value))),
    "content_license": ("ContentLicense", str),
}
_QUESTION = _Kind(
    1,
    {
        "post_id": ("Id", _number),
        "title": ("Title", str),
        "tags": ("Tags", _tags),
        "view_count": ("ViewCount", _number),
        "answer_count": ("AnswerCount", _number),
        "accepted_answer_id": ("AcceptedAnswerId", _number),
        **_SHARED,
    },
    lambda question, shelf: question["tags"] is None or not set(question["tags"]).isdisjoint(shelf.wanted.tags),
    ("post_id", "type", "tags", "score", "created_at"),
)
_ANSWER = _Kind(
    2,
    {"answer_id": ("Id", _number), "post_id": ("ParentId", _number), **_SHARED},
    lambda answer, shelf: answer["post_id"] in shelf.accepted,
    ("answer_id", "type"),
)


def _attributes(row: bytes) -> dict[str, str]:
    """Name -> value of a row's attributes; raises :class:`ExpatError` for what is no XML."""
    found: list[dict[str, str]] = []
    parser = ParserCreate()
    parser.StartElementHandler = lambda _, attributes: found.append(attributes)
    parser.Parse(row, True)
    return found[0]


def _record(row: Row, kind: _Kind) -> tuple[dict[str, Any], list[tuple[str, str, str | None]]]:
    """A row as a record, and what is wrong with it: attribute, reason, content."""
    written = _attributes(row.content)
    record: dict[str, Any] = dict.fromkeys(kind.columns)
    problems: list[tuple[str, str, str | None]] = []
    for column, (attribute, read) in kind.columns.items():
        value = written.get(attribute)
        try:
            if value is not None:
                record[column] = read(value)
            elif attribute in _ALWAYS_THERE:
                problems.append((attribute, "is missing", None))
        except ValueError:
            problems.append((attribute, "cannot be read", value))
    return record, problems


def question_number(row: Row, tags: Collection[str], scope: Scope) -> int | None:
    """The number of the question that a row by itself is, if it has one of the tags and is in scope."""
    try:
        question, _ = _record(row, _QUESTION)
    except ExpatError:
        return None
    if any(question[column] is None for column in _QUESTION.needed) or question["type"] != _QUESTION.type:
        return None
    return question["post_id"] if not set(tags).isdisjoint(question["tags"]) and question in scope else None


class _Reader:
    """Fills the shelves."""

    def __init__(self, path: Path, shelves: list[_Shelf], opened: Opened) -> None:
        self.irregular = 0
        self._path, self._shelves, self._opened = path, shelves, opened
        self._places: dict[int, int] = {}  # of each question taken, its position in the file
        self._questions: set[int] = set()  # every number that was seen
        self._answers: set[int] = set()

    def read(self, scope: Scope) -> Rows:
        """Read the dump; returns the rows, all of them given."""

        def note(row: Row, reason: str, content: bytes) -> None:
            self._note(self._shelves, row, None, reason, content)

        tags = {tag for shelf in self._shelves for tag in shelf.wanted.tags}
        rows = self._opened(self._path, tags, self._places, note)
        waiting: list[Row] = []
        room = _WAITING_BYTES
        with closing(iter(rows)) as found:
            for row in found:
                kind, parent = row.written(b"PostTypeId"), row.number(b"ParentId")
                if kind != b"2" and row.written(b"Tags"):
                    self._take_question(row, scope)
                if parent in self._places:
                    self._take_answer(row)
                elif parent is not None:
                    room -= len(row.content)
                    if room >= 0:
                        waiting.append(row)
                elif kind == b"2":
                    written = row.written(b"ParentId")
                    reason = "is missing" if written is None else "cannot be read"
                    self._note(self._shelves, row, "ParentId", reason + _LEFT_OUT, written)
        if rows.is_ascending and room >= 0:
            self._take_late(waiting)
        else:
            logger.info("%s: reading again for answers that precede their questions", self._path.name)
            with closing(iter(rows.again())) as found:
                self._take_late(found)
        return rows

    def _take_question(self, row: Row, scope: Scope) -> None:
        question, homes = self._post(row, _QUESTION, self._questions)
        if homes and question in scope:
            self._places[question["post_id"]] = row.position
            for shelf in homes:
                shelf.accepted[question["post_id"]] = question["accepted_answer_id"]
                shelf.questions.add(question, len(row.content))

    def _take_answer(self, row: Row) -> None:
        answer, homes = self._post(row, _ANSWER, self._answers)
        for shelf in homes:
            answer["is_accepted"] = answer["answer_id"] == shelf.accepted[answer["post_id"]]
            shelf.answers.add(answer, len(row.content))

    def _take_late(self, rows: Iterable[Row]) -> None:
        """Of these, the answers that stand before their questions: the others have been taken."""
        for row in rows:
            if row.position < self._places.get(row.number(b"ParentId"), 0):
                self._take_answer(row)

    def _post(self, row: Row, kind: _Kind, seen: set[int]) -> tuple[dict[str, Any], list[_Shelf]]:
        """A row as a record, and where it goes: nowhere if it is no such post, or of no use, which is noted."""
        try:
            record, problems = _record(row, kind)
        except ExpatError as error:
            self._note(self._shelves, row, None, f"cannot be parsed ({error}){_LEFT_OUT}", row.content)
            return {}, []
        homes = [shelf for shelf in self._shelves if kind.belongs(record, shelf)]
        if record["type"] not in (kind.type, None) or not homes:
            return {}, []
        number = record[kind.needed[0]]
        is_usable = all(record[column] is not None for column in kind.needed)
        if is_usable and number in seen:
            is_usable, problems = False, [("Id", "is that of an earlier row", str(number))]
        for attribute, reason, value in problems:
            self._note(homes, row, attribute, reason if is_usable else reason + _LEFT_OUT, value)
        if not is_usable:
            return {}, []
        seen.add(number)
        return record, homes

    def _note(self, shelves: list[_Shelf], row: Row, attribute: str | None, reason: str, content: Any) -> None:
        self.irregular += 1
        if isinstance(content, bytes):
            content = content[: 4 * _EXCERPT].decode(errors="replace")
        entry = {"position": row.position, "post_id": row.number(b"Id"), "field": attribute, "reason": reason}
        for shelf in shelves:
            shelf.irregularities.add({**entry, "content": content and content[:_EXCERPT]}, _EXCERPT)
