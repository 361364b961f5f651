"""Sheets as CSV files, with cells escaped so that no spreadsheet runs them as formulas."""

import csv
import io

from dlbug_assets.ingest.csv_cells import escape
from dlbug_assets.labeling.sheets.assignments import Sheet


def to_csv(sheet: Sheet) -> bytes:
    """Return the file's content: UTF-8 with a byte order mark, without which Excel assumes another encoding."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(sheet.columns)
    for row in sheet.rows:
        writer.writerow([escape(_text(row.get(name))) for name in sheet.columns])
    return text.getvalue().encode("utf-8-sig")


def _text(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
