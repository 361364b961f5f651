"""Read the JSON exports of Label Studio projects.

Label Studio does not validate answers, shows raters of a project each other's answers, and lets them label a task
twice. Therefore each sheet is its own project, for one rater, and every answer is validated here like any other row.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from dlbug_assets.ingest.json_text import read_json
from dlbug_assets.labeling.sheets.formats import RATE_BUGS

#: What a task states about its row; the other columns are answers.
_DATA = ("item_id", "rater", "batch", "bug_index", "link", "place", "pass")
#: How much of an unknown name is shown.
_SHOWN = 100


def records(content: bytes, questions: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a project's full JSON export, with the position of each row's task, from 1.

    ``questions`` are the names of the answers that a project may have, with what joins several texts of one. Rows that
    cannot be parsed have a ``problem``; skipped tasks yield no rows. Raises ValueError for content that is not an
    export.
    """
    exported = read_json(content, most_values=sys.maxsize)  # the process that calls this has little memory
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
            for row in _rows(known, annotation, questions):
                yield number, row


def _updated_at(annotation: Any) -> str:
    """Return when an annotation was last changed, as the export contains it; an empty string if it does not."""
    written = annotation.get("updated_at") or annotation.get("created_at") if isinstance(annotation, dict) else None
    return written if isinstance(written, str) else ""


def _rows(known: Mapping[str, str], annotation: Any, questions: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    answers: dict[str, list[str]] = {}
    problem = ""
    results = annotation.get("result") if isinstance(annotation, dict) else None
    for result in results if isinstance(results, list) else [None]:
        name, values = _answer(result)
        if name not in questions:
            problem = (
                f"annotation: {name[:_SHOWN]!r} is not a question of this project; use its configuration as exported"
            )
        answers.setdefault(name, []).extend(values)
    cells = {name: joiner.join(answers[name]) for name, joiner in questions.items() if name in answers}
    places = cells.pop("place", "")
    row = {**known, **cells, "labelled_at": _updated_at(annotation)}
    if problem:
        yield {**row, "problem": problem}
    elif known.get("pass") == RATE_BUGS:
        yield {**row, "is_bug": "true"}
    elif answers.get("is_bug") != ["true"]:
        yield {**row, "bug_index": "0", **({"place": places} if places else {})}
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
