"""Reading Stack Overflow's data dump: a stream of rows, from which a study's questions and their answers are taken.

What belongs here: what a row of `Posts.xml` is, which rows a library gets, and what in them was not as it should be.
What doesn't: hiding who wrote them, and what becomes of the files.

Everything rests on what XML forbids. A literal `<` cannot stand inside an attribute's value, so `<row ` is always the
beginning of a row, whatever the line ends are: there the bytes are split. A literal `"` cannot stand inside a value,
so ` ParentId="5"` with real quotes is never a text. A row by itself cannot declare entities, so parsing one cannot blow
up. Hence cheap tests of bytes come first, and only rows that survive them are parsed, each by itself. The parser does
as XML says: raw tabs and line ends in a value become spaces (those of bodies are written as references, and stay).
"""

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import polars as pl

from dlbug_assets.errors import DlbugError

#: Bytes that are read at a time, and between two words on the progress.
_CHUNK = 2 << 20
_SAY_EVERY = 500_000_000
#: No post is that long by far: what a damaged file takes of memory has its limit here.
_LONGEST_ROW = 8 << 20
_HEAD = 4 << 10
_BATCH_ROWS = 5_000
_BATCH_BYTES = 32 << 20
_EXCERPT = 200
_PROGRAMS = ("7zz", "7z", "7za", "7zr")
#: Two posts that recent dumps contain and that nobody wrote.
_PLANTED = {b"1000000001", b"1000000010"}
#: How tags are written, by how the value begins in the file: the older way and the newer one.
_NOTATIONS = {b"&": "<a><b>", b"|": "|a|b|"}
_TAGS = re.compile(r"(<[^<>|]+>)+|\|([^<>|]+\|)+")
_DIGITS = 18
_NUMBER = re.compile(rf"-?[0-9]{{1,{_DIGITS}}}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")
_NAME_IT = "Name the Posts.xml of Stack Overflow's data dump, or the .7z that contains it."
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
    say: Callable[[str], None] = lambda _: None,
) -> DumpReading:
    """Take each library's questions and all their answers from a dump.

    ``path`` is a Posts.xml, or a .7z that contains one; it is streamed twice, since an answer may stand before its
    question. ``libraries`` maps a name to tags, ``folders`` the same name to an empty folder. That gets
    ``questions-00001.parquet`` and so on with the columns of :data:`QUESTIONS`, in the same way ``answers`` and
    ``irregularities``, each at least once. Taken are questions with one of the tags, of ``min_score`` or more, created
    on a UTC day from ``created_from`` to ``created_until``, both included. In memory there is a batch of each kind and
    some 200 bytes per question or answer.

    A question without a readable Id, Score or CreationDate is left out, and so is a second post with an Id; any other
    field that cannot be read is NULL. All this is noted, for every library where it cannot be told which one it is.
    Raises :class:`DlbugError` for a file that is no such dump or cannot be read to its end, and for a folder that
    cannot be written; the files are of no use then.
    """
    shelves = {name: _Shelf(Wanted(tuple(tags)), folders[name]) for name, tags in libraries.items()}
    reader = _Reader(path, list(shelves.values()), say)
    reader.take_questions(min_score, created_from or date.min, created_until or date.max)
    reader.take_answers()
    for shelf in shelves.values():
        for batches in (shelf.questions, shelf.answers, shelf.irregularities):
            batches.close()
    return DumpReading(
        rows=reader.rows,
        planted=reader.planted,
        irregular=reader.irregular,
        questions={name: shelf.questions.count for name, shelf in shelves.items()},
        answers={name: shelf.answers.count for name, shelf in shelves.items()},
        notation=" and ".join(sorted(reader.notations)) or "none seen",
        complete=reader.complete,
    )


class _Batches:
    """Rows of one kind on their way into numbered files."""

    def __init__(self, folder: Path, kind: str, schema: dict[str, Any]) -> None:
        self.count = 0
        self._folder, self._kind, self._schema = folder, kind, schema
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._files = 0

    def add(self, row: dict[str, Any]) -> None:
        self.count += 1
        self._rows.append(row)
        self._bytes += sum(sys.getsizeof(value) for value in row.values())
        if len(self._rows) >= _BATCH_ROWS or self._bytes >= _BATCH_BYTES:
            self._write()

    def close(self) -> None:
        """Write what is left; where there was nothing at all, a file without rows, so that readers find the schema."""
        if self._rows or not self._files:
            self._write()

    def _write(self) -> None:
        self._files += 1
        path = self._folder / f"{self._kind}-{self._files:05}.parquet"
        content = io.BytesIO()
        pl.DataFrame(self._rows, schema=self._schema).write_parquet(content)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DlbugError(
                f"cannot write {path}: {error.strerror}. Its folder must be empty and writable, with space on its disk."
            ) from None
        self._rows, self._bytes = [], 0


class _Shelf:
    """What is taken for one library, and where it goes."""

    def __init__(self, wanted: Wanted, folder: Path) -> None:
        self.wanted = wanted
        self.accepted: dict[int, int | None] = {}  # each question taken, and its accepted answer
        self.questions = _Batches(folder, "questions", QUESTIONS)
        self.answers = _Batches(folder, "answers", ANSWERS)
        self.irregularities = _Batches(folder, "irregularities", IRREGULARITIES)


class _Row(NamedTuple):
    """A row as it stands in the file: its bytes from `<row ` to `/>`."""

    position: int
    content: bytes

    def written(self, attribute: bytes) -> bytes | None:
        """What stands between the quotes of an attribute."""
        _, _, rest = self.content.partition(b' %b="' % attribute)
        value, is_closed, _ = rest.partition(b'"')
        return value if is_closed else None

    def number(self, attribute: bytes) -> int | None:
        written = self.written(attribute) or b""
        return int(written) if written.isdigit() and len(written) <= _DIGITS else None


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


class _Reader:
    """Fills the shelves, and counts."""

    def __init__(self, path: Path, shelves: list[_Shelf], say: Callable[[str], None]) -> None:
        self.rows = self.planted = self.irregular = 0
        self.notations: set[str] = set()
        self.complete = False
        self._path, self._shelves, self._say = path, shelves, say

    def take_questions(self, min_score: int, first: date, last: date) -> None:
        """The first reading; it also counts, and notes what is wrong with rows as a whole."""
        tags = b"|".join(sorted(re.escape(tag.encode()) for shelf in self._shelves for tag in shelf.wanted.tags))
        # With the marks around it, so that keras is not found in keras-layer. The parser has the last word, and the
        # only one on tags that are written with references or in no known notation.
        hit = re.compile(rb"[;|](?:%b)(?:[&|]|\Z)|&#" % tags)
        seen: set[int] = set()
        with closing(self._sound_rows(is_first=True)) as rows:
            for row in rows:
                written = row.written(b"Tags") or b""
                notation = _NOTATIONS.get(written[:1])
                if notation:
                    self.notations.add(notation)
                if not written or (notation and not hit.search(written)):
                    continue
                question, homes = self._post(row, _QUESTION, seen)
                if homes and question["score"] >= min_score and first <= question["created_at"].date() <= last:
                    for shelf in homes:
                        shelf.accepted[question["post_id"]] = question["accepted_answer_id"]
                        shelf.questions.add(question)

    def take_answers(self) -> None:
        """The second reading."""
        seen: set[int] = set()
        with closing(self._sound_rows(is_first=False)) as rows:
            for row in rows:
                parent = row.number(b"ParentId")
                if parent is None and row.written(b"PostTypeId") == b"2":
                    written = row.written(b"ParentId")
                    reason = "is missing" if written is None else "cannot be read"
                    self._note(self._shelves, row, "ParentId", reason + _LEFT_OUT, written)
                if not any(parent in shelf.accepted for shelf in self._shelves):
                    continue
                answer, homes = self._post(row, _ANSWER, seen)
                for shelf in homes:
                    answer["is_accepted"] = answer["answer_id"] == shelf.accepted[answer["post_id"]]
                    shelf.answers.add(answer)

    def _sound_rows(self, *, is_first: bool) -> Iterator[_Row]:
        """Every row that has an end and is not planted; at the first reading the others are noted and counted."""
        self.rows = 0
        with closing(_chunks(self._path)) as chunks:
            pieces = self._pieces(chunks, "questions" if is_first else "answers")
            piece = next(pieces)  # what stands before the first row
            for piece in pieces:
                self.rows += 1
                content, end, behind = piece.rpartition(b"/>")  # the last one: a `>` may stand inside a value
                row = _Row(self.rows, b"<row " + (content + end or piece))
                if not end or len(piece) > _LONGEST_ROW:
                    if is_first:
                        self._note(self._shelves, row, None, "is cut, or longer than any post", row.content)
                    continue
                stray = behind.replace(b"</posts>", b"").strip()
                if b"<posts" in stray:
                    raise DlbugError(f"{self._path} contains several dumps. Name Stack Overflow's Posts.xml alone.")
                if stray and is_first:
                    self._note(self._shelves, row, None, "is followed by something that is no row", stray)
                if row.written(b"Id") in _PLANTED:
                    self.planted += is_first
                else:
                    yield row
        if not self.rows:
            raise DlbugError(f"{self._path} has no rows. {_NAME_IT}")
        self.complete = b"</posts>" in piece

    def _pieces(self, chunks: Iterator[bytes], doing: str) -> Iterator[bytes]:
        """What stands before the first `<row `, then what stands behind each of them until the next."""
        head = b""
        while len(head) < _HEAD and (chunk := next(chunks, b"")):
            head += chunk
        if not head:
            raise DlbugError(f"{self._path} is empty, or an archive without a Posts.xml. {_NAME_IT}")
        if b"<posts>" not in head[:_HEAD]:
            raise DlbugError(f"{self._path} is no Posts.xml: it does not begin with <posts>. {_NAME_IT}")
        rest, read = b"", 0
        for chunk in chain([head], chunks):
            *pieces, rest = (rest + chunk).split(b"<row ")
            yield from pieces
            if len(rest) > _LONGEST_ROW:  # too long to be kept, yet long enough to show; the end may begin a `<row `
                rest = rest[: _LONGEST_ROW + 1] + rest[-16:]
            read += len(chunk)
            if read // _SAY_EVERY > (read - len(chunk)) // _SAY_EVERY:
                self._say(f"{self._path.name}: {read / 1e9:.1f} GB read for {doing}")
        yield rest

    def _post(self, row: _Row, kind: _Kind, seen: set[int]) -> tuple[dict[str, Any], list[_Shelf]]:
        """A row as a record, and where it goes: nowhere if it is no such post, or of no use, which is noted."""
        try:
            attributes = ElementTree.fromstring(row.content).attrib  # noqa: S314 - a row declares no entities
        except ElementTree.ParseError as error:
            self._note(self._shelves, row, None, f"cannot be parsed ({error}){_LEFT_OUT}", row.content)
            return {}, []
        record: dict[str, Any] = dict.fromkeys(kind.columns)
        problems = []
        for column, (attribute, read) in kind.columns.items():
            value = attributes.get(attribute)
            try:
                if value is not None:
                    record[column] = read(value)
                elif attribute in _ALWAYS_THERE:
                    problems.append((attribute, "is missing", None))
            except ValueError:
                problems.append((attribute, "cannot be read", value))
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

    def _note(self, shelves: list[_Shelf], row: _Row, attribute: str | None, reason: str, content: Any) -> None:
        self.irregular += 1
        if isinstance(content, bytes):
            content = content[: 4 * _EXCERPT].decode(errors="replace")
        entry = {"position": row.position, "post_id": row.number(b"Id"), "field": attribute, "reason": reason}
        for shelf in shelves:
            shelf.irregularities.add({**entry, "content": content and content[:_EXCERPT]})


def _chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a Posts.xml, whether packed or not. Close it: it may hold a process."""
    try:
        if not path.is_file():
            raise DlbugError(f"{path} {'is no file' if path.exists() else 'does not exist'}. {_NAME_IT}")
        if path.suffix.lower() == ".7z":
            yield from _unpacked(path)
        else:
            with path.open("rb", buffering=0) as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
    except OSError as error:
        raise DlbugError(f"cannot read {path}: {error.strerror}. {_NAME_IT}") from None


def _unpacked(path: Path) -> Iterator[bytes]:
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise DlbugError(f"{path} needs a program to unpack it: install the package 7zip, or unpack it yourself.")
    # -so: to its standard output; -r: in whatever folder it lies; -spd: names are no patterns; -p: an empty password,
    # so that it never asks for one; -bso0, -bsp0: errors alone are said, so few that they cannot fill their pipe.
    command = [program, "e", "-so", "-r", "-spd", "-p", "-bso0", "-bsp0", "--", str(path), "Posts.xml"]
    with subprocess.Popen(  # noqa: S603 - no shell, and nothing behind the -- is read as an option
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            while chunk := process.stdout.read(_CHUNK):
                yield chunk
            said = process.stderr.read().decode(errors="replace")
            code = process.wait()
        finally:
            process.kill()  # where the reader gave up; one that has ended is left alone
    if code:
        lines = (line.strip() for line in said.splitlines() if path.name not in line)
        words = "; ".join(line for line in lines if line)[:_EXCERPT] or f"exit code {code}"
        cure = "Unpack it yourself and name the Posts.xml" if "password" in words else "Get it anew"
        raise DlbugError(f"{path} cannot be unpacked: {words}. {cure}.")
