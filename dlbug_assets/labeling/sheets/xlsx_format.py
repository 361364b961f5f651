"""Sheets as XLSX workbooks: drop-down lists for categories, readable texts, and all other cells protected."""

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from dlbug_assets.labeling.sheets.assignments import Sheet
from dlbug_assets.labeling.sheets.formats import LABELS, LIST_BUGS
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.taxonomy import Taxonomy

#: The names of the workbook's other sheets.
_CODEBOOK, _LISTS = "codebook", "lists"
_WIDTHS = {"item_id": 24, "title": 36, "link": 30, "content": 80, "place": 30, "comment": 30, "is_bug": 8}
_WIDTH, _WIDE = 18, 26
#: Empty rows for further bugs of an item, in the pass that lists them.
_SPARE_ROWS = 200
_LONGEST_LINK = 2000
#: What a spreadsheet shows beside a cell.
_LONGEST_TITLE, _LONGEST_MESSAGE = 32, 255
_TRUE_OR_FALSE = ["true", "false"]


def to_xlsx(sheet: Sheet, taxonomy: Taxonomy, codebook: Sequence[Mapping[str, str]]) -> bytes:
    """Return the workbook's content; equal sheets have equal bytes.

    The rows of ``codebook`` have dimension, category, definition and example.
    """
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(content, options)
    # A fixed time of creation, so that exporting the same sheet again writes the same bytes.
    book.set_properties({"created": datetime(2019, 8, 26)})
    labels, explanations, lists = (book.add_worksheet(name) for name in (LABELS, _CODEBOOK, _LISTS))
    _write_labels(book, labels, sheet, taxonomy)
    _write_codebook(book, explanations, codebook)
    for column, dimension in enumerate(sheet.dimensions):
        lists.write_column(0, column, [dimension.name, *taxonomy.names(dimension.name)])
    lists.hide()
    book.close()
    return content.getvalue()


def _write_labels(book: Any, page: Any, sheet: Sheet, taxonomy: Taxonomy) -> None:
    names = sheet.columns
    wide = {*(dimension.name for dimension in sheet.dimensions), *sheet.rater_columns}
    plain = {"valign": "top", "text_wrap": True}
    header = book.add_format({**plain, "bold": True, "bg_color": "#D9E1F2", "border": 1})
    locked = book.add_format({**plain, "font_color": "#444444"})
    fixed = book.add_format({**plain, "bg_color": "#EEEEEE", "font_color": "#444444"})
    open_ = book.add_format({**plain, "locked": False, "bg_color": "#FFF9E5", "border": 1, "border_color": "#D0C9A8"})
    page.write_row(0, 0, names, header)
    for column, name in enumerate(names):
        page.set_column(column, column, _WIDTHS.get(name, _WIDE if name in wide else _WIDTH))
    page.set_column(names.index("pass"), names.index("pass"), None, None, {"hidden": True})
    answers = {*sheet.answers, *(["bug_index"] if sheet.pass_name == LIST_BUGS else [])}
    for number, row in enumerate(sheet.rows, start=1):
        for column, name in enumerate(names):
            is_open = name in answers and (number - 1, name) not in sheet.fixed
            style = open_ if is_open else fixed if name in answers else locked
            _write_cell(page, (number, column), name, row.get(name), style)
        page.set_row(number, 120 if row.get("content") else None)
    last = len(sheet.rows)
    if sheet.pass_name == LIST_BUGS:
        # If an item has several bugs, each further one takes one of these rows.
        for number in range(last + 1, last + 1 + _SPARE_ROWS):
            for column, name in enumerate(names):
                value = {"rater": sheet.person, "batch": sheet.batch, "pass": sheet.pass_name}.get(name)
                _write_cell(page, (number, column), name, value, open_ if name in {"item_id", *answers} else locked)
        item_id = names.index("item_id")
        letter = xl_col_to_name(item_id)
        page.data_validation(last + 1, item_id, last + _SPARE_ROWS, item_id, {
            "validate": "list", "source": f"=${letter}$2:${letter}${last + 1}",
            "input_title": "A further bug",
            "input_message": "Choose the item again, number the bug 2, 3, .. and enter the place that shows it.",
        })  # fmt: skip
        last += _SPARE_ROWS
    _validate_answers(page, sheet, last, taxonomy)
    page.freeze_panes(1, names.index("title") + 1)
    page.autofilter(0, 0, last, len(names) - 1)
    allowed = ("format_columns", "format_rows", "sort", "autofilter", "select_locked_cells", "select_unlocked_cells")
    page.protect("", dict.fromkeys(allowed, True))


def _write_cell(page: Any, cell: tuple[int, int], name: str, value: Any, style: Any) -> None:
    if value is None:
        page.write_blank(*cell, None, style)
    elif isinstance(value, bool):
        page.write_string(*cell, str(value).lower(), style)
    elif isinstance(value, int):
        page.write_number(*cell, value, style)
    elif name == "link" and value.startswith(("https://", "http://")) and len(value) < _LONGEST_LINK:
        page.write_url(*cell, value, style, value)
    else:
        page.write_string(*cell, value, style)


def _validate_answers(page: Any, sheet: Sheet, last: int, taxonomy: Taxonomy) -> None:
    """Add drop-down lists to the columns to fill in, and messages where a cell takes several categories."""
    options: dict[str, dict[str, Any]] = {"is_bug": _drop_down("is_bug", _TRUE_OR_FALSE)}
    for position, dimension in enumerate(sheet.dimensions):
        categories = taxonomy.names(dimension.name)
        if dimension.multiple or not categories:
            options[dimension.name] = _message(dimension, categories)
        else:
            letter = xl_col_to_name(position)
            source = f"={_LISTS}!${letter}$2:${letter}${len(categories) + 1}"
            options[dimension.name] = _drop_down(dimension.name, source) | {"show_error": not dimension.open}
    for column, name in enumerate(sheet.columns):
        if name in sheet.answers and name in options:
            page.data_validation(1, column, last, column, options[name])


def _drop_down(name: str, source: Any) -> dict[str, Any]:
    return {
        "validate": "list",
        "source": source,
        "error_title": name[:_LONGEST_TITLE],
        "error_message": "Choose from the list. The codebook explains each category.",
    }


def _message(dimension: Dimension, categories: Sequence[str]) -> dict[str, Any]:
    """Return the message that is shown beside a selected cell without a drop-down list."""
    several = f"One category, or several separated by {dimension.separator}" if dimension.multiple else "One category"
    listed = f": {dimension.joiner.join(categories)}" if categories else ", in your own words"
    message = f"{several}{listed}"
    if len(message) > _LONGEST_MESSAGE:
        message = f"{several}; the codebook lists and explains them."
    return {"validate": "any", "input_title": dimension.title[:_LONGEST_TITLE], "input_message": message}


def _write_codebook(book: Any, page: Any, codebook: Sequence[Mapping[str, str]]) -> None:
    names = ("dimension", "category", "definition", "example")
    wrap = book.add_format({"valign": "top", "text_wrap": True})
    page.write_row(0, 0, names, book.add_format({"bold": True, "bg_color": "#D9E1F2", "border": 1}))
    for number, row in enumerate(codebook, start=1):
        for column, name in enumerate(names):
            page.write_string(number, column, row[name], wrap)
    for column, width in enumerate((14, 34, 90, 60)):
        page.set_column(column, column, width)
    page.freeze_panes(1, 0)
    page.protect()
