"""`dlbug labels import --final`: labels that exist already, of items in the queue."""

from pathlib import Path

import click

from dlbug_assets.cli.labels.receipts import receipt_lines
from dlbug_assets.cli.labels.submitted import queued_items
from dlbug_assets.cli.options import open_home
from dlbug_assets.cli.printing.next_step import command
from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.imported.archive import check_format, receive_final
from dlbug_assets.labeling.imported.history import FINAL, read_imported
from dlbug_assets.labeling.imported.label_map import load_map
from dlbug_assets.labeling.sheets import submissions
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import load_taxonomy


def import_final(study: Study, file: Path, map_file: Path) -> int:
    """Archive a file with final labels and its map, print its receipt, and return the number of refused rows.

    Raises :class:`DlbugError` for a map that does not fit the study, and for a study without a queue.
    """
    if study.sources.labels != "files":
        raise DlbugError(f"--final: the labels of {study.name} do not come from files, but from {study.sources.labels}")
    check_format(file)
    load_map(map_file, file, study)
    home, taxonomy = open_home(study), load_taxonomy(study)
    items = queued_items(home)
    archive = home.labels / FINAL
    name = f"{FINAL}/{receive_final(file, map_file, archive, Clock()).path.name}"
    imported = read_imported(archive, items, study, taxonomy)
    submitted = submissions.read(home.labels / "received", items, study, taxonomy, imported)
    refused = submitted.rejected.filter(file=name)
    receipt = submitted.receipts.filter(file=name).sort("version").row(-1, named=True)
    for line in receipt_lines(receipt, refused, command("labels", "status", "--study", study.name)):
        click.echo(line)
    return refused.height
