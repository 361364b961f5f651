"""Sheets as Label Studio projects (configuration and tasks), and reading their JSON exports.

Label Studio does not validate answers, shows raters of a project each other's answers, and lets them label a task
twice. Therefore each sheet is its own project, for one rater, and every answer is validated here like any other row.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

from dlbug_assets.ingest.json_text import read_json
from dlbug_assets.labeling.sheets.assignments import Sheet
from dlbug_assets.labeling.sheets.validation import LIST_BUGS, RATE_BUGS
from dlbug_assets.protocol.taxonomy import DIMENSIONS, REQUIRED_DIMENSIONS, Taxonomy

_TEXT = "text"
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
        for dimension in DIMENSIONS:
            _add_choices(view, dimension, taxonomy.names(dimension), required=dimension in REQUIRED_DIMENSIONS)
    ElementTree.SubElement(
        view, "TextArea", name="comment", toName=_TEXT, maxSubmissions="1", editable="true", placeholder="Comment"
    )
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="utf-8")


def tasks(sheet: Sheet) -> bytes:
    """Return the tasks as JSON, to import into the project; they contain no answers, not even as predictions."""
    shown = [{name: "" if row[name] is None else row[name] for name in _DATA} for row in sheet.rows]
    return json.dumps([{"data": data} for data in shown], ensure_ascii=False, indent=1).encode()


def records(content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a project's full JSON export, with the position of each row's task, from 1.

    Rows that cannot be parsed have a ``problem``; skipped tasks yield no rows. Raises ValueError for content that is
    not an export.
    """
    exported = read_json(content)
    if not isinstance(exported, list):
        raise ValueError("it is not a list of tasks")  # noqa: TRY004 - a file's content, not an argument
    for number, task in enumerate(exported, start=1):
        data = task.get("data") if isinstance(task, dict) else None
        annotations = task.get("annotations") if isinstance(task, dict) else None
        if not isinstance(data, dict) or not isinstance(annotations, list):
            yield (
                number,
                {"problem": "task: it has no data or no annotations; export the project as JSON, not JSON-MIN"},
            )
            continue
        known = {name: str(data[name]) for name in _DATA if data.get(name) not in (None, "")}
        completed = [each for each in annotations if not (isinstance(each, dict) and each.get("was_cancelled"))]
        # If a task was labelled twice, the newer annotation counts.
        for annotation in sorted(completed, key=_updated_at)[-1:]:
            for row in _rows(known, annotation):
                yield number, row


def _updated_at(annotation: Any) -> str:
    """Return when an annotation was last changed, as the export contains it; an empty string if it does not."""
    written = annotation.get("updated_at") or annotation.get("created_at") if isinstance(annotation, dict) else None
    return written if isinstance(written, str) else ""


def _rows(known: Mapping[str, str], annotation: Any) -> Iterator[dict[str, Any]]:
    answers: dict[str, list[str]] = {}
    problem = ""
    results = annotation.get("result") if isinstance(annotation, dict) else None
    for result in results if isinstance(results, list) else [None]:
        name, values = _answer(result)
        if name not in ("is_bug", *DIMENSIONS, "place", "comment"):
            problem = f"annotation: {name!r} is not a question of this project; use its configuration as exported"
        answers.setdefault(name, []).extend(values)
    cells = {name: "; ".join(values) for name, values in answers.items() if name != "place"}
    row = {**known, **cells, "labelled_at": _updated_at(annotation)}
    if problem:
        yield {**row, "problem": problem}
    elif known.get("pass") == RATE_BUGS:
        yield {**row, "is_bug": "true"}
    elif answers.get("is_bug") != ["true"]:
        yield {**row, "bug_index": "0", **({"place": "; ".join(answers["place"])} if answers.get("place") else {})}
    else:
        for index, place in enumerate(answers.get("place") or [""], start=1):
            yield {**row, "bug_index": str(index), "place": place}


def _answer(result: Any) -> tuple[str, list[str]]:
    """Return the question of a result, and its answers."""
    if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
        return "?", []
    value = result["value"]
    answers = value.get("choices") or value.get("text") or []
    listed = answers if isinstance(answers, list) else [answers]
    return str(result.get("from_name")), [str(answer) for answer in listed]


def _add_choices(view: ElementTree.Element, name: str, values: tuple[str, ...], *, required: bool) -> None:
    ElementTree.SubElement(view, "Header", value=name, size="4")
    choices = ElementTree.SubElement(
        view, "Choices", name=name, toName=_TEXT, choice="single", required=str(required).lower()
    )
    for value in values:
        ElementTree.SubElement(choices, "Choice", value=value)
