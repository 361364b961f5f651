"""The rows of submitted files, as typed values: what can be told without the rows of other files.

What belongs here: blank rows, values that cannot be parsed, and rows that contradict their file or item. What doesn't:
whether an answer is valid (validation.py), and what files contain (file_reader.py).
"""

import io
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets.ingest.child_process import ChildProcess, LimitError
from dlbug_assets.labeling.label_texts import NO, YES
from dlbug_assets.labeling.sheets.assignments import columns
from dlbug_assets.labeling.sheets.formats import LIST_BUGS, LONGEST_SHOWN, RATE_BUGS, WHOLE_FILE
from dlbug_assets.labeling.sheets.inbox import Version
from dlbug_assets.labeling.sheets.kept_replies import KeptReplies
from dlbug_assets.labeling.sheets.receipts import Tally
from dlbug_assets.labeling.sheets.validation import row_json, submitted_schema
from dlbug_assets.protocol.names import shown
from dlbug_assets.protocol.study import Study

_NAME = re.compile(r"(?P<round>r\d+-)?(?P<batch>\d+)-(?P<person>\w+?)(?:-(?P<pass>dimensions))?(?:[ (.-].*)?", re.ASCII)
#: The end of the name of a file that Label Studio exports: project-1-at-2026-01-31-12-00-0a1b2c3d.
_EXPORTED_AT = re.compile(r"(?<=project-)(\d+)-at-.*")
_WHOLE_NUMBER = re.compile(r"\s*\d{1,6}(\.0+)?\s*")
_BOOLEANS = dict.fromkeys(YES, True) | dict.fromkeys(NO, False)
#: The columns that raters only look at, and that tell nothing about the row.
_SHOWN = ("content", "accepted_answer")
#: What joins several texts of one answer in Label Studio.
_JOINER = "; "
_FIXES = {
    ".xlsx": "usually a cell far below or beside the table is filled: delete the rows and columns there, and save it "
    "again"
}


def name_parts(path: Path, study: Study) -> re.Match[str] | None:
    """Return the parts of the name of an exported sheet: round, batch, person, pass; None for another name."""
    name = _NAME.fullmatch(path.stem)
    return name if name and name["person"] in {*study.labeling.raters, study.labeling.adjudicator} else None


def sheet_name(path: Path, study: Study) -> str:
    """Return what the versions of a sheet have in common, whatever their files are named.

    `5-ann.xlsx`, `5-ann (2).csv` and `5-ann-fixed.ods` are versions of one sheet, as are a project's exports of Label
    Studio, whose names end with the time.
    """
    if name := name_parts(path, study):
        return f"{name['round'] or ''}{name['batch']}-{name['person']}-{name['pass'] or LIST_BUGS}"
    return _EXPORTED_AT.sub(r"\1", path.stem)


class SubmittedRows:
    """Reads versions one by one: ``rows`` (frames of submitted_schema), ``unreadable`` rows, and counts.

    Files are read by ``child``; what was read of them is kept in the folder ``kept``.
    """

    def __init__(self, child: ChildProcess, kept: Path, items: pl.DataFrame, study: Study) -> None:
        self._child = child
        self._study = study
        self._of_item = {item_id: shown for item_id, *shown in items.select("item_id", "link", "title").rows()}
        self._people = {*study.labeling.raters, study.labeling.adjudicator}
        joiners = {dimension.name: dimension.joiner for dimension in study.asked if dimension.multiple}
        #: The columns to fill in, with what joins several answers.
        questions = {name: joiners.get(name, _JOINER) for name in ("is_bug", *study.asked_names, "place", "comment")}
        names = [name for name in columns(study.asked) if name not in _SHOWN]
        self._arguments = {"columns": names, "questions": questions, "people": sorted(map(str, self._people))}
        self._kept = KeptReplies(kept, **self._arguments)
        #: The columns of which a row of each pass must have one.
        self._answers = {RATE_BUGS: [name for name in questions if name not in ("is_bug", "place")]}
        self._any_answer = list(questions)
        self._schema = submitted_schema(study)
        self.rows = [pl.DataFrame(schema=self._schema)]
        self.unreadable: list[tuple[Any, ...]] = []
        self.tallies: dict[str, Tally] = {}
        #: What was not read of a version, or assumed of it, by its folder.
        self.notes: dict[str, list[str]] = {}

    def read(self, version: Version) -> None:
        """Read the rows of a version. Raises :class:`DlbugError` if its file cannot be opened."""
        self.tallies[version.folder.name] = Tally()
        batches, reason, self.notes[version.folder.name] = self._content(version)
        if reason is not None:
            self.unreadable.append((version.folder.name, WHOLE_FILE, None, reason, version.received_at))
            return
        name = name_parts(version.path, self._study)
        rows = (self._row(version, line, record, name) for batch in batches for line, record in json.loads(batch))
        self.rows.append(pl.DataFrame([row for row in rows if row is not None], schema=self._schema, orient="row"))

    def _content(self, version: Version) -> tuple[list[bytes], str | None, list[str]]:
        """Return the rows of a file as lines of JSON, the reason if it is not a sheet, and notes on what was read."""
        reply = self._kept.find(version)
        if reply is None:
            try:
                reply = b"".join(self._child.call(path=str(version.path.absolute()), **self._arguments))
            except LimitError as error:
                return [], f"{error}; {_FIXES.get(version.path.suffix.lower(), 'submit an exported sheet')}", []
            self._kept.keep(version, reply)
        *batches, last = io.BytesIO(reply)
        outcome = json.loads(last)
        return batches, outcome["reason"], outcome["notes"]

    def _row(
        self, version: Version, line: int, record: dict[str, Any], name: re.Match[str] | None
    ) -> tuple[Any, ...] | None:
        """Return a row as the columns of submitted_schema; None if it is blank or cannot be parsed."""
        file, received_at = version.folder.name, version.received_at
        tally = self.tallies[file]
        pass_name = record.get("pass") or (name and (name["pass"] or LIST_BUGS)) or self._guess_pass(record)
        record["pass"] = pass_name
        tally.passes.add(pass_name)
        if rater := record.get("rater"):
            tally.raters.add(rater)
        problems = []
        if record.get("problem"):
            problems = [record["problem"]]
        elif not any(record.get(column) for column in self._answers.get(pass_name, self._any_answer)):
            tally.blank += 1
            bug = record.get("bug_index", "") if pass_name == RATE_BUGS else "0"
            if bug.strip().isdecimal():
                tally.cleared.add((record.get("item_id", ""), record.get("rater", ""), pass_name, int(bug)))
            return None
        else:
            values = {"received_at": received_at, "file": file, "line": line}
            problems = _parse(record, values) + self._contradictions(record, name)
            if not problems:
                return tuple(
                    values[column] if column in values else record.get(column) or None for column in self._schema
                )
        self.unreadable.append((file, line, row_json(record), "; ".join(problems), received_at))
        return None

    def _guess_pass(self, record: Mapping[str, Any]) -> str:
        return RATE_BUGS if any(record.get(dimension) for dimension in self._study.asked_names) else LIST_BUGS

    def _contradictions(self, record: Mapping[str, Any], name: re.Match[str] | None) -> list[str]:
        problems = []
        known = self._of_item.get(record.get("item_id"), (None, None))
        for column, of_item in zip(("link", "title"), known, strict=True):
            written = record.get(column)
            if written and of_item and not _is_same(written, of_item):
                problems.append(
                    f"{column}: {shown(written)} is not that of {record['item_id']}, {shown(of_item)}: the row was "
                    "moved or edited; copy the item's row from the exported sheet"
                )
        rater = record.get("rater")
        if name and rater != name["person"] and rater in self._people:
            problems.append(f"rater: the file name is for {name['person']}, but the row is for {rater}")
        return problems


def _is_same(written: str, of_item: str) -> bool:
    """Return whether a sheet shows the text of an item, as far as it was read: the same letters and digits."""
    if written == of_item:
        return True
    text, known = ("".join(filter(str.isalnum, each)) for each in (written, of_item))
    return text == known or (len(written) >= LONGEST_SHOWN and known.startswith(text))


def _parse(record: Mapping[str, Any], values: dict[str, Any]) -> list[str]:
    """Add to ``values`` those of a row that are not texts, and return what cannot be parsed."""
    problems = []
    for name in ("batch", "bug_index"):
        values[name] = None
        if written := record.get(name):
            if _WHOLE_NUMBER.fullmatch(written):
                values[name] = int(float(written))
            else:
                problems.append(f"{name}: {written!r} is not a whole number")
    written = record.get("is_bug") or ""
    values["is_bug"] = _BOOLEANS.get(written.strip().lower())
    if values["is_bug"] is None and written.strip():
        problems.append(f"is_bug: {written!r} is neither true nor false")
    if values["is_bug"] is False and values["bug_index"] == 1:
        values["bug_index"] = 0  # exported sheets contain bug_index 1 before anybody knows whether there is a bug
    values["labelled_at"] = None
    if labelled_at := record.get("labelled_at"):
        try:
            values["labelled_at"] = datetime.fromisoformat(labelled_at).astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            problems.append(f"labelled_at: {labelled_at!r} is not a valid time")
    return problems
