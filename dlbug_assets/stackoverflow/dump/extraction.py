"""Extract a study's questions and their answers from the rows of Stack Overflow's data dump.

In scope: the meaning of a row of `Posts.xml`, the libraries that it belongs to, and problems in it. Out of scope:
pseudonyms of authors, and the further use of the files.

A single row cannot declare entities, so parsing it cannot blow up. As XML requires, the parser replaces raw tabs and
line ends in a value by spaces; those of bodies are character references and are kept.
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

from dlbug_assets.clock import parse_timestamp
from dlbug_assets.errors import DlbugError
from dlbug_assets.stackoverflow.dump.parallel_rows import SharedRows
from dlbug_assets.stackoverflow.dump.rows import ReportProblem, Row, Rows
from dlbug_assets.warehouse.rows import table_schema

logger = logging.getLogger(__name__)

_BATCH_ROWS = 2_500
_BATCH_BYTES = 16 << 20
_EXCERPT = 200
#: Answers before their question are kept in memory until it is read, up to this number of bytes.
_EARLY_ANSWER_BYTES = 32 << 20
_TAGS = re.compile(r"(<[^<>|]+>)+|\|([^<>|]+\|)+")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")
_LEFT_OUT = "; the row is left out"


def _with_owner_id(schema: pl.Schema) -> pl.Schema:
    """Return the columns with owner_id, the number of an account, in place of its hash."""
    return pl.Schema({"owner_id" if name == "owner_hash" else name: kind for name, kind in schema.items()})


#: Columns of the files: owners are account numbers, e-mail addresses are still in the texts, times are in UTC.
DUMP_QUESTIONS = _with_owner_id(
    table_schema("stackoverflow.raw_posts", without=("library", "link", "retrieved_at", "in_scope", "deleted_at"))
)
DUMP_ANSWERS = _with_owner_id(table_schema("stackoverflow.raw_answers", without=("retrieved_at",)))
#: ``position`` is the number of a row in the file from 1; ``field`` is an attribute, NULL for the row as a whole.
ROW_PROBLEMS = table_schema("stackoverflow.irregularities", only=("position", "post_id", "field", "reason", "content"))


@dataclass(frozen=True)
class Scope:
    """The questions in scope: those with at least this score, created from the first to the last UTC day."""

    min_score: int
    first: date
    last: date

    def __contains__(self, question: Mapping[str, Any]) -> bool:
        return question["score"] >= self.min_score and self.first <= question["created_at"].date() <= self.last


#: Open the rows of a dump, from its path, the tags, the questions selected so far, and what to do with problems.
OpenRows = Callable[[Path, Collection[str], Container[int], ReportProblem], Rows]


@dataclass(frozen=True)
class DumpReading:
    """The result of reading a dump.

    Numbers of rows in the file, of planted posts among them, and of irregularities (each counted once); questions and
    answers per library; the notation of tags (or "none seen"); whether the file is complete.
    """

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
    open_rows: OpenRows = SharedRows,
) -> DumpReading:
    """Extract each library's questions and all their answers from a dump.

    ``path`` is a Posts.xml, or a .7z that contains one. It is streamed once, and a second time if its Ids don't ascend
    or too many answers precede their questions. ``libraries`` maps a name to tags, ``folders`` the same name to an
    empty folder. This function writes questions-00001.parquet and so on there, with the columns of
    :data:`DUMP_QUESTIONS`, as well as answers (:data:`DUMP_ANSWERS`) and irregularities (:data:`ROW_PROBLEMS`), at
    least one file of each. It selects questions with one of the tags and at least ``min_score``, created on a UTC day
    from ``created_from`` to ``created_until``, both included. They keep the order of the file, except for answers that
    precede their questions: these are last. Memory holds two batches of each kind, one of which is being written, and
    some 300 bytes per question or answer.

    A question without a readable Id, Score or CreationDate is left out, and so is a second post with the same Id; any
    other field that cannot be read is NULL. All of this is recorded among the irregularities, for every library if the
    library is unknown. Raises :class:`DlbugError` for a file that is not a dump or cannot be read to its end, and for a
    folder that cannot be written; the files are then unusable.
    """
    with ThreadPoolExecutor(thread_name_prefix="dump") as writers:
        selections = {name: _Library(frozenset(tags), folders[name], writers) for name, tags in libraries.items()}
        extraction = _Extraction(path, list(selections.values()), open_rows)
        rows = extraction.read(Scope(min_score, created_from or date.min, created_until or date.max))
        outputs = [output for own in selections.values() for output in (own.questions, own.answers, own.irregularities)]
        for output in outputs:
            output.write_rest()
        for output in outputs:
            output.wait()
    return DumpReading(
        rows=rows.count,
        planted=rows.planted,
        irregular=extraction.irregular,
        questions={name: library.questions.count for name, library in selections.items()},
        answers={name: library.answers.count for name, library in selections.items()},
        notation=" and ".join(sorted(rows.notations)) or "none seen",
        complete=rows.is_complete,
    )


class _BatchWriter:
    """Writes rows of one kind to numbered files, each of them while the next batch is collected."""

    def __init__(self, folder: Path, kind: str, schema: pl.Schema, writers: Executor) -> None:
        self.count = 0
        self._folder, self._kind, self._schema, self._writers = folder, kind, schema, writers
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._files = 0
        self._written: Future[None] | None = None

    def add(self, row: dict[str, Any], size: int) -> None:
        """Add a row, whose size in the dump is in bytes."""
        self.count += 1
        self._rows.append(row)
        self._bytes += size
        if len(self._rows) >= _BATCH_ROWS or self._bytes >= _BATCH_BYTES:
            self._write()

    def write_rest(self) -> None:
        """Write the remaining rows; if there were none at all, an empty file, from which readers get the schema."""
        if self._rows or not self._files:
            self._write()

    def wait(self) -> None:
        """Wait until everything is written; raises :class:`DlbugError` if it cannot be written."""
        if self._written:
            self._written.result()

    def _write(self) -> None:
        self.wait()
        self._files += 1
        path = self._folder / f"{self._kind}-{self._files:05}.parquet"
        self._written = self._writers.submit(_write_parquet, path, self._rows, self._schema)
        self._rows, self._bytes = [], 0


def _write_parquet(path: Path, rows: list[dict[str, Any]], schema: pl.Schema) -> None:
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


class _Library:
    """The posts of one library: its tags, what was selected, and the writers of its files."""

    def __init__(self, tags: frozenset[str], folder: Path, writers: Executor) -> None:
        self.tags = tags
        self.accepted_answers: dict[int, int | None] = {}  # by selected question
        self.questions = _BatchWriter(folder, "questions", DUMP_QUESTIONS, writers)
        self.answers = _BatchWriter(folder, "answers", DUMP_ANSWERS, writers)
        self.irregularities = _BatchWriter(folder, "irregularities", ROW_PROBLEMS, writers)


def _parse_number(value: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise ValueError(value)
    return int(value)


def _parse_time(value: str) -> datetime:
    if not _TIMESTAMP.fullmatch(value):
        raise ValueError(value)
    return parse_timestamp(value)


def _parse_tags(value: str) -> list[str]:
    if not _TAGS.fullmatch(value):
        raise ValueError(value)
    return re.findall(r"[^<>|]+", value)


@dataclass(frozen=True)
class _PostType:
    """A type of post and how to read it.

    Its PostTypeId; each column's attribute and parser; whether a post belongs to a library; the columns that a post
    must have to be usable, its own Id first.
    """

    type: int
    columns: dict[str, tuple[str, Callable[[str], Any]]]
    belongs_to: Callable[[dict[str, Any], _Library], bool]
    required: tuple[str, ...]


#: A post without one of these is irregular; other attributes may be missing (a deleted account, no accepted answer).
_ALWAYS_PRESENT = {"Id", "PostTypeId", "ParentId", "Score", "CreationDate"}
_SHARED = {
    "type": ("PostTypeId", _parse_number),
    "body_html": ("Body", str),
    "score": ("Score", _parse_number),
    "created_at": ("CreationDate", _parse_time),
    "last_activity_at": ("LastActivityDate", _parse_time),
    "owner_id": ("OwnerUserId", lambda value: str(_parse_number(value))),
    "content_license": ("ContentLicense", str),
}
_QUESTION = _PostType(
    1,
    {
        "post_id": ("Id", _parse_number),
        "title": ("Title", str),
        "tags": ("Tags", _parse_tags),
        "view_count": ("ViewCount", _parse_number),
        "answer_count": ("AnswerCount", _parse_number),
        "accepted_answer_id": ("AcceptedAnswerId", _parse_number),
        **_SHARED,
    },
    lambda question, library: question["tags"] is None or not library.tags.isdisjoint(question["tags"]),
    ("post_id", "type", "tags", "score", "created_at"),
)
_ANSWER = _PostType(
    2,
    {"answer_id": ("Id", _parse_number), "post_id": ("ParentId", _parse_number), **_SHARED},
    lambda answer, library: answer["post_id"] in library.accepted_answers,
    ("answer_id", "type"),
)


def _attributes(row: bytes) -> dict[str, str]:
    """Return a row's attributes by name; raises :class:`ExpatError` if it is not well-formed."""
    found: list[dict[str, str]] = []
    parser = ParserCreate()
    parser.StartElementHandler = lambda _, attributes: found.append(attributes)
    parser.Parse(row, True)
    return found[0]


def _parse(row: Row, post_type: _PostType) -> tuple[dict[str, Any], list[tuple[str, str, str | None]]]:
    """Return a row as a post, and its problems as attribute, reason and content."""
    attributes = _attributes(row.content)
    post: dict[str, Any] = dict.fromkeys(post_type.columns)
    problems: list[tuple[str, str, str | None]] = []
    for column, (attribute, parse) in post_type.columns.items():
        value = attributes.get(attribute)
        try:
            if value is not None:
                post[column] = parse(value)
            elif attribute in _ALWAYS_PRESENT:
                problems.append((attribute, "is missing", None))
        except ValueError:
            problems.append((attribute, "cannot be read", value))
    return post, problems


def question_id(row: Row, tags: Collection[str], scope: Scope) -> int | None:
    """Return the Id of a row if it is a usable question with one of the tags and in scope, otherwise None."""
    try:
        question, _ = _parse(row, _QUESTION)
    except ExpatError:
        return None
    if any(question[column] is None for column in _QUESTION.required) or question["type"] != _QUESTION.type:
        return None
    return question["post_id"] if not set(tags).isdisjoint(question["tags"]) and question in scope else None


class _Extraction:
    """Adds the posts of a dump to the libraries that they belong to."""

    def __init__(self, path: Path, libraries: list[_Library], open_rows: OpenRows) -> None:
        self.irregular = 0
        self._path, self._libraries, self._open_rows = path, libraries, open_rows
        self._positions: dict[int, int] = {}  # in the file, by selected question
        self._question_ids: set[int] = set()  # of all usable questions so far
        self._answer_ids: set[int] = set()

    def read(self, scope: Scope) -> Rows:
        """Read the dump; return its rows, all of which have been read."""

        def report(row: Row, reason: str, content: bytes) -> None:
            self._report(self._libraries, row, None, reason, content)

        tags = {tag for library in self._libraries for tag in library.tags}
        rows = self._open_rows(self._path, tags, self._positions, report)
        early_answers: list[Row] = []
        bytes_left = _EARLY_ANSWER_BYTES
        with closing(iter(rows)) as found:
            for row in found:
                kind, parent = row.raw_value(b"PostTypeId"), row.number(b"ParentId")
                if kind != b"2" and row.raw_value(b"Tags"):
                    self._add_question(row, scope)
                if parent in self._positions:
                    self._add_answer(row)
                elif parent is not None:
                    bytes_left -= len(row.content)
                    if bytes_left >= 0:
                        early_answers.append(row)
                elif kind == b"2":
                    value = row.raw_value(b"ParentId")
                    reason = "is missing" if value is None else "cannot be read"
                    self._report(self._libraries, row, "ParentId", reason + _LEFT_OUT, value)
        if rows.is_ascending and bytes_left >= 0:
            self._add_early_answers(early_answers)
        else:
            logger.info("%s: reading again for answers that precede their questions", self._path.name)
            with closing(iter(rows.reread())) as found:
                self._add_early_answers(found)
        return rows

    def _add_question(self, row: Row, scope: Scope) -> None:
        question, homes = self._post(row, _QUESTION, self._question_ids)
        if homes and question in scope:
            self._positions[question["post_id"]] = row.position
            for library in homes:
                library.accepted_answers[question["post_id"]] = question["accepted_answer_id"]
                library.questions.add(question, len(row.content))

    def _add_answer(self, row: Row) -> None:
        answer, homes = self._post(row, _ANSWER, self._answer_ids)
        for library in homes:
            answer["is_accepted"] = answer["answer_id"] == library.accepted_answers[answer["post_id"]]
            library.answers.add(answer, len(row.content))

    def _add_early_answers(self, rows: Iterable[Row]) -> None:
        """Add the answers among these rows that precede their questions; the others have been added before."""
        for row in rows:
            parent = row.number(b"ParentId")
            if parent is not None and row.position < self._positions.get(parent, 0):
                self._add_answer(row)

    def _post(self, row: Row, post_type: _PostType, seen: set[int]) -> tuple[dict[str, Any], list[_Library]]:
        """Return a row as a post and its libraries; none if it is of another type, or unusable, which is recorded."""
        try:
            post, problems = _parse(row, post_type)
        except ExpatError as error:
            self._report(self._libraries, row, None, f"cannot be parsed ({error}){_LEFT_OUT}", row.content)
            return {}, []
        homes = [library for library in self._libraries if post_type.belongs_to(post, library)]
        if post["type"] not in (post_type.type, None) or not homes:
            return {}, []
        own_id = post[post_type.required[0]]
        is_usable = all(post[column] is not None for column in post_type.required)
        if is_usable and own_id in seen:
            is_usable, problems = False, [("Id", "is that of an earlier row", str(own_id))]
        for attribute, reason, value in problems:
            self._report(homes, row, attribute, reason if is_usable else reason + _LEFT_OUT, value)
        if not is_usable:
            return {}, []
        seen.add(own_id)
        return post, homes

    def _report(
        self, libraries: list[_Library], row: Row, attribute: str | None, reason: str, content: str | bytes | None
    ) -> None:
        self.irregular += 1
        if isinstance(content, bytes):
            content = content[: 4 * _EXCERPT].decode(errors="replace")
        problem = {"position": row.position, "post_id": row.number(b"Id"), "field": attribute, "reason": reason}
        for library in libraries:
            library.irregularities.add({**problem, "content": content and content[:_EXCERPT]}, _EXCERPT)
