"""The sheets of a submitted workbook, .xlsx or .ods.

What belongs here: the cells of a workbook as texts. What doesn't: which of its sheets has the answers (file_reader.py).
"""

from collections.abc import Iterator
from pathlib import Path

from dlbug_assets.ingest.workbooks.failed_formulas import ZIP_ERRORS, with_errors_as_text
from dlbug_assets.labeling.sheets.formats import CODEBOOK, INSTRUCTIONS, LISTS
from dlbug_assets.labeling.sheets.reading.table_rows import NotASheetError

#: What files begin with that are protected by a password, and workbooks of the format before .xlsx.
OLE = bytes.fromhex("D0CF11E0A1B11AE1")
_WITHOUT_ANSWERS = (INSTRUCTIONS, CODEBOOK, LISTS)


def workbook_sheets(path: Path) -> Iterator[tuple[str, Iterator[tuple[int, list[str]]]]]:
    """Yield the name of each sheet that may have answers, and its rows with their numbers, from 1, with the header.

    The error value of a failed formula is a text, such as #NAME?. Raises :class:`NotASheetError` for a file that is not
    a workbook. Memory grows with the extent of the filled cells, which is why this is called under limits.
    """
    import fastexcel  # noqa: PLC0415 - slow to import, with Polars

    with path.open("rb") as file:
        if file.read(len(OLE)) == OLE:
            raise NotASheetError(
                "it is protected by a password, or of a format before .xlsx: remove the password and save it as .xlsx "
                "again"
            )
        try:
            changed = with_errors_as_text(file)
        except ZIP_ERRORS:
            changed = None  # fastexcel reads some damaged files, and states what is wrong with the others
    try:
        # By its path, a file is unpacked piece by piece and read as this kind of workbook only.
        book = fastexcel.read_excel(changed or path)
        if not book.sheet_names:
            raise NotASheetError("not a valid workbook: it has no sheets; save it as .xlsx again")
        for name in book.sheet_names:
            if name not in _WITHOUT_ANSWERS:
                frame = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string").to_polars()
                yield name, ((line, [cell or "" for cell in row]) for line, row in enumerate(frame.iter_rows(), 1))
    except fastexcel.FastExcelError as error:
        reason = (str(error) or "it is truncated").splitlines()[0]
        raise NotASheetError(f"not a valid workbook: {reason}; save it as .xlsx again") from None
