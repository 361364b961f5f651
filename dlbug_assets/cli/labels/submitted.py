"""`dlbug labels import`: submit filled sheets, and print what became of their rows before the run begins."""

from collections.abc import Sequence
from pathlib import Path

import click
import polars as pl

from dlbug_assets.cli.labels.receipts import receipt_lines
from dlbug_assets.cli.options import open_home
from dlbug_assets.cli.printing.next_step import command
from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.imported.history import FINAL, read_imported
from dlbug_assets.labeling.rater_labels import receive_submissions
from dlbug_assets.labeling.sheets.inbox import submit, versions
from dlbug_assets.layout import Home, check_folder
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.warehouse.published import published_query


def queued_items(home: Home) -> pl.DataFrame:
    """Return labeling.items. Raises :class:`DlbugError` if the study has no queue yet."""
    with published_query(home) as query:
        items = query("from labeling.items")
    if items.is_empty():
        raise DlbugError(
            f"labeling.items is empty: collect posts and commits first, with `{command('run', '--study', home.study)}`"
        )
    return items


def import_sheets(study: Study, files: Sequence[Path]) -> int:
    """Copy sheets into the inbox, receive them, print their receipts, and return the number of refused rows.

    A receipt is what the run that follows writes into labeling.receipts. Raises :class:`DlbugError` for a study without
    a queue, and for a file that cannot be copied.
    """
    if study.sources.labels == "release":
        raise DlbugError("the labels of this study come from a release: there are no sheets to import")
    home, clock, taxonomy = open_home(study), Clock(), load_taxonomy(study)
    check_folder(home.labels / "inbox", "move it away")
    items = queued_items(home)
    archive = home.labels / "received"
    before = {version.received_at for version in versions(archive)}
    submit(files, home.labels, clock)
    imported = read_imported(home.labels / FINAL, items, study, taxonomy)
    submitted = receive_submissions(study, items, taxonomy, home.labels, clock, imported=imported)
    received = {version.received_at for version in versions(archive)} - before
    is_new = pl.col("received_at").is_in(received)
    names = {file.name for file in files}
    known = names - set(submitted.receipts.filter(is_new)["file"])
    is_known = pl.col("file").is_in(known) & (pl.col("version") == pl.col("version").max().over("file"))
    refused = 0
    for receipt in submitted.receipts.filter(is_new | is_known).iter_rows(named=True):
        if receipt["file"] in known:
            click.echo(f"{receipt['file']} was received before, at {receipt['received_at']:%Y-%m-%d %H:%M} UTC:")
        rows = submitted.problems.filter(file=receipt["file"], seen_at=receipt["received_at"])
        for line in receipt_lines(receipt, rows, command("labels", "status", "--study", study.name)):
            click.echo(line)
        refused += receipt["refused"]
    return refused
