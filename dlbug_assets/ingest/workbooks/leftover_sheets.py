"""Find labels in the further sheets of a workbook: part of the function of a child process under limits.

What belongs here: which sheets have the columns of the labels, and their cells. What doesn't: what the cells mean
(releases/label_rows.py). Names of sheets and headers may name people, so neither is returned.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: Larger sheets are not compared with the released rows.
_MOST_ROWS = 10_000
_HEADER_ROWS = 20

_Row = Sequence[str | None]


def leftover_tables(
    sheets: Mapping[str, Sequence[_Row]], read: str, columns: Sequence[str], labels: Sequence[Sequence[str]]
) -> Iterator[dict[str, Any]]:
    """Yield the tables with all labels in the sheets of a workbook other than the one that was ``read``.

    ``labels`` are the names that the column of each dimension may have, all of them among ``columns``. A header has
    them if it contains one name of each, with the same words around it, such as the name of a rater; each such set of
    columns is a table. Keys: sheet, the number of the sheet in the workbook and, if it has several tables, of the
    table; and rows: the number of each, from 1, and a cell for each of ``columns``, None where the table has none.
    """
    for number, (name, rows) in enumerate(sheets.items(), start=1):
        if name == read or len(rows) > _MOST_ROWS:
            continue
        header, tables = _tables(rows, columns, labels)
        for table, places in enumerate(tables, start=1):
            cells = (
                (row, [None if place is None else below[place] or None for place in places])
                for row, below in enumerate(rows[header + 1 :], start=header + 2)
            )
            sheet = f"{number}, columns {table}" if len(tables) > 1 else f"{number}"
            yield {"sheet": sheet, "rows": [row for row in cells if any(row[1])]}


def _tables(
    rows: Sequence[_Row], columns: Sequence[str], labels: Sequence[Sequence[str]]
) -> tuple[int, list[list[int | None]]]:
    """Return the index of the first header with all labels, and the places of the columns of each of its tables."""
    written = {name for names in labels for name in names}
    # A name as words, which blanks, signs or underscores may separate from others.
    patterns = {name: re.compile(rf"(?<![^\W_]){re.escape(_folded(name))}(?![^\W_])") for name in written}
    for index, row in enumerate(rows[:_HEADER_ROWS]):
        header = [_folded(cell or "") for cell in row]
        sets: dict[str, dict[str, int]] = {}
        for place, cell in enumerate(header):
            for name, pattern in patterns.items():
                if pattern.search(cell):
                    sets.setdefault(_folded(pattern.sub(" ", cell)), {}).setdefault(name, place)
        complete = [places for places in sets.values() if all(any(name in places for name in each) for each in labels)]
        if complete:
            others = {name: header.index(_folded(name)) for name in columns if _folded(name) in header}
            return index, [[(each if name in written else others).get(name) for name in columns] for each in complete]
    return 0, []


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
