"""Read a large Posts.xml with several processes, each of which scans parts of the file.

In scope: where a file is cut, what a helper process reports about a part, and when its report can be used.
Out of scope: how rows are found in bytes.

A helper doesn't know which questions precede a part. It reports where the rows that may matter begin, and the question
that they answer. The main process tests these rows again, in order and knowing all earlier questions, so the result is
that of a single reading. This requires ascending Ids. Where Ids don't ascend, a helper failed, or it found a row that
cannot be read, the main process reads the part itself.

Parts are assigned to the helpers in turn, so that the main process uses the findings of some while they scan the next
ones. A helper must start quickly and imports nothing slow. Its command is
`python -m dlbug_assets.stackoverflow.dump.parallel_rows PATH FD PARTS TAGS...` with PARTS as `BEGIN-END,BEGIN-END`. It
writes its findings into the open file FD and, after each part, a summary to its standard output, both as integers of
64 bits.
"""

import os
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import ExitStack
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from dlbug_assets.stackoverflow.dump import rows
from dlbug_assets.stackoverflow.dump.rows import Row, Rows, is_archive, read_error

#: Bytes per process that make up for starting one more, which takes as long as reading some 40 MB.
_WORTH_A_PROCESS = 96 << 20
_MOST_PROCESSES = 8
_PARTS_PER_HELPER = 8
#: The main process also tests all findings: what it reads itself, as a share of what a helper reads.
_OWN_SHARE = 0.6
_SHORT = 16 << 10
_ROOT = Path(__file__).parents[3]
_BLOCK = 32 << 13  # of findings, in bytes
_NOTATIONS = ("<a><b>", "|a|b|")


class _Summary(NamedTuple):
    """What a helper reports after a part, all as integers."""

    findings: int
    rows: int
    planted: int
    first: int
    last: int
    is_ascending: int
    is_complete: int
    notations: int


_SUMMARY_BYTES = 8 * len(_Summary._fields)
_FINDING_NUMBERS = 4
_FINDING_BYTES = 8 * _FINDING_NUMBERS


class SharedRows(Rows):
    """The same rows in the same order, found by several processes if the file is large."""

    def __iter__(self) -> Generator[Row, None, None]:
        with ExitStack() as stack:
            try:
                count = _process_count(self.path) - 1
                cuts = _cuts(self.path, count)
                parts = list(pairwise(cuts))
                shares = [share for number in range(count) if (share := parts[number::count])]
                helpers = [stack.enter_context(_Helper(self.path, share, self.tags)) for share in shares]
            except OSError:  # no process, no space for findings, no such file: reading alone gives the better error
                cuts, parts, helpers = [], [], []
            yield from self.part(0, cuts[0] if cuts else None)
            for helper, (begin, end) in zip(cycle(helpers), parts, strict=False):
                if not self.is_ascending:
                    stack.close()
                if self.is_ascending and helper.finishes_part() and helper.summary.first > self.last:
                    yield from self._found(helper, begin, end)
                else:
                    yield from self.part(begin, end)
        self.require_rows()

    def _found(self, helper: "_Helper", begin: int, end: int) -> Iterator[Row]:
        """Yield the rows that may matter among a helper's findings in a part."""
        before, planted, last, summary = self.count, self.planted, self.last, helper.summary
        try:
            with self.path.open("rb") as file:
                for position, start, length, parent in helper.findings():
                    if length and (parent < 0 or parent in self.parents):
                        yield Row(before + position, os.pread(file.fileno(), length, start), start)
                    elif not length:
                        self.count, self.last = before + position - 1, -1  # the helper saw that Ids ascend
                        yield from self.row(_piece(file, start, end), start)
        except OSError as error:
            raise read_error(self.path, error) from None
        # The helper has counted these rows.
        self.count, self.planted, self.last = before + summary.rows, planted + summary.planted, max(last, summary.last)
        self.notations |= {name for bit, name in enumerate(_NOTATIONS) if summary.notations >> bit & 1}
        self.is_complete = bool(summary.is_complete)
        self.count_bytes(end - begin)


def _process_count(path: Path) -> int:
    """Return the number of processes that reading the file is worth."""
    if is_archive(path) or not path.is_file():
        return 1
    return min(os.cpu_count() or 1, _MOST_PROCESSES, 1 + path.stat().st_size // _WORTH_A_PROCESS)


def _cuts(path: Path, helpers: int) -> list[int]:
    """Return the ascending offsets between which the helpers' parts are, the last of them the size of the file.

    Each cut is before a row. The main process reads the bytes before the first one. Empty if there is nothing to share.
    """
    if not helpers:
        return []
    size = path.stat().st_size
    share = size / (helpers + _OWN_SHARE)
    cuts: list[int] = []
    with path.open("rb") as file:
        for number in range(helpers * _PARTS_PER_HELPER):
            begin = int(share * (_OWN_SHARE + number / _PARTS_PER_HELPER))
            piece = _piece(file, begin, size)
            cut = begin + 5 + len(piece)
            if len(piece) <= rows.LONGEST_ROW and (cuts[-1] if cuts else 0) < cut < size:
                cuts.append(cut)
    return [*cuts, size] if cuts else []


def _piece(file: BinaryIO, start: int, end: int) -> bytes:
    """Return what follows the `<row ` at ``start`` up to the next one or to ``end``.

    Of a row that is too long, only a little more than is allowed.
    """
    file.seek(start + 5)
    piece = b""
    while len(piece) <= rows.LONGEST_ROW:
        more = file.read(min(max(_SHORT, len(piece)), end - file.tell()))
        searched, piece = max(0, len(piece) - 4), piece + more
        following = piece.find(b"<row ", searched)
        if following >= 0 or not more:
            return piece[: following if following >= 0 else None]
    return piece


class _Helper:
    """A process that scans some parts one after the other, until its context ends."""

    summary: _Summary

    def __init__(self, path: Path, parts: Iterable[tuple[int, int]], tags: Collection[str]) -> None:
        command = [sys.executable, "-P", "-m", "dlbug_assets.stackoverflow.dump.parallel_rows", str(path.absolute())]
        self._findings = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the process
        self._begin = self._end = 0
        descriptor = self._findings.fileno()
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [*command, str(descriptor), ",".join(f"{begin}-{end}" for begin, end in parts), *tags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
            env=os.environ | {"PYTHONPATH": str(_ROOT)},
        )
        self._summaries: Any = self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._summaries.close()
        self._findings.close()

    def finishes_part(self) -> bool:
        """Wait for the next part's summary; return whether there is one and its findings can be used."""
        content = self._summaries.read(_SUMMARY_BYTES)
        if len(content) < _SUMMARY_BYTES:
            return False
        self.summary = _Summary(*array("q", content))
        self._begin, self._end = self._end, self._end + self.summary.findings * _FINDING_BYTES
        return bool(self.summary.is_ascending)

    def findings(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield the rows of this part that may matter, as four numbers.

        These are the row's number in the part, its offset in the file, its length (0 if there is a problem with it),
        and the Id of the question that must have been selected for it to matter (-1 if it matters in any case).
        """
        for begin in range(self._begin, self._end, _BLOCK):
            # pread, because the helper shares this file's offset.
            block = os.pread(self._findings.fileno(), min(_BLOCK, self._end - begin), begin)
            numbers = iter(array("q", block))
            yield from zip(*[numbers] * _FINDING_NUMBERS, strict=True)


class _Part(Rows):
    """The rows of a part that may matter, without knowing what precedes the part.

    Answers may matter if they belong to a question here that has one of the tags, or to any question before the part.
    """

    def __init__(self, path: Path, tags: Collection[str]) -> None:
        self._tagged: set[int] = set()
        super().__init__(path, tags, self._tagged, self._add_problem)
        self._findings = array("q")
        self._last_position = 0

    def scan(self, begin: int, end: int, output: BinaryIO) -> _Summary:
        """Write the findings of a part to ``output`` and return its summary."""
        count = 0
        for row in self.part(begin, end):
            own, parent = row.number(b"Id"), row.number(b"ParentId")
            if row.raw_value(b"Tags"):
                self._tagged.add(-1 if own is None else own)
                parent = None
            self._add(row, len(row.content), -1 if own is None or parent is None or parent > own else parent)
            if len(self._findings) >= _BLOCK // 8:
                count += self._write(output)
        count += self._write(output)
        output.flush()
        notations = sum(1 << bit for bit, name in enumerate(_NOTATIONS) if name in self.notations)
        return _Summary(
            count, self.count, self.planted, self.first, self.last, self.is_ascending, self.is_complete, notations
        )  # fmt: skip

    def _track_id(self, own: int | None) -> None:
        super()._track_id(own)
        self.unknown_below = self.first

    def _add_problem(self, row: Row, _reason: str, _content: bytes) -> None:
        self._add(row, 0, -1)

    def _add(self, row: Row, length: int, parent: int) -> None:
        if row.position > self._last_position:  # a row with a problem may matter, too, but is reported once
            self._last_position = row.position
            self._findings.extend((row.position, row.start, length, parent))

    def _write(self, output: BinaryIO) -> int:
        """Write the findings since the last call; return their number."""
        self._findings.tofile(output)
        count = len(self._findings) // _FINDING_NUMBERS
        del self._findings[:]
        return count


def scan(
    path: Path, parts: Iterable[tuple[int, int]], tags: Collection[str], findings: BinaryIO, summaries: BinaryIO
) -> None:
    """Scan parts and write a summary of each; raises :class:`DlbugError` if one cannot be read."""
    for begin, end in parts:
        summary = _Part(path, tags).scan(begin, end, findings)
        array("q", summary).tofile(summaries)
        summaries.flush()


if __name__ == "__main__":
    dump, descriptor, ranges, *tags = sys.argv[1:]
    parts = [(int(begin), int(end)) for begin, end in (part.split("-") for part in ranges.split(","))]
    with open(int(descriptor), "wb") as findings:  # noqa: PTH123 - it is open already
        scan(Path(dump), parts, tags, findings, sys.stdout.buffer)
