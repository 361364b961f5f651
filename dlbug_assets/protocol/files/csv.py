"""Read a small CSV file that people write: whatever it contains, what is wrong is reported with file and line."""

import csv
from io import StringIO
from itertools import zip_longest
from pathlib import Path

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.files.text import read_text_file
from dlbug_assets.protocol.names import shown, without_control_characters

_LONGEST_CELL = 2000
#: Characters: the module csv accepts no more than a C long.
_UNLIMITED = (1 << 31) - 1


def allow_long_fields() -> None:
    """Let readers of the module csv accept fields of any length; call it before making one.

    The limit, 128 KiB at first, holds for the whole process, and it is never set back: another thread may be reading.
    Callers bound files or cells themselves.
    """
    csv.field_size_limit(_UNLIMITED)


def csv_rows(path: Path) -> dict[int, dict[str, str]]:
    """Return the rows of a CSV file by the line at which each begins; cells that a row lacks are empty.

    Rows are mappings from column to text. Raises :class:`DlbugError` for a file that cannot be read, isn't valid UTF-8
    or is larger than 1 MiB, for a column that occurs twice, and for a row with more cells than columns, cells of more
    than 2,000 characters or control characters.
    """
    try:
        text = read_text_file(path, "make it a CSV file")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DlbugError(
            f"cannot read {path}: {error.strerror}. Make the file readable, or name another one."
        ) from None
    allow_long_fields()
    reader = csv.reader(StringIO(text, newline=""))
    rows: dict[int, dict[str, str]] = {}
    try:
        columns = [name.strip() for name in next(reader, [])]
        if repeated := [name for name in columns if name and columns.count(name) > 1]:
            raise DlbugError(f"{path}: the column {shown(repeated[0])} occurs twice: rename one of them")
        line = reader.line_num + 1
        for cells in reader:
            if cells:
                rows[line] = _row(columns, cells)
            line = reader.line_num + 1
    except (csv.Error, ValueError) as error:
        raise DlbugError(f"{path}, line {reader.line_num}: {error}") from None
    return rows


def _row(columns: list[str], cells: list[str]) -> dict[str, str]:
    """Return a row by column; raise ValueError for more cells than columns, and for a cell that no text can be."""
    if len(cells) > len(columns):
        raise ValueError(f"{len(cells)} cells, but the file has {len(columns)} columns: quote cells with commas")
    for cell in cells:
        if len(without_control_characters(cell)) > _LONGEST_CELL:
            raise ValueError(f"{shown(cell)} has more than {_LONGEST_CELL} characters")
    return dict(zip_longest(columns, cells, fillvalue=""))
