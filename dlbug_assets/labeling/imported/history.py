"""All files with final labels that were imported: whose labels count, and a receipt for each version."""

import functools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.child_process import ChildProcess, Limits
from dlbug_assets.ingest.table_files import read_file
from dlbug_assets.labeling.imported.archive import FinalVersion, final_versions
from dlbug_assets.labeling.imported.file_rows import FinalFiles, FinalRow
from dlbug_assets.labeling.imported.items_by_link import ItemsByLink
from dlbug_assets.labeling.imported.label_map import load_map
from dlbug_assets.labeling.sheets.formats import LIST_BUGS, RATE_BUGS, WHOLE_FILE
from dlbug_assets.labeling.sheets.validation import submitted_schema
from dlbug_assets.privacy import redact_emails
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.warehouse.rows import table_schema

#: The pass of receipts of final labels.
FINAL = "final"
#: For one file, as for those of releases.
_LIMITS = Limits(memory=1 << 30, seconds=120, reply=256 << 20)
_REJECTED = table_schema("labeling.rejected_labels")
_RECEIPTS = table_schema("labeling.receipts")


@dataclass(frozen=True)
class Imported:
    """Final labels of all imported files.

    ``labels`` is labeling.imported_labels, in the order of the files; ``rejected`` and ``receipts`` are rows of the
    tables of these names, ``rater_rows`` the raters' answers as submitted rows (see ``validation.submitted_schema``),
    of the files and rows whose labels count.
    """

    labels: pl.DataFrame
    rejected: pl.DataFrame
    receipts: pl.DataFrame
    rater_rows: pl.DataFrame

    def receipts_with(self, notes: Mapping[str, Sequence[str]], refused: pl.DataFrame) -> pl.DataFrame:
        """Return the receipts, of which the newest one of each file notes what became of the raters' answers.

        ``notes`` are texts by file, ``refused`` has a row for each answer that was, with its ``file``.
        """
        texts = {
            file: [f"{number} answers of raters are refused"] for file, number in refused.group_by("file").len().rows()
        }
        joined = {file: "; ".join([*notes.get(file, ()), *texts.get(file, ())]) for file in {*notes, *texts}}
        further = pl.col("file").replace_strict(joined, default=None, return_dtype=pl.String).replace("", None)
        is_newest = pl.col("version") == pl.col("version").max().over("file")
        note = pl.concat_str("note", further, separator="; ", ignore_nulls=True).replace("", None)
        return self.receipts.with_columns(note=pl.when(is_newest).then(note).otherwise("note"))


@dataclass(frozen=True)
class _File:
    """A version of a file that was read: its rows, or why it cannot be read."""

    version: FinalVersion
    rows: Sequence[FinalRow]
    reason: str | None = None

    @functools.cached_property
    def name(self) -> str:
        """The name of the file in tables: its path below the folder of labels."""
        return f"{FINAL}/{self.version.path.name}"

    @functools.cached_property
    def valid(self) -> list[FinalRow]:
        """The rows whose labels can be taken."""
        return [row for row in self.rows if not row.problems and row.is_bug is not None]

    @property
    def refused(self) -> list[FinalRow]:
        """The rows with problems."""
        return [row for row in self.rows if row.problems]


def nothing_imported(study: Study) -> Imported:
    """Return what is imported before any file is."""
    return _State(study).imported({})


def read_imported(archive: Path, items: pl.DataFrame, study: Study, taxonomy: Taxonomy) -> Imported:
    """Return the final labels of all files in ``archive``.

    ``items`` is labeling.items. A version replaces the former one of the same name, unless it cannot be read or all of
    its rows are refused. Labels of an item in several files are those of the file that was imported last. Raises
    :class:`DlbugError` if the archive cannot be read.
    """
    versions = final_versions(archive)
    state = _State(study)
    if versions:
        with ChildProcess(f"{read_file.__module__}:{read_file.__name__}", _LIMITS) as child:
            files = FinalFiles(child, ItemsByLink(items), study, taxonomy)
            for version in versions:
                state.add(_read(files, version))
    return state.imported(dict(items.select("item_id", "checkpoint").iter_rows()))


def _read(files: FinalFiles, version: FinalVersion) -> _File:
    try:
        return _File(version, files.rows(version.path, load_map(version.map, version.path, files.study)))
    except DlbugError as error:
        return _File(version, (), str(error).replace(f"{version.folder}/", ""))


class _State:
    """The files that count, while versions arrive in order; collects receipts."""

    def __init__(self, study: Study) -> None:
        self._study = study
        #: The version of each name that counts, in order of arrival; of each name, the newest one; how many there were.
        self._counting: dict[str, _File] = {}
        self._newest: dict[str, _File] = {}
        self._numbers: Counter[str] = Counter()
        self._receipts: list[dict[str, Any]] = []

    def add(self, file: _File) -> None:
        """Add a version, and its receipt."""
        before = self._bugs()
        self._numbers[file.name] += 1
        self._newest.pop(file.name, None)
        self._newest[file.name] = file
        is_counted = file.reason is None and (file.valid or not file.refused)
        if is_counted:
            self._counting.pop(file.name, None)
            self._counting[file.name] = file
        after = self._bugs()
        own = [(row.item_id, row.bug_index) for row in file.valid]
        known = [bug for bug in own if bug in before]
        unchanged = sum(before[bug][1].answer == after[bug][1].answer for bug in known)
        notes: list[str] = []
        if not is_counted and file.name in self._counting:
            notes.append("no row of it could be taken, so the labels of the former version stay")
        others = {before[bug][0].name for bug in known} - {file.name}
        notes += [f"it replaces labels of {name}" for name in sorted(others)]
        self._receipts.append(
            {
                "file": file.name,
                "version": self._numbers[file.name],
                "received_at": file.version.received_at,
                "pass": FINAL,
                "rows": len(file.rows) if file.reason is None else 1,
                "taken": len(own) - len(known),
                "changed": len(known) - unchanged,
                "unchanged": unchanged,
                "blank": sum(row.is_bug is None and not row.problems for row in file.rows),
                "withdrawn": len(before.keys() - after.keys()),
                "refused": 1 if file.reason is not None else len(file.refused),
                "note": "; ".join(notes) or None,
            }
        )

    def _bugs(self) -> dict[tuple[str | None, int], tuple[_File, FinalRow]]:
        """Return the rows that count, by item and bug; an item's rows are those of one file."""
        owners = self._owners()
        return {
            (row.item_id, row.bug_index): (file, row)
            for file in self._counting.values()
            for row in file.valid
            if owners[row.item_id] is file
        }

    def _owners(self) -> dict[str | None, _File]:
        """Return the file whose labels count, by item: the one that arrived last."""
        return {row.item_id: file for file in self._counting.values() for row in file.valid}

    def imported(self, checkpoints: Mapping[str, int]) -> Imported:
        """Return what counts in the end; ``checkpoints`` are those of the items."""
        bugs = self._bugs().values()
        labels = [_label(file, row, self._study) for file, row in bugs]
        by_item: dict[str | None, list[tuple[_File, FinalRow]]] = {}
        for file, row in bugs:
            by_item.setdefault(row.item_id, []).append((file, row))
        rater_rows = [each for of_item in by_item.values() for each in _rater_rows(of_item, checkpoints)]
        return Imported(
            self._redacted(pl.DataFrame(labels, schema=table_schema("labeling.imported_labels", self._study))),
            self._rejected(),
            pl.DataFrame(self._receipts, schema=_RECEIPTS),
            pl.DataFrame(rater_rows, schema=submitted_schema(self._study)),
        )

    def _redacted(self, labels: pl.DataFrame) -> pl.DataFrame:
        """Return the labels without the e-mail addresses in what may be text of others."""
        texts = ["place", "comment"]
        lists: list[str] = []
        for dimension in self._study.asked:
            if dimension.open:
                (lists if dimension.multiple else texts).extend((dimension.name, f"{dimension.name}_as_written"))
        return labels.with_columns(redact_emails(pl.col(texts)), pl.col(lists).list.eval(redact_emails(pl.element())))

    def _rejected(self) -> pl.DataFrame:
        """Return the refused rows of the newest versions whose items have no labels of a later file."""
        owners = self._owners()
        order = {name: place for place, name in enumerate(self._newest)}
        rows: list[dict[str, Any]] = []
        for file in self._newest.values():
            seen = {"file": file.name, "entry": 1, "seen_at": file.version.received_at}
            if file.reason is not None:
                rows.append({**seen, "line": WHOLE_FILE, "reason": file.reason})
            for row in file.refused:
                owner = owners.get(row.item_id)
                if owner is None or order[owner.name] <= order[file.name]:
                    content = json.dumps({**row.content, "item_id": row.item_id}, ensure_ascii=False)
                    rows.append({**seen, "line": row.line, "content": content, "reason": "; ".join(row.problems)})
        return pl.DataFrame(rows, schema=_REJECTED).with_columns(redact_emails(pl.col("content", "reason")))


def _label(file: _File, row: FinalRow, study: Study) -> dict[str, Any]:
    """Return a row of labeling.imported_labels."""
    label: dict[str, Any] = {
        "item_id": row.item_id, "bug_index": row.bug_index, "place": row.place, "comment": row.comment,
        "file": file.name, "sheet": row.sheet, "line": row.line, "received_at": file.version.received_at,
    }  # fmt: skip
    for dimension in study.asked:
        found = row.labels.get(dimension.name, {})
        for name, texts in ((dimension.name, [*found]), (f"{dimension.name}_as_written", [*found.values()])):
            label[name] = (texts if dimension.multiple else texts[0]) if texts else None
    return label


def _rater_rows(bugs: Iterable[tuple[_File, FinalRow]], checkpoints: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Yield the answers of raters about an item, of both passes, as submitted rows.

    A rater sees no bug in an item if they see none in any of its rows.
    """
    given = [(file, row, rater, *answer) for file, row in bugs for rater, answer in row.rater_answers.items()]
    seeing = {rater for _, _, rater, is_bug, _ in given if is_bug}
    listed: set[str] = set()
    for file, row, rater, is_bug, labels in given:
        if not is_bug and (rater in seeing or rater in listed):
            continue
        listed.add(rater)
        answer = {
            "item_id": row.item_id, "rater": rater, "batch": checkpoints[str(row.item_id)], "is_bug": is_bug,
            "bug_index": max(row.bug_index, 1) if is_bug else 0, "received_at": file.version.received_at,
            "file": file.name, "line": row.line,
        }  # fmt: skip
        yield {**answer, "pass": LIST_BUGS, "place": row.place if is_bug else None}
        if is_bug and row.bug_index and labels:
            yield {**answer, **labels, "pass": RATE_BUGS}
