"""The sheets of a workbook, as texts."""

import io
from typing import Any

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.workbooks.failed_formulas import ZIP_ERRORS, with_errors_as_text
from dlbug_assets.protocol.names import closest, listed_names


def workbook_sheets(
    content: bytes, name: str | None = None, *, without: str | None = None
) -> dict[str, list[tuple[str | None, ...]]]:
    """Return the rows of the sheets of a workbook, or only of the one with a name.

    The sheet ``without`` which they are wanted has no rows. Raises :class:`DlbugError` for a file that is not a
    workbook, and if it has no such sheet.
    """
    import fastexcel  # noqa: PLC0415 - slow to import, with Polars

    try:
        workbook = fastexcel.read_excel(with_errors_as_text(io.BytesIO(content)) or content)
        names = workbook.sheet_names
        if name and name not in names:
            raise DlbugError(f"it has no sheet {name!r}{closest(name, names)}. {listed_names(names)}")
        wanted = [name] if name else names
        return {sheet: [] if sheet == without else _sheet_rows(workbook, sheet) for sheet in wanted}
    except (fastexcel.FastExcelError, *ZIP_ERRORS) as error:
        reason = (str(error) or "it is truncated").splitlines()[0]
        raise DlbugError(f"it cannot be read as a workbook: {reason}. Get it again.") from None


def _sheet_rows(workbook: Any, name: str) -> list[tuple[str | None, ...]]:
    """Return the rows of a sheet from its cell A1 on."""
    # skip_rows=0: by default leading empty rows are dropped, which would change the row numbers.
    sheet = workbook.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
    columns = sheet.available_columns()
    if not columns:
        return []
    # Leading empty columns are always dropped.
    left = (None,) * columns[0].absolute_index
    return [left + row for row in sheet.to_polars().rows()]
