"""Submissions: the files of raters and the adjudicator, read and validated row by row.

The files in the inbox belong to people and are never changed. Each version of a file is copied to labels/received/
before it is read, so that all labels, with their history, can be computed from what was received. It is read in a child
process under limits: whatever a file contains, it becomes at most one rejected file.
"""

import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets.ingest.child_process import ChildProcess, LimitError, Limits
from dlbug_assets.labeling.sheets.assignments import columns
from dlbug_assets.labeling.sheets.file_reader import read_file
from dlbug_assets.labeling.sheets.formats import LIST_BUGS, RATE_BUGS
from dlbug_assets.labeling.sheets.inbox import Version, versions
from dlbug_assets.labeling.sheets.validation import REJECTED_LABELS, row_json, submitted_schema, validate
from dlbug_assets.privacy import redact_emails
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy

_NAME = re.compile(r"(?:r\d+-)?(?P<batch>\d+)-(?P<person>\w+?)(?:-(?P<pass>dimensions))?(?:[ (.-].*)?", re.ASCII)
_TRUE, _FALSE = {"true", "yes", "1", "1.0"}, {"false", "no", "0", "0.0"}
#: The columns that raters only look at.
_SHOWN = ("title", "content", "accepted_answer")
#: What joins several texts of one answer in Label Studio.
_JOINER = "; "
#: The line number of a problem with a file as a whole.
_WHOLE_FILE = 0
#: For one file. A workbook of 10,000 items with texts of 20,000 characters takes 800 MiB and a few seconds, and the
#: answers of 100,000 rows are 30 MiB.
_LIMITS = Limits(memory=1 << 30, seconds=60, reply=64 << 20)
_FIXES = {
    ".xlsx": "usually a cell far below or beside the table is filled: delete the rows and columns there, and save it "
    "again"
}


@dataclass
class Submissions:
    """The labels and rejected rows of all files, and counts of rows that are blank, undecided or unchanged."""

    labels: pl.DataFrame
    rejected: pl.DataFrame
    counts: Counter[str] = field(default_factory=Counter)


def read(archive: Path, items: pl.DataFrame, study: Study, taxonomy: Taxonomy) -> Submissions:
    """Return all labels that were received, and the rejected rows of each file's newest version.

    ``items`` is labeling.items. Raises :class:`DlbugError` if the archive cannot be read.
    """
    newest: dict[str, str] = {}
    names: dict[str, str] = {}
    received = versions(archive)
    for version in received:
        name = version.path.name
        names[version.folder.name] = name
        newest[name] = version.folder.name
    rows, unreadable, counts = _rows(received, items, study)
    # Raters quote other people's texts, so e-mail addresses are redacted as they are there.
    free = ("place", "comment", *(dimension.name for dimension in study.asked if dimension.open))
    labels, rejected = validate(rows.with_columns(redact_emails(pl.col(*free))), items, study, taxonomy)
    rejected = pl.concat([unreadable, rejected]).filter(pl.col("file").is_in(list(newest.values())))
    rejected = rejected.with_columns(redact_emails(pl.col("content", "reason")))
    # A Label Studio task is one line, but may list several bugs.
    entry = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("file", "line").alias("entry")
    rejected = _with_file_names(rejected, names).sort("file", "line", maintain_order=True).with_columns(entry)
    return Submissions(_with_file_names(labels, names), rejected, counts)


def _rows(
    received: Sequence[Version], items: pl.DataFrame, study: Study
) -> tuple[pl.DataFrame, pl.DataFrame, Counter[str]]:
    """Return the rows with answers (submitted_schema), those that cannot be parsed (REJECTED_LABELS), and counts."""
    with ChildProcess(f"{read_file.__module__}:{read_file.__name__}", _LIMITS) as child:
        reader = _Reader(child, items, study)
        for version in received:
            reader.read(version)
    submitted = pl.concat(reader.rows)
    rows = drop_repeated(submitted, study)
    if rows.height < submitted.height:
        reader.counts["unchanged"] = submitted.height - rows.height
    return rows, pl.DataFrame(reader.unreadable, schema=REJECTED_LABELS, orient="row"), reader.counts


def drop_repeated(rows: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Drop rows that repeat the previous answer about the same bug.

    ``rows`` has the columns of submitted_schema, in order of arrival. A row that changes is_bug of an item withdraws
    the answers before it, so an answer from before that is kept if it is given again.
    """
    sheet = ["item_id", "rater", "batch", "pass"]
    # Only the few sheets with several rows about a bug are compared.
    several = rows.filter(pl.struct(*sheet, "bug_index").is_duplicated()).select(sheet).unique()
    if several.is_empty():
        return rows
    numbered = rows.with_row_index("_row").join(several, on=sheet, how="semi", nulls_equal=True, maintain_order="left")
    turn = pl.col("is_bug").ne_missing(pl.col("is_bug").shift()).cum_sum().over(sheet)
    answer = [pl.col(name) for name in (*study.asked_names, "place", "comment")]
    is_repeated = pl.all_horizontal(pl.int_range(pl.len()) > 0, *(cell.eq_missing(cell.shift()) for cell in answer))
    repeated = numbered.with_columns(_turn=turn).filter(is_repeated.over(*sheet, "bug_index", "_turn"))
    return rows.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(repeated["_row"].implode()))


def _with_file_names(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """Replace the folders of versions in ``file`` by the names of the files."""
    return frame.with_columns(pl.col("file").replace_strict(names, default=None, return_dtype=pl.String))


class _Reader:
    """Reads versions one by one; collects a frame of rows per version, unreadable rows and counts."""

    def __init__(self, child: ChildProcess, items: pl.DataFrame, study: Study) -> None:
        self._child = child
        self._links = dict(items.select("item_id", "link").rows())
        self._adjudicator = study.labeling.adjudicator
        self._people = {*study.labeling.raters, self._adjudicator}
        self._asked, self._required = study.asked_names, study.required_names
        joiners = {dimension.name: dimension.joiner for dimension in study.asked if dimension.multiple}
        #: The columns to fill in, with what joins several answers.
        self._questions = {name: joiners.get(name, _JOINER) for name in ("is_bug", *self._asked, "place", "comment")}
        self._columns = [name for name in columns(study.asked) if name not in _SHOWN]
        self._schema = submitted_schema(study)
        self.rows = [pl.DataFrame(schema=self._schema)]
        self.unreadable: list[tuple[Any, ...]] = []
        self.counts: Counter[str] = Counter()
        #: What was not read of a version, or assumed of it, by its folder.
        self.notes: dict[str, list[str]] = {}

    def read(self, version: Version) -> None:
        """Read the rows of a version. Raises :class:`DlbugError` if its file cannot be opened."""
        batches, reason, self.notes[version.folder.name] = self._content(version.path)
        if reason is not None:
            self.unreadable.append((version.folder.name, _WHOLE_FILE, None, reason, version.received_at))
            return
        name = _NAME.fullmatch(version.path.stem)
        for batch in batches:
            rows = (self._row(version, line, record, name) for line, record in json.loads(batch))
            self.rows.append(pl.DataFrame([row for row in rows if row is not None], schema=self._schema, orient="row"))

    def _content(self, path: Path) -> tuple[list[bytes], str | None, list[str]]:
        """Return the rows of a file as lines of JSON, the reason if it is not a sheet, and notes on what was read."""
        try:
            lines = self._child.call(path=str(path.absolute()), columns=self._columns, questions=self._questions)
            reply = b"".join(lines)
        except LimitError as error:
            return [], f"{error}; {_FIXES.get(path.suffix.lower(), 'submit an exported sheet')}", []
        *batches, last = io.BytesIO(reply)
        outcome = json.loads(last)
        return batches, outcome["reason"], outcome["notes"]

    def _row(
        self, version: Version, line: int, record: dict[str, Any], name: re.Match[str] | None
    ) -> tuple[Any, ...] | None:
        """Return a row as the columns of submitted_schema; None if it is blank or cannot be parsed."""
        file, received_at = version.folder.name, version.received_at
        if record.get("problem"):
            self.unreadable.append((file, line, row_json(record), record["problem"], received_at))
            return None
        pass_name = record.get("pass") or (name and (name["pass"] or LIST_BUGS)) or self._guess_pass(record)
        record = {**record, "pass": pass_name}
        filled = [column for column in self._questions if record.get(column)]
        if pass_name == RATE_BUGS:
            filled = [column for column in filled if column not in ("is_bug", "place")]
        is_undecided = any(not record.get(dimension) for dimension in self._required)
        if pass_name == RATE_BUGS and record.get("rater") == self._adjudicator and is_undecided:
            self.counts["undecided"] += 1
            return None
        if not filled:
            self.counts["blank"] += 1
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
        link, known = record.get("link"), self._links.get(record.get("item_id"))
        if link and known and link != known:
            problems.append(f"link: was changed from {known} to {link}; copy the item's row from the exported sheet")
        rater = record.get("rater")
        if name and name["person"] in self._people and rater in self._people - {name["person"]}:
            problems.append(f"rater: the file name is for {name['person']}, but the row is for {rater}")
        return problems


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
    if answer and answer not in _TRUE | _FALSE:
        problems.append(f"is_bug: {values['is_bug']!r} is neither true nor false")
    values["is_bug"] = None if answer not in _TRUE | _FALSE else answer in _TRUE
    if values["is_bug"] is False and values["bug_index"] == 1:
        values["bug_index"] = 0  # exported sheets contain bug_index 1 before anybody knows whether there is a bug
    if values["labelled_at"] is not None:
        try:
            values["labelled_at"] = datetime.fromisoformat(values["labelled_at"]).astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            problems.append(f"labelled_at: {values['labelled_at']!r} is not a valid time")
    return values, problems
