"""Sheets as Label Studio projects: configuration and tasks."""

import html
import json
from typing import Any
from xml.etree import ElementTree

from dlbug_assets.labeling.sheets.assignments import Sheet
from dlbug_assets.labeling.sheets.formats import LIST_BUGS
from dlbug_assets.protocol.dimensions import NONE, Dimension
from dlbug_assets.protocol.taxonomy import Taxonomy

# The names of columns, which no dimension can have.
_TEXT, _ANSWER = "content", "accepted_answer"
_DATA = ("item_id", "rater", "batch", "bug_index", "title", "link", _TEXT, _ANSWER, "place", "pass")
#: Texts scroll, so that the questions below stay in view.
_TEXT_STYLE = "flex: 1; max-height: 50vh; overflow-y: auto; white-space: pre-wrap"
_NONE_HINT = "No category applies"


def configuration(sheet: Sheet, taxonomy: Taxonomy) -> bytes:
    """Return the labelling interface as XML, to paste into the project's settings."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Header", value="$title")
    ElementTree.SubElement(view, "HyperText", name="link", value="$link_html", inline="true", clickableLinks="true")
    _add_texts(view, sheet)
    if sheet.pass_name == LIST_BUGS:
        ElementTree.SubElement(view, "Header", value="is_bug", size="4")
        choices = _add_choices(view, "is_bug", required=True)
        for value in ("true", "false"):
            ElementTree.SubElement(choices, "Choice", value=value)
        ElementTree.SubElement(
            view, "TextArea", name="place", toName=_TEXT, maxSubmissions="50", editable="true",
            placeholder="One entry per bug: the line, hunk or words that show it",
        )  # fmt: skip
    else:
        ElementTree.SubElement(view, "Header", value="Bug $bug_index: $place")
        for dimension in sheet.asked:
            _add_dimension(view, sheet, dimension, _choices(dimension, taxonomy))
    ElementTree.SubElement(
        view, "TextArea", name="comment", toName=_TEXT, maxSubmissions="1", editable="true", placeholder="Comment"
    )
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="utf-8")


def tasks(sheet: Sheet, taxonomy: Taxonomy) -> bytes:
    """Return the tasks as JSON, to import into the project; they contain no answers, not even as predictions."""
    exported = []
    for number, row in enumerate(sheet.rows):
        data: dict[str, Any] = {name: "" if row[name] is None else row[name] for name in _DATA}
        data["link_html"] = _anchor(data["link"])
        for dimension in sheet.asked:
            if _varies(sheet, dimension):
                asked = (number, dimension.name) not in sheet.fixed
                data[f"{dimension.name}_title"] = dimension.title if asked else f"{dimension.title}: not asked here"
                data[f"{dimension.name}_choices"] = _choices(dimension, taxonomy) if asked else []
        exported.append({"data": data})
    return json.dumps(exported, ensure_ascii=False, indent=1).encode()


def _anchor(link: str) -> str:
    """Return the HTML of a link to a web page; any other text is shown as it is."""
    text = html.escape(link)
    if not link.startswith(("https://", "http://")):
        return text
    return f'<a href="{text}" target="_blank" rel="noopener noreferrer">{text}</a>'


def _add_texts(view: ElementTree.Element, sheet: Sheet) -> None:
    """Add the text of the item and, if any item of the sheet has one, the accepted answer beside it."""
    beside = ElementTree.SubElement(view, "View", style="display: flex; gap: 1em")
    ElementTree.SubElement(
        ElementTree.SubElement(beside, "View", style=_TEXT_STYLE), "Text", name=_TEXT, value=f"${_TEXT}"
    )
    if any(row[_ANSWER] is not None for row in sheet.rows):
        answer = ElementTree.SubElement(beside, "View", style=_TEXT_STYLE)
        ElementTree.SubElement(answer, "Header", value="Accepted answer", size="4")
        ElementTree.SubElement(answer, "Text", name=_ANSWER, value=f"${_ANSWER}")


def _varies(sheet: Sheet, dimension: Dimension) -> bool:
    """Whether a dimension is asked in some rows only: its choices are data of the tasks."""
    return not dimension.open and any(name == dimension.name for _, name in sheet.fixed)


def _choices(dimension: Dimension, taxonomy: Taxonomy) -> list[dict[str, str]]:
    """Return the categories with their definitions, which are shown as hints, and none where it is an answer."""
    categories = [
        {"value": category.name, **({"hint": category.definition} if category.definition else {})}
        for category in taxonomy.of(dimension.name)
    ]
    return [*categories, *([] if dimension.required else [{"value": NONE, "hint": _NONE_HINT}])]


def _add_dimension(
    view: ElementTree.Element, sheet: Sheet, dimension: Dimension, options: list[dict[str, str]]
) -> None:
    if dimension.open:
        # Choices take no other answers than those listed.
        ElementTree.SubElement(view, "Header", value=dimension.title, size="4")
        ElementTree.SubElement(
            view, "TextArea", name=dimension.name, toName=_TEXT, maxSubmissions="50" if dimension.multiple else "1",
            editable="true", required=str(dimension.required).lower(),
            placeholder="; ".join([*(option["value"] for option in options), "or a category in your own words"]),
        )  # fmt: skip
        return
    varies = _varies(sheet, dimension)
    ElementTree.SubElement(view, "Header", value=f"${dimension.name}_title" if varies else dimension.title, size="4")
    choices = _add_choices(view, dimension.name, required=dimension.required, multiple=dimension.multiple)
    if varies:
        choices.set("value", f"${dimension.name}_choices")
    else:
        for option in options:
            ElementTree.SubElement(choices, "Choice", option)


def _add_choices(
    view: ElementTree.Element, name: str, *, required: bool, multiple: bool = False
) -> ElementTree.Element:
    return ElementTree.SubElement(
        view,
        "Choices",
        name=name,
        toName=_TEXT,
        choice="multiple" if multiple else "single",
        required=str(required).lower(),
    )
