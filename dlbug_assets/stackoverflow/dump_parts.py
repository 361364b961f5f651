"""A large Posts.xml is read in several processes, each of which looks at a part of the file.

What belongs here: where a file is cut, what a helper process tells of its part, and when that can be relied on. What
doesn't: how rows are found in bytes.

A helper does not know which questions are taken before its part. It says where the rows begin that may matter, and of
which question they are answers; who reads the dump looks at these rows again, in their order and knowing everything, so
that the outcome is that of a single reading. This rests on Ids that ascend. Where they don't, where a helper failed, or
where it found what cannot be read at all, the part is read without its help.

A helper is started without anything that takes long to import: `python -m dlbug_assets.stackoverflow.dump_parts PATH
BEGIN END TAGS...` leaves its findings in its standard output, as integers of 64 bits.
"""

import os
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from dlbug_assets.landing import say_nothing
from dlbug_assets.stackoverflow import dump_file
from dlbug_assets.stackoverflow.dump_file import Row, Rows, is_archive, unreadable

#: From so many bytes per process on, one more is worth its start, in which some 40 MB are read.
_WORTH_A_PROCESS = 96 << 20
_MOST_PROCESSES = 8
#: Who reads the dump also has to deal with what everybody finds: its part is so much of the others'.
_OWN_SHARE = 0.5
_SHORT = 16 << 10
_ROOT = Path(__file__).parents[2]
_BLOCK = 24 << 13
_NOTATIONS = ("<a><b>", "|a|b|")


class _Summary(NamedTuple):
    """What a helper says of its part at the end, all as integers."""

    rows: int
    planted: int
    first: int
    last: int
    is_ascending: int
    is_complete: int
    notations: int


_SUMMARY_BYTES = 8 * len(_Summary._fields)


class SharedRows(Rows):
    """The same rows, in the same order, found by several processes where the file is large."""

    def __iter__(self) -> Iterator[Row]:
        with ExitStack() as stack:
            try:
                own, *others = _parts(self.path)
                helpers = [stack.enter_context(_Helper(self.path, begin, end, self.tags)) for begin, end in others]
            except OSError:  # no more processes, no room for what they tell, no such file: reading alone says more
                own, others, helpers = (0, None), [], []
            yield from self.part(*own)
            for helper, (begin, end) in zip(helpers, others, strict=True):
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
                for position, start, parent in helper.findings():
                    if parent < 0 or parent in self.parents:
                        self.count, self.last = before + position - 1, -1  # they ascend: the helper saw all of them
                        yield from self.row(_piece(file, start, end), start)
        except OSError as error:
            raise unreadable(self.path, error) from None
        # These rows were counted by the helper already.
        self.count, self.planted, self.last = before + summary.rows, planted + summary.planted, max(last, summary.last)
        self.notations |= {name for bit, name in enumerate(_NOTATIONS) if summary.notations >> bit & 1}
        self.is_complete = bool(summary.is_complete)
        self.proceed(end - begin)


def _parts(path: Path) -> list[tuple[int, int | None]]:
    """Begin and end of each part, in their order: before a row, or at the ends of the file."""
    if is_archive(path) or not path.is_file():
        return [(0, None)]
    size = path.stat().st_size
    processes = min(os.cpu_count() or 1, _MOST_PROCESSES, 1 + size // _WORTH_A_PROCESS)
    cuts = [0]
    with path.open("rb") as file:
        for number in range(processes - 1):
            begin = int(size * (number + _OWN_SHARE) / (processes - 1 + _OWN_SHARE))
            piece = _piece(file, begin, size)
            cut = begin + 5 + len(piece)
            if len(piece) <= dump_file.LONGEST_ROW and cuts[-1] < cut < size:
                cuts.append(cut)
    return [*pairwise(cuts), (cuts[-1], None if len(cuts) == 1 else size)]


def _piece(file: BinaryIO, start: int, end: int) -> bytes:
    """What stands behind the `<row ` at ``start`` until the next one, or until ``end``: of a row that is too long, more
    than is allowed."""
    file.seek(start + 5)
    piece = b""
    while len(piece) <= dump_file.LONGEST_ROW:
        more = file.read(min(max(_SHORT, len(piece)), end - file.tell()))
        seen, piece = max(0, len(piece) - 4), piece + more
        behind = piece.find(b"<row ", seen)
        if behind >= 0 or not more:
            return piece[: behind if behind >= 0 else None]
    return piece


class _Helper:
    """A process that looks at a part, for as long as its context lasts."""

    summary: _Summary

    def __init__(self, path: Path, begin: int, end: int, tags: Collection[str]) -> None:
        command = [sys.executable, "-P", "-m", "dlbug_assets.stackoverflow.dump_parts"]
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the process
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [*command, str(path.absolute()), str(begin), str(end), *tags],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(_ROOT)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._output.close()

    def is_done(self) -> bool:
        """Whether it came to its end with findings that can be relied on; waits for it."""
        if self._process.wait():
            return False
        self._output.seek(-_SUMMARY_BYTES, os.SEEK_END)
        self.summary = _Summary(*array("q", self._output.read()))
        return bool(self.summary.is_ascending)

    def findings(self) -> Iterator[tuple[int, int, int]]:
        """Of each row that may matter: its position in the part, where in the file it begins, and the number of the
        question that must have been taken for it to matter, or -1."""
        left = self._output.seek(-_SUMMARY_BYTES, os.SEEK_END)
        self._output.seek(0)
        while block := self._output.read(min(_BLOCK, left)):
            left -= len(block)
            numbers = iter(array("q", block))
            yield from zip(numbers, numbers, numbers, strict=True)


class _Part(Rows):
    """The rows of a part that may matter as far as can be said without knowing what stands before it: this says itself
    of which questions answers are wanted, namely those here with a tag, and all that stand before."""

    def __init__(self, path: Path, tags: Collection[str]) -> None:
        super().__init__(path, tags, self, self._noted, say_nothing)
        self.found = array("q")
        self._tagged: set[int] = set()
        self._pointed_out = 0

    def __contains__(self, number: int) -> bool:
        return number < self.first or number in self._tagged

    def take(self, row: Row) -> None:
        """Point out a row that may matter."""
        own, parent = row.number(b"Id"), row.number(b"ParentId")
        if row.written(b"Tags"):
            self._tagged.add(-1 if own is None else own)
            self._point_out(row, -1)
        else:
            self._point_out(row, -1 if own is None or parent is None or parent > own else parent)

    def _noted(self, row: Row, _reason: str, _content: bytes) -> None:
        self._point_out(row, -1)

    def _point_out(self, row: Row, parent: int) -> None:
        if row.position > self._pointed_out:  # one that was noted may matter, too
            self._pointed_out = row.position
            self.found.extend((row.position, row.start, parent))

    def summary(self) -> _Summary:
        """What there is to say in the end."""
        notations = sum(1 << bit for bit, name in enumerate(_NOTATIONS) if name in self.notations)
        return _Summary(self.count, self.planted, self.first, self.last, self.is_ascending, self.is_complete, notations)


def look(path: Path, begin: int, end: int, tags: Collection[str], output: BinaryIO) -> None:
    """Look at a part, and leave the findings; raises :class:`DlbugError` where it cannot be read."""
    part = _Part(path, tags)
    for row in part.part(begin, end):
        part.take(row)
        if len(part.found) >= _BLOCK // 8:
            part.found.tofile(output)
            del part.found[:]
    array("q", [*part.found, *part.summary()]).tofile(output)


if __name__ == "__main__":
    look(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:], sys.stdout.buffer)
