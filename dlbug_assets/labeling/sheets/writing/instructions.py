"""The text of a workbook's first page: what its pass asks, what each column is, and how to hand the sheet in."""

from dlbug_assets.labeling.sheets.assignments import Sheet
from dlbug_assets.labeling.sheets.formats import CODEBOOK, LABELS, LIST_BUGS
from dlbug_assets.protocol.dimensions import NONE, Dimension

_ALONE = "on your own, without the other raters: the agreement between you is measured"


def heading(sheet: Sheet) -> str:
    """Return what to do with a sheet, in one line."""
    if sheet.pass_name == LIST_BUGS:
        return "Decide which bugs these items have" if sheet.rater_columns else "List the bugs of each item"
    return "Decide the labels in which the raters differ" if sheet.rater_columns else "Label each bug"


def steps(sheet: Sheet) -> list[str]:
    """Return what to do, in order."""
    return [
        f"Fill in the yellow cells of the page {LABELS}. The column link opens the item.",
        *_task(sheet),
        "A cell that you leave blank is a question that you have not answered yet. It is asked again.",
        f"Save the workbook as .xlsx and hand it in: dlbug labels import {sheet.name}.xlsx, or put it into the inbox.",
        "You can hand in a part, and the rest later. To correct answers, change them here and hand in the workbook "
        "again. An answer that you clear, or whose row you delete, is withdrawn.",
    ]


def _task(sheet: Sheet) -> list[str]:
    if sheet.pass_name == LIST_BUGS:
        further = "If there is a second bug, use an empty row at the end: choose the same item_id, number the bug 2, .."
        if sheet.rater_columns:
            return [
                "The raters' lists are side by side: A, B, .. are raters, in another order for each item.",
                "Give each bug that counts a row with true in is_bug and its place. If an item has none, write false.",
                further,
            ]
        return [f"Read each item and decide whether it is about a bug, {_ALONE}.", further]
    codebook = f"The page {CODEBOOK} defines the categories."
    if sheet.rater_columns:
        return [
            "The raters' labels are beside each yellow cell: A, B, .. are raters, in another order for each bug. They "
            "are orange where they differ.",
            f"Choose the right category. Grey cells need no decision. {codebook}",
        ]
    return [
        f"Each row is one bug. Choose a category in each column, {_ALONE}.",
        f"{codebook} Grey cells are not asked.",
    ]


def columns(sheet: Sheet) -> list[tuple[str, str]]:
    """Return the columns to fill in, with what to write into each."""
    comment = ("comment", "whatever may help later to understand your answer; can stay blank")
    if sheet.pass_name == LIST_BUGS:
        return [
            ("bug_index", "the number of the bug in its item: 1, 2, .."),
            ("is_bug", "true or false"),
            ("place", "the line, hunk or words that show the bug; an item with a single bug needs none"),
            comment,
        ]
    return [*((dimension.name, _answers(dimension)) for dimension in sheet.asked), comment]


def _answers(dimension: Dimension) -> str:
    several = f"one or more categories, with {dimension.separator} between them"
    own = " (others in your own words)" if dimension.open else ""
    none = "" if dimension.required else f", or {NONE} if no category applies"
    return f"{dimension.title}: {several if dimension.multiple else 'one category'}{own}{none}"
