"""List the columns of an outside file: the function of a child process under limits.

What belongs here: which columns there are. What doesn't: reading their rows (ingest/table_files.py).
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.json_text import read_json
from dlbug_assets.ingest.table_files import SEPARATORS, csv_rows, decoded
from dlbug_assets.ingest.workbooks.sheets import workbook_sheets

#: The header is the first row with the most cells among this number of rows.
_HEADER_ROWS = 20
#: How many different values of a column are listed, of this number of rows.
_MOST_VALUES, _MOST_ROWS = 5, 200
_SHOWN = 40
#: Rows of JSON are searched for below this number of keys.
_MOST_KEYS = 5
_MOST_TABLES = 20
_Rows = Iterable[Sequence[Any]]


def read_columns(path: str, kind: str) -> Iterator[bytes]:
    """Yield a line of JSON for each table of a file: sheet, rows, and columns.

    ``kind`` is as in :class:`~dlbug_assets.ingest.table_files.Layout`. ``sheet`` is the name of a workbook's sheet, and
    ``rows`` the JSONPath of the rows, or null; ``columns`` has the beginnings of some values by column. Raises
    :class:`DlbugError` for a file that cannot be read or has no table.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DlbugError(f"it cannot be read: {error.strerror}") from None
    tables = list(itertools.islice(_TABLES[kind](content), _MOST_TABLES))
    if not any(columns for _, _, columns in tables):
        raise DlbugError("it has no row with the names of columns")
    for sheet, rows, columns in tables:
        if columns:
            yield json.dumps({"sheet": sheet, "rows": rows, "columns": columns}, ensure_ascii=False).encode() + b"\n"


_Table = tuple[str | None, str | None, dict[str, list[str]]]


def _csv_tables(content: bytes) -> Iterator[_Table]:
    text = decoded(content, None)
    first = next(filter(str.strip, text.splitlines()), "")
    yield None, None, _columns([cells for _, cells in csv_rows(text, max(SEPARATORS, key=first.count))])


def _workbook_tables(content: bytes) -> Iterator[_Table]:
    for sheet, rows in workbook_sheets(content).items():
        yield sheet, None, _columns(rows)


def _json_tables(content: bytes) -> Iterator[_Table]:
    try:
        document = read_json(content)
    except ValueError as error:
        raise DlbugError(f"it is not valid JSON: {error}") from None
    yield from _json_lists(document, "$", _MOST_KEYS)


def _json_lists(value: Any, path: str, most_keys: int) -> Iterator[_Table]:
    """Yield the lists of objects, and the objects of objects, at a path or below its keys."""
    if isinstance(value, list | dict):
        entries = value if isinstance(value, list) else list(value.values())
        if entries and all(isinstance(entry, dict) for entry in entries):
            yield None, f"{path}[*]" if isinstance(value, list) else f"{path}.*", _keys(entries)
        if isinstance(value, dict) and most_keys:
            for key, entry in value.items():
                yield from _json_lists(entry, f"{path}[{json.dumps(key, ensure_ascii=False)}]", most_keys - 1)


def _json_lines_tables(content: bytes) -> Iterator[_Table]:
    try:
        entries = [read_json(line) for line in itertools.islice(filter(bytes.strip, content.splitlines()), _MOST_ROWS)]
    except ValueError as error:
        raise DlbugError(f"it is not valid JSON: {error}") from None
    yield None, None, _keys([entry for entry in entries if isinstance(entry, dict)])


def _columns(rows: Sequence[Sequence[str | None]]) -> dict[str, list[str]]:
    """Return some values of each column below the header."""
    filled = [sum(bool(cell and cell.strip()) for cell in row) for row in rows[:_HEADER_ROWS]]
    if not any(filled):
        return {}
    header = filled.index(max(filled))
    below = rows[header + 1 : header + 1 + _MOST_ROWS]
    return {
        name.strip(): _values(row[place] for row in below if place < len(row))
        for place, name in enumerate(rows[header])
        if name and name.strip()
    }


def _keys(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for entry in entries for name in entry)
    return {name: _values(entry.get(name) for entry in entries[:_MOST_ROWS]) for name in names}


def _values(cells: Iterable[Any]) -> list[str]:
    """Return the beginnings of the first different values."""
    texts = (
        cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False) for cell in cells if cell is not None
    )
    beginnings = (" ".join(text[: 2 * _SHOWN].split())[:_SHOWN] for text in texts)
    distinct = dict.fromkeys(beginning for beginning in beginnings if beginning)
    return list(itertools.islice(distinct, _MOST_VALUES))


_TABLES = {
    "csv": _csv_tables,
    "workbook": _workbook_tables,
    "json": _json_tables,
    "json lines": _json_lines_tables,
}
