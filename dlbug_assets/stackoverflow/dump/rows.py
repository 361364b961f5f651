"""A stream of those rows of a data dump that may matter, from a Posts.xml or the .7z that contains it.

In scope: where a row begins and ends, which bytes make it worth parsing, and how to recognize a file that is not a
dump. Out of scope: the meaning of a row's attributes.

All of this relies on what XML forbids. An attribute's value cannot contain a literal `<`, so `<row ` is always the
beginning of a row, whatever the line ends are: the bytes are split there. A value cannot contain a literal `"`, so
` ParentId="5"` with real quotes is never part of a text. Hence cheap tests on bytes exclude most rows. If all rows of a
chunk have the layout of every dump so far, not even their texts are searched; otherwise each row is cut out and tested
separately.
"""

import logging
import re
import shutil
import subprocess
import sys
from bisect import bisect
from collections.abc import Callable, Collection, Container, Generator, Iterator
from contextlib import closing
from itertools import chain, repeat
from operator import ge
from pathlib import Path
from typing import NamedTuple

from dlbug_assets.errors import DlbugError

logger = logging.getLogger(__name__)

#: Bytes to read at a time: as many as fit into the processor's cache.
_CHUNK = 384 << 10
#: Bytes between two log lines on the progress.
_LOG_EVERY = 500_000_000
#: No post is nearly as long: this limits the memory that a damaged file takes.
LONGEST_ROW = 8 << 20
_HEAD = 4 << 10
_EXCERPT = 200
_PROGRAMS = ("7zz", "7z", "7za", "7zr")
#: Two posts in recent dumps that nobody wrote.
_PLANTED = {b"1000000001", b"1000000010"}
_PLANTED_FROM = min(map(int, _PLANTED))
#: The older and the newer notation of tags, by the first byte of the value in the file: its name, the bytes before each
#: tag as a pattern, and the first byte after it.
_NOTATIONS = {b"&": ("<a><b>", b"&lt;", b"&"), b"|": ("|a|b|", rb"\|", b"|")}
_DIGITS = 18
_ADVICE = "Name the Posts.xml of Stack Overflow's data dump, or the .7z that contains it."


class Row(NamedTuple):
    """A row of the file: its number from 1, its bytes from `<row ` to `/>`, and the offset of the first of them."""

    position: int
    content: bytes
    start: int = 0

    def raw_value(self, attribute: bytes) -> bytes | None:
        """Return the bytes between the quotes of an attribute, None if it is missing."""
        _, _, rest = self.content.partition(b' %b="' % attribute)
        value, is_closed, _ = rest.partition(b'"')
        return value if is_closed else None

    def number(self, attribute: bytes) -> int | None:
        """Return an attribute as a number, None if it is missing or not a number."""
        value = self.raw_value(attribute) or b""
        return int(value) if value.isdigit() and len(value) <= _DIGITS else None


#: Report a problem with a row as a whole: the row, the reason, and the bytes that it concerns.
ReportProblem = Callable[[Row, str, bytes], None]


class Rows:
    """One reading of a dump, to be iterated once: yields the rows that may matter and counts all.

    Rows that may matter are: rows with one of ``tags``, or with tags that only a parser can read; answers to a question
    in ``parents`` (which may grow during the iteration) or to one with a higher Id than their own; answers without a
    readable ParentId. ``is_ascending`` is true as long as every row has a higher Id than the one before; ``first`` and
    ``last`` are the first and the latest Id. Raises :class:`DlbugError` for a file that is not a dump or cannot be read
    to its end.
    """

    def __init__(self, path: Path, tags: Collection[str], parents: Container[int], report: ReportProblem) -> None:
        self.path, self.tags, self.parents = path, tags, parents
        self.count = self.planted = self.bytes_read = 0
        self.notations: set[str] = set()
        self.is_ascending = True
        self.is_complete = False
        self.first = self.last = -1
        self.unknown_below = 0  # answers to a question with a lower Id may matter, even if it isn't in ``parents``
        self._report = report
        # By the first byte of the tags, filled when a notation is first seen.
        self._searches: dict[int, Callable[..., re.Match[bytes] | None]] = {}

    def __iter__(self) -> Generator[Row, None, None]:
        yield from self.part(0, None)
        self.require_rows()

    def reread(self) -> "Rows":
        """Return another reading of the same file that reports no problems: the first one did."""
        return Rows(self.path, self.tags, self.parents, ignore_problem)

    def require_rows(self) -> None:
        """Raise :class:`DlbugError` if there were no rows."""
        if not self.count:
            raise DlbugError(f"{self.path} has no rows. {_ADVICE}")

    def part(self, begin: int, end: int | None) -> Iterator[Row]:
        """Yield the rows from offset ``begin`` (0 or the start of a row) to ``end`` (None or the start of a row)."""
        with closing(_chunks(self.path)) as whole:
            head = self._read_head(whole)
            if end is None:
                yield from self._rows(chain([head], whole), begin, head)
                return
        with closing(_chunks(self.path, begin, end)) as part:
            yield from self._rows(part, begin, head)

    def _rows(self, chunks: Iterator[bytes], begin: int, head: bytes) -> Iterator[Row]:
        between = re.search(rb"/>(\s*)<row ", head)
        end = b"/>" + (between.group(1) if between else b"\n  ")
        # The end of a row and the beginning of the next one, in the standard layout.
        standard = re.compile(
            rb'%b<row Id="([0-9]{1,%d})" PostTypeId="(?:1"|2" ParentId="([0-9]{1,%d})"|[3-9]")'
            % (re.escape(end), _DIGITS, _DIGITS)
        )
        rest, has_begun = b"", False
        read = begin  # offset in the file of the end of this chunk
        start, dropped = begin - 5, 0  # offset of the row in ``rest``, and how many of its bytes were dropped
        for chunk in chunks:
            offset, read = read, read + len(chunk)
            first, last = chunk.find(b"<row "), chunk.rfind(b"<row ")
            is_standard = has_begun and chunk.endswith(end, 0, last)
            ends = _row_ends(chunk, first, last, len(end)) if is_standard else []
            heads = list(map(standard.match, repeat(chunk), ends))
            fields = [head.groups() for head in heads if head]
            ids = [int(number) for number, _ in fields]
            if ids and len(ids) == len(ends) and ids[-1] < _PLANTED_FROM and not any(map(ge, ids, ids[1:])):
                *pieces, rest = (rest + chunk[:first]).split(b"<row ")
                for piece in (*pieces, rest):
                    yield from self.row(piece, start)
                    start += 5 + len(piece) + dropped
                    dropped = 0
                parents = [parent for _, parent in fields]
                ends.append(last - len(end))
                for position, before, own_end in self._standard_rows(chunk, ids, parents, ends):
                    row_start = before + len(end)
                    yield Row(position, chunk[row_start : own_end + 2], offset + row_start)
                start, rest = offset + last, chunk[last + 5 :]
            else:
                *pieces, rest = (rest + chunk).split(b"<row ")
                for piece in pieces:
                    if has_begun:  # the bytes before the first row are not a row
                        yield from self.row(piece, start)
                    start += 5 + len(piece) + dropped
                    has_begun, dropped = True, 0
            if len(rest) > LONGEST_ROW:  # keep enough to see that it is too long; its end may be the start of a `<row `
                dropped += len(rest) - LONGEST_ROW - 1 - 16
                rest = rest[: LONGEST_ROW + 1] + rest[-16:]
            self.count_bytes(len(chunk))
        if has_begun:
            yield from self.row(rest, start)
            self.is_complete = b"</posts>" in rest

    def count_bytes(self, size: int) -> None:
        """Add to the bytes read; log the progress at intervals."""
        before, self.bytes_read = self.bytes_read, self.bytes_read + size
        if self.bytes_read // _LOG_EVERY > before // _LOG_EVERY:
            logger.info("%s: %.1f GB read", self.path.name, self.bytes_read / 1e9)

    def _read_head(self, chunks: Iterator[bytes]) -> bytes:
        """Return the beginning of the file; raises :class:`DlbugError` unless it is that of a dump."""
        head = b""
        while len(head) < _HEAD and (chunk := next(chunks, b"")):
            head += chunk
        if not head:
            raise DlbugError(f"{self.path} is empty, or an archive without a Posts.xml. {_ADVICE}")
        if b"<posts>" not in head[:_HEAD]:
            raise DlbugError(f"{self.path} is not a Posts.xml: it does not begin with <posts>. {_ADVICE}")
        return head

    def _standard_rows(
        self, chunk: bytes, ids: list[int], parents: list[bytes | None], ends: list[int]
    ) -> Iterator[tuple[int, int, int]]:
        """Yield position, end of the row before and own end of the rows in the standard layout that may matter.

        ``ids`` are the rows' ascending Ids, ``parents`` the answers' ParentIds, and ``ends`` the end of each row, with
        that of the row before them first. Much of the time is spent here, so the steps are plain.
        """
        before, self.count = self.count, self.count + len(ids)
        self._track_id(ids[0])
        self.last = ids[-1]
        known_parents, searches, unknown_below = self.parents, self._searches, self.unknown_below
        for own, parent, start, end in zip(ids, parents, ends, ends[1:], strict=False):
            if parent is None:
                value = chunk.rfind(b' Tags="', start, end) + 7
                if value < start:
                    continue
                search = searches.get(chunk[value])
                # The search may run past the tags: the parser decides.
                if not search(chunk, value, end) if search else self._is_irrelevant(chunk[value:end]):
                    continue
            elif unknown_below <= (asked := int(parent)) <= own and asked not in known_parents:
                continue
            yield before + bisect(ends, start), start, end

    def row(self, piece: bytes, start: int) -> Iterator[Row]:
        """Yield a row in any layout if it may matter; ``piece`` is what follows its `<row ` up to the next one."""
        self.count += 1
        content, end, trailing = piece.rpartition(b"/>")  # the last one: a `>` may be part of a value
        row = Row(self.count, b"<row " + (content + end or piece), start)
        if not end or len(piece) > LONGEST_ROW:
            self._report(row, "is cut, or longer than any post", row.content)
            return
        stray = trailing.replace(b"</posts>", b"").strip()
        if b"<posts" in stray:
            raise DlbugError(f"{self.path} contains several dumps. Name Stack Overflow's Posts.xml alone.")
        if stray:
            self._report(row, "is followed by something other than a row", stray)
        own, parent = row.number(b"Id"), row.number(b"ParentId")
        if row.raw_value(b"Id") in _PLANTED:
            self.planted += 1
            return
        self._track_id(own)
        if parent is None:
            may_matter = row.raw_value(b"PostTypeId") == b"2"
        else:
            may_matter = own is None or parent > own or parent < self.unknown_below or parent in self.parents
        if may_matter or not self._is_irrelevant((row.raw_value(b"Tags") or b"") + b'"'):
            yield row

    def _track_id(self, own: int | None) -> None:
        """Update ``first``, ``last`` and ``is_ascending`` with the next row's Id, None if it has none."""
        if own is None or own <= self.last:
            self.is_ascending = False
        if own is not None:
            self.first, self.last = own if self.first < 0 else self.first, own

    def _is_irrelevant(self, tags: bytes) -> bool:
        """Return whether none of these tags is wanted; ``tags`` are raw, with the closing quote.

        False if in doubt: only a parser can read tags with character references or in an unknown notation.
        """
        mark = tags[:1]
        if mark not in _NOTATIONS:
            return mark == b'"'
        if mark[0] not in self._searches:
            notation, begin, end = _NOTATIONS[mark]
            self.notations.add(notation)
            any_tag = b"|".join(re.escape(tag.encode()) for tag in self.tags)
            self._searches[mark[0]] = re.compile(rb'%b(?:%b)[%b"]|&#' % (begin, any_tag, end)).search
        return not self._searches[mark[0]](tags)


def _row_ends(chunk: bytes, first: int, last: int, before: int) -> list[int]:
    """Return the offset ``before`` bytes ahead of each `<`, from ``first`` to ``last`` exclusive."""
    offsets, find = [], chunk.find  # faster than a regular expression
    while before <= first < last:
        offsets.append(first - before)
        first = find(b"<", first + 1)
    return offsets


def is_archive(path: Path) -> bool:
    """Return whether a dump is packed."""
    return path.suffix.lower() == ".7z"


def _chunks(path: Path, begin: int = 0, end: int | None = None) -> Generator[bytes, None, None]:
    """Yield the bytes of a Posts.xml, packed or not, or of a part of it. Close it: it may hold a process."""
    try:
        if not path.is_file():
            raise DlbugError(f"{path} {'is not a file' if path.exists() else 'does not exist'}. {_ADVICE}")
        if is_archive(path):
            yield from _unpack(path)
        else:
            with path.open("rb", buffering=0) as file:
                if begin:
                    file.seek(begin)
                left = sys.maxsize if end is None else end - begin
                while chunk := file.read(min(_CHUNK, left)):
                    left -= len(chunk)
                    yield chunk
    except OSError as error:
        raise read_error(path, error) from None


def read_error(path: Path, error: OSError) -> DlbugError:
    """Return the error to raise if the system cannot read a dump."""
    return DlbugError(f"cannot read {path}: {error.strerror}. {_ADVICE}")


def _unpack(path: Path) -> Iterator[bytes]:
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise DlbugError(f"{path} needs a program to unpack it: install the package 7zip, or unpack it yourself.")
    # -so: to standard output; -r: from any folder inside; -spd: names are not patterns; -p: an empty password, so that
    # it never prompts for one; -bso0, -bsp0: print errors only, which are too few to fill their pipe.
    command = [program, "e", "-so", "-r", "-spd", "-p", "-bso0", "-bsp0", "--", str(path), "Posts.xml"]
    with subprocess.Popen(  # noqa: S603 - no shell, and nothing after the -- is read as an option
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr  # noqa: S101 - both are pipes
        try:
            while chunk := process.stdout.read(_CHUNK):
                yield chunk
            errors = process.stderr.read().decode(errors="replace")
            code = process.wait()
        finally:
            process.kill()  # if the reader gave up; no effect on a process that has ended
    if code:
        lines = (line.strip() for line in errors.splitlines() if path.name not in line)
        reason = "; ".join(line for line in lines if line)[:_EXCERPT] or f"exit code {code}"
        advice = "Unpack it yourself and name the Posts.xml" if "password" in reason else "Download it again"
        raise DlbugError(f"{path} cannot be unpacked: {reason}. {advice}.")


def ignore_problem(_row: Row, _reason: str, _content: bytes) -> None:
    """Report nothing: an earlier reading of the same rows did."""
