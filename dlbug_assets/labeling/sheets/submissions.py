"""What raters and the adjudicator hand in: files of the inbox are received, kept for good, and read row by row.

The inbox belongs to people: nothing in it is ever changed. Each version of a file is copied to labels/received/ before
anything looks into it, so that all labels, with their history, can be made of what was received.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets.labeling.sheets import label_studio
from dlbug_assets.labeling.sheets.assignments import COLUMNS
from dlbug_assets.labeling.sheets.csv_format import from_csv
from dlbug_assets.labeling.sheets.inbox import Version, unreadable, versions
from dlbug_assets.labeling.sheets.validation import LIST_BUGS, RATE_BUGS, REJECTED, ROWS, as_json, take
from dlbug_assets.labeling.sheets.xlsx_format import from_workbook
from dlbug_assets.privacy import redact_emails
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import DIMENSIONS, REQUIRED_DIMENSIONS, Taxonomy

_ENDINGS = (".xlsx", ".csv", ".json")
_NAME = re.compile(r"(?:r\d+-)?(?P<batch>\d+)-(?P<person>\w+?)(?:-(?P<which>dimensions))?(?:[ (.-].*)?", re.ASCII)
_TRUE, _FALSE = {"true", "yes", "1", "1.0"}, {"false", "no", "0", "0.0"}
_HEADER_ROWS = 20
#: The line of what is wrong with a file as a whole.
_WHOLE_FILE = 0
_LARGEST_FILE = 200 << 20
_COLUMNS = tuple(ROWS)


@dataclass
class Submissions:
    """What came of all files: labels and rejected rows, and how many rows were left blank or undecided."""

    labels: pl.DataFrame
    rejected: pl.DataFrame
    counts: Counter[str] = field(default_factory=Counter)


def read(archive: Path, items: pl.DataFrame, study: Study, taxonomy: Taxonomy) -> Submissions:
    """All labels of what was received, and the rows of each file's newest version that could not be taken."""
    newest: dict[str, str] = {}
    names: dict[str, str] = {}
    received = versions(archive)
    for version in received:
        name = version.path.name
        names[version.folder.name] = name
        newest[name] = version.folder.name
    rows, refused, counts = _rows(received, items, study)
    # Raters quote: what they write in their own words is kept as other people's texts are.
    labels, rejected = take(rows.with_columns(redact_emails(pl.col("place", "comment"))), items, study, taxonomy)
    rejected = pl.concat([refused, rejected]).filter(pl.col("file").is_in(list(newest.values())))
    rejected = rejected.with_columns(redact_emails(pl.col("content", "reason")))
    # A task of Label Studio is one line, and may list several bugs.
    entry = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("file", "line").alias("entry")
    rejected = _renamed(rejected, names).sort("file", "line", maintain_order=True).with_columns(entry)
    return Submissions(_renamed(labels, names), rejected, counts)


def _rows(
    received: Sequence[Version], items: pl.DataFrame, study: Study
) -> tuple[pl.DataFrame, pl.DataFrame, Counter[str]]:
    """The rows that say something (columns ROWS), those that cannot be read (columns REJECTED), and counts of the
    others."""
    reader = _Reader(items, study)
    for version in received:
        reader.read(version)
    arrived = pl.concat(reader.rows)
    rows = without_repeated(arrived)
    if rows.height < arrived.height:
        reader.counts["unchanged"] = arrived.height - rows.height
    return rows, pl.DataFrame(reader.refused, schema=REJECTED, orient="row"), reader.counts


def without_repeated(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows but for those that repeat what was said last of the same bug. An answer that turns the item around takes
    back what was said of it before."""
    sheet = ["item_id", "rater", "batch", "pass"]
    # Few sheets speak of a bug more than once: only those are looked at.
    again = rows.filter(pl.struct(*sheet, "bug_index").is_duplicated()).select(sheet).unique()
    if again.is_empty():
        return rows
    numbered = rows.with_row_index("_row").join(again, on=sheet, how="semi", nulls_equal=True, maintain_order="left")
    turn = pl.col("is_bug").ne_missing(pl.col("is_bug").shift()).cum_sum().over(sheet)
    answer = [pl.col(name) for name in (*DIMENSIONS, "place", "comment")]
    is_said_before = pl.all_horizontal(pl.int_range(pl.len()) > 0, *(cell.eq_missing(cell.shift()) for cell in answer))
    repeated = numbered.with_columns(_turn=turn).filter(is_said_before.over(*sheet, "bug_index", "_turn"))
    return rows.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(repeated["_row"].implode()))


def _renamed(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    return frame.with_columns(pl.col("file").replace_strict(names, default=None, return_dtype=pl.String))


class _Reader:
    """Reads versions one after the other: a frame of rows of each, those that could not be read, and counts."""

    def __init__(self, items: pl.DataFrame, study: Study) -> None:
        self._links = dict(items.select("item_id", "link").rows())
        self._adjudicator = study.labeling.adjudicator
        self._people = {*study.labeling.raters, self._adjudicator}
        self.rows = [pl.DataFrame(schema=ROWS)]
        self.refused: list[tuple[Any, ...]] = []
        self.counts: Counter[str] = Counter()

    def read(self, version: Version) -> None:
        """Take in a version's rows."""
        file = version.folder.name
        try:
            records = list(_records(version.path))
        except _NoSheetError as error:
            self.refused.append((file, _WHOLE_FILE, None, str(error), version.received_at))
            return
        except OSError as error:
            raise unreadable(version.path, error) from None
        named = _NAME.fullmatch(version.path.stem)
        taken = (self._taken(version, line, record, named) for line, record in records)
        self.rows.append(pl.DataFrame([row for row in taken if row is not None], schema=ROWS, orient="row"))

    def _taken(
        self, version: Version, line: int, record: dict[str, Any], named: re.Match[str] | None
    ) -> tuple[Any, ...] | None:
        """A row as the columns ROWS; None for one that was refused or left blank."""
        file, received_at = version.folder.name, version.received_at
        if record.get("problem"):
            self.refused.append((file, line, as_json(record), record["problem"], received_at))
            return None
        which = record.get("pass") or (named and (named["which"] or LIST_BUGS)) or _guessed(record)
        record = {**record, "pass": which}
        filled = [name for name in ("is_bug", *DIMENSIONS, "place", "comment") if record.get(name)]
        if which == RATE_BUGS:
            filled = [name for name in filled if name not in ("is_bug", "place")]
        is_undecided = any(not record.get(dimension) for dimension in REQUIRED_DIMENSIONS)
        if which == RATE_BUGS and record.get("rater") == self._adjudicator and is_undecided:
            self.counts["undecided"] += 1
            return None
        if not filled:
            self.counts["blank"] += 1
            return None
        values, problems = _typed(record)
        problems += self._contradictions(record, named)
        if problems:
            self.refused.append((file, line, as_json(record), "; ".join(problems), received_at))
            return None
        arrived = {"received_at": received_at, "file": file, "line": line}
        return tuple((values | arrived)[name] for name in _COLUMNS)

    def _contradictions(self, record: Mapping[str, Any], named: re.Match[str] | None) -> list[str]:
        problems = []
        link, known = record.get("link"), self._links.get(record.get("item_id"))
        if link and known and link != known:
            problems.append(f"link: was changed from {known} to {link}; copy the item's row from the exported sheet")
        rater = record.get("rater")
        if named and named["person"] in self._people and rater in self._people - {named["person"]}:
            problems.append(f"rater: the file is {named['person']}'s by its name, yet the row says {rater}")
        return problems


def _guessed(record: Mapping[str, Any]) -> str:
    return RATE_BUGS if any(record.get(dimension) for dimension in DIMENSIONS) else LIST_BUGS


def _typed(record: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A row's values as the columns ROWS, but for those of its arrival; and what in it is no value."""
    values: dict[str, Any] = {name: record.get(name) or None for name in _COLUMNS}
    problems = []
    for name in ("batch", "bug_index"):
        written = values[name]
        if written is not None and not re.fullmatch(r"\s*\d{1,6}(\.0+)?\s*", written):
            problems.append(f"{name}: {written!r} is no whole number")
        elif written is not None:
            values[name] = int(float(written))
    said = str(values["is_bug"] or "").strip().lower()
    if said and said not in _TRUE | _FALSE:
        problems.append(f"is_bug: {values['is_bug']!r} is neither true nor false")
    values["is_bug"] = None if said not in _TRUE | _FALSE else said in _TRUE
    if values["is_bug"] is False and values["bug_index"] == 1:
        values["bug_index"] = 0  # the sheet numbers a bug before anybody knows whether there is one
    if values["labelled_at"] is not None:
        try:
            values["labelled_at"] = datetime.fromisoformat(values["labelled_at"]).astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            problems.append(f"labelled_at: {values['labelled_at']!r} is no moment")
    return values, problems


class _NoSheetError(Exception):
    """A file that is no sheet, and why."""


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file with the line of each; raises _NoSheetError for a file that is none."""
    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        raise _NoSheetError(f"files that end in {ending or 'nothing'} are not read; hand in .xlsx, .csv or .json")
    if path.stat().st_size > _LARGEST_FILE:
        raise _NoSheetError(f"the file is larger than {_LARGEST_FILE >> 20} MiB; is it a sheet at all?")
    if ending == ".json":
        try:
            yield from label_studio.records(path.read_bytes())
        except ValueError as error:
            raise _NoSheetError(f"no export of Label Studio: {error}; export the project as JSON") from None
        return
    rows = _workbook_rows(path) if ending == ".xlsx" else _csv_rows(path)
    head: list[str] | None = None
    for line, cells in rows:
        if head is None:
            if "item_id" in [cell.strip() for cell in cells]:
                head = [cell.strip() for cell in cells]
                lacking = [name for name in ("item_id", "rater", "batch", "bug_index", "is_bug") if name not in head]
                if lacking:
                    raise _NoSheetError(f"the column {lacking[0]} is missing; start again from the exported sheet")
            elif line > _HEADER_ROWS:
                break
            continue
        if any(cells):
            yield line, {name: cell for name, cell in zip(head, cells, strict=False) if name in COLUMNS}
    if head is None:
        raise _NoSheetError("no row names the columns (item_id, rater, ..); start again from the exported sheet")


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        yield from from_csv(path.read_bytes())
    except (csv.Error, ValueError) as error:
        raise _NoSheetError(f"no CSV: {error}; save it as CSV (UTF-8) again") from None


def _workbook_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        yield from from_workbook(path.read_bytes())
    except ValueError as error:
        raise _NoSheetError(str(error)) from None
