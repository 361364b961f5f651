"""Submissions: the files of raters and the adjudicator, read and validated row by row.

The files in the inbox belong to people and are never changed. Each version of a file is copied to labels/received/
before it is read, so that all labels, with their history, can be computed from what was received. It is read in a child
process under limits: whatever a file contains, it becomes at most one rejected file. What was read is kept beside it.
"""

import io
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets.ingest.child_process import ChildProcess, LimitError, Limits
from dlbug_assets.labeling.imported.history import Imported, nothing_imported
from dlbug_assets.labeling.label_texts import NO, YES
from dlbug_assets.labeling.sheets.assignments import columns
from dlbug_assets.labeling.sheets.file_reader import read_file
from dlbug_assets.labeling.sheets.formats import LIST_BUGS, LONGEST_SHOWN, RATE_BUGS, WHOLE_FILE
from dlbug_assets.labeling.sheets.history import Question, partly_decided, partly_rated, record
from dlbug_assets.labeling.sheets.inbox import Version, versions
from dlbug_assets.labeling.sheets.kept_replies import KeptReplies
from dlbug_assets.labeling.sheets.receipts import ANSWER, Tally, questions_of, receipts, stated_answer, unanswered
from dlbug_assets.labeling.sheets.validation import (
    REJECTED_LABELS,
    row_json,
    submitted_schema,
    validate,
    without_unasked,
)
from dlbug_assets.labeling.units import frozen_units
from dlbug_assets.privacy import redact_emails
from dlbug_assets.protocol.names import shown
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy

_NAME = re.compile(r"(?P<round>r\d+-)?(?P<batch>\d+)-(?P<person>\w+?)(?:-(?P<pass>dimensions))?(?:[ (.-].*)?", re.ASCII)
#: The end of the name of a file that Label Studio exports: project-1-at-2026-01-31-12-00-0a1b2c3d.
_EXPORTED_AT = re.compile(r"(?<=project-)(\d+)-at-.*")
#: The columns that raters only look at, and that tell nothing about the row.
_SHOWN = ("content", "accepted_answer")
#: The folder beside the archive for what was read of it.
_KEPT = "read"
#: What joins several texts of one answer in Label Studio.
_JOINER = "; "
#: For one file. A workbook of 10,000 items with texts of 20,000 characters takes 800 MiB and a few seconds, and the
#: answers of 100,000 rows are 30 MiB.
_LIMITS = Limits(memory=1 << 30, seconds=60, reply=64 << 20)
_FIXES = {
    ".xlsx": "usually a cell far below or beside the table is filled: delete the rows and columns there, and save it "
    "again"
}


@dataclass
class Submissions:
    """The tables of all files that were submitted: labeling.rater_labels, rejected_labels and receipts.

    ``problems`` are the rejected rows of every version, those that were answered since included.
    """

    labels: pl.DataFrame
    rejected: pl.DataFrame
    receipts: pl.DataFrame
    problems: pl.DataFrame
    counts: Counter[str] = field(default_factory=Counter)


def read(
    archive: Path, items: pl.DataFrame, study: Study, taxonomy: Taxonomy, imported: Imported | None = None
) -> Submissions:
    """Return all labels that were received, the rejected rows that still wait for an answer, and a receipt per version.

    ``items`` is labeling.items; what was ``imported`` is included. Raises :class:`DlbugError` if the archive cannot be
    read.
    """
    imported = imported or nothing_imported(study)
    received = versions(archive)
    with ChildProcess(f"{read_file.__module__}:{read_file.__name__}", _LIMITS) as child:
        reader = _Reader(child, archive.parent / _KEPT, items, study)
        for version in received:
            reader.read(version)
    # Raters quote other people's texts, so e-mail addresses are redacted as they are there.
    free = ("place", "comment", *(dimension.name for dimension in study.asked if dimension.open))
    rows = pl.concat([*reader.rows, imported.rater_rows]).sort("received_at", maintain_order=True)
    rows = rows.with_columns(redact_emails(pl.col(*free)))
    rejected = [pl.DataFrame(reader.unreadable, schema=REJECTED_LABELS, orient="row")]
    accepted: list[pl.DataFrame] = []
    is_rating = pl.col("pass").str.strip_chars() == RATE_BUGS
    # Raters' columns of a file with final labels are a sheet of its own.
    arrivals = dict(imported.rater_rows.select("file", "received_at").unique().rows())
    names = {version.folder.name: version.path.name for version in received} | {file: file for file in arrivals}
    sheets = {file: file for file in arrivals}
    for version in received:
        arrivals[version.folder.name] = version.received_at
        sheets[version.folder.name] = sheet_name(version.path, study)
    sheets = {version: sheets[version] for version in sorted(sheets, key=arrivals.__getitem__)}

    def valid_rows(some: pl.DataFrame, units: pl.DataFrame | None) -> pl.DataFrame:
        valid, invalid = validate(some, items, study, taxonomy, units=units)
        rejected.append(invalid)
        accepted.append(valid.select(*ANSWER, "file"))
        return valid

    lists = valid_rows(rows.filter(is_rating.fill_null(value=False).not_()), None)
    listed = record(lists, study, sheets, _refused(pl.concat(rejected)))
    units = frozen_units(listed.labels, items, imported.labels, study)
    ratings, unasked = without_unasked(valid_rows(rows.filter(is_rating), units), items, units, study)
    for version, texts in unasked.items():
        reader.notes.setdefault(version, []).extend(texts)
    refused = _refused(pl.concat(rejected))
    is_rater = pl.col("rater").is_in(study.labeling.raters)
    rated = record(ratings.filter(is_rater), study, sheets, refused, is_partial=partly_rated(items, units, study))
    to_decide = partly_decided(rated.labels, study)
    decided = record(ratings.filter(~is_rater), study, sheets, refused, is_partial=to_decide)
    outcomes = [listed, rated, decided]
    labels = pl.concat([each.labels for each in outcomes]).sort("received_at", maintain_order=True)
    problems = pl.concat(rejected).with_columns(redact_emails(pl.col("content", "reason")))
    tallies = [reader.tallies[version.folder.name] for version in received]
    # A Label Studio task is one line, but may list several bugs.
    entry = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("file", "line").alias("entry")
    askable = questions_of(items, units, study)
    people = {version.folder.name: name["person"] for version in received if (name := _named(version.path, study))}
    waiting = unanswered(problems, pl.concat(accepted), askable, sheets, people)
    waiting = pl.concat([_with_file_names(waiting, names), imported.rejected.select(problems.columns)])
    given = receipts(received, tallies, outcomes, problems, reader.notes)
    given = pl.concat([given, imported.receipts_with(reader.notes, problems)]).sort("received_at", maintain_order=True)
    return Submissions(
        _with_file_names(labels, names),
        waiting.sort("file", "line", maintain_order=True).with_columns(entry),
        given,
        _with_file_names(problems, names),
        Counter({name: given[name].sum() for name in ("blank", "unchanged", "withdrawn", "refused")}),
    )


def _named(path: Path, study: Study) -> re.Match[str] | None:
    """Return the parts of the name of an exported sheet; None for another name."""
    name = _NAME.fullmatch(path.stem)
    return name if name and name["person"] in {*study.labeling.raters, study.labeling.adjudicator} else None


def sheet_name(path: Path, study: Study) -> str:
    """Return what the versions of a sheet have in common, whatever their files are named.

    `5-ann.xlsx`, `5-ann (2).csv` and `5-ann-fixed.ods` are versions of one sheet, as are a project's exports of Label
    Studio, whose names end with the time.
    """
    if name := _named(path, study):
        return f"{name['round'] or ''}{name['batch']}-{name['person']}-{name['pass'] or LIST_BUGS}"
    return _EXPORTED_AT.sub(r"\1", path.stem)


def _refused(rejected: pl.DataFrame) -> dict[str, set[Question]]:
    """Return the answers that were refused, by version."""
    found: dict[str, set[Question]] = {}
    for file, *answer in rejected.select("file", *stated_answer()).rows():
        found.setdefault(file, set()).add((answer[0], answer[1], answer[2], answer[3]))
    return found


def _with_file_names(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """Replace the folders of versions in ``file`` by the names of the files."""
    return frame.with_columns(pl.col("file").replace_strict(names, default=None, return_dtype=pl.String))


class _Reader:
    """Reads versions one by one; collects a frame of rows per version, unreadable rows and counts."""

    def __init__(self, child: ChildProcess, kept: Path, items: pl.DataFrame, study: Study) -> None:
        self._child = child
        self._shown = {item_id: shown for item_id, *shown in items.select("item_id", "link", "title").rows()}
        self._adjudicator = study.labeling.adjudicator
        self._people = {*study.labeling.raters, self._adjudicator}
        self._asked = study.asked_names
        joiners = {dimension.name: dimension.joiner for dimension in study.asked if dimension.multiple}
        #: The columns to fill in, with what joins several answers.
        self._questions = {name: joiners.get(name, _JOINER) for name in ("is_bug", *self._asked, "place", "comment")}
        names = [name for name in columns(study.asked) if name not in _SHOWN]
        self._arguments = {"columns": names, "questions": self._questions, "people": sorted(map(str, self._people))}
        self._kept = KeptReplies(kept, **self._arguments)
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
        name = _NAME.fullmatch(version.path.stem)
        for batch in batches:
            rows = (self._row(version, line, record, name) for line, record in json.loads(batch))
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
        record = {**record, "pass": pass_name}
        tally.passes.add(pass_name)
        if record.get("rater"):
            tally.raters.add(record["rater"])
        if record.get("problem"):
            self.unreadable.append((file, line, row_json(record), record["problem"], received_at))
            return None
        filled = [column for column in self._questions if record.get(column)]
        if pass_name == RATE_BUGS:
            filled = [column for column in filled if column not in ("is_bug", "place")]
        if not filled:
            tally.blank += 1
            return None
        values, problems = _parse_values(record, self._schema)
        problems += self._contradictions(record, name)
        if problems:
            self.unreadable.append((file, line, row_json(record), "; ".join(problems), received_at))
            return None
        origin = {"received_at": received_at, "file": file, "line": line}
        return tuple((values | origin)[column] for column in self._schema)

    def _guess_pass(self, record: Mapping[str, Any]) -> str:
        return RATE_BUGS if any(record.get(dimension) for dimension in self._asked) else LIST_BUGS

    def _contradictions(self, record: Mapping[str, Any], name: re.Match[str] | None) -> list[str]:
        problems = []
        known = self._shown.get(record.get("item_id"), (None, None))
        for column, of_item in zip(("link", "title"), known, strict=True):
            written = record.get(column)
            if written and of_item and not _is_same(written, of_item):
                problems.append(
                    f"{column}: {shown(written)} is not that of {record['item_id']}, {shown(of_item)}: the row was "
                    "moved or edited; copy the item's row from the exported sheet"
                )
        rater = record.get("rater")
        if name and name["person"] in self._people and rater in self._people - {name["person"]}:
            problems.append(f"rater: the file name is for {name['person']}, but the row is for {rater}")
        return problems


def _is_same(written: str, of_item: str) -> bool:
    """Return whether a sheet shows the text of an item, as far as it was read: the same letters and digits."""
    if written == of_item:
        return True
    text, known = ("".join(filter(str.isalnum, each)) for each in (written, of_item))
    return text == known or (len(written) >= LONGEST_SHOWN and known.startswith(text))


def _parse_values(record: Mapping[str, Any], schema: pl.Schema) -> tuple[dict[str, Any], list[str]]:
    """Return a row's values as the columns of submitted_schema, without its origin, and what cannot be parsed."""
    values: dict[str, Any] = {name: record.get(name) or None for name in schema}
    problems = []
    for name in ("batch", "bug_index"):
        written = values[name]
        if written is not None and not re.fullmatch(r"\s*\d{1,6}(\.0+)?\s*", written):
            problems.append(f"{name}: {written!r} is not a whole number")
        elif written is not None:
            values[name] = int(float(written))
    answer = str(values["is_bug"] or "").strip().lower()
    if answer and answer not in YES | NO:
        problems.append(f"is_bug: {values['is_bug']!r} is neither true nor false")
    values["is_bug"] = None if answer not in YES | NO else answer in YES
    if values["is_bug"] is False and values["bug_index"] == 1:
        values["bug_index"] = 0  # exported sheets contain bug_index 1 before anybody knows whether there is a bug
    if values["labelled_at"] is not None:
        try:
            values["labelled_at"] = datetime.fromisoformat(values["labelled_at"]).astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            problems.append(f"labelled_at: {values['labelled_at']!r} is not a valid time")
    return values, problems
