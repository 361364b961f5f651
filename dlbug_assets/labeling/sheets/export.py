"""Sheets out: the queue is frozen at the first export, and everybody's next sheet is written into the outbox.

A sheet that somebody has begun to fill in right there is never written over: a newer one lies beside it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling import rounds
from dlbug_assets.labeling.item_text import contents
from dlbug_assets.labeling.rounds import keep
from dlbug_assets.labeling.sheets import label_studio
from dlbug_assets.labeling.sheets.assignments import Sheet, due
from dlbug_assets.labeling.sheets.csv_format import to_csv
from dlbug_assets.labeling.sheets.formats import CSV, XLSX
from dlbug_assets.labeling.sheets.validation import LIST_BUGS
from dlbug_assets.labeling.sheets.xlsx_format import workbook
from dlbug_assets.layout import SEEDS
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy, rows_of

_WRITTEN = ".written.json"

#: The rows of a query on the published database.
Ask = Callable[[str], pl.DataFrame]


def export(
    study: Study, taxonomy: Taxonomy, folder: Path, clock: Clock, ask: Ask,
    *, file_format: str = XLSX, again: str = "",
) -> list[Path]:  # fmt: skip
    """Write the sheets that are due into ``folder``/outbox; returns those that are there now, old ones included.

    ``again`` are checkpoints, with commas between, whose items the raters' next batch asks for once more. Raises
    :class:`DlbugError` where there is nothing to label, or a checkpoint that the study does not have.
    """
    if study.sources.labels == "artifact":
        raise DlbugError("the labels of this study come from the authors' release: there is nothing to hand out")
    repeated = _checkpoints(study, again)
    labels = ask("from labeling.rater_labels")
    items = _frozen(study, folder / "queue", clock, ask, labels)
    sheets = due(study, items, labels, ask("from labeling.units"), ask("from labeling.disagreements"), again=repeated)
    outbox = _Outbox(folder / "outbox")
    codebook = _codebook(study)
    return [
        outbox.put(name, content)
        for sheet in sheets
        for name, content in _files(sheet, taxonomy, codebook, file_format).items()
    ]


def nothing_due(disagreements: pl.DataFrame) -> str:
    """What there is to say where no sheet is due; ``disagreements`` is labeling.disagreements.

    Whatever else is undecided is due as a sheet of the adjudicator's.
    """
    undecided = disagreements.filter(pl.col("adjudicated_label").is_null())
    if undecided.is_empty():
        return "Nothing is due: everybody has labelled everything."
    count = f"{undecided.height} disagreement{' is' if undecided.height == 1 else 's are'}"
    first, *others = undecided["item_id"].unique(maintain_order=True)
    return (
        f"Nothing is due, but {count} undecided ({first}{f' and {len(others)} more' * bool(others)}): a rater turned "
        "an answer around after the item's bugs were frozen. Correct it in that rater's newest sheet and hand that in "
        "again, or hand in a row of the adjudicator's (item_id, rater, batch, bug_index, is_bug)."
    )


def _checkpoints(study: Study, written: str) -> list[int]:
    known = {str(checkpoint): checkpoint for checkpoint in study.labeling.checkpoints}
    wanted = [part.strip() for part in written.split(",")] if written else []
    for part in wanted:
        if part not in known:
            raise DlbugError(f"--again {part!r}: the study has the checkpoints {', '.join(known)}")
    return [known[part] for part in wanted]


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
    known = rows_of(SEEDS / "codebook.csv")
    if study.taxonomy.extra:
        known += [
            {
                "dimension": row["dimension"],
                "category": row["name"],
                "definition": row.get("definition") or "Found while labelling (open coding)",
                "example": row.get("example") or "",
            }
            for row in rows_of(study.taxonomy.extra)
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
        keep(path, content)
        self._written[path.name] = _digest(content)
        keep(self._folder / _WRITTEN, json.dumps(self._written, indent=1, sort_keys=True).encode())
        return path

    def _is_changed(self, path: Path) -> bool:
        return self._written.get(path.name) != _digest(path.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
