"""Read a table of an outside file, of a release: the function of a child process under limits.

What belongs here: the cells of a file as texts. What doesn't: what they mean (releases/label_rows.py).
"""

import csv
import io
import itertools
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.csv_cells import numbered_rows
from dlbug_assets.ingest.encodings import likely_encoding, unicode_encoding
from dlbug_assets.ingest.json_text import read_json
from dlbug_assets.ingest.workbooks.failed_formulas import ZIP_ERRORS
from dlbug_assets.ingest.workbooks.leftover_sheets import leftover_tables
from dlbug_assets.ingest.workbooks.sheets import workbook_sheets
from dlbug_assets.protocol.names import closest, listed_names, shown

#: A cell: its text, several texts (an array of JSON), or None if it is empty.
Cell = str | list[str] | None

#: Bytes of a member of a zip; as much as a file may have.
_LARGEST_MEMBER = 64 << 20
_MOST_ROWS = 250_000
#: The header of a table is searched for in this number of rows.
_HEADER_ROWS = 20
SEPARATORS = ",;\t|"
#: The beginning of a text, in characters or bytes, which shows how it is written.
_HEAD = 1 << 16
#: What separates cells in bytes of any encoding, and is no part of a character.
_BETWEEN_CELLS = re.compile(rb'[\r\n\t",;]+')
_ROWS_PER_LINE = 100

#: Rows of a table: the number of each, as in the file, and its cells.
_Rows = Iterable[tuple[int, Sequence[Cell]]]
#: Name of the sheet, rows, and the tables that other sheets hold.
_Tables = tuple[str | None, _Rows, Iterable[dict[str, Any]]]


@dataclass(frozen=True)
class Layout:
    """How the rows of a file are found.

    ``kind``: csv, workbook, json or json lines. ``sheet``: the name of a sheet; ``header``: the first cells of the one
    to read; without both, the only one with all columns. ``rows``: the JSONPath of the rows. ``where``: a condition on
    the file's columns, in SQL. ``encoding`` and ``separator`` are detected if not given. ``named_by``: for
    messages, which key of which file names a column. ``labels``: the names that each column of labels may have, by
    which they are found in other sheets.
    """

    kind: str
    sheet: str | None = None
    header: Sequence[str] | None = None
    rows: str | None = None
    where: str | None = None
    encoding: str | None = None
    separator: str | None = None
    named_by: Mapping[str, str] = field(default_factory=dict)
    labels: Sequence[Sequence[str]] = ()


def read_file(path: str, member: str | None, layout: dict[str, Any], columns: list[str]) -> Iterator[bytes]:
    """Yield the rows of a file, or of a member of a zip, as lines of JSON.

    ``layout`` has the fields of :class:`Layout`, ``columns`` the columns of the file that are needed. The first line is
    the name of the sheet, or null. Each further line is a list of rows: its number in the file, from 1 (for JSON, among
    the rows), and a cell for each of ``columns``. Rows without any of them are left out. Labels in other sheets follow,
    an object for each table (:func:`leftover_tables`). Raises :class:`DlbugError` for a file that cannot be read,
    without its name.
    """
    described = Layout(**layout)
    content = _content(Path(path), member)
    sheet, rows, leftovers = _READERS[described.kind](content, described, columns)
    yield _json(sheet)
    filled = ((number, cells) for number, cells in rows if any(cell is not None for cell in cells))
    while some := list(itertools.islice(filled, _ROWS_PER_LINE)):
        yield _json(some)
    yield from map(_json, leftovers)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _content(path: Path, member: str | None) -> bytes:
    if member is None:
        return path.read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            # Only known names are read, in memory: a path inside of the zip cannot lead elsewhere.
            info = archive.getinfo(member)
            if info.file_size > _LARGEST_MEMBER:
                raise DlbugError(f"it unpacks to {info.file_size} bytes, more than {_LARGEST_MEMBER >> 20} MiB")
            return archive.read(info)
    except KeyError:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
        raise DlbugError(f"{path} has no member {member}{closest(member, names)}. {listed_names(names)}") from None
    except ZIP_ERRORS as error:
        raise DlbugError(f"{path} cannot be read as a zip: {error}. Get it again.") from None


def _missing_column(column: str, layout: Layout, names: Sequence[str]) -> str:
    """Return a column that a file lacks, with the nearest, what names it, and those that the file has."""
    named = f", which {layout.named_by[column]} names" if column in layout.named_by else ""
    return f"{shown(column)}{named}{closest(column, names)}. {listed_names(names)}"


def _workbook(content: bytes, layout: Layout, columns: list[str]) -> _Tables:
    """Return the name and rows of the sheet with a name or header or, without one, with all columns."""
    sheets = workbook_sheets(content, layout.sheet)
    if layout.header is not None:
        header = [cell.casefold() for cell in layout.header]
        matching = [name for name, rows in sheets.items() if _first_cells(rows, len(header)) == header]
        expected = f"the header {', '.join(layout.header)} in their first row"
    elif len(sheets) > 1:
        matching = [name for name, rows in sheets.items() if _header(rows, columns) is not None]
        expected = f"the columns {', '.join(columns)}"
    else:
        matching = list(sheets)
        expected = "rows"
    if len(matching) != 1:
        seen = "; ".join(f"{name}: {_shown_row(rows[0]) if rows else 'empty'}" for name, rows in sheets.items())
        raise DlbugError(f"{len(matching) or 'no'} sheets have {expected}, expected one. Found: {seen}")
    (name,) = matching
    rows = _table(list(enumerate(sheets[name], start=1)), layout, columns)
    return name, rows, _leftovers(content, layout, columns, name, sheets)


def _leftovers(
    content: bytes, layout: Layout, columns: list[str], read: str, sheets: dict[str, list[tuple[str | None, ...]]]
) -> Iterator[dict[str, Any]]:
    """Yield the tables of labels in other sheets than the one that was ``read``; nothing if they cannot be read."""
    if layout.labels:
        with suppress(DlbugError):
            others = sheets if layout.sheet is None else workbook_sheets(content, without=read)
            yield from leftover_tables(others, read, columns, layout.labels)


def _first_cells(rows: Sequence[Sequence[str | None]], width: int) -> list[str]:
    cells = [(cell or "").strip().casefold() for cell in (rows[0] if rows else ())]
    return cells[:width]


def _shown_row(row: Sequence[str | None]) -> str:
    return ", ".join((cell or "").strip() for cell in row).strip(", ") or "empty"


def _header(rows: Sequence[Sequence[str | None]], columns: Sequence[str]) -> int | None:
    """Return the index of the first row with all columns."""
    for index, row in enumerate(rows[:_HEADER_ROWS]):
        if not _missing(row, columns):
            return index
    return None


def _missing(row: Sequence[str | None], columns: Sequence[str]) -> list[str]:
    names = {_folded(cell) for cell in row if cell}
    return [column for column in columns if _folded(column) not in names]


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _table(rows: list[tuple[int, Sequence[str | None]]], layout: Layout, columns: list[str]) -> _Rows:
    """Return the cells of the columns, from the rows below the header, to which the condition applies.

    The header is the first row of the beginning that has all columns; their case and surplus blanks do not matter.
    """
    index = _header([cells for _, cells in rows[:_HEADER_ROWS]], columns)
    if index is None:
        first = next((cells for _, cells in rows if any(cell and cell.strip() for cell in cells)), ())
        names = [cell.strip() for cell in first if cell and cell.strip()]
        missing = _missing(first, columns)
        raise DlbugError(f"it has no column {_missing_column(missing[0], layout, names)}")
    header = [_folded(cell or "") for cell in rows[index][1]]
    for column in columns:
        if header.count(_folded(column)) > 1:
            raise DlbugError(f"it has two columns {shown(column)}: rename one of them")
    places = [header.index(_folded(column)) for column in columns]
    names = [(cell or "").strip() for cell in rows[index][1]]
    below = rows[index + 1 :]
    if len(below) > _MOST_ROWS:
        raise DlbugError(f"it has more than {_MOST_ROWS:,} rows")
    if longer := next((number for number, row in below if any(row[len(names) :])), None):
        raise DlbugError(f"line {longer} has more cells than the header: quote cells that contain the separator")
    cells = [(number, [*row, *[None] * (len(names) - len(row))]) for number, row in below]
    kept = _where(layout.where, names, [row for _, row in cells])
    return ((number, [row[place] or None for place in places]) for number, row in itertools.compress(cells, kept))


def _where(condition: str | None, names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> list[bool]:
    """Return for each row whether a SQL condition holds; all values are texts."""
    if condition is None:
        return [True] * len(rows)
    import polars as pl  # noqa: PLC0415 - slow to import

    places: dict[str, int] = {}
    for place, name in enumerate(names):
        if name:
            places.setdefault(name, place)
    frame = pl.DataFrame(
        {name: pl.Series([row[place] for row in rows], dtype=pl.String) for name, place in places.items()}
    )
    try:
        return frame.with_columns(pl.sql_expr(condition).fill_null(value=False).cast(pl.Boolean).alias(""))[
            ""
        ].to_list()
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise DlbugError(
            f"where: {shown(condition)} is not a condition on its columns: {reason}. {listed_names(list(places))}"
        ) from None


def _csv(content: bytes, layout: Layout, columns: list[str]) -> _Tables:
    text = decoded(content, layout.encoding)
    candidates = [layout.separator] if layout.separator else list(SEPARATORS)
    head = text[:_HEAD]
    best = min(candidates, key=lambda separator: len(_missing_columns(head, separator, columns)))
    return None, _table(list(csv_rows(text, best)), layout, columns), ()


def _missing_columns(head: str, separator: str, columns: list[str]) -> list[str]:
    """Return the columns that no row at the beginning of a file has, if cells are separated like that."""
    fewest = columns
    with suppress(DlbugError):  # the head may be cut off within a cell
        for _, cells in itertools.islice(csv_rows(head, separator), _HEADER_ROWS):
            fewest = min(fewest, _missing(cells, columns), key=len)
    return fewest


def decoded(content: bytes, encoding: str | None) -> str:
    """Return the text: in the given encoding, or that of its byte order mark or NUL bytes, or UTF-8, or the likely one.

    Raises :class:`DlbugError` for other content than text, and if its encoding is not clear.
    """
    name = encoding or unicode_encoding(content[:_HEAD]) or "utf-8"
    with suppress(UnicodeError):
        text = content.decode(name)
        if "\0" not in text:
            return text.removeprefix("\ufeff")
    guess = None if encoding or b"\0" in content else likely_encoding(_BETWEEN_CELLS.split(content))
    if guess is None:
        raise DlbugError(f"it is not text in {name}: set encoding to its encoding, such as 'utf-16-le'")
    return content.decode(guess)


def csv_rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its first line."""
    try:
        yield from numbered_rows(io.StringIO(text, newline=""), separator)
    except csv.Error as error:
        raise DlbugError(f"{error}. Is the separator {separator!r}?") from None


def _json_rows(content: bytes, layout: Layout, columns: list[str]) -> _Tables:
    """Return the values at the path of the rows; a column that is the path followed by ~ is the key of each."""
    import jsonpath  # noqa: PLC0415 - only for JSON

    assert layout.rows  # noqa: S101 - needed for JSON
    try:
        document = read_json(content)
    except ValueError as error:
        raise DlbugError(f"it is not valid JSON: {error}") from None
    matches = list(itertools.islice(jsonpath.compile(layout.rows).finditer(document), _MOST_ROWS + 1))
    if not matches:
        raise DlbugError(f"rows: nothing is at {layout.rows}")
    keys = [str(match.parts[-1]) if match.parts else "" for match in matches]
    return None, _values(list(enumerate((match.obj for match in matches), start=1)), layout, columns, keys), ()


def _json_lines(content: bytes, layout: Layout, columns: list[str]) -> _Tables:
    values: list[tuple[int, Any]] = []
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            try:
                values.append((number, read_json(line)))
            except ValueError as error:
                raise DlbugError(f"line {number} is not valid JSON: {error}") from None
    return None, _values(values, layout, columns, []), ()


def _values(values: list[tuple[int, Any]], layout: Layout, columns: list[str], keys: Sequence[str]) -> _Rows:
    """Return the cells of JSON values. A column is a key of theirs or else a JSONPath in them."""
    if len(values) > _MOST_ROWS:
        raise DlbugError(f"it has more than {_MOST_ROWS:,} rows")
    names = list(dict.fromkeys(name for _, value in values if isinstance(value, dict) for name in value))
    key_column = f"{layout.rows}~"
    cells: list[Sequence[Cell]] = []
    for column in columns:
        found = keys if column == key_column else list(map(_at(column, names, layout), (value for _, value in values)))
        if column not in names and all(cell is None for cell in found):
            raise DlbugError(f"none of its rows has {_missing_column(column, layout, names)}")
        cells.append(found)
    flat = [[_text(value.get(name)) if isinstance(value, dict) else None for name in names] for _, value in values]
    kept = _where(layout.where, names, flat if layout.where else [()] * len(values))
    rows = [(number, [found[index] for found in cells]) for index, (number, _) in enumerate(values)]
    return itertools.compress(rows, kept)


def _at(column: str, names: Sequence[str], layout: Layout) -> Callable[[Any], Cell]:
    """Return the function that returns the cell of a column of a JSON value."""
    if column in names:
        return lambda value: _cell([value.get(column)]) if isinstance(value, dict) else None
    import jsonpath  # noqa: PLC0415 - only for JSON

    try:
        path = jsonpath.compile(column if column.startswith("$") else f"$.{column}")
    except jsonpath.JSONPathError:
        raise DlbugError(f"none of its rows has {_missing_column(column, layout, names)}") from None
    return lambda value: _cell(path.findall(value) if isinstance(value, dict | list) else [])


def _cell(values: list[Any]) -> Cell:
    """Return the text of a value, or the texts of several values or of an array."""
    if len(values) == 1 and not isinstance(values[0], list):
        return _text(values[0])
    texts = [_text(entry) for value in values for entry in (value if isinstance(value, list) else [value])]
    return [text for text in texts if text is not None] or None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return json.dumps(value, ensure_ascii=False)


_READERS: dict[str, Callable[[bytes, Layout, list[str]], _Tables]] = {
    "csv": _csv,
    "workbook": _workbook,
    "json": _json_rows,
    "json lines": _json_lines,
}
