"""Read a large Posts.xml with several processes, each of which scans parts of the file.

In scope: where a file is cut, what a helper process reports about a part, and when its report can be used.
Out of scope: how rows are found in bytes.

A helper doesn't know which questions are selected. It reports the index of its part: the key of each row and where the
row begins. The main process looks up the rows that may matter and examines them again, in order and knowing all earlier
questions, so the result is that of a single reading, whatever the order of the rows. Where a helper failed, the main
process reads the part itself.

Parts are assigned to the helpers in turn, so that the main process uses the index of some while they scan the next
ones. A helper must start quickly and imports nothing slow. Its command is
`python -m dlbug_assets.stackoverflow.dump.parallel_rows PATH FD PARTS TAGS...` with PARTS as `BEGIN-END,BEGIN-END`. It
writes the indexes into the open file FD and, after each part, a summary to its standard output, as integers of 64 bits.
"""

import os
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from dlbug_assets.stackoverflow.dump import rows
from dlbug_assets.stackoverflow.dump.row_index import PROBLEM, RowIndex
from dlbug_assets.stackoverflow.dump.rows import Row, Rows, following_piece, row_from
from dlbug_assets.stackoverflow.dump.unpacking import is_archive, read_chunks, read_error

#: Bytes per process that make up for starting one more, which takes as long as reading some 40 MB.
_WORTH_A_PROCESS = 96 << 20
_MOST_PROCESSES = 8
_PARTS_PER_HELPER = 8
#: The main process also examines what all have found: what it reads itself, as a share of what a helper reads.
_OWN_SHARE = 0.6
_ROOT = Path(__file__).parents[3]
_NOTATIONS = ("<a><b>", "|a|b|")


class _Summary(NamedTuple):
    """What a helper reports after a part, all as integers."""

    rows: int
    planted: int
    is_complete: int
    notations: int


_SUMMARY_BYTES = 8 * len(_Summary._fields)


class SharedRows(Rows):
    """The same rows in the same order, found by several processes if the file is large."""

    def _in_file_order(self, stack: ExitStack) -> Iterator[Row]:
        count = _process_count(self.path) - 1
        if not count:
            yield from super()._in_file_order(stack)
            return
        with closing(read_chunks(self.path)) as chunks:
            begin, _ = self._skip_prolog(chunks)
        try:
            cuts = _cuts(self.path, begin, count)
            parts = list(pairwise(cuts))
            shares = [share for number in range(count) if (share := parts[number::count])]
            helpers = [stack.enter_context(_Helper(self.path, share, self.tags)) for share in shares]
        except OSError:  # no process, no space for an index, no such file: reading alone gives the better error
            cuts, parts, helpers = [], [], []
        yield from self._part(stack, begin, cuts[0] if cuts else None)
        for helper, (begin, end) in zip(cycle(helpers), parts, strict=False):
            if helper.finishes_part():
                yield from self._found(helper, begin, end)
            else:
                yield from self._part(stack, begin, end)

    def _part(self, stack: ExitStack, begin: int, end: int | None) -> Iterator[Row]:
        with closing(read_chunks(self.path, begin, end)) as chunks:
            yield from self._rows(chunks, begin, self._new_index(stack))

    def _found(self, helper: "_Helper", begin: int, end: int) -> Iterator[Row]:
        """Yield the rows that may matter now among those of a part that a helper has indexed."""
        before, planted, summary, index = self.count, self.planted, helper.summary, helper.index
        self._indexes.append((before, index))
        try:
            with self.path.open("rb") as file:
                for number, key, start in index.find(self.wanted):
                    position = before + number + 1
                    if self.wanted[key] >= position:
                        continue
                    piece = following_piece(file, start, end)
                    if key != PROBLEM:
                        yield row_from(piece, position, start)
                        continue
                    row, key_found = self._examine(piece, position, start)
                    if self.wanted.get(key_found, position) < position:
                        yield row
                    elif key_found >= 0:
                        self._examined_later.append((position, key_found, start))
        except OSError as error:
            raise read_error(self.path, error) from None
        # The helper has counted these rows.
        self.count, self.planted = before + summary.rows, planted + summary.planted
        self.notations |= {name for bit, name in enumerate(_NOTATIONS) if summary.notations >> bit & 1}
        self.is_complete = bool(summary.is_complete)
        self.count_bytes(end - begin)


def _process_count(path: Path) -> int:
    """Return the number of processes that reading the file is worth."""
    if is_archive(path) or not path.is_file():
        return 1
    return min(os.cpu_count() or 1, _MOST_PROCESSES, 1 + path.stat().st_size // _WORTH_A_PROCESS)


def _cuts(path: Path, begin: int, helpers: int) -> list[int]:
    """Return the ascending offsets between which the helpers' parts are, the last of them the size of the file.

    Each cut is before a row; ``begin`` is where the rows begin. The main process reads the bytes before the first cut.
    Empty if there is nothing to share.
    """
    size = path.stat().st_size
    share = (size - begin) / (helpers + _OWN_SHARE)
    cuts: list[int] = []
    with path.open("rb") as file:
        for number in range(helpers * _PARTS_PER_HELPER):
            wished = begin + int(share * (_OWN_SHARE + number / _PARTS_PER_HELPER))
            piece = following_piece(file, wished, size)
            cut = wished + 4 + len(piece)
            if len(piece) <= rows.LONGEST_ROW and (cuts[-1] if cuts else 0) < cut < size:
                cuts.append(cut)
    return [*cuts, size] if cuts else []


class _Helper:
    """A process that scans some parts one after the other, until its context ends."""

    summary: _Summary
    index: RowIndex

    def __init__(self, path: Path, parts: Iterable[tuple[int, int]], tags: Collection[str]) -> None:
        command = [sys.executable, "-P", "-m", "dlbug_assets.stackoverflow.dump.parallel_rows", str(path.absolute())]
        self._indexes = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the process
        self._end = 0
        descriptor = self._indexes.fileno()
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
        self._indexes.close()

    def finishes_part(self) -> bool:
        """Wait for the next part's summary; return whether there is one and its index can be used."""
        content = self._summaries.read(_SUMMARY_BYTES)
        if len(content) < _SUMMARY_BYTES:
            return False
        self.summary = _Summary(*array("q", content))
        self.index = RowIndex(self._indexes, self._end, self.summary.rows)
        self._end = self.index.end
        return True


class _Part(Rows):
    """The rows of a part, to be indexed without knowing which questions are selected."""

    def __init__(self, path: Path, tags: Collection[str]) -> None:
        self._has_problem = False
        super().__init__(path, tags, {}, self._note_problem)

    def scan(self, begin: int, end: int, index: RowIndex) -> _Summary:
        """Index the rows of a part and return its summary."""
        with closing(read_chunks(self.path, begin, end)) as chunks:
            for _ in self._rows(chunks, begin, index):
                raise AssertionError("nothing is wanted")
        notations = sum(1 << bit for bit, name in enumerate(_NOTATIONS) if name in self.notations)
        return _Summary(self.count, self.planted, self.is_complete, notations)

    def _examine(self, piece: bytes, position: int, start: int) -> tuple[Row, int]:
        self._has_problem = False
        row, key = super()._examine(piece, position, start)
        return row, PROBLEM if self._has_problem else key

    def _note_problem(self, _row: Row, _reason: str, _content: bytes) -> None:
        self._has_problem = True


def scan(
    path: Path, parts: Iterable[tuple[int, int]], tags: Collection[str], indexes: BinaryIO, summaries: BinaryIO
) -> None:
    """Index parts and write a summary of each; raises :class:`DlbugError` if one cannot be read."""
    end = 0
    for part in parts:
        index = RowIndex(indexes, end)
        array("q", _Part(path, tags).scan(*part, index)).tofile(summaries)
        summaries.flush()
        end = index.end


if __name__ == "__main__":
    dump, descriptor, ranges, *tags = sys.argv[1:]
    parts = [(int(begin), int(end)) for begin, end in (part.split("-") for part in ranges.split(","))]
    with open(int(descriptor), "wb") as indexes:  # noqa: PTH123 - it is open already
        scan(Path(dump), parts, tags, indexes, sys.stdout.buffer)
