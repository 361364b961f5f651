"""A sheet as a CSV file, and back: what a spreadsheet would run as a formula is kept from running."""

import csv
import io
from collections.abc import Iterator

from dlbug_assets.labeling.sheets.assignments import Sheet, columns

#: A cell that begins with one of these is run, or could be, by a spreadsheet that opens the file.
_RUNS = ("=", "+", "-", "@", "\t", "\r")
_SHIELD = "'"


def to_csv(sheet: Sheet) -> bytes:
    """The file's bytes: UTF-8 with a byte order mark, without which Excel takes another encoding."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    names = columns(sheet)
    writer.writerow(names)
    for row in sheet.rows:
        writer.writerow([_shielded(row.get(name)) for name in names])
    return text.getvalue().encode("utf-8-sig")


def from_csv(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file with the line each begins at, header included; commas, semicolons or tabs between cells.

    Raises ValueError for what is no text, csv.Error for what is no CSV.
    """
    text = _decoded(content)
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    for cells in reader:
        yield line, [unshielded(cell) for cell in cells]
        line = reader.line_num + 1


def _shielded(value: object) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return f"{_SHIELD}{text}" if text.startswith((*_RUNS, _SHIELD)) else text


def unshielded(cell: str) -> str:
    """What a cell held before it was kept from running."""
    return cell[1:] if cell.startswith(_SHIELD) and cell[1:].startswith((*_RUNS, _SHIELD)) else cell


def _decoded(content: bytes) -> str:
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")  # what Excel writes as "CSV" on a western Windows
