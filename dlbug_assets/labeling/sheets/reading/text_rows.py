"""The rows of a submitted text file: cells separated by commas, semicolons or tabs, in the encoding of any spreadsheet.

What belongs here: the cells of a text file. What doesn't: to which column they belong (table_rows.py).
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from dlbug_assets.ingest.csv_cells import numbered_rows
from dlbug_assets.ingest.encodings import likely_encoding, unicode_encoding
from dlbug_assets.labeling.sheets.reading.table_rows import NotASheetError, folded
from dlbug_assets.labeling.sheets.reading.workbook_sheets import OLE

#: The beginning of a file, which shows its separator, in bytes or characters.
_HEAD = 1 << 16
_ZIP = b"PK\x03\x04"
#: In the encodings that are detected, ASCII characters that separate cells are these bytes and no part of others.
_BYTES = "latin-1"


def text_rows(path: Path) -> tuple[str | None, Iterator[tuple[int, list[str]]]]:
    """Return the encoding, if it was guessed, and each row with the number of its first line, including the header.

    Raises :class:`NotASheetError`, also while rows are read, for a file that is not CSV or whose encoding is not clear.
    """
    encoding, is_guessed = _encoding(path), False
    if encoding is None:
        cells = (cell.encode(_BYTES) for _, cells in _rows(path, _BYTES) for cell in cells)
        encoding, is_guessed = likely_encoding(cells), True
        if encoding is None:
            raise NotASheetError("the encoding of its text is not clear; save it as CSV UTF-8, or as .xlsx")
    return encoding if is_guessed else None, _rows(path, encoding)


def _encoding(path: Path) -> str | None:
    """Return the Unicode encoding of a file; None for another one."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith((_ZIP, OLE)):
        raise NotASheetError("its content is a workbook or an archive; give the file the suffix of its format")
    if encoding := unicode_encoding(head):
        return encoding
    try:
        with path.open(encoding="utf-8") as text:
            while text.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _rows(path: Path, encoding: str) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding=encoding, newline="") as file:
            separator = _separator(file.read(_HEAD))
            file.seek(0)
            yield from numbered_rows(file, separator)
    except (csv.Error, UnicodeError) as error:
        raise NotASheetError(f"{error}; save it as CSV (UTF-8) again") from None


def _separator(head: str) -> str:
    """Return what separates the names of the header, or else the cells of the first line."""
    lines = list(io.StringIO(head))
    header = next((line for line in lines if "itemid" in folded(line)), lines[0] if lines else "")
    return max(",;\t", key=header.count)
