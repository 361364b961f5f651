"""Cells of CSV files: reading them by row, and escaping them so that no spreadsheet runs them as formulas."""

import csv
from collections.abc import Iterable, Iterator

from dlbug_assets.protocol.files.csv import allow_long_fields

#: What spreadsheets may run as a formula begins with one of these: OWASP's list, with the full-width signs that
#: spreadsheets in East Asian languages read like the others. The apostrophe makes the escape reversible.
_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")  # noqa: RUF001 - full-width
#: The first character of a text to escape, as a regular expression of Python, Polars and DuckDB alike.
ESCAPED_START = rf"\A[{''.join(_STARTS).replace('-', chr(92) + '-')}]"


def escape(text: str) -> str:
    """Return the cell for a text: after an apostrophe if a spreadsheet could run it as a formula."""
    return f"'{text}" if text.startswith(_STARTS) else text


def unescape(cell: str) -> str:
    """Return the text of a cell that was escaped; any other cell is returned unchanged."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_STARTS) else cell


def numbered_rows(lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its first line.

    ``lines`` keep their ends, as in a file that is opened with ``newline=""``. Raises csv.Error with the line for what
    is not CSV.
    """
    allow_long_fields()
    reader = csv.reader(lines, delimiter=separator, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(f"line {line} is not valid CSV: {error}") from None
