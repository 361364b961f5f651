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
from itertools import chain, cycle, pairwise, repeat
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from dlbug_assets.stackoverflow.dump import rows
from dlbug_assets.stackoverflow.dump.row_index import PROBLEM, RowIndex
from dlbug_assets.stackoverflow.dump.rows import Row, Rows, following_piece, row_from
from dlbug_assets.stackoverflow.dump.unpacking import is_archive, read_chunks, read_error

#: Bytes per process that make up for starting one more, which takes as long as reading some 40 MB.
_WORTH_A_PROCESS = 96 << 20
_MOST_PROCESSES = 8
#: Answers that precede their questions are looked up after each of these stretches, while helpers scan the next ones.
_STRETCHES = 8
#: Parts of a stretch for each helper.
_PARTS_PER_HELPER = 2
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
    """The same rows, in the same order whatever their number: found by several processes if the file is large."""

    def _stretches(self, stack: ExitStack) -> Iterator[Iterator[Row]]:
        size = self.path.stat().st_size if self.path.is_file() and not is_archive(self.path) else 0
        if size < _WORTH_A_PROCESS:
            yield from super()._stretches(stack)
            return
        count = min(os.cpu_count() or 1, _MOST_PROCESSES, 1 + size // _WORTH_A_PROCESS) - 1
        with closing(read_chunks(self.path)) as chunks:
            begin, _ = self._skip_prolog(chunks)
        try:
            stretches = _stretches(self.path, begin, max(1, _PARTS_PER_HELPER * count))
        except OSError as error:
            raise read_error(self.path, error) from None
        parts = [part for stretch in stretches for part in stretch]
        own = max(1, round(len(parts) * _OWN_SHARE / (count + _OWN_SHARE)))
        shares = [share for number in range(count) if (share := parts[own + number :: count])]
        try:
            helpers = [stack.enter_context(_Helper(self.path, share, self.tags)) for share in shares]
        except OSError:  # no process, or no space for an index: reading alone gives the better error
            helpers = []
        readers = chain(repeat(None, own), cycle(helpers or [None]))
        for stretch in stretches:
            yield chain.from_iterable(self._read(stack, part, next(readers)) for part in stretch)

    def _read(self, stack: ExitStack, part: tuple[int, int], helper: "_Helper | None") -> Iterator[Row]:
        """Yield the rows of a part that a helper has indexed, or of one that none has."""
        if helper is not None and helper.finishes_part():
            return self._found(helper, *part)
        return self._part(stack, *part)

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


def _stretches(path: Path, begin: int, pieces: int) -> list[list[tuple[int, int]]]:
    """Return the parts of each eighth of a file, as offsets: up to ``pieces`` of the same size, none of them empty.

    The first part begins at ``begin``, each other one before a row; the last one ends with the file.
    """
    size = path.stat().st_size
    cuts = [begin]
    with path.open("rb") as file:
        for number in range(1, _STRETCHES * pieces):
            wished = begin + (size - begin) * number // (_STRETCHES * pieces)
            piece = following_piece(file, wished, size)
            # Where a row is longer than any post, the file is not cut.
            cuts.append(wished + 4 + len(piece) if len(piece) <= rows.LONGEST_ROW else cuts[-1])
    cuts = [*(min(cut, size) for cut in cuts), size]
    return [
        [(first, last) for first, last in pairwise(cuts[start : start + pieces + 1]) if first < last]
        for start in range(0, len(cuts) - 1, pieces)
    ]


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
