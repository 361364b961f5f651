"""Sheets out: the queue is frozen at the first export, and everybody's next sheet is written into the outbox.

A sheet that somebody has begun to fill in right there is never written over: a newer one lies beside it.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import polars as pl

from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling import label_studio, rounds
from dlbug_assets.labeling.csv_sheets import to_csv
from dlbug_assets.labeling.rater_labels import LIST_BUGS
from dlbug_assets.labeling.reading_matter import contents
from dlbug_assets.labeling.rounds import write_whole
from dlbug_assets.labeling.sheets import Sheet, due
from dlbug_assets.labeling.workbooks import workbook
from dlbug_assets.study import Study
from dlbug_assets.taxonomy import SEEDS, Taxonomy

XLSX, CSV, LABEL_STUDIO = FORMATS = ("xlsx", "csv", "label-studio")
_WRITTEN = ".written.json"

#: The rows of a query on the published database.
Ask = Callable[[str], pl.DataFrame]


def export(
    study: Study, taxonomy: Taxonomy, folder: Path, clock: Clock, ask: Ask,
    *, file_format: str = XLSX, again: Collection[int] = (),
) -> list[Path]:  # fmt: skip
    """Write the sheets that are due into ``folder``/outbox; returns those that are there now, old ones included.

    ``again`` are checkpoints whose items the raters' next batch asks for once more. Raises :class:`DlbugError` where
    there is nothing to label, or a checkpoint that the study does not have.
    """
    if study.sources.labels == "artifact":
        raise DlbugError("the labels of this study come from the authors' release: there is nothing to hand out")
    unknown = [checkpoint for checkpoint in again if checkpoint not in study.labeling.checkpoints]
    if unknown:
        known = ", ".join(map(str, study.labeling.checkpoints))
        raise DlbugError(f"--again {unknown[0]}: the study has the checkpoints {known}")
    labels = ask("from labeling.rater_labels")
    items = _frozen(study, folder / "queue", clock, ask, labels)
    sheets = due(study, items, labels, ask("from labeling.units"), ask("from labeling.disagreements"), again=again)
    outbox = _Outbox(folder / "outbox")
    codebook = _codebook(study)
    return [
        outbox.put(name, content)
        for sheet in sheets
        for name, content in _files(sheet, taxonomy, codebook, file_format).items()
    ]


def _frozen(study: Study, folder: Path, clock: Clock, ask: Ask, labels: pl.DataFrame) -> pl.DataFrame:
    """The frozen rounds; the open one is frozen where every rater has listed the bugs of all items before it."""
    items = rounds.frozen(folder)
    listed = labels.filter((pl.col("pass") == LIST_BUGS) & ~pl.col("superseded"))
    by_all = (
        listed.filter(pl.col("rater").is_in(study.labeling.raters)).group_by("item_id").agg(pl.col("rater").n_unique())
    )
    finished = by_all.filter(pl.col("rater") == len(study.labeling.raters))["item_id"]
    if not items["item_id"].is_in(finished.implode()).all():
        return items
    queue = ask("from labeling.items where frozen_at is null")
    posts = ask(
        "select library, post_id, body_html from stackoverflow.raw_posts "
        "semi join labeling.items using (library, post_id)"
    )
    commits = ask(
        "select f.library, f.sha, any_value(f.message), any_value(s.patch_excerpt) from github.fix_commits f "
        "join github.sampled_commits s using (library, sha) group by all"
    )
    following = rounds.freeze(
        folder, queue.with_columns(contents(queue, posts, commits)), clock.now().replace(tzinfo=None)
    )
    if following.is_empty():
        raise DlbugError("labeling.items is empty: collect posts and commits first, with dlbug run")
    return following


def _files(sheet: Sheet, taxonomy: Taxonomy, codebook: list[dict[str, str]], file_format: str) -> Mapping[str, bytes]:
    if file_format == XLSX:
        return {f"{sheet.name}.xlsx": workbook(sheet, taxonomy, codebook)}
    if file_format == CSV or sheet.beside:  # what raters said side by side needs columns: the adjudicator gets a table
        return {f"{sheet.name}.csv": to_csv(sheet)}
    return {
        f"{sheet.name}-label-studio.xml": label_studio.configuration(sheet, taxonomy),
        f"{sheet.name}-label-studio.json": label_studio.tasks(sheet),
    }


def _codebook(study: Study) -> list[dict[str, str]]:
    """What the categories mean: the paper's, then the study's own."""
    with (SEEDS / "codebook.csv").open(encoding="utf-8", newline="") as file:
        known = list(csv.DictReader(file))
    if study.taxonomy.extra:
        with study.taxonomy.extra.open(encoding="utf-8-sig", newline="") as file:
            known += [
                {
                    "dimension": row["dimension"],
                    "category": row["name"],
                    "definition": row.get("definition") or "Found while labelling (open coding)",
                    "example": row.get("example") or "",
                }
                for row in csv.DictReader(file)
            ]
    return known


class _Outbox:
    """Knows what it wrote, and so what somebody has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        record = folder / _WRITTEN
        self._written: dict[str, str] = json.loads(record.read_bytes()) if record.is_file() else {}

    def put(self, name: str, content: bytes) -> Path:
        """Write a file, beside one of that name that somebody has changed."""
        path, number = self._folder / name, 1
        while path.is_file() and self._is_changed(path):
            number += 1
            stem, _, ending = name.rpartition(".")
            path = self._folder / f"{stem} ({number}).{ending}"
        write_whole(path, content)
        self._written[path.name] = _digest(content)
        write_whole(self._folder / _WRITTEN, json.dumps(self._written, indent=1, sort_keys=True).encode())
        return path

    def _is_changed(self, path: Path) -> bool:
        return self._written.get(path.name) != _digest(path.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
