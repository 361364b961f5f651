"""Read one submitted file: the function of a child process under limits, which loads little else.

What belongs here: the rows of a file as texts. What doesn't: what they mean (submissions.py, validation.py).
"""

import codecs
import csv
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dlbug_assets.ingest.csv_cells import unescape
from dlbug_assets.labeling.sheets import label_studio_export
from dlbug_assets.labeling.sheets.formats import LABELS
from dlbug_assets.labeling.sheets.inbox import LARGEST_FILE, unreadable_error
from dlbug_assets.protocol.files.csv import allow_long_fields

_SUFFIXES = (".xlsx", ".csv", ".json")
#: The header is searched for in this number of rows.
_HEADER_ROWS = 20
_REQUIRED = ("item_id", "rater", "batch", "bug_index", "is_bug")
#: As in spreadsheets, with empty rows; and more filled rows than a batch of any study has.
_MOST_ROWS, _MOST_FILLED_ROWS = 1_048_576, 250_000
#: As in spreadsheets. A row with a longer cell is rejected, the others of its file are not.
_LONGEST_CELL = 32_767
#: How much of a longer cell the rejected row shows.
_SHOWN = 100
#: The rows of one line of the reply.
_ROWS_PER_LINE = 100
#: What files begin with that are protected by a password, and workbooks of the format before .xlsx.
_OLE = bytes.fromhex("D0CF11E0A1B11AE1")


class _NotASheetError(Exception):
    """A file that is not a sheet, with the reason."""


def read_file(path: str, columns: Collection[str], questions: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the rows of a file as lines of JSON.

    Each line is a list of rows: the number of the row's line in the file, and its filled cells, by column, of those in
    ``columns``. A row that cannot be parsed has a ``problem``. The last line is an object: ``reason``, why the file is
    not a sheet, or null, and ``notes``, texts on what was not read. ``questions`` are the columns to fill in, with what
    joins several answers. Raises :class:`DlbugError` if the file cannot be opened.
    """
    file, reason = Path(path), None
    notes: list[str] = []
    try:
        rows = _limited(_records(file, columns, questions))
        while some := list(itertools.islice(rows, _ROWS_PER_LINE)):
            yield _json(some)
    except _NotASheetError as error:
        reason = str(error)
    except OSError as error:
        raise unreadable_error(file, error) from None
    yield _json({"reason": reason, "notes": notes})


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _limited(records: Iterable[tuple[int, dict[str, str]]]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows; those with a cell that is too long have a problem. Raises _NotASheetError for too many rows."""
    for count, (line, record) in enumerate(records, start=1):
        if count > _MOST_FILLED_ROWS:
            raise _NotASheetError(f"it has more than {_MOST_FILLED_ROWS:,} filled rows; submit an exported sheet")
        too_long = [name for name, cell in record.items() if len(cell) > _LONGEST_CELL]
        if too_long:
            shown = {name: cell[:_SHOWN] if name in too_long else cell for name, cell in record.items()}
            problem = f"{too_long[0]}: it has more than {_LONGEST_CELL:,} characters; shorten it"
            yield line, {**shown, "problem": problem}
        else:
            yield line, record


def _records(
    path: Path, columns: Collection[str], questions: Mapping[str, str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a file, each with its line number. Raises _NotASheetError for a file that is not a sheet."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        kind = f"with the suffix {suffix}" if suffix else "without a suffix"
        raise _NotASheetError(f"files {kind} are not read; submit .xlsx, .csv or .json")
    if path.stat().st_size > LARGEST_FILE:
        raise _NotASheetError(f"the file is larger than {LARGEST_FILE >> 20} MiB; submit an exported sheet")
    if suffix == ".json":
        try:
            yield from label_studio_export.records(path.read_bytes(), questions)
        except ValueError as error:
            raise _NotASheetError(f"not a valid Label Studio export: {error}; export the project as JSON") from None
        return
    rows = workbook_rows(path) if suffix == ".xlsx" else csv_rows(path)
    header: list[str] | None = None
    for count, (line, cells) in enumerate(rows, start=1):
        if count > _MOST_ROWS:
            raise _NotASheetError(f"it has more than {_MOST_ROWS:,} rows; submit an exported sheet")
        if header is None:
            if "item_id" in [cell.strip() for cell in cells]:
                header = [cell.strip() for cell in cells]
                missing = [name for name in _REQUIRED if name not in header]
                if missing:
                    raise _NotASheetError(f"the column {missing[0]} is missing; start again from the exported sheet")
            elif line > _HEADER_ROWS:
                break
        elif any(cells):
            yield line, {name: cell for name, cell in zip(header, cells, strict=False) if cell and name in columns}
    if header is None:
        raise _NotASheetError("the header (item_id, rater, ..) is missing; start again from the exported sheet")


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each row of a CSV file with the number of its first line, including the header.

    Cells are separated by commas, semicolons or tabs. Raises _NotASheetError for a file that is not CSV.
    """
    allow_long_fields()
    try:
        with path.open(encoding=_encoding(path), newline="") as file:
            head = file.readline(_LONGEST_CELL)
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=head.count), strict=True)
            line = 1
            for cells in reader:
                yield line, [unescape(cell) for cell in cells]
                line = reader.line_num + 1
    except (csv.Error, UnicodeError) as error:
        raise _NotASheetError(f"not valid CSV: {error}; save it as CSV (UTF-8) again") from None


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
    try:
        with path.open(encoding="utf-8") as text:
            while text.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return "cp1252"  # what Excel writes as "CSV" on a western Windows
    return "utf-8-sig"


def workbook_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a workbook's sheet ``labels``, or else of its first sheet, with their numbers and the header.

    Raises _NotASheetError for a file that is not a workbook. Memory grows with the extent of the filled cells, which is
    why this is called under limits.
    """
    import fastexcel  # noqa: PLC0415 - slow to import, with Polars

    with path.open("rb") as file:
        if file.read(len(_OLE)) == _OLE:
            raise _NotASheetError(
                "it is protected by a password, or of a format before .xlsx: remove the password and save it as .xlsx "
                "again"
            )
    try:
        # By its path, a file is unpacked piece by piece and read as this kind of workbook only.
        book = fastexcel.read_excel(path)
        name = LABELS if LABELS in book.sheet_names else book.sheet_names[0]
        frame = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string").to_polars()
    except (fastexcel.FastExcelError, IndexError) as error:  # IndexError: no sheets
        reason = (str(error) or "it is truncated").splitlines()[0]
        raise _NotASheetError(f"not a valid workbook: {reason}; save it as .xlsx again") from None
    for line, cells in enumerate(frame.iter_rows(), start=1):
        yield line, [unescape(cell or "") for cell in cells]
