"""Where labels come from: files that raters hand in (those of simulated raters in the sample study), or the authors'
release, which has final labels only."""

import os
from pathlib import Path

import polars as pl

from dlbug_assets.clock import Clock
from dlbug_assets.labeling.rounds import keep
from dlbug_assets.labeling.sheets import submissions
from dlbug_assets.labeling.sheets.assignments import COLUMNS, Sheet
from dlbug_assets.labeling.sheets.csv_format import to_csv
from dlbug_assets.labeling.sheets.inbox import SETTLES_SECONDS
from dlbug_assets.labeling.sheets.submissions import Submissions
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.sample import raters as sample


def labels(study: Study, items: pl.DataFrame, taxonomy: Taxonomy, folder: Path, clock: Clock) -> Submissions:
    """Everything that was handed in so far, judged; ``folder`` has inbox and received. Raises :class:`DlbugError`."""
    inbox, archive = folder / "inbox", folder / "received"
    if study.sources.labels == "artifact":
        # Nobody hands in anything.
        return submissions.read(archive, items, study, taxonomy)
    if study.sources.labels == "sample":
        _simulate(study, items, inbox, clock)
    settled, growing = inbox.waiting(inbox, clock)
    received = inbox.receive(settled, archive, clock)
    came = submissions.read(archive, items, study, taxonomy)
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
