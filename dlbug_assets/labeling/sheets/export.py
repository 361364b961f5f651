"""Export of sheets: freeze the queue at the first export, and write everybody's next sheet into the outbox.

A file in the outbox that somebody has changed is never overwritten: the new sheet is written beside it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.completeness import Query, require_complete
from dlbug_assets.labeling import rounds
from dlbug_assets.labeling.item_text import item_texts
from dlbug_assets.labeling.label_texts import IS_BUG
from dlbug_assets.labeling.questions import LEFT
from dlbug_assets.labeling.rounds import write_if_changed
from dlbug_assets.labeling.sheets.assignments import Sheet, due_sheets
from dlbug_assets.labeling.sheets.formats import CSV, XLSX
from dlbug_assets.labeling.sheets.writing import label_studio
from dlbug_assets.labeling.sheets.writing.csv_format import to_csv
from dlbug_assets.labeling.sheets.writing.xlsx_format import to_xlsx
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import STUDY, Taxonomy

_WRITTEN = ".written.json"


def export(
    study: Study, taxonomy: Taxonomy, folder: Path, clock: Clock, query: Query,
    *, file_format: str = XLSX, again: str = "", incomplete: bool = False,
) -> list[Path]:  # fmt: skip
    """Write the sheets that are due into ``folder``/outbox; return their paths, including those that were there.

    ``again`` are checkpoints, separated by commas, whose items the raters' next batch includes once more. Raises
    :class:`DlbugError` if there is nothing to label, for a checkpoint that the study does not have, and if a round is
    to be frozen while something that the study follows is unread, unless ``incomplete``.
    """
    if study.sources.labels == "release":
        raise DlbugError("the labels of this study come from a release: there are no sheets to export")
    repeated = _checkpoints(study, again)
    labels, questions = query("from labeling.rater_labels"), query("from labeling.questions")
    items = _frozen(study, folder / "queue", clock, query, questions, incomplete=incomplete)
    sheets = due_sheets(study, items, labels, query("from labeling.units"), questions, again=repeated)
    outbox = _Outbox(folder / "outbox")
    codebook = _codebook(study, taxonomy)
    paths = [
        outbox.write(name, content)
        for sheet in sheets
        for name, content in _files(sheet, taxonomy, codebook, file_format).items()
    ]
    if paths:
        moment = clock.now().timestamp()
        os.utime(folder / "outbox" / _WRITTEN, (moment, moment))
    return paths


def last_export(folder: Path) -> datetime | None:
    """Return when sheets were last written into ``folder``/outbox: UTC, without time zone; None if they never were."""
    record = folder / "outbox" / _WRITTEN
    return datetime.fromtimestamp(record.stat().st_mtime, UTC).replace(tzinfo=None) if record.is_file() else None


def _checkpoints(study: Study, written: str) -> list[int]:
    known = {str(checkpoint): checkpoint for checkpoint in study.labeling.checkpoints}
    checkpoints = [part.strip() for part in written.split(",")] if written else []
    for part in checkpoints:
        if part not in known:
            raise DlbugError(f"--again {part!r}: the study has the checkpoints {', '.join(known)}")
    return [known[part] for part in checkpoints]


def _frozen(
    study: Study, folder: Path, clock: Clock, query: Query, questions: pl.DataFrame, *, incomplete: bool
) -> pl.DataFrame:
    """Return the frozen rounds; freeze the open one first if every rater has listed the bugs of all items before it."""
    items = rounds.frozen(folder)
    lists = questions.filter((pl.col("dimension") == IS_BUG) & pl.col("state").is_in(LEFT))
    unlisted = lists.filter(pl.col("rater").is_in(study.labeling.raters))
    if not items.join(unlisted, on="item_id", how="semi").is_empty():
        return items
    if not incomplete:
        require_complete(
            query,
            "No queue is frozen, because what is read later could not join this round. Fix the causes and run again; "
            "or pass --incomplete to freeze what was read.",
        )
    queue = query("from labeling.items where frozen_at is null")
    posts = query(
        "select library, p.post_id, p.body_html, a.body_html as accepted_html from stackoverflow.raw_posts p "
        "semi join labeling.items using (library, post_id) "
        "left join stackoverflow.raw_answers a on a.answer_id = p.accepted_answer_id"
    )
    commits = query(
        "select f.library, f.sha, any_value(f.message), any_value(s.patch_excerpt) from github.fix_commits f "
        "join github.sampled_commits s using (library, sha) group by all"
    )
    frozen = rounds.freeze(
        folder,
        queue.with_columns(item_texts(queue, posts, commits)),
        clock.now().replace(tzinfo=None),
    )
    if frozen.is_empty():
        raise DlbugError("labeling.items is empty: collect posts and commits first, with dlbug run")
    return frozen


def _files(sheet: Sheet, taxonomy: Taxonomy, codebook: list[dict[str, str]], file_format: str) -> Mapping[str, bytes]:
    if file_format == XLSX:
        return {f"{sheet.name}.xlsx": to_xlsx(sheet, taxonomy, codebook)}
    if file_format == CSV or sheet.rater_columns:  # Label Studio cannot show the raters' answers side by side
        return {f"{sheet.name}.csv": to_csv(sheet)}
    return {
        f"{sheet.name}-label-studio.xml": label_studio.configuration(sheet, taxonomy),
        f"{sheet.name}-label-studio.json": label_studio.tasks(sheet, taxonomy),
    }


def _codebook(study: Study, taxonomy: Taxonomy) -> list[dict[str, str]]:
    """Return the definitions of the categories of what is asked, in the order of dimensions and taxonomy."""
    return [
        {
            "dimension": category.dimension,
            "category": category.name,
            "definition": category.definition
            or ("Found while labelling (open coding)" if category.origin == STUDY else ""),
            "example": category.example,
        }
        for name in study.asked_names
        for category in taxonomy.of(name)
    ]


class _Outbox:
    """Records the digests of the files it wrote, to detect those that somebody has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        record = folder / _WRITTEN
        self._written: dict[str, str] = json.loads(record.read_bytes()) if record.is_file() else {}

    def write(self, name: str, content: bytes) -> Path:
        """Write a file, under another name if somebody has changed the file of that name; return its path."""
        path, number = self._folder / name, 1
        while path.is_file() and self._is_changed(path):
            number += 1
            stem, _, suffix = name.rpartition(".")
            path = self._folder / f"{stem} ({number}).{suffix}"
        write_if_changed(path, content)
        self._written[path.name] = _digest(content)
        write_if_changed(self._folder / _WRITTEN, json.dumps(self._written, indent=1, sort_keys=True).encode())
        return path

    def _is_changed(self, path: Path) -> bool:
        return self._written.get(path.name) != _digest(path.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
