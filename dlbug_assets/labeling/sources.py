"""Where labels come from: files that raters hand in (those of simulated raters in the sample study), or the authors'
release, which has final labels only."""

import os
from pathlib import Path

import polars as pl

from dlbug_assets.clock import Clock
from dlbug_assets.labeling import handed_in
from dlbug_assets.labeling.csv_sheets import to_csv
from dlbug_assets.labeling.handed_in import SETTLES_SECONDS, HandedIn
from dlbug_assets.labeling.rounds import keep
from dlbug_assets.labeling.sheets import COLUMNS, Sheet
from dlbug_assets.sample import raters as sample
from dlbug_assets.study import Study
from dlbug_assets.taxonomy import Taxonomy


def labels(study: Study, items: pl.DataFrame, taxonomy: Taxonomy, folder: Path, clock: Clock) -> HandedIn:
    """Everything that was handed in so far, judged; ``folder`` has inbox and received. Raises :class:`DlbugError`."""
    inbox, archive = folder / "inbox", folder / "received"
    if study.sources.labels == "artifact":
        # Nobody hands in anything.
        return handed_in.read(archive, items, study, taxonomy)
    if study.sources.labels == "sample":
        _simulate(study, items, inbox, clock)
    settled, growing = handed_in.waiting(inbox, clock)
    received = handed_in.receive(settled, archive, clock)
    came = handed_in.read(archive, items, study, taxonomy)
    came.counts.update({"new files": len(received), "files still growing": len(growing)})
    return came


def _simulate(study: Study, items: pl.DataFrame, inbox: Path, clock: Clock) -> None:
    """The sample's raters fill in their sheets and hand them in like anybody, but for those that are there already:
    somebody may have changed them."""
    shown = items.select("item_id", "title", "link")
    rows = sample.rater_rows(study, items).join(shown, on="item_id", how="left", maintain_order="left")
    settled = clock.now().timestamp() - SETTLES_SECONDS - 1
    for (batch, rater, which), filled in rows.group_by("batch", "rater", "pass", maintain_order=True):
        answers = tuple({**dict.fromkeys(COLUMNS), **row} for row in filled.iter_rows(named=True))
        sheet = Sheet(rater, 1, batch, which, answers)
        path = inbox / f"{sheet.name}.csv"
        if not path.exists():
            keep(path, to_csv(sheet))
            os.utime(path, (settled, settled))
