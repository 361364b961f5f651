"""The commands of labelling: export sheets, import submitted ones, and show what is left."""

import os
from pathlib import Path

import click

from dlbug_assets.cli.options import incomplete_option, open_home, study_option
from dlbug_assets.cli.printing.next_step import command
from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.sheets.formats import FORMATS, XLSX
from dlbug_assets.protocol.study import Study, load_study

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def labels() -> None:
    """Export, import and count the sheets of raters and the adjudicator."""


@labels.command("export")
@study_option
@click.option("--format", "file_format", type=click.Choice(FORMATS), default=XLSX, show_default=True)
@click.option(
    "--again", default="", metavar="5,10", help="Export the items of these checkpoints once more, after a training."
)
@incomplete_option("Freeze the queue although something that the study follows is unread.")
def labels_export(study_name: str, *, file_format: str, again: str, incomplete: bool) -> None:
    """Write the next sheet of each rater to the outbox; the first time, freeze the queue of items."""
    from dlbug_assets.labeling.sheets.export import export  # noqa: PLC0415
    from dlbug_assets.protocol.taxonomy import load_taxonomy  # noqa: PLC0415
    from dlbug_assets.warehouse.published import published_query  # noqa: PLC0415

    study = load_study(study_name, os.environ)
    home = open_home(study)
    with published_query(home) as query:
        paths = export(
            study,
            load_taxonomy(study),
            home.labels,
            Clock(),
            query,
            file_format=file_format,
            again=again,
            incomplete=incomplete,
        )
        for path in paths:
            click.echo(path)
        if paths:
            status = command("labels", "status", "--study", study.name)
            click.echo(f"Next: fill in these sheets, import them, and see what is left with {status}", err=True)
        else:
            click.echo("Nothing is due: everybody has answered everything.", err=True)


@labels.command("import")
@study_option
@click.argument("files", nargs=-1, type=_FILE)
@click.option("--final", type=_FILE, metavar="FILE", help="A file with final labels that exist already.")
@click.option("--map", "map_file", type=_FILE, metavar="map.toml", help="What the columns of FILE are.")
def labels_import(study_name: str, files: tuple[Path, ...], *, final: Path | None, map_file: Path | None) -> None:
    """Submit filled sheets: print a receipt for each, and materialize everything downstream.

    The exit status is 1 if a row was refused. With --final, import labels of items in the queue that exist already;
    without --map, print the columns of FILE, as a map to start from.
    """
    if bool(files) == bool(final) or (map_file and not final):
        raise click.UsageError("name sheets, or use --final (and --map with it)")
    study = load_study(study_name, os.environ)
    if final and not map_file:
        from dlbug_assets.labeling.imported.map_template import map_template  # noqa: PLC0415

        click.echo(map_template(final, study), nl=False)
        raise click.UsageError("save the map above as map.toml, correct it, and add --map map.toml")
    if final and map_file:
        from dlbug_assets.cli.labels.final import import_final  # noqa: PLC0415

        refused = import_final(study, final, map_file)
    else:
        from dlbug_assets.cli.labels.submitted import import_sheets  # noqa: PLC0415

        refused = import_sheets(study, files)
    _materialize(study)
    if refused:
        raise DlbugError(
            f"{refused} {'row or file was' if refused == 1 else 'rows or files were'} refused: fix what the receipts "
            "above name, and import again. Everything else counts."
        )


def _materialize(study: Study) -> None:
    from dlbug_assets.cli.runs import run_and_report  # noqa: PLC0415

    run_and_report(study, "group:labeling or group:analysis or group:publishing")
    _show_status(study)


@labels.command("status")
@study_option
def labels_status(study_name: str) -> None:
    """Show how far each person is, kappa so far, refused rows that wait for an answer, and what to do next."""
    _show_status(load_study(study_name, os.environ))


def _show_status(study: Study) -> None:
    from rich.console import Console  # noqa: PLC0415

    from dlbug_assets.cli.labels.status import print_status  # noqa: PLC0415
    from dlbug_assets.warehouse.published import published_query  # noqa: PLC0415

    home = open_home(study)
    with published_query(home) as query:
        print_status(study, query, home.labels, Console())
