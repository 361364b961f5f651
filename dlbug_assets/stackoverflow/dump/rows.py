"""A stream of those rows of a data dump that may matter, from a Posts.xml or the archive that contains it.

In scope: where a row begins and ends, and which bytes make it worth parsing. Out of scope: the meaning of a row's
attributes.

All of this relies on what XML forbids. An attribute's value cannot contain a literal `<`, so `<row` is always the
beginning of a row, whatever the line ends are: the bytes are split there. If all rows of a chunk have the layout of
every dump so far, few bytes of them are looked at; otherwise each row is cut out, brought into that layout (one blank
before an attribute, double quotes) and tested separately.

Rows may have any order. A question is recognized by its tags, an answer only by its question, which may come later: an
index on disk remembers the question of each row. Answers that precede their question are yielded after the stretch of
the file that contains it: an eighth of a large file, otherwise the whole file.
"""

import logging
import os
import re
import tempfile
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from heapq import merge
from itertools import chain, compress, count, islice
from operator import gt
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dlbug_assets.errors import DlbugError
from dlbug_assets.stackoverflow.dump.prolog import skip_prolog
from dlbug_assets.stackoverflow.dump.row_index import NOTHING, PROBLEM, TO_PARSE, RowIndex, question_key
from dlbug_assets.stackoverflow.dump.unpacking import ADVICE, is_archive, read_chunks

logger = logging.getLogger(__name__)

#: Bytes between two log lines on the progress.
_LOG_EVERY = 500_000_000
#: No post is nearly as long: this limits the memory that a damaged file takes.
LONGEST_ROW = 8 << 20
_SHORT = 4 << 10
#: Answers that precede their question in an archive are kept in memory, up to this number of bytes.
_EARLY_ANSWER_BYTES = 32 << 20
#: Two posts in recent dumps that nobody wrote.
_PLANTED = {b"1000000001", b"1000000010"}
#: The older and the newer notation of tags, by the first byte of the value in the file: its name, the bytes before each
#: tag as a pattern, and the first byte after it.
_NOTATIONS = {b"&": ("<a><b>", b"&lt;", b"&"), b"|": ("|a|b|", rb"\|", b"|")}
_AFTER_NAME = {b" ", b"\t", b"\r", b"\n", b"/"}
_DIGITS = 18
#: Bytes from the end of a row in which the Id and ParentId of the next one are, in the standard layout.
_HEAD = 80
#: The end of the reason of a problem with a row that isn't in the result.
LEFT_OUT = "; the row is left out"
_BETWEEN = re.compile(rb"/>(\s*)<row ")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=<>"'/]+)\s*=\s*("[^"<]*"|'[^'<]*')""")
_PLAIN_NAME = re.compile(rb" [\w:.-]+=").fullmatch


class Row(NamedTuple):
    """A row of the file: its number from 1, its bytes from `<row` to `/>` in the plain layout, and its offset."""

    position: int
    content: bytes
    start: int = 0

    def raw_value(self, attribute: bytes) -> bytes | None:
        """Return the bytes between the quotes of an attribute, None if it is missing."""
        _, _, rest = self.content.partition(b' %b="' % attribute)
        value, is_closed, _ = rest.partition(b'"')
        return value if is_closed else None

    @property
    def tags(self) -> bytes:
        """The bytes of its tags, with the closing quote."""
        return (self.raw_value(b"Tags") or b"") + b'"'

    def number(self, attribute: bytes) -> int | None:
        """Return an attribute as a number, None if it is missing or not a number."""
        value = self.raw_value(attribute) or b""
        return int(value) if value.isdigit() and len(value) <= _DIGITS else None


class _Chunk(NamedTuple):
    """Bytes of a file whose rows are in the standard layout.

    ``ends`` are the end of the row before, and of each row; ``between`` is the number of bytes from there to the next
    row.
    """

    content: bytes
    ends: list[int]
    offset: int
    between: int
    rows_before: int

    def row(self, number: int) -> Row:
        """Return a row by its number in the chunk, from 0."""
        start = self.ends[number] + self.between
        content = _in_plain_layout(self.content[start : self.ends[number + 1] + 2])
        return Row(self.rows_before + number + 1, content, self.offset + start)


#: Report a problem with a row as a whole: the row, the reason, and the bytes that it concerns.
ReportProblem = Callable[[Row, str, bytes], None]


def wanted_keys(questions: Iterable[int] = ()) -> dict[int, int]:
    """Return the keys of the rows to yield in any case: those to parse, and these questions, whatever their tags."""
    return {TO_PARSE: 0, PROBLEM: 0} | dict.fromkeys(map(question_key, questions), 0)


class Rows:
    """One reading of a dump, to be iterated once: yields the rows that may matter and counts all.

    Rows that may matter are: rows with one of ``tags``, or with tags that only a parser can read; answers without a
    readable ParentId; rows with a key in ``wanted``. The user of the rows adds each selected question to ``wanted``,
    its position by its Id: answers behind that position follow in the order of the file, and those before it after the
    stretch of the file. Raises :class:`DlbugError` for a file that is not a dump or cannot be read to its end.
    """

    def __init__(self, path: Path, tags: Collection[str], wanted: dict[int, int], report: ReportProblem) -> None:
        self.path, self.tags, self.wanted = path, tags, wanted
        self.count = self.planted = self.bytes_read = 0
        self.notations: set[str] = set()
        self.is_complete = False
        self._report = report
        # By the first byte of the tags, filled when a notation is first seen.
        self._searches: dict[int, Callable[..., re.Match[bytes] | None]] = {}
        #: Number of rows before each index, and the index.
        self._indexes: list[tuple[int, RowIndex]] = []
        #: Position, key and offset of rows that were examined after they were indexed.
        self._examined_later: list[tuple[int, int, int]] = []
        #: By position, the rows of an archive that answer a later question, until there are too many.
        self._early: dict[int, Row] = {}
        self._early_bytes = _EARLY_ANSWER_BYTES if is_archive(path) else 0
        #: Number of wanted keys whose earlier answers have been yielded, or that have none.
        self._done = len(wanted)

    def __iter__(self) -> Generator[Row, None, None]:
        with ExitStack() as stack:
            for stretch in self._stretches(stack):
                yield from stretch
                yield from self._early_answers()
            self.require_rows()

    def require_rows(self) -> None:
        """Raise :class:`DlbugError` if there were no rows."""
        if not self.count:
            raise DlbugError(f"{self.path} has no rows. {ADVICE}")

    def _stretches(self, stack: ExitStack) -> Iterator[Iterator[Row]]:
        """Yield, for each stretch of the file, what can be decided while it is read; ``stack`` closes the files."""
        chunks = stack.enter_context(closing(read_chunks(self.path)))
        begin, head = self._skip_prolog(chunks)
        yield self._rows(chain([head], chunks), begin, self._new_index(stack))

    def _skip_prolog(self, chunks: Iterator[bytes]) -> tuple[int, bytes]:
        """Return the offset of what follows `<posts>` and the bytes read after it."""
        first = next(chunks, b"")
        if not first:
            raise DlbugError(f"{self.path} is empty, or an archive without a Posts.xml. {ADVICE}")
        found = skip_prolog(chain([first], chunks))
        if found is None:
            raise DlbugError(f"{self.path} is not a Posts.xml: it does not begin with <posts>. {ADVICE}")
        return found

    def _new_index(self, stack: ExitStack) -> RowIndex:
        """Return an index of the next rows."""
        try:
            index = RowIndex(stack.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115 - the stack closes it
        except OSError as error:
            raise _no_space(error) from None
        self._indexes.append((self.count, index))
        return index

    def _rows(self, chunks: Iterator[bytes], begin: int, index: RowIndex | None) -> Iterator[Row]:
        """Yield the rows in chunks, which start at the offset ``begin``, and add all of them to ``index``."""
        end, standard = b"", None
        rest, has_begun = b"", False
        read = begin  # offset in the file of the end of this chunk
        start, dropped = begin - 4, 0  # offset of the row in ``rest``, and how many of its bytes were dropped
        for chunk in chunks:
            if standard is None and (between := _BETWEEN.search(chunk)):
                # The end of a row and the beginning of the next one, in the standard layout.
                end = b"/>" + between.group(1)
                standard = re.compile(
                    rb'%b<row Id="([0-9]{1,9})" PostTypeId="(?:1"|2" ParentId="([0-9]{1,%d})"|[3-9]")'
                    % (re.escape(end), _DIGITS)
                ).findall
            offset, read = read, read + len(chunk)
            first, last = chunk.find(b"<row "), chunk.rfind(b"<row ")
            is_standard = standard is not None and has_begun and chunk.endswith(end, 0, last)
            ends = _row_ends(chunk, first, last, len(end)) if is_standard else []
            # One search through the beginnings of all rows. If they contain one `<` each, one match each means all.
            heads = b"".join([chunk[place : place + _HEAD] for place in ends])
            fields = standard(heads) if standard else []
            if ends and len(fields) == len(ends) == heads.count(b"<"):
                *pieces, rest = (rest + chunk[:first]).split(b"<row")
                for piece in (*pieces, rest):
                    yield from self._next_row(piece, start, index)
                    start += 4 + len(piece) + dropped
                    dropped = 0
                ends.append(last - len(end))
                yield from self._standard_rows(_Chunk(chunk, ends, offset, len(end), self.count), fields, index)
                start, rest = offset + last, chunk[last + 4 :]
            else:
                *pieces, rest = (rest + chunk).split(b"<row")
                for piece in pieces:
                    if has_begun:  # the bytes before the first row are not a row
                        yield from self._next_row(piece, start, index)
                    start += 4 + len(piece) + dropped
                    has_begun, dropped = True, 0
            if len(rest) > LONGEST_ROW:  # keep enough to see that it is too long; its end may be the start of a `<row`
                dropped += len(rest) - LONGEST_ROW - 1 - 16
                rest = rest[: LONGEST_ROW + 1] + rest[-16:]
            self.count_bytes(len(chunk))
        if has_begun:
            yield from self._next_row(rest, start, index)
            self.is_complete = b"</posts>" in rest
        if index is not None:
            self._write(index.flush)

    def count_bytes(self, size: int) -> None:
        """Add to the bytes read; log the progress at intervals."""
        before, self.bytes_read = self.bytes_read, self.bytes_read + size
        if self.bytes_read // _LOG_EVERY > before // _LOG_EVERY:
            logger.info("%s: %.1f GB read", self.path.name, self.bytes_read / 1e9)

    def _standard_rows(
        self, chunk: "_Chunk", fields: Sequence[Sequence[bytes]], index: RowIndex | None
    ) -> Iterator[Row]:
        """Yield the rows of a chunk in the standard layout that may matter now, and add all of them to the index.

        ``fields`` are the rows' Ids and the answers' ParentIds, or None. Much of the time is spent here, so the steps
        are plain.
        """
        self.count += len(fields)
        content, ends = chunk.content, chunk.ends
        keys = [int(parent) if parent else ~int(own) for own, parent in fields]  # as question_key does
        searches = self._searches
        for number, key in enumerate(keys):
            if key < 0:
                start, end = ends[number], ends[number + 1]
                value = content.rfind(b' Tags="', start, end) + 7
                if value >= start:
                    # The search may run past the tags: the parser decides.
                    search = searches.get(content[value])
                    is_relevant = search(content, value, end) if search else self._is_relevant(content[value:end])
                else:  # no tags, or in another layout
                    is_relevant = b"Tags" in content[start:end] and self._is_relevant(chunk.row(number).tags)
                if is_relevant:
                    keys[number] = TO_PARSE
        if index is not None:
            first = chunk.offset + chunk.between
            self._write(index.add, keys, [first + end for end in ends[:-1]])
        wanted = self.wanted
        for number in compress(count(), map(wanted.__contains__, keys)):
            if wanted[keys[number]] <= chunk.rows_before + number:
                yield chunk.row(number)
        if self._early_bytes:
            for number in compress(count(), map(gt, keys, (int(own) for own, _ in fields))):
                self._keep(chunk.row(number))

    def _next_row(self, piece: bytes, start: int, index: RowIndex | None) -> Iterator[Row]:
        """Yield the next row, in any layout, if it may matter now, and add it to the index."""
        self.count += 1
        row, key = self._examine(piece, self.count, start)
        if index is not None:
            self._write(index.add, [key], [start])
        if self.wanted.get(key, self.count) < self.count:
            yield row
        elif self._early_bytes and key > (row.number(b"Id") or 0):
            self._keep(row)

    def _examine(self, piece: bytes, position: int, start: int) -> tuple[Row, int]:
        """Return a row in any layout and its key, and report problems; ``piece`` follows its `<row` up to the next one.

        Raises :class:`DlbugError` if another dump begins here.
        """
        content, is_whole, stray = _cut(piece)
        row = Row(position, _in_plain_layout(content), start)
        if not is_whole or len(piece) > LONGEST_ROW:
            self._report(row, "is cut, or longer than any post" + LEFT_OUT, row.content)
            return row, NOTHING
        if b"<posts" in stray:
            raise DlbugError(f"{self.path} contains several dumps. Name Stack Overflow's Posts.xml alone.")
        if stray:
            self._report(row, "is followed by something other than a row", stray)
        if piece[:1] not in _AFTER_NAME:
            self._report(row, "is an element of another name" + LEFT_OUT, row.content)
            return row, NOTHING
        own, parent, kind = row.number(b"Id"), row.number(b"ParentId"), row.raw_value(b"PostTypeId")
        if row.raw_value(b"Id") in _PLANTED:
            self.planted += 1
            return row, NOTHING
        if parent is None if kind == b"2" else self._is_relevant(row.tags):
            return row, TO_PARSE
        if parent is None or kind == b"1":
            return row, NOTHING if own is None else question_key(own)
        return row, parent

    def _is_relevant(self, tags: bytes) -> bool:
        """Return whether one of these tags is wanted; ``tags`` are raw, with the closing quote.

        True if in doubt: only a parser can read tags with character references or in an unknown notation.
        """
        mark = tags[:1]
        if mark not in _NOTATIONS:
            return mark != b'"'
        if mark[0] not in self._searches:
            notation, begin, end = _NOTATIONS[mark]
            self.notations.add(notation)
            any_tag = b"|".join(re.escape(tag.encode()) for tag in self.tags)
            self._searches[mark[0]] = re.compile(rb'%b(?:%b)[%b"]|&#' % (begin, any_tag, end)).search
        return bool(self._searches[mark[0]](tags))

    def _keep(self, row: Row) -> None:
        self._early_bytes = max(0, self._early_bytes - len(row.content))
        if self._early_bytes:
            self._early[row.position] = row

    def _early_answers(self) -> Iterator[Row]:
        """Yield the answers that precede the questions selected since the last call, in the order of the file."""
        questions = dict(islice(self.wanted.items(), self._done, None))
        self._done = len(self.wanted)
        if not questions:
            return
        early = ((position, start) for position, key, start in self._find(questions) if position < questions[key])
        if not is_archive(self.path):
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                for position, start in early:
                    yield row_from(following_piece(file, start, size), position, start)
            return
        found = list(early)
        if all(position in self._early for position, _ in found):
            yield from (self._early[position] for position, _ in found)
            return
        logger.info("%s: unpacking it again for answers that precede their questions", self.path.name)
        with closing(read_chunks(self.path)) as chunks:
            pieces = _pieces_at(chunks, [start for _, start in found])
            for (position, start), piece in zip(found, pieces, strict=True):
                yield row_from(piece, position, start)

    def _find(self, keys: Collection[int]) -> Iterator[tuple[int, int, int]]:
        """Yield position, key and offset of all indexed rows with one of these keys."""
        indexed = (
            (before + number + 1, key, start)
            for before, index in self._indexes
            for number, key, start in index.find_all(keys)
        )
        return merge(indexed, (later for later in self._examined_later if later[1] in keys))

    def _write(self, write: Callable[..., None], *arguments: object) -> None:
        try:
            write(*arguments)
        except OSError as error:
            raise _no_space(error) from None


def following_piece(file: BinaryIO, start: int, end: int) -> bytes:
    """Return what follows the `<row` at ``start`` up to the next one or to ``end``.

    Of a row that is too long, only a little more than is allowed.
    """
    file.seek(start + 4)
    piece = b""
    while len(piece) <= LONGEST_ROW:
        more = file.read(max(0, min(max(_SHORT, len(piece)), end - file.tell())))
        searched, piece = max(0, len(piece) - 3), piece + more
        following = piece.find(b"<row", searched)
        if following >= 0 or not more:
            return piece[: following if following >= 0 else None]
    return piece


def row_from(piece: bytes, position: int, start: int) -> Row:
    """Return a row whose problems have been reported, from what follows its `<row`."""
    return Row(position, _in_plain_layout(_cut(piece)[0]), start)


def ignore_problem(_row: Row, _reason: str, _content: bytes) -> None:
    """Report nothing: an earlier reading of the same rows did."""


def _pieces_at(chunks: Iterator[bytes], starts: list[int]) -> Iterator[bytes]:
    """Yield what follows the `<row` at each of the ascending offsets up to the next one."""
    text, offset = b"", 0
    for start in starts:
        begin = start + 4
        while (end := text.find(b"<row", max(0, begin - offset))) < 0:
            dropped = min(len(text), max(0, begin - offset))
            offset, text = offset + dropped, text[dropped:]
            if not (chunk := next(chunks, b"")):
                end = len(text)
                break
            text += chunk
        yield text[begin - offset : end]
        offset, text = offset + end, text[end:]


def _cut(piece: bytes) -> tuple[bytes, bool, bytes]:
    """Return the row whose `<row` a piece follows, whether its end is there, and what follows it."""
    following = piece.find(b"<")  # a row cannot contain one
    own = piece if following < 0 else piece[:following]
    if b"/>" not in own:
        own = piece
    content, end, trailing = own.rpartition(b"/>")  # the last one: a `>` may be part of a value
    stray = (trailing + piece[len(own) :]).replace(b"</posts>", b"").strip()
    return b"<row" + (content + end or piece), bool(end), stray


def _in_plain_layout(row: bytes) -> bytes:
    """Return a row with one blank before each attribute and double quotes; unchanged if it isn't well-formed."""
    *quoted, end_of_row = row[4:].split(b'"')
    if end_of_row.strip() == b"/>" and all(map(_PLAIN_NAME, quoted[::2])):
        return row
    attributes, end = [], 4
    while attribute := _ATTRIBUTE.match(row, end):
        name, value = attribute.groups()
        attributes.append(b' %b="%b"' % (name, value[1:-1].replace(b'"', b"&quot;")))
        end = attribute.end()
    return b"<row%b />" % b"".join(attributes) if row[end:].strip() == b"/>" else row


def _row_ends(chunk: bytes, first: int, last: int, before: int) -> list[int]:
    """Return the offset ``before`` bytes ahead of each `<`, from ``first`` to ``last`` exclusive."""
    offsets, find = [], chunk.find  # faster than a regular expression
    while before <= first < last:
        offsets.append(first - before)
        first = find(b"<", first + 1)
    return offsets


def _no_space(error: OSError) -> DlbugError:
    return DlbugError(
        f"cannot write to {tempfile.gettempdir()}: {error.strerror}. Set TMPDIR to a folder with free space: reading a "
        "dump needs 1% of its size there."
    )
