"""An index of the rows of a dump, on disk: what each row belongs to, and where in the file it begins.

With it, the answers to a question are found without a second reading, wherever they are in the file. It has 16 bytes
per row, which is some 1% of a dump, in a temporary file.
"""

import os
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import compress, count
from typing import BinaryIO

#: Keys that aren't Ids, which have 18 digits at most: a row that belongs to nothing, one whose tags or ParentId must be
#: read by a parser, and one with a problem that has not been reported yet.
NOTHING, TO_PARSE, PROBLEM = (-(1 << 62) - number for number in range(3))
_BLOCK = 1 << 15
_ITEM = array("q").itemsize


def question_key(number: int) -> int:
    """Return the key of a row that isn't an answer, by its Id. The key of an answer is the Id of its question."""
    return ~number


class RowIndex:
    """The keys and offsets of consecutive rows; a ``file`` may contain several indexes, one after the other."""

    def __init__(self, file: BinaryIO, begin: int = 0, rows: int = 0) -> None:
        self.file, self.begin, self.rows = file, begin, rows
        self._keys, self._starts = array("q"), array("q")

    @property
    def end(self) -> int:
        """Where in its file the index ends."""
        return self.begin + 2 * _ITEM * self.rows

    def add(self, keys: Iterable[int], starts: Iterable[int]) -> None:
        """Add rows."""
        self._keys.extend(keys)
        self._starts.extend(starts)
        while len(self._keys) >= _BLOCK:
            self._write(_BLOCK)

    def flush(self) -> None:
        """Write what isn't on disk yet; no rows can be added afterwards."""
        if self._keys:
            self._write(len(self._keys))
        self.file.flush()

    def find(self, wanted: Mapping[int, object]) -> Iterator[tuple[int, int, int]]:
        """Yield number (from 0), key and offset of the rows whose key is in ``wanted``, which may grow meanwhile."""
        for first, size, place in self._blocks():
            keys, starts = array("q", self._read(place, size)), None
            for number in compress(count(), map(wanted.__contains__, keys)):
                starts = starts or array("q", self._read(place + _ITEM * size, size))
                yield first + number, keys[number], starts[number]

    def find_all(self, wanted: Collection[int]) -> Iterator[tuple[int, int, int]]:
        """Yield the same as ``find`` for keys that stay the same, many times faster."""
        # Slow to import, and processes that only write an index don't need them.
        import polars as pl  # noqa: PLC0415
        from numpy import frombuffer, int64  # noqa: PLC0415

        searched = pl.Series(list(wanted), dtype=pl.Int64)
        for first, size, place in self._blocks():
            keys = pl.Series(frombuffer(self._read(place, size), int64))
            found = keys.is_in(searched.implode()).arg_true()
            if len(found):
                starts = array("q", self._read(place + _ITEM * size, size))
                yield from ((first + number, keys[number], starts[number]) for number in found)

    def _blocks(self) -> Iterator[tuple[int, int, int]]:
        """Yield the first row, the number of rows and the place in the file of each block."""
        for first in range(0, self.rows, _BLOCK):
            yield first, min(_BLOCK, self.rows - first), self.begin + 2 * _ITEM * first

    def _read(self, place: int, size: int) -> bytes:
        # pread, because a process that is still writing shares this file's offset.
        return os.pread(self.file.fileno(), _ITEM * size, place)

    def _write(self, size: int) -> None:
        for numbers in (self._keys, self._starts):
            self.file.write(numbers[:size].tobytes())
            del numbers[:size]
        self.rows += size
