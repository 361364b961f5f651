"""The file of a data dump, whether packed or not: a stream of rows, of which those are given that may matter.

What belongs here: where a row begins and ends, which bytes make it worth a closer look, and what no dump looks like.
What doesn't: what a row says.

Everything rests on what XML forbids. A literal `<` cannot stand inside an attribute's value, so `<row ` is always the
beginning of a row, whatever the line ends are: there the bytes are split. A literal `"` cannot stand inside a value,
so ` ParentId="5"` with real quotes is never a text. Hence cheap tests of bytes tell which rows are of no interest.
Where all rows of a chunk are laid out as in every dump so far, not even their texts are looked at; elsewhere each row
is cut out and looked at by itself.
"""

import logging
import re
import shutil
import subprocess
import sys
from bisect import bisect
from collections.abc import Callable, Collection, Container, Iterator
from contextlib import closing
from itertools import chain, repeat
from operator import ge
from pathlib import Path
from typing import NamedTuple

from dlbug_assets.errors import DlbugError

logger = logging.getLogger(__name__)

#: Bytes that are read at a time: as many as stay near the processor. And between two log lines on the progress.
_CHUNK = 384 << 10
_LOG_EVERY = 500_000_000
#: No post is that long by far: what a damaged file takes of memory has its limit here.
LONGEST_ROW = 8 << 20
_HEAD = 4 << 10
_EXCERPT = 200
_PROGRAMS = ("7zz", "7z", "7za", "7zr")
#: Two posts that recent dumps contain and that nobody wrote.
_PLANTED = {b"1000000001", b"1000000010"}
_PLANTED_FROM = min(map(int, _PLANTED))
#: How tags are written, by how the value begins in the file: the older way and the newer one. And what stands in the
#: file before each tag, and what behind it begins with.
_NOTATIONS = {b"&": ("<a><b>", b"&lt;", b"&"), b"|": ("|a|b|", rb"\|", b"|")}
_DIGITS = 18
_NAME_IT = "Name the Posts.xml of Stack Overflow's data dump, or the .7z that contains it."


class Row(NamedTuple):
    """A row as it stands in the file: its bytes from `<row ` to `/>`, and where they begin; rows are counted from 1."""

    position: int
    content: bytes
    start: int = 0

    def written(self, attribute: bytes) -> bytes | None:
        """What stands between the quotes of an attribute."""
        _, _, rest = self.content.partition(b' %b="' % attribute)
        value, is_closed, _ = rest.partition(b'"')
        return value if is_closed else None

    def number(self, attribute: bytes) -> int | None:
        """An attribute that is a number."""
        written = self.written(attribute) or b""
        return int(written) if written.isdigit() and len(written) <= _DIGITS else None


#: Where what is wrong with a row as a whole is noted: the row, the reason, and the bytes it is about.
Note = Callable[[Row, str, bytes], None]


class Rows:
    """One reading of a dump, to be iterated once. It gives the rows that may matter, and counts all.

    These are rows whose tags have one of ``tags`` or cannot be read at a glance; answers to a question in ``parents``
    (which may grow meanwhile) or to one with a higher number than their own; and answers that do not say to what.
    ``is_ascending`` says whether every row had a higher Id than the one before; ``first`` and ``last`` are such Ids.
    Raises :class:`DlbugError` for a file that is no such dump or cannot be read to its end.
    """

    def __init__(self, path: Path, tags: Collection[str], parents: Container[int], note: Note) -> None:
        self.path, self.tags, self.parents = path, tags, parents
        self.count = self.planted = self.bytes_read = 0
        self.notations: set[str] = set()
        self.is_ascending = True
        self.is_complete = False
        self.first = self.last = -1
        self.since = 0  # answers to questions before this number may matter all the same
        self._note = note
        # By the first byte of tags, as soon as there were some that began with it.
        self._interest: dict[int, Callable[..., re.Match[bytes] | None]] = {}

    def __iter__(self) -> Iterator[Row]:
        yield from self.part(0, None)
        self.require_rows()

    def again(self) -> "Rows":
        """The same file once more, with nothing noted: what is wrong with it was said the first time."""
        return Rows(self.path, self.tags, self.parents, note_nothing)

    def require_rows(self) -> None:
        """Raises :class:`DlbugError` where there were none."""
        if not self.count:
            raise DlbugError(f"{self.path} has no rows. {_NAME_IT}")

    def part(self, begin: int, end: int | None) -> Iterator[Row]:
        """The rows of a part of the file that begins with it or with a row, and ends with it or before a row."""
        with closing(_chunks(self.path)) as whole:
            head = self._head(whole)
            if end is None:
                yield from self._rows(chain([head], whole), begin, head)
                return
        with closing(_chunks(self.path, begin, end)) as part:
            yield from self._rows(part, begin, head)

    def _rows(self, chunks: Iterator[bytes], begin: int, head: bytes) -> Iterator[Row]:
        between = re.search(rb"/>(\s*)<row ", head)
        end = b"/>" + (between.group(1) if between else b"\n  ")
        # The end of a row and the head of another as usual.
        usual = re.compile(
            rb'%b<row Id="([0-9]{1,%d})" PostTypeId="(?:1"|2" ParentId="([0-9]{1,%d})"|[3-9]")'
            % (re.escape(end), _DIGITS, _DIGITS)
        )
        rest, is_begun = b"", False
        read = begin  # of the file, to the end of this chunk
        start, lost = begin - 5, 0  # where the row in ``rest`` begins, and how many of its bytes are not kept
        for chunk in chunks:
            offset, read = read, read + len(chunk)
            first, last = chunk.find(b"<row "), chunk.rfind(b"<row ")
            is_usual = is_begun and chunk.endswith(end, 0, last)
            ends = _places(chunk, first, last, len(end)) if is_usual else []
            heads = list(map(usual.match, repeat(chunk), ends))
            fields = [head.groups() for head in heads] if all(heads) else []
            owns = [int(number) for number, _ in fields]
            if owns and owns[-1] < _PLANTED_FROM and not any(map(ge, owns, owns[1:])):
                *pieces, rest = (rest + chunk[:first]).split(b"<row ")
                for piece in (*pieces, rest):
                    yield from self.row(piece, start)
                    start += 5 + len(piece) + lost
                    lost = 0
                parents = [parent for _, parent in fields]
                ends.append(last - len(end))
                for position, before, behind in self._usual(chunk, owns, parents, ends):
                    here = before + len(end)
                    yield Row(position, chunk[here : behind + 2], offset + here)
                start, rest = offset + last, chunk[last + 5 :]
            else:
                *pieces, rest = (rest + chunk).split(b"<row ")
                for piece in pieces:
                    if is_begun:  # what stands before the first row is none
                        yield from self.row(piece, start)
                    start += 5 + len(piece) + lost
                    is_begun, lost = True, 0
            if len(rest) > LONGEST_ROW:  # too long to be kept, yet long enough to show; the end may begin a `<row `
                lost += len(rest) - LONGEST_ROW - 1 - 16
                rest = rest[: LONGEST_ROW + 1] + rest[-16:]
            self.proceed(len(chunk))
        if is_begun:
            yield from self.row(rest, start)
            self.is_complete = b"</posts>" in rest

    def proceed(self, size: int) -> None:
        """Count the bytes read; log the progress now and then."""
        before, self.bytes_read = self.bytes_read, self.bytes_read + size
        if self.bytes_read // _LOG_EVERY > before // _LOG_EVERY:
            logger.info("%s: %.1f GB read", self.path.name, self.bytes_read / 1e9)

    def _head(self, chunks: Iterator[bytes]) -> bytes:
        """The beginning of the file."""
        head = b""
        while len(head) < _HEAD and (chunk := next(chunks, b"")):
            head += chunk
        if not head:
            raise DlbugError(f"{self.path} is empty, or an archive without a Posts.xml. {_NAME_IT}")
        if b"<posts>" not in head[:_HEAD]:
            raise DlbugError(f"{self.path} is no Posts.xml: it does not begin with <posts>. {_NAME_IT}")
        return head

    def _usual(
        self, chunk: bytes, owns: list[int], parents: list[bytes | None], ends: list[int]
    ) -> Iterator[tuple[int, int, int]]:
        """Of rows that are laid out as usual, those that may matter: position, end of the row before, own end. Given
        are their numbers, which ascend, of answers those of their questions, and where each ends, the one before the
        first included. Much of the time is spent here: plain steps."""
        before, self.count = self.count, self.count + len(owns)
        self._follows(owns[0])
        self.last = owns[-1]
        taken, interest, since = self.parents, self._interest, self.since
        for own, parent, start, end in zip(owns, parents, ends, ends[1:], strict=False):
            if parent is None:
                value = chunk.rfind(b' Tags="', start, end) + 7
                if value < start:
                    continue
                search = interest.get(chunk[value])
                # What stands behind the tags may be looked at, too: the parser has the last word.
                if not search(chunk, value, end) if search else self._is_dull(chunk[value:end]):
                    continue
            elif since <= (asked := int(parent)) <= own and asked not in taken:
                continue
            yield before + bisect(ends, start), start, end

    def row(self, piece: bytes, start: int) -> Iterator[Row]:
        """A row of whatever layout, if it may matter: what stands behind a `<row ` until the next."""
        self.count += 1
        content, end, behind = piece.rpartition(b"/>")  # the last one: a `>` may stand inside a value
        row = Row(self.count, b"<row " + (content + end or piece), start)
        if not end or len(piece) > LONGEST_ROW:
            self._note(row, "is cut, or longer than any post", row.content)
            return
        stray = behind.replace(b"</posts>", b"").strip()
        if b"<posts" in stray:
            raise DlbugError(f"{self.path} contains several dumps. Name Stack Overflow's Posts.xml alone.")
        if stray:
            self._note(row, "is followed by something that is no row", stray)
        own, parent = row.number(b"Id"), row.number(b"ParentId")
        if row.written(b"Id") in _PLANTED:
            self.planted += 1
            return
        self._follows(own)
        if parent is None:
            is_answer = row.written(b"PostTypeId") == b"2"
        else:
            is_answer = own is None or parent > own or parent < self.since or parent in self.parents
        if is_answer or not self._is_dull((row.written(b"Tags") or b"") + b'"'):
            yield row

    def _follows(self, own: int | None) -> None:
        """The next row's Id, if it has one."""
        if own is None or own <= self.last:
            self.is_ascending = False
        if own is not None:
            self.first, self.last = own if self.first < 0 else self.first, own

    def _is_dull(self, tags: bytes) -> bool:
        """Whether no tag among these, as written in the file with the quote behind them, is of interest. The parser has
        the last word, and the only one on tags that are written with references or in no known notation."""
        mark = tags[:1]
        if mark not in _NOTATIONS:
            return mark == b'"'
        if mark[0] not in self._interest:
            notation, begin, end = _NOTATIONS[mark]
            self.notations.add(notation)
            any_tag = b"|".join(re.escape(tag.encode()) for tag in self.tags)
            self._interest[mark[0]] = re.compile(rb'%b(?:%b)[%b"]|&#' % (begin, any_tag, end)).search
        return not self._interest[mark[0]](tags)


def _places(chunk: bytes, first: int, last: int, before: int) -> list[int]:
    """So many bytes before each `<`, from the first one to the last one exclusive: the quickest way that there is."""
    places, find = [], chunk.find
    while before <= first < last:
        places.append(first - before)
        first = find(b"<", first + 1)
    return places


def is_archive(path: Path) -> bool:
    """Whether a dump is still packed."""
    return path.suffix.lower() == ".7z"


def _chunks(path: Path, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The bytes of a Posts.xml, whether packed or not, or a part of them. Close it: it may hold a process."""
    try:
        if not path.is_file():
            raise DlbugError(f"{path} {'is no file' if path.exists() else 'does not exist'}. {_NAME_IT}")
        if is_archive(path):
            yield from _unpacked(path)
        else:
            with path.open("rb", buffering=0) as file:
                if begin:
                    file.seek(begin)
                left = sys.maxsize if end is None else end - begin
                while chunk := file.read(min(_CHUNK, left)):
                    left -= len(chunk)
                    yield chunk
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> DlbugError:
    """What to say where the system cannot read a dump."""
    return DlbugError(f"cannot read {path}: {error.strerror}. {_NAME_IT}")


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


def note_nothing(_row: Row, _reason: str, _content: bytes) -> None:
    """What was noted the first time is not noted again."""
