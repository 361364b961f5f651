"""Sheets as XLSX workbooks: instructions, then the rows, with drop-down lists, readable texts and protected cells.

The text of an item stays in view beside the cells to fill in; what a pass does not ask is in hidden columns.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from dlbug_assets.labeling.sheets.assignments import Sheet
from dlbug_assets.labeling.sheets.formats import CODEBOOK, INSTRUCTIONS, LABELS, LIST_BUGS, LISTS
from dlbug_assets.labeling.sheets.writing import instructions
from dlbug_assets.protocol.dimensions import NONE, Dimension
from dlbug_assets.protocol.taxonomy import Taxonomy

_FONT = {"font_name": "Arial", "font_size": 9}
#: The number of the format "@": text, as it was typed.
_TEXT = 49
#: The height of a line of text, and those of the lowest and highest row, in points.
_LINE, _LOWEST_ROW, _HIGHEST_ROW = 12, 24, 288
#: The width of the columns that are in view in a window of 1366 pixels, and the most for those to read, which stay in
#: view while the others scroll. In pixels of the font above; where it is missing, LibreOffice's is a tenth wider.
_WINDOW, _READING = 1160, 700
#: The least and the best width of a column, in characters.
_WIDTHS = {
    "item_id": (9, 16), "bug_index": (9, 9), "title": (12, 20), "link": (6, 6), "content": (34, 90),
    "accepted_answer": (20, 54), "is_bug": (7, 8), "place": (10, 28), "comment": (10, 28), "bugs": (14, 40),
}  # fmt: skip
_ANSWER, _BEST_ANSWER = 10, 32
#: The page of instructions: the width of its text in characters, and the header of its columns.
_INSTRUCTION = 120
_HEADER = ("column", "what to write")
#: Empty rows for further bugs of an item, in the pass that lists them.
_SPARE_ROWS = 200
#: The most links of a page, and the longest one; Excel calls a workbook with more damaged.
_MOST_LINKS, _LONGEST_LINK = 65_530, 2000
#: What a spreadsheet shows beside a cell.
_LONGEST_TITLE, _LONGEST_MESSAGE = 32, 255
_TRUE_OR_FALSE = ["true", "false"]


@dataclass(frozen=True)
class _Column:
    name: str
    #: In characters; 0 if it is hidden.
    width: int


def to_xlsx(sheet: Sheet, taxonomy: Taxonomy, codebook: Sequence[Mapping[str, str]]) -> bytes:
    """Return the workbook's content; equal sheets have equal bytes.

    The rows of ``codebook`` have dimension, category, definition and example.
    """
    content = io.BytesIO()
    options = {
        "in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
        "default_format_properties": {**_FONT},
    }  # fmt: skip
    book = xlsxwriter.Workbook(content, options)
    # A fixed time of creation, so that exporting the same sheet again writes the same bytes.
    book.set_properties({"created": datetime(2019, 8, 26)})
    first, labels, explanations, lists = (book.add_worksheet(name) for name in (INSTRUCTIONS, LABELS, CODEBOOK, LISTS))
    _write_instructions(book, first, sheet)
    _write_labels(book, labels, sheet, taxonomy)
    _write_codebook(book, explanations, codebook)
    for column, dimension in enumerate(sheet.dimensions):
        lists.write_column(0, column, [dimension.name, *_choices(dimension, taxonomy)])
    lists.hide()
    book.close()
    return content.getvalue()


def _choices(dimension: Dimension, taxonomy: Taxonomy) -> tuple[str, ...]:
    return (*taxonomy.names(dimension.name), *([] if dimension.required else [NONE]))


def _write_instructions(book: Any, page: Any, sheet: Sheet) -> None:
    plain = {"valign": "top", "text_wrap": True, "font_size": 10}
    text, name = book.add_format(plain), book.add_format({**plain, "bold": True})
    header = book.add_format({**plain, "bold": True, "bg_color": "#D9E1F2", "border": 1})
    page.set_column(0, 0, 22)
    page.set_column(1, 1, _INSTRUCTION)
    page.write_string(0, 0, instructions.heading(sheet), book.add_format({"bold": True, "font_size": 14}))
    page.set_row(0, 2 * _LINE)
    page.write_string(1, 0, f"Sheet {sheet.name}, {len(sheet.rows):,} row{'s' * (len(sheet.rows) != 1)}")
    numbered = [(f"{number}.", step) for number, step in enumerate(instructions.steps(sheet), start=1)]
    for row, (left, right) in enumerate([*numbered, ("", ""), _HEADER, *instructions.columns(sheet)], start=3):
        styles = (header, header) if (left, right) == _HEADER else (name, text)
        page.write_string(row, 0, left, styles[0])
        page.write_string(row, 1, right, styles[1])
        # LibreOffice doesn't adapt the height of rows to their text.
        page.set_row(row, 4 + (1 + len(right) // _INSTRUCTION) * _LINE)
    page.hide_gridlines(2)
    page.protect()


def _write_labels(book: Any, page: Any, sheet: Sheet, taxonomy: Taxonomy) -> None:
    columns = _layout(sheet, taxonomy)
    names = [column.name for column in columns]
    plain = {"align": "left", "valign": "top", "text_wrap": True}
    header = book.add_format({**plain, "bold": True, "bg_color": "#D9E1F2", "border": 1})
    locked = book.add_format({**plain, "font_color": "#333333"})
    link = book.add_format({"valign": "top", "font_color": "#0563C1", "underline": 1})
    fixed = book.add_format({**plain, "bg_color": "#E4E4E4", "font_color": "#333333"})
    differing = book.add_format({**plain, "bg_color": "#FFD9B3", "border": 1, "border_color": "#D0C9A8"})
    # In a cell of text, a spreadsheet leaves 3/4, =loss and 1e5 as they were typed.
    open_ = book.add_format(
        {**plain, "locked": False, "num_format": _TEXT, "bg_color": "#FFF9E5", "border": 1, "border_color": "#D0C9A8"}
    )
    page.write_row(0, 0, names, header)
    page.set_row(0, 3 * _LINE)  # for names longer than their column
    for number, column in enumerate(columns):
        page.set_column(number, number, column.width or None, None, {} if column.width else {"hidden": True})
    answers = {*sheet.answers, *(["bug_index"] if sheet.pass_name == LIST_BUGS else [])}
    for number, row in enumerate(sheet.rows, start=1):
        differ = _differing(sheet, row)
        for column, name in enumerate(names):
            value = row.get(name)
            if name in answers:
                style = fixed if (number - 1, name) in sheet.fixed else open_
            else:
                style = differing if name in differ else locked
            if name == "link" and number <= _MOST_LINKS and _is_link(value):
                page.write_url(number, column, value, link, value)
            else:
                _write_cell(page, (number, column), value, style)
        page.set_row(number, _height(row, columns))
    last = len(sheet.rows)
    if sheet.pass_name == LIST_BUGS:
        # If an item has several bugs, each further one takes one of these rows.
        for number in range(last + 1, last + 1 + _SPARE_ROWS):
            for column, name in enumerate(names):
                value = {"rater": sheet.person, "batch": sheet.batch, "pass": sheet.pass_name}.get(name)
                _write_cell(page, (number, column), value, open_ if name in {"item_id", *answers} else locked)
        item_id = names.index("item_id")
        letter = xl_col_to_name(item_id)
        page.data_validation(last + 1, item_id, last + _SPARE_ROWS, item_id, {
            "validate": "list", "source": f"=${letter}$2:${letter}${last + 1}",
            "input_title": "A further bug",
            "input_message": "Choose the item again, number the bug 2, 3, .. and enter the place that shows it.",
        })  # fmt: skip
        last += _SPARE_ROWS
    _validate_answers(page, sheet, names, last, taxonomy)
    end = xl_col_to_name(len(names) - 1)
    page.ignore_errors({"number_stored_as_text": f"A1:{end}{last + 1}"})
    page.freeze_panes(1, names.index(sheet.answers[0]))
    page.autofilter(0, 0, last, len(names) - 1)
    # Not sorting: of protected cells, a spreadsheet would sort the answers alone, and leave the items where they are.
    allowed = ("format_columns", "format_rows", "autofilter", "select_locked_cells", "select_unlocked_cells")
    page.protect("", dict.fromkeys(allowed, True))


def _layout(sheet: Sheet, taxonomy: Taxonomy) -> list[_Column]:
    """Return the columns of the page: what to read, what to fill in beside the raters' answers, and what is hidden."""
    best = {dimension.name: max(map(len, _choices(dimension, taxonomy)), default=0) for dimension in sheet.dimensions}
    texts, answers = (
        {name: _widths(sheet, name, best) for name in names} for names in (_texts(sheet), _answers(sheet))
    )
    reading = _spread(texts, min(_READING, _WINDOW - sum(_pixels(least) for least, _ in answers.values())))
    columns = [*reading, *_spread(answers, _WINDOW - sum(_pixels(column.width) for column in reading))]
    shown = {column.name for column in columns}
    return [*columns, *(_Column(name, 0) for name in sheet.columns if name not in shown)]


def _spread(widths: Mapping[str, tuple[int, int]], pixels: int) -> list[_Column]:
    """Return columns between their least and best widths that take up so many pixels, if possible."""
    spare = pixels - sum(_pixels(least) for least, _ in widths.values())
    wanted = sum(_pixels(best) - _pixels(least) for least, best in widths.values())
    share = min(max(spare / wanted, 0), 1) if wanted else 0
    return [_Column(name, least + int((best - least) * share)) for name, (least, best) in widths.items()]


def _pixels(width: int) -> int:
    """Return how wide a column of so many characters is."""
    return 7 * width + 5


def _widths(sheet: Sheet, name: str, best: Mapping[str, int]) -> tuple[int, int]:
    question = _question(name) if name in sheet.rater_columns else name
    return _WIDTHS.get(question) or (_ANSWER, min(max(_ANSWER, best[question]), _BEST_ANSWER))


def _texts(sheet: Sheet) -> Iterator[str]:
    """Yield the columns to read beside the answers, without those that are blank in every row."""
    place = () if sheet.pass_name == LIST_BUGS else ("place",)
    for name in ("item_id", "link", "bug_index", *place, "title", "content", "accepted_answer"):
        if any(row[name] is not None for row in sheet.rows):
            yield name


def _answers(sheet: Sheet) -> Iterator[str]:
    """Yield the columns to fill in, each before the raters' answers to the same question."""
    groups = {name: list(columns) for name, columns in groupby(sorted(sheet.rater_columns, key=_question), _question)}
    *names, comment = sheet.answers
    for name in (*names, "bugs", comment):
        if name in sheet.answers:
            yield name
        yield from (column for column in groups.get(name, ()) if any(row[column] is not None for row in sheet.rows))


def _question(rater_column: str) -> str:
    return rater_column.rpartition(" ")[0]


def _differing(sheet: Sheet, row: Mapping[str, Any]) -> set[str]:
    """Return the columns of raters' answers to the questions that they answer differently; not their comments."""
    differ: set[str] = set()
    for question, columns in groupby(sorted(sheet.rater_columns, key=_question), _question):
        names = list(columns)
        if question != "comment" and len({row[name] for name in names} - {None}) > 1:
            differ.update(names)
    return differ


def _height(row: Mapping[str, Any], columns: Sequence[_Column]) -> float:
    """Return the height of a row in points, so that its longest text is in view if that leaves room for other rows."""
    texts = ((str(row.get(column.name) or ""), column.width) for column in columns if column.width)
    lines = max(sum(1 + len(line) // width for line in text.split("\n")) for text, width in texts)
    return min(max(lines * _LINE, _LOWEST_ROW), _HIGHEST_ROW)


def _is_link(text: str | None) -> bool:
    return text is not None and text.startswith(("https://", "http://")) and len(text) < _LONGEST_LINK


def _write_cell(page: Any, cell: tuple[int, int], value: Any, style: Any) -> None:
    if value is None:
        page.write_blank(*cell, None, style)
    elif isinstance(value, bool):
        page.write_string(*cell, str(value).lower(), style)
    elif isinstance(value, int):
        page.write_number(*cell, value, style)
    else:
        page.write_string(*cell, value, style)


def _validate_answers(page: Any, sheet: Sheet, names: Sequence[str], last: int, taxonomy: Taxonomy) -> None:
    """Add drop-down lists to the columns to fill in, and messages where a cell takes several categories."""
    options: dict[str, dict[str, Any]] = {"is_bug": _drop_down("is_bug", _TRUE_OR_FALSE)}
    for position, dimension in enumerate(sheet.dimensions):
        choices = _choices(dimension, taxonomy)
        if dimension.multiple or not taxonomy.names(dimension.name):
            options[dimension.name] = _message(dimension, choices)
        else:
            letter = xl_col_to_name(position)
            source = f"={LISTS}!${letter}$2:${letter}${len(choices) + 1}"
            options[dimension.name] = _drop_down(dimension.name, source) | {"show_error": not dimension.open}
    for column, name in enumerate(names):
        if name in sheet.answers and name in options:
            page.data_validation(1, column, last, column, options[name])


def _drop_down(name: str, source: Any) -> dict[str, Any]:
    return {
        "validate": "list",
        "source": source,
        "error_title": name[:_LONGEST_TITLE],
        "error_message": "Choose from the list. The codebook explains each category.",
    }


def _message(dimension: Dimension, choices: Sequence[str]) -> dict[str, Any]:
    """Return the message that is shown beside a selected cell without a drop-down list."""
    categories = [choice for choice in choices if choice != NONE]
    several = f"One category, or several separated by {dimension.separator}" if dimension.multiple else "One category"
    none = "" if dimension.required else f". Or {NONE}, if no category applies."
    listed = f": {dimension.joiner.join(categories)}" if categories else ", in your own words"
    message = f"{several}{listed}{none}"
    if len(message) > _LONGEST_MESSAGE:
        message = f"{several}; the codebook lists and explains them{none}"
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
