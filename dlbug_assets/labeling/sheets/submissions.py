"""Submissions: the files of raters and the adjudicator, read and validated row by row.

The files in the inbox belong to people and are never changed. Each version of a file is copied to labels/received/
before it is read, so that all labels, with their history, can be computed from what was received. It is read in a child
process under limits: whatever a file contains, it becomes at most one rejected file. What was read is kept beside it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from dlbug_assets.ingest.child_process import ChildProcess, Limits
from dlbug_assets.labeling.imported.history import Imported, nothing_imported
from dlbug_assets.labeling.sheets.formats import RATE_BUGS
from dlbug_assets.labeling.sheets.history import Question, partly_decided, partly_rated, record
from dlbug_assets.labeling.sheets.inbox import versions
from dlbug_assets.labeling.sheets.reading.file_reader import read_file
from dlbug_assets.labeling.sheets.receipts import ANSWER, questions_of, receipts, stated_answer, unanswered
from dlbug_assets.labeling.sheets.submitted_rows import SubmittedRows, name_parts, sheet_name
from dlbug_assets.labeling.sheets.validation import REJECTED_LABELS, validate, without_unasked
from dlbug_assets.labeling.units import UNITS, frozen_units
from dlbug_assets.privacy import redact_emails
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy

#: The folder beside the archive for what was read of it.
_KEPT = "read"
#: For one file. A workbook of 10,000 items with texts of 20,000 characters takes 800 MiB and a few seconds, and the
#: answers of 100,000 rows are 30 MiB.
_LIMITS = Limits(memory=1 << 30, seconds=60, reply=64 << 20)


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
        reader = SubmittedRows(child, archive.parent / _KEPT, items, study)
        for version in received:
            reader.read(version)
    # Raters quote other people's texts, so e-mail addresses are redacted as they are there.
    free = ("place", "comment", *(dimension.name for dimension in study.asked if dimension.open))
    rows = pl.concat([*reader.rows, imported.rater_rows]).sort("received_at", maintain_order=True)
    rows = rows.with_columns(redact_emails(pl.col(*free)))
    rejected = [pl.DataFrame(reader.unreadable, schema=REJECTED_LABELS, orient="row")]
    reader.unreadable.clear()  # there may be as many as a file has rows, and they are large
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
    cleared = {version: tally.cleared for version, tally in reader.tallies.items()}
    listed = record(lists, study, sheets, _refused(pl.concat(rejected)), cleared=cleared)
    submitted_ratings = rows.filter(is_rating)
    units = pl.DataFrame(schema=UNITS)
    if submitted_ratings.height or any(frame.height for frame in rejected):  # nothing else is about frozen bugs
        units = frozen_units(listed.labels, items, imported.labels, study)
    ratings, unasked = without_unasked(valid_rows(submitted_ratings, units), items, units, study)
    for version, texts in unasked.items():
        reader.notes.setdefault(version, []).extend(texts)
    refused = _refused(pl.concat(rejected))
    is_rater = pl.col("rater").is_in(study.labeling.raters)
    is_partial = partly_rated(items, units, study)
    rated = record(ratings.filter(is_rater), study, sheets, refused, cleared=cleared, is_partial=is_partial)
    to_decide = partly_decided(rated.labels, study)
    decided = record(ratings.filter(~is_rater), study, sheets, refused, cleared=cleared, is_partial=to_decide)
    outcomes = [listed, rated, decided]
    labels = pl.concat([each.labels for each in outcomes]).sort("received_at", maintain_order=True)
    problems = pl.concat(rejected).with_columns(redact_emails(pl.col("content", "reason")))
    rejected.clear()
    tallies = [reader.tallies[version.folder.name] for version in received]
    # A Label Studio task is one line, but may list several bugs.
    entry = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("file", "line").alias("entry")
    askable = questions_of(items, units, study)
    people = {version.folder.name: name["person"] for version in received if (name := name_parts(version.path, study))}
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


def _refused(rejected: pl.DataFrame) -> dict[str, set[Question]]:
    """Return the answers that were refused, by version."""
    found: dict[str, set[Question]] = {}
    for file, *answer in rejected.select("file", *stated_answer()).drop_nulls().rows():
        found.setdefault(file, set()).add((answer[0], answer[1], answer[2], answer[3]))
    return found


def _with_file_names(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """Replace the folders of versions in ``file`` by the names of the files."""
    return frame.with_columns(pl.col("file").replace_strict(names, default=None, return_dtype=pl.String))
