"""Sheets as Label Studio projects: configuration and tasks."""

import json
from xml.etree import ElementTree

from dlbug_assets.labeling.sheets.assignments import Sheet
from dlbug_assets.labeling.sheets.formats import LIST_BUGS
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.taxonomy import Taxonomy

# The name of a column, which no dimension can have.
_TEXT = "content"
_DATA = ("item_id", "rater", "batch", "bug_index", "title", "link", "content", "place", "pass")


def configuration(sheet: Sheet, taxonomy: Taxonomy) -> bytes:
    """Return the labelling interface as XML, to paste into the project's settings."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Header", value="$title")
    ElementTree.SubElement(view, "HyperText", name="link", value="$link", inline="true")
    ElementTree.SubElement(view, "Text", name=_TEXT, value="$content")
    if sheet.pass_name == LIST_BUGS:
        _add_choices(view, "is_bug", ("true", "false"), required=True)
        ElementTree.SubElement(
            view, "TextArea", name="place", toName=_TEXT, maxSubmissions="50", editable="true",
            placeholder="One entry per bug: the line, hunk or words that show it",
        )  # fmt: skip
    else:
        ElementTree.SubElement(view, "Header", value="Bug $bug_index: $place")
        for dimension in sheet.dimensions:
            _add_dimension(view, dimension, taxonomy.names(dimension.name))
    ElementTree.SubElement(
        view, "TextArea", name="comment", toName=_TEXT, maxSubmissions="1", editable="true", placeholder="Comment"
    )
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="utf-8")


def tasks(sheet: Sheet) -> bytes:
    """Return the tasks as JSON, to import into the project; they contain no answers, not even as predictions."""
    shown = [{name: "" if row[name] is None else row[name] for name in _DATA} for row in sheet.rows]
    return json.dumps([{"data": data} for data in shown], ensure_ascii=False, indent=1).encode()


def _add_dimension(view: ElementTree.Element, dimension: Dimension, categories: tuple[str, ...]) -> None:
    if not dimension.open:
        _add_choices(view, dimension.name, categories, required=dimension.required, multiple=dimension.multiple)
        return
    # Choices take no other answers than those listed.
    ElementTree.SubElement(view, "Header", value=dimension.name, size="4")
    ElementTree.SubElement(
        view, "TextArea", name=dimension.name, toName=_TEXT, maxSubmissions="50" if dimension.multiple else "1",
        editable="true", required=str(dimension.required).lower(),
        placeholder="; ".join([*categories, "or another category, in your own words"]),
    )  # fmt: skip


def _add_choices(
    view: ElementTree.Element, name: str, values: tuple[str, ...], *, required: bool, multiple: bool = False
) -> None:
    ElementTree.SubElement(view, "Header", value=name, size="4")
    choices = ElementTree.SubElement(
        view,
        "Choices",
        name=name,
        toName=_TEXT,
        choice="multiple" if multiple else "single",
        required=str(required).lower(),
    )
    for value in values:
        ElementTree.SubElement(choices, "Choice", value=value)
