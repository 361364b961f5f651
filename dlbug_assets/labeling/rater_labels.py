"""Labels by raters, read from submitted files or from the study's releases.

In the sample study, simulated raters submit the files.
"""

import html
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl

from dlbug_assets import releases
from dlbug_assets.clock import Clock
from dlbug_assets.labeling.imported.history import FINAL, Imported, nothing_imported, read_imported
from dlbug_assets.labeling.rounds import write_if_changed
from dlbug_assets.labeling.sheets import submissions
from dlbug_assets.labeling.sheets.assignments import Sheet, columns
from dlbug_assets.labeling.sheets.inbox import SETTLES_SECONDS, receive, settled_files
from dlbug_assets.labeling.sheets.receipts import RECEIPTS
from dlbug_assets.labeling.sheets.submissions import Submissions
from dlbug_assets.labeling.sheets.writing.csv_format import to_csv
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.sample import raters as sample
from dlbug_assets.warehouse.rows import Markdown, Rows

#: Rows of a table in the UI.
_MOST_SHOWN = 20


def rater_labels(
    items: pl.DataFrame,
    study: Study,
    taxonomy: Taxonomy,
    folder: Path,
    clock: Clock,
    *,
    release: Callable[[], releases.Released],
) -> dict[str, Rows]:
    """Return the rows of labeling.rater_labels, rejected_labels, receipts and imported_labels.

    They are those of files, or of releases. ``items`` is labeling.items; ``folder`` contains inbox/, received/ and
    final/. Raises :class:`DlbugError`.
    """
    if study.sources.labels == "release":
        released = release()
        return {
            "rater_labels": Rows(releases.rater_labels(released, study)),
            "rejected_labels": Rows(released.rejected),
            "receipts": Rows(pl.DataFrame(schema=RECEIPTS)),
            "imported_labels": Rows(nothing_imported(study).labels),
        }
    imported = read_imported(folder / FINAL, items, study, taxonomy)
    submitted = receive_submissions(study, items, taxonomy, folder, clock, imported=imported)
    newest = Markdown(receipts_table(submitted.receipts))
    return {
        "rater_labels": Rows(submitted.labels, {**submitted.counts, "newest files": newest}),
        "rejected_labels": Rows(submitted.rejected),
        "receipts": Rows(
            submitted.receipts,
            {"newest files": newest, "refused and not answered since": Markdown(refusals_table(submitted.rejected))},
        ),
        "imported_labels": Rows(imported.labels),
    }


def receipts_table(receipts: pl.DataFrame) -> str:
    """Return the newest rows of labeling.receipts as a table in Markdown."""
    return _table(receipts.sort("received_at", descending=True).drop("received_at"))


def refusals_table(rejected: pl.DataFrame) -> str:
    """Return the newest rows of labeling.rejected_labels as a table in Markdown."""
    newest = rejected.sort("seen_at", descending=True, maintain_order=True)
    item = pl.col("content").str.json_path_match("$.item_id").alias("item_id")
    return _table(newest.select("file", "line", item, "reason"))


def _table(rows: pl.DataFrame) -> str:
    """Return a table in Markdown; texts cannot leave their cells."""
    if rows.is_empty():
        return "None."
    shown = rows.head(_MOST_SHOWN)
    lines = [shown.columns, ["---"] * shown.width, *([*map(_cell, row)] for row in shown.iter_rows())]
    left = rows.height - shown.height
    more = [f"\nand {left} more"] if left else []
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), *more])


def _cell(value: object) -> str:
    return "" if value is None else " ".join(html.escape(str(value)).replace("|", "&#124;").split())


def receive_submissions(
    study: Study,
    items: pl.DataFrame,
    taxonomy: Taxonomy,
    folder: Path,
    clock: Clock,
    *,
    imported: Imported | None = None,
) -> Submissions:
    """Archive new files of the inbox and return everything that was submitted and imported so far, validated."""
    inbox, archive = folder / "inbox", folder / "received"
    if study.sources.labels == "sample":
        _submit_sample_sheets(study, items, taxonomy, inbox, clock)
    settled, growing = settled_files(inbox, clock)
    received = receive(settled, archive, clock)
    submitted = submissions.read(archive, items, study, taxonomy, imported)
    submitted.counts.update({"new files": len(received), "files still growing": len(growing)})
    return submitted


def _submit_sample_sheets(study: Study, items: pl.DataFrame, taxonomy: Taxonomy, inbox: Path, clock: Clock) -> None:
    """Write the filled sheets of the simulated raters into the inbox, except those that exist.

    Existing files are left unchanged: a user may have edited them.
    """
    shown = items.select("item_id", "title", "link")
    rows = sample.rater_rows(study, items, taxonomy).join(shown, on="item_id", how="left", maintain_order="left")
    settled = clock.now().timestamp() - SETTLES_SECONDS - 1
    for (batch, rater, pass_name), answers in rows.group_by("batch", "rater", "pass", maintain_order=True):
        filled = tuple({**dict.fromkeys(columns(study.asked)), **row} for row in answers.iter_rows(named=True))
        sheet = Sheet(rater, 1, batch, pass_name, study.asked, filled)
        path = inbox / f"{sheet.name}.csv"
        if not path.exists():
            write_if_changed(path, to_csv(sheet))
            os.utime(path, (settled, settled))
