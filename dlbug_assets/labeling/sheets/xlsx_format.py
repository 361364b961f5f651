"""A sheet as an XLSX workbook, and back: drop-downs for every category, texts that can be read, everything else
protected."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import xlsxwriter
from xlsxwriter.utility import xl_cell_to_rowcol, xl_col_to_name

from dlbug_assets.labeling.sheets.assignments import ANSWERS, Sheet, columns
from dlbug_assets.labeling.sheets.csv_format import unshielded
from dlbug_assets.labeling.sheets.validation import LIST_BUGS
from dlbug_assets.protocol.taxonomy import DIMENSIONS, Taxonomy

LABELS = "labels"
_CODEBOOK, _LISTS = "codebook", "lists"
_WIDTHS = {"item_id": 24, "title": 36, "link": 30, "content": 80, "place": 30, "comment": 30, "is_bug": 8}
_WIDTH, _WIDE = 18, 26
#: Room for bugs beyond the first one of an item, in the pass that lists them.
_SPARE_ROWS = 200
_LONGEST_LINK = 2000
_YES_OR_NO = ["true", "false"]
_LARGEST_UNPACKED = 100 << 20
#: What reads workbooks takes memory for every cell between the first and the last that hold something.
_MOST_CELLS = 4_000_000
_FILLED_CELL = re.compile(rb'<(?:\w{1,9}:)?c\s(?:[^<>]{0,99}\s)?r="([A-Z]{1,3}\d{1,7})"[^<>]{0,99}(?<!/)>')


def workbook(sheet: Sheet, taxonomy: Taxonomy, codebook: Sequence[Mapping[str, str]]) -> bytes:
    """The workbook's bytes; the same sheet gives the same bytes. ``codebook`` has dimension, category, definition and
    example."""
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(content, options)
    # Else each export would be another file.
    book.set_properties({"created": datetime(2019, 8, 26)})
    labels, words, lists = (book.add_worksheet(name) for name in (LABELS, _CODEBOOK, _LISTS))
    _fill(book, labels, sheet, taxonomy)
    _explain(book, words, codebook)
    for place, dimension in enumerate(DIMENSIONS):
        lists.write_column(0, place, [dimension, *taxonomy.names(dimension)])
    lists.hide()
    book.close()
    return content.getvalue()


def _fill(book: Any, page: Any, sheet: Sheet, taxonomy: Taxonomy) -> None:
    names = columns(sheet)
    plain = {"valign": "top", "text_wrap": True}
    header = book.add_format({**plain, "bold": True, "bg_color": "#D9E1F2", "border": 1})
    locked = book.add_format({**plain, "font_color": "#444444"})
    unasked = book.add_format({**plain, "bg_color": "#EEEEEE", "font_color": "#444444"})
    open_ = book.add_format({**plain, "locked": False, "bg_color": "#FFF9E5", "border": 1, "border_color": "#D0C9A8"})
    page.write_row(0, 0, names, header)
    for place, name in enumerate(names):
        width = _WIDTHS.get(name, _WIDE if name in DIMENSIONS or name in sheet.beside else _WIDTH)
        page.set_column(place, place, width)
    page.set_column(names.index("pass"), names.index("pass"), None, None, {"hidden": True})
    answers = {*ANSWERS[sheet.which], *(["bug_index"] if sheet.which == LIST_BUGS else [])}
    for number, row in enumerate(sheet.rows, start=1):
        for place, name in enumerate(names):
            is_asked = name in answers and (number - 1, name) not in sheet.unasked
            form = open_ if is_asked else unasked if name in answers else locked
            _write(page, (number, place), name, row.get(name), form)
        page.set_row(number, 120 if row.get("content") else None)
    last = len(sheet.rows)
    if sheet.which == LIST_BUGS:
        # Where an item holds several bugs, each further one is a row of its own down here.
        for number in range(last + 1, last + 1 + _SPARE_ROWS):
            for place, name in enumerate(names):
                value = {"rater": sheet.person, "batch": sheet.batch, "pass": sheet.which}.get(name)
                _write(page, (number, place), name, value, open_ if name in {"item_id", *answers} else locked)
        page.data_validation(last + 1, names.index("item_id"), last + _SPARE_ROWS, names.index("item_id"), {
            "validate": "list", "source": f"=${xl_col_to_name(names.index('item_id'))}$2:"
            f"${xl_col_to_name(names.index('item_id'))}${last + 1}",
            "input_title": "A further bug", "input_message": "Choose the item again, number the bug 2, 3, .. and say "
            "which place shows it.",
        })  # fmt: skip
        last += _SPARE_ROWS
    _offer(page, names, last, taxonomy, answers)
    page.freeze_panes(1, names.index("title") + 1)
    page.autofilter(0, 0, last, len(names) - 1)
    allowed = ("format_columns", "format_rows", "sort", "autofilter", "select_locked_cells", "select_unlocked_cells")
    page.protect("", dict.fromkeys(allowed, True))


def _write(page: Any, cell: tuple[int, int], name: str, value: Any, form: Any) -> None:
    if value is None:
        page.write_blank(*cell, None, form)
    elif isinstance(value, bool):
        page.write_string(*cell, str(value).lower(), form)
    elif isinstance(value, int):
        page.write_number(*cell, value, form)
    elif name == "link" and value.startswith(("https://", "http://")) and len(value) < _LONGEST_LINK:
        page.write_url(*cell, value, form, value)
    else:
        page.write_string(*cell, value, form)


def _offer(page: Any, names: Sequence[str], last: int, taxonomy: Taxonomy, answers: set[str]) -> None:
    """Drop-downs of what may be answered."""
    for name in answers & {"is_bug", *DIMENSIONS}:
        place = names.index(name)
        if name == "is_bug":
            source: Any = _YES_OR_NO
        else:
            column = xl_col_to_name(DIMENSIONS.index(name))
            source = f"={_LISTS}!${column}$2:${column}${len(taxonomy.names(name)) + 1}"
        page.data_validation(
            1, place, last, place, {"validate": "list", "source": source, "error_title": name,
            "error_message": "Choose one of the list. The codebook says what each means."},
        )  # fmt: skip


def _explain(book: Any, page: Any, codebook: Sequence[Mapping[str, str]]) -> None:
    names = ("dimension", "category", "definition", "example")
    wrap = book.add_format({"valign": "top", "text_wrap": True})
    page.write_row(0, 0, names, book.add_format({"bold": True, "bg_color": "#D9E1F2", "border": 1}))
    for number, row in enumerate(codebook, start=1):
        for place, name in enumerate(names):
            page.write_string(number, place, row[name], wrap)
    for place, width in enumerate((14, 34, 90, 60)):
        page.set_column(place, place, width)
    page.freeze_panes(1, 0)
    page.protect()


def from_workbook(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows of a workbook's sheet of labels, or of its first one, with their numbers, header included.

    Raises ValueError, with the cure, for what is no workbook and for one that would take too much memory.
    """
    import fastexcel  # noqa: PLC0415 - slow to import

    try:
        book = fastexcel.read_excel(_unpacked(content))
        name = LABELS if LABELS in book.sheet_names else book.sheet_names[0]
        frame = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string").to_polars()
    except _TooLargeError:
        raise
    # What the standard library raises for damaged, encrypted or oddly compressed parts, and fastexcel for odd sheets.
    except (
        zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError,
        fastexcel.FastExcelError, IndexError,
    ) as error:  # fmt: skip
        reason = (str(error) or "it is cut short").splitlines()[0]
        raise ValueError(f"no workbook: {reason}; save it as .xlsx again") from None
    for line, cells in enumerate(frame.iter_rows(), start=1):
        yield line, [unshielded(cell or "") for cell in cells]


class _TooLargeError(ValueError):
    """A workbook that would take too much memory, and its cure."""


def _unpacked(content: bytes) -> bytes:
    """The workbook's XML, in a zip that is not compressed: what reads workbooks believes whatever a zip says of its
    size, and a sheet of its extent. Other parts (pictures, and what would make another kind of file of it) are left
    out."""
    plain, size = io.BytesIO(), 0
    with zipfile.ZipFile(io.BytesIO(content)) as packed, zipfile.ZipFile(plain, "w") as made:
        for name in dict.fromkeys(packed.namelist()):
            if not name.endswith((".xml", ".rels")):
                continue
            part = packed.getinfo(name)
            size += part.file_size
            if size > _LARGEST_UNPACKED:
                raise _TooLargeError(f"it unpacks to more than {_LARGEST_UNPACKED >> 20} MiB; is it a sheet at all?")
            if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise zipfile.BadZipFile(f"{name} is compressed in another way than workbooks are")
            with packed.open(part) as source:
                # The size is said again, because without it a part is unpacked to its end, whatever its size.
                xml = source.read(part.file_size)
            _check_extent(xml)
            made.writestr(name, xml)
    return plain.getvalue()


def _check_extent(xml: bytes) -> None:
    rows = columns = 0
    for cell in _FILLED_CELL.finditer(xml):
        row, column = xl_cell_to_rowcol(cell[1].decode())
        rows, columns = max(rows, row + 1), max(columns, column + 1)
        if rows * columns > _MOST_CELLS:
            raise _TooLargeError(
                f"its cell {cell[1].decode()} is far from all others; delete what stands there and save it again"
            )
