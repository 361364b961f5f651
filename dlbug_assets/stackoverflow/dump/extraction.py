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
import sys
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

import polars as pl

from dlbug_assets.clock import parse_timestamp
from dlbug_assets.errors import DlbugError
from dlbug_assets.stackoverflow.dump.parallel_rows import SharedRows
from dlbug_assets.stackoverflow.dump.rows import LEFT_OUT, ReportProblem, Row, Rows, wanted_keys
from dlbug_assets.warehouse.rows import table_schema

logger = logging.getLogger(__name__)

_BATCH_ROWS = 2_500
_BATCH_BYTES = 16 << 20
_EXCERPT = 200
_TAGS = re.compile(r"(<[^<>|]+>)+|\|([^<>|]+\|)+")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")
_REPEATED = "is that of an earlier row"
#: References to characters that XML forbids, such as &#0; and &#xB;, and the bytes of such characters.
_REFERENCE = re.compile(rb"&#(?:x([0-9a-fA-F]+)|([0-9]+));")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REPLACED = "has characters that XML forbids; they are replaced by U+FFFD"


def _with_owner_id(schema: pl.Schema) -> pl.Schema:
    """Return the columns with owner_id, the number of an account, in place of its hash."""
    return pl.Schema({"owner_id" if name == "owner_hash" else name: kind for name, kind in schema.items()})


#: Columns of the files: owners are account numbers, e-mail addresses are still in the texts, times are in UTC.
DUMP_QUESTIONS = _with_owner_id(
    table_schema("stackoverflow.raw_posts", without=("library", "link", "retrieved_at", "deleted_at"))
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


#: Open the rows of a dump, from its path, the tags, the wanted keys (see Rows), and what to do with problems.
OpenRows = Callable[[Path, Collection[str], dict[int, int], ReportProblem], Rows]


@dataclass(frozen=True)
class DumpReading:
    """The result of reading a dump.

    Numbers of rows in the file, of planted posts among them, of irregularities (each counted once), and of rows that
    are not in the result because they cannot be read; questions and answers per library; its tags that some question
    has; its known questions of which the file has no row; the notation of tags (or "none seen"); whether the file is
    complete.
    """

    rows: int
    planted: int
    irregular: int
    left_out: int
    questions: dict[str, int]
    answers: dict[str, int]
    tags_found: dict[str, list[str]]
    absent: dict[str, list[int]]
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
    known: Mapping[str, Collection[int]] = MappingProxyType({}),
    open_rows: OpenRows = SharedRows,
) -> DumpReading:
    """Extract each library's questions and all their answers from a dump.

    ``path`` is a Posts.xml, or a .7z, .zip or .gz that contains one. It is read once, whatever the order of its rows;
    an archive is unpacked a second time if too many answers precede their questions. ``libraries`` maps a name to tags,
    ``folders`` the same name to an empty folder. This function writes questions-00001.parquet and so on there, with the
    columns of :data:`DUMP_QUESTIONS`, as well as answers (:data:`DUMP_ANSWERS`) and irregularities
    (:data:`ROW_PROBLEMS`), at least one file of each. It selects questions with one of the tags and at least
    ``min_score``, created on a UTC day from ``created_from`` to ``created_until``, both included, and those that are
    ``known`` from earlier dumps, which are in scope only if they meet these criteria. Rows keep the order of the file,
    except for answers that precede their questions: these follow later. Memory holds two batches of each kind, one of
    which is being written, and some 300 bytes per question or answer; an index of the rows is in a temporary file.

    A question without a readable Id, Score or CreationDate is left out, and so is a second post with the same Id; any
    other field that cannot be read is NULL, and a character that XML forbids is U+FFFD. All of this is recorded among
    the irregularities, for every library if the library is unknown. Raises :class:`DlbugError` for a file that is not a
    dump or cannot be read to its end, and for a folder that cannot be written; the files are then unusable.
    """
    with ThreadPoolExecutor(thread_name_prefix="dump") as writers:
        selections = {
            name: _Library(frozenset(tags), frozenset(known.get(name, ())), folders[name], writers)
            for name, tags in libraries.items()
        }
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
        left_out=extraction.left_out,
        questions={name: library.questions.count for name, library in selections.items()},
        answers={name: library.answers.count for name, library in selections.items()},
        tags_found={name: sorted(library.tags_found) for name, library in selections.items()},
        absent={name: sorted(library.known - library.present) for name, library in selections.items()},
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
    """The posts of one library: its tags, its known questions, what was found, and the writers of its files."""

    def __init__(self, tags: frozenset[str], known: frozenset[int], folder: Path, writers: Executor) -> None:
        self.tags, self.known = tags, known
        self.tags_found: set[str] = set()
        self.present: set[int] = set()  # known questions of which there is a row, even if it cannot be used
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
    lambda question, library: (
        question["tags"] is None
        or not library.tags.isdisjoint(question["tags"])
        or question["post_id"] in library.known
    ),
    ("post_id", "type", "tags", "score", "created_at"),
)
_ANSWER = _PostType(
    2,
    {"answer_id": ("Id", _parse_number), "post_id": ("ParentId", _parse_number), **_SHARED},
    lambda answer, library: answer["post_id"] in library.accepted_answers,
    ("answer_id", "type"),
)


def _attributes(row: bytes) -> tuple[dict[str, str], bytes]:
    """Return a row's attributes by name, and what follows it but isn't a row: the remains of one that is garbled.

    Raises :class:`ExpatError` if the row is not well-formed.
    """
    found: list[dict[str, str]] = []
    ended: list[str] = []
    parser = ParserCreate()
    parser.StartElementHandler = lambda _, attributes: found.append(attributes)
    parser.EndElementHandler = ended.append
    try:
        parser.Parse(row, True)
    except ExpatError:
        if not ended:
            raise
        return found[0], row[parser.ErrorByteIndex :]
    return found[0], b""


def _without_forbidden(content: bytes) -> bytes:
    """Return a row or value with U+FFFD for each character that XML forbids, and for bytes that aren't UTF-8."""

    def replace(reference: re.Match[bytes]) -> bytes:
        hexadecimal, decimal = reference.groups()
        number = int(hexadecimal, 16) if hexadecimal else int(decimal)
        is_allowed = number <= sys.maxunicode and not _FORBIDDEN.match(chr(number))
        return reference.group() if is_allowed else "\ufffd".encode()

    return _FORBIDDEN.sub("\ufffd", _REFERENCE.sub(replace, content).decode(errors="replace")).encode()


@dataclass
class _Parsed:
    """A row as a post, and its problems as attribute, reason and content."""

    post: dict[str, Any]
    problems: list[tuple[str | None, str, str | bytes | None]] = field(default_factory=list)


def _parse(row: Row, post_type: _PostType) -> _Parsed:
    """Parse a row as a post of this type; raises :class:`ExpatError` if it is not well-formed."""
    parsed = _Parsed(dict.fromkeys(post_type.columns))
    try:
        attributes, junk = _attributes(row.content)
    except ExpatError:
        attributes, junk = _attributes(_without_forbidden(row.content))
        values = {name: row.raw_value(name.encode()) or b"" for name in attributes}
        parsed.problems += [
            (name, _REPLACED, value) for name, value in values.items() if _without_forbidden(value) != value
        ]
    if junk:
        parsed.problems.append((None, "is followed by something other than a row", junk))
    for column, (attribute, parse) in post_type.columns.items():
        value = attributes.get(attribute)
        try:
            if value is not None:
                parsed.post[column] = parse(value)
            elif attribute in _ALWAYS_PRESENT:
                parsed.problems.append((attribute, "is missing", None))
        except ValueError:
            parsed.problems.append((attribute, "cannot be read", value))
    return parsed


def question_id(row: Row, tags: Collection[str], scope: Scope, known: Container[int]) -> int | None:
    """Return the Id of a row if it is a usable question that is known or has one of the tags and is in scope."""
    try:
        question = _parse(row, _QUESTION).post
    except ExpatError:
        return None
    if any(question[column] is None for column in _QUESTION.required) or question["type"] != _QUESTION.type:
        return None
    is_in_scope = not set(tags).isdisjoint(question["tags"]) and question in scope
    return question["post_id"] if is_in_scope or question["post_id"] in known else None


def is_question(row: Row) -> bool:
    """Return whether a row that may matter is a question, or could be one."""
    kind = row.raw_value(b"PostTypeId")
    return kind == b"1" or (kind != b"2" and bool(row.raw_value(b"Tags")))


class _Extraction:
    """Adds the posts of a dump to the libraries that they belong to."""

    def __init__(self, path: Path, libraries: list[_Library], open_rows: OpenRows) -> None:
        self.irregular = self.left_out = 0
        self._path, self._libraries, self._open_rows = path, libraries, open_rows
        self._wanted = wanted_keys(number for library in libraries for number in library.known)
        self._last_left_out = 0
        self._question_ids: set[int] = set()  # of all usable questions so far
        self._answer_ids: set[int] = set()

    def read(self, scope: Scope) -> Rows:
        """Read the dump; return its rows, all of which have been read."""

        def report(row: Row, reason: str, content: bytes) -> None:
            self._report(self._libraries, row, None, reason, content)

        tags = {tag for library in self._libraries for tag in library.tags}
        rows = self._open_rows(self._path, tags, self._wanted, report)
        with closing(iter(rows)) as found:
            for row in found:
                if is_question(row):
                    self._add_question(row, scope)
                elif row.number(b"ParentId") in self._wanted:
                    self._add_answer(row)
                elif row.raw_value(b"PostTypeId") == b"2":
                    value = row.raw_value(b"ParentId")
                    reason = "is missing" if value is None else "cannot be read"
                    self._report(self._libraries, row, "ParentId", reason + LEFT_OUT, value)
        return rows

    def _add_question(self, row: Row, scope: Scope) -> None:
        question, homes = self._post(row, _QUESTION, self._question_ids)
        for library in homes:
            number = question["post_id"]
            found = library.tags.intersection(question["tags"])
            library.tags_found |= found
            is_known, is_in_scope = number in library.known, bool(found) and question in scope
            if is_known:
                library.present.add(number)
            if is_known or is_in_scope:
                self._wanted[number] = row.position
                library.accepted_answers[number] = question["accepted_answer_id"]
                library.questions.add({**question, "in_scope": is_in_scope}, len(row.content))

    def _add_answer(self, row: Row) -> None:
        answer, homes = self._post(row, _ANSWER, self._answer_ids)
        for library in homes:
            answer["is_accepted"] = answer["answer_id"] == library.accepted_answers[answer["post_id"]]
            library.answers.add(answer, len(row.content))

    def _post(self, row: Row, post_type: _PostType, seen: set[int]) -> tuple[dict[str, Any], list[_Library]]:
        """Return a row as a post and its libraries; none if it is of another type, or unusable, which is recorded."""
        try:
            parsed = _parse(row, post_type)
        except ExpatError as error:
            self._report(self._libraries, row, None, f"cannot be parsed ({error}){LEFT_OUT}", row.content)
            return {}, []
        post, problems = parsed.post, parsed.problems
        homes = [library for library in self._libraries if post_type.belongs_to(post, library)]
        if post["type"] not in (post_type.type, None) or not homes:
            return {}, []
        own_id = post[post_type.required[0]]
        is_usable = all(post[column] is not None for column in post_type.required)
        if is_usable and own_id in seen:
            is_usable, problems = False, [("Id", _REPEATED, str(own_id))]
        for attribute, reason, value in problems:
            self._report(homes, row, attribute, reason if is_usable else reason + LEFT_OUT, value)
        if not is_usable:
            return {}, []
        seen.add(own_id)
        return post, homes

    def _report(
        self, libraries: list[_Library], row: Row, attribute: str | None, reason: str, content: str | bytes | None
    ) -> None:
        self.irregular += 1
        if reason.endswith(LEFT_OUT) and reason != _REPEATED + LEFT_OUT:
            self.left_out += row.position != self._last_left_out
            self._last_left_out = row.position
        if isinstance(content, bytes):
            content = content[: 4 * _EXCERPT].decode(errors="replace")
        number = row.number(b"Id")
        problem = {"position": row.position, "post_id": number, "field": attribute, "reason": reason}
        for library in libraries:
            library.irregularities.add({**problem, "content": content and content[:_EXCERPT]}, _EXCERPT)
            if number in library.known:
                library.present.add(number)
