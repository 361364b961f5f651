"""Sheets as CSV files, with cells escaped so that no spreadsheet runs them as formulas."""

import csv
import io
from collections.abc import Iterator

from dlbug_assets.ingest.csv_cells import escape, unescape
from dlbug_assets.labeling.sheets.assignments import Sheet


def to_csv(sheet: Sheet) -> bytes:
    """Return the file's content: UTF-8 with a byte order mark, without which Excel assumes another encoding."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(sheet.columns)
    for row in sheet.rows:
        writer.writerow([escape(_text(row.get(name))) for name in sheet.columns])
    return text.getvalue().encode("utf-8-sig")


def from_csv(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield each row of a CSV file with the number of its first line, including the header.

    Cells are separated by commas, semicolons or tabs. Raises ValueError for content that is not text, csv.Error for
    text that is not CSV.
    """
    text = _decode(content)
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    for cells in reader:
        yield line, [unescape(cell) for cell in cells]
        line = reader.line_num + 1


def _text(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")  # what Excel writes as "CSV" on a western Windows
