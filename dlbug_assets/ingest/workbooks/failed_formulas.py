"""Failed formulas of workbooks: fastexcel reads their error values, such as #NAME?, like empty cells."""

import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO

#: What the values begin with that a spreadsheet shows instead of a result.
ERROR_VALUE = re.compile(r"#(?:NAME\?|N/A|REF!|VALUE!|DIV/0!|NUM!|NULL!|SPILL!|CALC!)|Err:\d{3}")
#: Exceptions of the standard library for damaged, encrypted or unusually compressed members.
ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, ValueError,
)  # fmt: skip
#: Cells with an error value in the parts of .xlsx and .ods, and what makes them texts.
_FAILED_CELLS: Mapping[str, tuple[re.Pattern[bytes], bytes]] = {
    "xl/worksheets/": (re.compile(rb"""(<(?:\w+:)?c\s(?:[^<>]*\s)?t=)(["'])e\2"""), rb"\1\2str\2"),
    "content.xml": (re.compile(rb'\soffice:string-value=""(?=[^<>]*\scalcext:value-type="error")'), b""),
}
_PIECE, _LONGEST_TAG = 1 << 20, 1 << 10


def with_errors_as_text(file: IO[bytes]) -> bytes | None:
    """Return the workbook with the error values of failed formulas as texts; None if there are none.

    Whether there are any is found in little memory. Raises one of :data:`ZIP_ERRORS` for a file that is not a zip.
    """
    with zipfile.ZipFile(file) as book:
        names = list(dict.fromkeys(book.namelist()))
        if not any(_has_failed_cells(book, name) for name in names):
            return None
        changed = io.BytesIO()
        with zipfile.ZipFile(changed, "w") as copy:
            for name in names:
                part = book.read(name)
                pattern = _failed_cells(name)
                copy.writestr(name, pattern[0].sub(pattern[1], part) if pattern else part)
    return changed.getvalue()


def _failed_cells(name: str) -> tuple[re.Pattern[bytes], bytes] | None:
    return next((pattern for start, pattern in _FAILED_CELLS.items() if name.startswith(start)), None)


def _has_failed_cells(book: zipfile.ZipFile, name: str) -> bool:
    pattern = _failed_cells(name)
    if pattern is None:
        return False
    rest = b""
    with book.open(name) as part:
        while piece := part.read(_PIECE):
            if pattern[0].search(rest + piece):
                return True
            rest = piece[-_LONGEST_TAG:]
    return False
