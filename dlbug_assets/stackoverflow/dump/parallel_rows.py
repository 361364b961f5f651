"""A large Posts.xml is read in several processes, each of which looks at parts of the file.

What belongs here: where a file is cut, what a helper process tells of a part, and when that can be relied on. What
doesn't: how rows are found in bytes.

A helper does not know which questions are taken before a part. It says where the rows begin that may matter, and of
which question they are answers; who reads the dump looks at these rows again, in their order and knowing everything, so
that the outcome is that of a single reading. This rests on Ids that ascend. Where they don't, where a helper failed, or
where it found what cannot be read at all, the part is read without its help.

Helpers take turns with the parts, so that what they found is dealt with while they look at the next ones. A helper is
started without anything that takes long to import: `python -m dlbug_assets.stackoverflow.dump.parallel_rows PATH FD PARTS
TAGS...`, with parts as `BEGIN-END,BEGIN-END`, writes its findings into the open file FD and says in its standard output
when it is done with a part, in integers of 64 bits.
"""

import os
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from dlbug_assets.stackoverflow.dump import rows
from dlbug_assets.stackoverflow.dump.rows import Row, Rows, is_archive, unreadable

#: From so many bytes per process on, one more is worth its start, in which some 40 MB are read.
_WORTH_A_PROCESS = 96 << 20
_MOST_PROCESSES = 8
_PARTS_PER_HELPER = 8
#: Who reads the dump also has to deal with what everybody finds: what it looks at is so much of a helper's share.
_OWN_SHARE = 0.6
_SHORT = 16 << 10
_ROOT = Path(__file__).parents[3]
_BLOCK = 32 << 13  # of findings, in bytes
_NOTATIONS = ("<a><b>", "|a|b|")


class _Summary(NamedTuple):
    """What a helper says of a part at the end, all as integers."""

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
    """The same rows, in the same order, found by several processes where the file is large."""

    def __iter__(self) -> Iterator[Row]:
        with ExitStack() as stack:
            try:
                count = _processes(self.path) - 1
                own, *others = _parts(self.path, count)
                shares = [share for number in range(count) if (share := others[number::count])]
                helpers = [stack.enter_context(_Helper(self.path, share, self.tags)) for share in shares]
            except OSError:  # no more processes, no room for what they tell, no such file: reading alone says more
                own, others, helpers = (0, None), [], []
            yield from self.part(*own)
            for helper, (begin, end) in zip(cycle(helpers), others, strict=False):
                if not self.is_ascending:
                    stack.close()
                if self.is_ascending and helper.is_done() and helper.summary.first > self.last:
                    yield from self._found(helper, begin, end)
                else:
                    yield from self.part(begin, end)
        self.require_rows()

    def _found(self, helper: "_Helper", begin: int, end: int) -> Iterator[Row]:
        """What may matter among the rows that a helper points out."""
        before, planted, last, summary = self.count, self.planted, self.last, helper.summary
        try:
            with self.path.open("rb") as file:
                for position, start, length, parent in helper.findings():
                    if length and (parent < 0 or parent in self.parents):
                        yield Row(before + position, os.pread(file.fileno(), length, start), start)
                    elif not length:
                        self.count, self.last = before + position - 1, -1  # they ascend: the helper saw all of them
                        yield from self.row(_piece(file, start, end), start)
        except OSError as error:
            raise unreadable(self.path, error) from None
        # These rows were counted by the helper already.
        self.count, self.planted, self.last = before + summary.rows, planted + summary.planted, max(last, summary.last)
        self.notations |= {name for bit, name in enumerate(_NOTATIONS) if summary.notations >> bit & 1}
        self.is_complete = bool(summary.is_complete)
        self.proceed(end - begin)


def _processes(path: Path) -> int:
    """How many are worth their while."""
    if is_archive(path) or not path.is_file():
        return 1
    return min(os.cpu_count() or 1, _MOST_PROCESSES, 1 + path.stat().st_size // _WORTH_A_PROCESS)


def _parts(path: Path, helpers: int) -> list[tuple[int, int | None]]:
    """Begin and end of each part, in their order: before a row, or at the ends of the file. The first one is for who
    reads the dump, the others are for so many helpers."""
    if not helpers:
        return [(0, None)]
    size = path.stat().st_size
    share = size / (helpers + _OWN_SHARE)
    cuts = [0]
    with path.open("rb") as file:
        for number in range(helpers * _PARTS_PER_HELPER):
            begin = int(share * (_OWN_SHARE + number / _PARTS_PER_HELPER))
            piece = _piece(file, begin, size)
            cut = begin + 5 + len(piece)
            if len(piece) <= rows.LONGEST_ROW and cuts[-1] < cut < size:
                cuts.append(cut)
    return [*pairwise(cuts), (cuts[-1], None if len(cuts) == 1 else size)]


def _piece(file: BinaryIO, start: int, end: int) -> bytes:
    """What stands behind the `<row ` at ``start`` until the next one, or until ``end``: of a row that is too long, more
    than is allowed."""
    file.seek(start + 5)
    piece = b""
    while len(piece) <= rows.LONGEST_ROW:
        more = file.read(min(max(_SHORT, len(piece)), end - file.tell()))
        seen, piece = max(0, len(piece) - 4), piece + more
        behind = piece.find(b"<row ", seen)
        if behind >= 0 or not more:
            return piece[: behind if behind >= 0 else None]
    return piece


class _Helper:
    """A process that looks at some parts, one after the other, for as long as its context lasts."""

    summary: _Summary

    def __init__(self, path: Path, parts: Iterable[tuple[int, int]], tags: Collection[str]) -> None:
        command = [sys.executable, "-P", "-m", "dlbug_assets.stackoverflow.dump.parallel_rows", str(path.absolute())]
        self._findings = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the process
        self._begin = self._end = 0
        written = self._findings.fileno()
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [*command, str(written), ",".join(f"{begin}-{end}" for begin, end in parts), *tags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[written],
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

    def is_done(self) -> bool:
        """Whether it is done with its next part, and its findings can be relied on; waits for it."""
        said = self._summaries.read(_SUMMARY_BYTES)
        if len(said) < _SUMMARY_BYTES:
            return False
        self.summary = _Summary(*array("q", said))
        self._begin, self._end = self._end, self._end + self.summary.findings * _FINDING_BYTES
        return bool(self.summary.is_ascending)

    def findings(self) -> Iterator[tuple[int, int, int, int]]:
        """Of each row of this part that may matter: its position in the part, where in the file it begins, how long it
        is, or 0 for one with which something is wrong, and the number of the question that must have been taken for it
        to matter, or -1."""
        for begin in range(self._begin, self._end, _BLOCK):
            # The helper's place in this file is left alone.
            block = os.pread(self._findings.fileno(), min(_BLOCK, self._end - begin), begin)
            numbers = iter(array("q", block))
            yield from zip(*[numbers] * _FINDING_NUMBERS, strict=True)


class _Part(Rows):
    """The rows of a part that may matter as far as can be said without knowing what stands before it: answers are
    wanted to the questions here that have a tag, and to all that stand before."""

    def __init__(self, path: Path, tags: Collection[str]) -> None:
        self._tagged: set[int] = set()
        super().__init__(path, tags, self._tagged, self._noted)
        self._found = array("q")
        self._pointed_out = 0

    def look(self, begin: int, end: int, findings: BinaryIO) -> _Summary:
        """Point out the rows that may matter; returns what there is to say in the end."""
        count = 0
        for row in self.part(begin, end):
            own, parent = row.number(b"Id"), row.number(b"ParentId")
            if row.written(b"Tags"):
                self._tagged.add(-1 if own is None else own)
                parent = None
            is_sure = own is None or parent is None or parent > own
            self._point_out(row, len(row.content), -1 if is_sure else parent)
            if len(self._found) >= _BLOCK // 8:
                count += self._write(findings)
        count += self._write(findings)
        findings.flush()
        notations = sum(1 << bit for bit, name in enumerate(_NOTATIONS) if name in self.notations)
        return _Summary(
            count, self.count, self.planted, self.first, self.last, self.is_ascending, self.is_complete, notations
        )  # fmt: skip

    def _follows(self, own: int | None) -> None:
        super()._follows(own)
        self.since = self.first

    def _noted(self, row: Row, _reason: str, _content: bytes) -> None:
        self._point_out(row, 0, -1)

    def _point_out(self, row: Row, length: int, parent: int) -> None:
        if row.position > self._pointed_out:  # one that was noted may matter, too
            self._pointed_out = row.position
            self._found.extend((row.position, row.start, length, parent))

    def _write(self, findings: BinaryIO) -> int:
        """What was found since the last time; returns how many rows these are."""
        self._found.tofile(findings)
        count = len(self._found) // _FINDING_NUMBERS
        del self._found[:]
        return count


def look(
    path: Path, parts: Iterable[tuple[int, int]], tags: Collection[str], findings: BinaryIO, summaries: BinaryIO
) -> None:
    """Look at parts, and tell of each; raises :class:`DlbugError` where one cannot be read."""
    for begin, end in parts:
        summary = _Part(path, tags).look(begin, end, findings)
        array("q", summary).tofile(summaries)
        summaries.flush()


if __name__ == "__main__":
    dump, descriptor, written, *tags = sys.argv[1:]
    parts = [(int(begin), int(end)) for begin, end in (part.split("-") for part in written.split(","))]
    with open(int(descriptor), "wb") as findings:  # noqa: PTH123 - it is open already
        look(Path(dump), parts, tags, findings, sys.stdout.buffer)
