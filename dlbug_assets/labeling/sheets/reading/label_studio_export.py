"""Read the JSON exports of Label Studio projects.

Label Studio does not validate answers, shows raters of a project each other's answers, and lets them label a task
twice. Therefore each sheet is its own project, for one rater, and every answer is validated here like any other row.
"""

import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from dlbug_assets.ingest.json_text import read_json
from dlbug_assets.labeling.sheets.formats import RATE_BUGS
from dlbug_assets.labeling.sheets.reading.table_rows import NotASheetError

#: How much of unknown names is shown, and how many.
_SHOWN, _MOST_SHOWN = 100, 10
#: What only JSON-MIN exports have, in which several answers are one text.
_JSON_MIN = {"annotation_id", "annotator", "lead_time"}
_NOTES = {
    "drafts": "tasks with drafts that were not submitted: {}; submit them in Label Studio",
    "skipped": "tasks that were skipped: {}",
    "twice": "tasks that one annotator labelled more than once: {}; the newest annotation counts",
}


class Export:
    """The rows of a project's full JSON export, and what was not read.

    ``columns`` are those of a sheet, ``questions`` the answers that a project may have, with what joins several texts
    of one, and ``people`` the raters and the adjudicator.
    """

    def __init__(self, columns: Collection[str], questions: Mapping[str, str], people: Collection[str]) -> None:
        self._questions = questions
        #: What a task states about its row; the other columns are answers.
        self._data = [name for name in columns if name not in questions or name == "place"]
        self._people = {person.casefold(): person for person in people}
        #: What was not read, or assumed, once all rows were read.
        self.notes: list[str] = []

    def rows(self, content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows, with the position of each row's task, from 1.

        Rows that cannot be parsed have a ``problem``; skipped tasks yield no rows. If the annotations are of one
        annotator, they are the rater's that the tasks name; else each is the rater's with the annotator's name. Raises
        :class:`NotASheetError` if annotators are not raters, and ValueError for content that is not an export.
        """
        exported = read_json(content, most_values=sys.maxsize)  # the process that calls this has little memory
        if not isinstance(exported, list):
            raise ValueError("it is not a list of tasks")  # noqa: TRY004 - a file's content, not an argument
        if any(isinstance(task, dict) and "data" not in task and _JSON_MIN & task.keys() for task in exported):
            raise NotASheetError("it is a JSON-MIN export, in which several answers are one text; export it as JSON")
        raters = self._raters(exported)
        counts: Counter[str] = Counter()
        for number, task in enumerate(exported, start=1):
            data = task.get("data") if isinstance(task, dict) else None
            annotations = task.get("annotations") if isinstance(task, dict) else None
            if not isinstance(data, dict) or not isinstance(annotations, list):
                yield (
                    number,
                    {"problem": "task: it has no data or no annotations; export the project as JSON, not JSON-MIN"},
                )
                continue
            known = {name: str(data[name]) for name in self._data if data.get(name) not in (None, "")}
            completed = [each for each in annotations if not _is_skipped(each)]
            if not completed:
                counts["skipped"] += bool(annotations)
                counts["drafts"] += bool(task.get("drafts"))
            by_annotator: dict[str | None, list[Any]] = {}
            for annotation in completed:
                by_annotator.setdefault(_annotator(annotation)[0] if raters else None, []).append(annotation)
            for annotator, of_annotator in by_annotator.items():
                # If somebody labelled a task twice, the newer annotation counts.
                counts["twice"] += len(of_annotator) > 1
                rater = {"rater": raters[annotator]} if annotator in raters else {}
                for row in self._rows(known | rater, sorted(of_annotator, key=_updated_at)[-1]):
                    yield number, row
        self.notes += [note.format(counts[kind]) for kind, note in _NOTES.items() if counts[kind]]

    def _raters(self, exported: list[Any]) -> dict[str | None, str]:
        """Return the raters by annotator; nothing if there is one annotator. Raises NotASheetError for unknown ones."""
        names: dict[str | None, set[str]] = {}
        for task in exported:
            annotations = task.get("annotations") if isinstance(task, dict) else None
            for annotation in annotations if isinstance(annotations, list) else []:
                annotator, known_as = _annotator(annotation)
                if annotator is not None and not _is_skipped(annotation):
                    names.setdefault(annotator, set()).update(known_as)
        if len(names) < 2:  # noqa: PLR2004 - one annotator, or none
            return {}
        raters = {
            annotator: self._people[name]
            for annotator, known_as in names.items()
            for name in known_as & {*self._people}
        }
        if len(raters) < len(names) or len({*raters.values()}) < len(names):
            listed = ", ".join(sorted(str(name)[:_SHOWN] for name in names)[:_MOST_SHOWN])
            raise NotASheetError(
                f"it has the answers of several annotators ({listed}), whose names are not those of different raters; "
                "make a project for each rater"
            )
        return raters

    def _rows(self, known: Mapping[str, str], annotation: Any) -> Iterator[dict[str, Any]]:
        answers: dict[str, list[str]] = {}
        problem = ""
        results = annotation.get("result") if isinstance(annotation, dict) else None
        for result in results if isinstance(results, list) else [None]:
            name, values = _answer(result)
            if name not in self._questions:
                problem = (
                    f"annotation: {name[:_SHOWN]!r} is not a question of this project; use its configuration as "
                    "exported"
                )
            elif values is None:
                problem = (
                    f"{name}: its answer is neither a choice nor a text; use the project's configuration as exported"
                )
            answers.setdefault(name, []).extend(values or [])
        cells = {name: joiner.join(answers[name]) for name, joiner in self._questions.items() if name in answers}
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


def _is_skipped(annotation: Any) -> bool:
    return isinstance(annotation, dict) and bool(annotation.get("was_cancelled"))


def _annotator(annotation: Any) -> tuple[str | None, set[str]]:
    """Return the annotator as the export contains it, by number or address, and the names of that account."""
    by = annotation.get("completed_by") if isinstance(annotation, dict) else None
    if not isinstance(by, dict):
        return None if by is None else str(by), set()
    email, *others = (str(by.get(name) or "") for name in ("email", "username", "first_name"))
    names = {name.casefold() for name in (email.partition("@")[0], *others) if name}
    return email or str(by.get("id") or "") or None, names


def _updated_at(annotation: Any) -> str:
    """Return when an annotation was last changed, as the export contains it; an empty string if it does not."""
    written = annotation.get("updated_at") or annotation.get("created_at") if isinstance(annotation, dict) else None
    return written if isinstance(written, str) else ""


def _answer(result: Any) -> tuple[str, list[str] | None]:
    """Return the question of a result, and its answers; None if they are of another kind than choices and texts."""
    if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
        return "?", []
    value = result["value"]
    name = str(result.get("from_name"))
    if not {"choices", "text"} & value.keys():
        return name, None
    answers = value.get("choices") or value.get("text") or []
    listed = answers if isinstance(answers, list) else [answers]
    return name, [str(answer) for answer in listed]
