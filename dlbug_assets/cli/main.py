"""The dlbug command: a thin layer over Dagster and DuckDB.

Polars, DuckDB, requests and Dagster take seconds to import, so only the commands that need them import them.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from dlbug_assets.cli.env_file import load_env_file
from dlbug_assets.cli.terminal import printable
from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.sheets.formats import FORMATS, XLSX
from dlbug_assets.layout import ENV_FILE, Home, restrict_new_files
from dlbug_assets.protocol.study import Study, load_study

_FORMATS = ("table", "csv", "json", "parquet")


def _study_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--study",
        "study_name",
        envvar="DLBUG_STUDY",
        default="sample",
        show_default=True,
        metavar="NAME|PATH",
        help="A study that ships or was run before, or the path of its folder or TOML file.",
    )(command)


def _incomplete_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--incomplete", is_flag=True, help=help_text)


def _home(study: Study) -> Home:
    """Return the study's home; raise :class:`DlbugError` if it cannot be opened."""
    home = Home.of(study.name, os.environ)
    home.check_access()
    return home


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dlbug")
@click.pass_context
def cli(context: click.Context) -> None:
    """Bug studies as living data pipelines: collect, label, agree, analyse, publish."""
    context.obj = restrict_new_files()
    ignored = load_env_file(os.environ)
    if ignored:
        click.echo(f"{ENV_FILE.resolve()}: ignored {', '.join(ignored)}; see README.md for the variables", err=True)


@cli.command()
@_study_option
@click.option("--select", metavar="SELECTION", help="Only these assets, in Dagster's selection syntax.")
@click.option("--libraries", metavar="A,B", help="Collect for these libraries only.")
@click.option("--sweep", is_flag=True, help="Repeat the full query of the sources, instead of asking for changes.")
@_incomplete_option("Sample commits of libraries with unread repositories, too.")
@click.option(
    "--log-format", type=click.Choice(("text", "json")), default="text", show_default=True, help="Format of the log."
)
def run(
    study_name: str, *, select: str | None, libraries: str | None, sweep: bool, incomplete: bool, log_format: str
) -> None:
    """Materialize a study's tables and publish them; exit with status 1 if anything that it follows is unread."""
    from dlbug_assets.ingest.completeness import are_corpora_known, require_complete  # noqa: PLC0415
    from dlbug_assets.warehouse.published import published_query  # noqa: PLC0415

    study = load_study(study_name, os.environ)
    wanted = [library.strip() for library in libraries.split(",")] if libraries else None
    _run(study, select, libraries=wanted, sweep=sweep, incomplete=incomplete, log_format=log_format)
    with published_query(_home(study)) as query:
        if are_corpora_known(query):
            require_complete(
                query,
                "Everything else is published, but no commit of these libraries is sampled and no queue is frozen. Fix "
                "the causes and run again; or pass --incomplete to sample what was read.",
                wanted,
            )


def _run(
    study: Study,
    select: str | None,
    *,
    libraries: Sequence[str] | None = None,
    sweep: bool = False,
    incomplete: bool = False,
    log_format: str = "text",
) -> None:
    from rich.console import Console  # noqa: PLC0415

    from dlbug_assets.cli.runs import run_study  # noqa: PLC0415
    from dlbug_assets.cli.summary import print_summary  # noqa: PLC0415

    home = _home(study)
    click.echo(f"Study {study.name}: {study.study.title}", err=True)
    before = _version_of(home.published)
    failures = run_study(
        study,
        os.environ,
        select=select,
        libraries=libraries,
        sweep=sweep,
        incomplete=incomplete,
        log_format=log_format,
    )
    is_published = _version_of(home.published) != before
    if select is None and (is_published or not failures):
        if not is_published:
            click.echo(f"Nothing has changed since {home.published} was published.")
        print_summary(study, home, Console())
    if failures:
        # A message that several steps share is printed once.
        for message in dict.fromkeys(failure.message for failure in failures):
            steps = ", ".join(failure.step for failure in failures if failure.message == message)
            click.echo(f"error: {steps}: {message}", err=True)
        if is_published:
            published = "Everything that succeeded is published"
        else:
            published = "The published database is unchanged" if before else "Nothing was published"
        raise DlbugError(
            f"{len(failures)} of the run's steps failed. {published}. "
            "Fix the errors above and run the same command again; it resumes."
        )
    if select is not None:
        click.echo(f"Database: {home.published}")


def _version_of(path: Path) -> int | None:
    """Return a number that changes when the file is replaced, or None if there is no file."""
    return path.stat().st_mtime_ns if path.is_file() else None


@cli.command()
@_study_option
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; beyond this machine, a token is required.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="A name under which browsers reach it, as behind a proxy; can be repeated.",
)
@click.option("--read-only", is_flag=True, help="Start no runs, change nothing, and run no daemon.")
def ui(study_name: str, *, port: int, host: str, names: tuple[str, ...], read_only: bool) -> None:
    """Open Dagster's UI and daemon for a study."""
    from dlbug_assets.cli.instance import prepared_instance  # noqa: PLC0415
    from dlbug_assets.cli.stopping import without_deadline  # noqa: PLC0415
    from dlbug_assets.cli.studies.known import record_path  # noqa: PLC0415
    from dlbug_assets.cli.ui.server import Address, new_token, serve  # noqa: PLC0415

    study = load_study(study_name, os.environ)
    home = _home(study)
    with prepared_instance(home):
        record_path(study, home)
        os.environ["DAGSTER_HOME"] = str(home.dagster_home)
    os.environ["DLBUG_HOME"] = str(home.root)
    os.environ["DLBUG_STUDY"] = str(study.files.study)
    address = Address(host, port, names)
    own = os.environ.get("DLBUG_UI_TOKEN")
    token = new_token(address, own)
    # Logs of services contain this line: a token that the operator has chosen is not part of it.
    where = f"http://{host}:{port}/" + (f"?token={'$DLBUG_UI_TOKEN' if own else token}" if token else "")
    click.echo(f"Study {study.name} at {where} (Ctrl+C stops it)", err=True)
    without_deadline()
    serve(address, token, read_only=read_only)


@cli.command()
@click.argument("query", required=False)
@_study_option
@click.option("--format", "output_format", type=click.Choice(_FORMATS), default="table", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file instead of the terminal.")
@click.option("--limit", type=click.IntRange(min=0), help="Return at most this many rows.")
@click.option("--memory", default="1GB", show_default=True, help="Memory of a query.")
@click.option(
    "--timeout",
    type=click.IntRange(1, 86400),
    default=60,
    show_default=True,
    help="Seconds after which a query is stopped.",
)
@click.pass_obj
def sql(
    umask: int,
    query: str | None,
    study_name: str,
    *,
    output_format: str,
    output: Path | None,
    limit: int | None,
    memory: str,
    timeout: int,
) -> None:
    """Query the published database; without QUERY, open an interactive prompt.

    In CSV, texts that a spreadsheet could run as a formula follow an apostrophe; JSON and Parquet have them unchanged.
    """
    from dlbug_assets.cli.sql import Bounds, answer, prompt  # noqa: PLC0415

    bounds = Bounds(limit, memory, timeout)
    home = _home(load_study(study_name, os.environ))
    # The user names the output, and decides who can read it.
    os.umask(umask)
    if query is None:
        prompt(home, bounds)
    else:
        answer(home, query, output_format, output, bounds)


@cli.group()
def labels() -> None:
    """Export, import and count the sheets of raters and the adjudicator."""


@labels.command("export")
@_study_option
@click.option("--format", "file_format", type=click.Choice(FORMATS), default=XLSX, show_default=True)
@click.option(
    "--again", default="", metavar="5,10", help="Export the items of these checkpoints once more, after a training."
)
@_incomplete_option("Freeze the queue although something that the study follows is unread.")
def labels_export(study_name: str, *, file_format: str, again: str, incomplete: bool) -> None:
    """Write the next sheet of each rater to the outbox; the first time, freeze the queue of items."""
    from dlbug_assets.labeling.sheets.export import export  # noqa: PLC0415
    from dlbug_assets.protocol.taxonomy import load_taxonomy  # noqa: PLC0415
    from dlbug_assets.warehouse.published import published_query  # noqa: PLC0415

    study = load_study(study_name, os.environ)
    home = _home(study)
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
        if not paths:
            click.echo("Nothing is due: everybody has answered everything.", err=True)


@labels.command("import")
@_study_option
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def labels_import(study_name: str, files: tuple[Path, ...]) -> None:
    """Submit filled sheets: copy them to the inbox and materialize everything downstream."""
    from dlbug_assets.labeling.sheets.inbox import submit  # noqa: PLC0415

    study = load_study(study_name, os.environ)
    submit(files, _home(study).labels, Clock())
    _run(study, "group:labeling or group:analysis or group:publishing")
    _show_status(study)


@labels.command("status")
@_study_option
def labels_status(study_name: str) -> None:
    """Show labelled, remaining and rejected rows per rater and source, disagreements, and kappa so far."""
    _show_status(load_study(study_name, os.environ))


def _show_status(study: Study) -> None:
    from rich.console import Console  # noqa: PLC0415

    from dlbug_assets.cli.summary import print_status  # noqa: PLC0415
    from dlbug_assets.labeling.status import labeling_status  # noqa: PLC0415
    from dlbug_assets.warehouse.published import published_query  # noqa: PLC0415

    with published_query(_home(study)) as query:
        print_status(labeling_status(study, query), query, Console())


@cli.command()
@_study_option
@click.option(
    "--author", "authors", multiple=True, metavar="'FAMILY, GIVEN'", help="An author to cite; can be repeated."
)
def package(study_name: str, authors: tuple[str, ...]) -> None:
    """Write the replication package of the published study: tables, protocol and report, without texts and names."""
    from dlbug_assets.atomic_files import write_folder  # noqa: PLC0415
    from dlbug_assets.publishing.package import Package, archive  # noqa: PLC0415
    from dlbug_assets.warehouse.published import published_query  # noqa: PLC0415
    from dlbug_assets.warehouse.table_specs import load_specs  # noqa: PLC0415

    study = load_study(study_name, os.environ)
    home = _home(study)
    with published_query(home) as query:
        packed = Package(study, load_specs(study=study), query, home.root, authors)
        files = packed.files()
    name = f"{study.name}-replication"
    write_folder(home.package, {f"{name}/{path}": content for path, content in files.items()}
                 | {f"{name}.zip": archive(name, files)})  # fmt: skip
    click.echo(f"Package: {home.package / name} ({len(files)} files)")
    click.echo(f"Archive: {home.package / f'{name}.zip'}")
    if packed.missing_files:
        click.echo(f"Not in it, but needed to run its study: {', '.join(packed.missing_files)}")


@cli.command()
def studies() -> None:
    """List the studies that ship and those that were run: what they are about, and what each needs."""
    from dlbug_assets.cli.studies.known import descriptions  # noqa: PLC0415

    for description in descriptions(os.environ):
        click.echo(description)


@cli.command()
@click.argument("name", type=click.Path(path_type=Path))
@click.option("--like", metavar="STUDY", help="Take dimensions, taxonomy, selection and sources of a study that ships.")
@click.option("--from", "file", metavar="FILE", type=click.Path(path_type=Path), help="Take labels of a CSV file.")
@click.pass_obj
def new(umask: int, name: Path, *, like: str | None, file: Path | None) -> None:
    """Write the folder of a new study, named as the last part of NAME, that runs as it is.

    Without options, it has dimensions of its own and synthetic data, and every key with a comment.
    """
    from dlbug_assets.cli.studies.new import create, create_like  # noqa: PLC0415

    if like and file:
        raise click.UsageError("use --like or --from, not both")
    os.umask(umask)  # the user decides who can read it
    if file:
        from dlbug_assets.cli.studies.from_csv import create_from  # noqa: PLC0415

        study, notes = create_from(name, file)
        click.echo("\n".join(notes))
    elif like:
        study, left_out = create_like(name, like)
        click.echo(f"Left out: {left_out}" if left_out else "Nothing was left out.")
    else:
        study = create(name)
    click.echo(f"Study: {study.files.study}")
    click.echo(f"Next:  edit it, then dlbug run --study {name}")


@cli.command()
@click.argument("file", type=click.Choice(("study", "claims")))
def schema(file: str) -> None:
    """Print the JSON Schema of study.toml or claims.toml, by which editors complete and check it."""
    from dlbug_assets.cli.studies.schemas import schema  # noqa: PLC0415

    click.echo(schema(file), nl=False)


@cli.command()
@_study_option
def doctor(study_name: str) -> None:
    """Check this machine; each failing line states what it breaks and how to fix it."""
    from dlbug_assets.cli.doctor import examine  # noqa: PLC0415

    failing = 0
    study = load_study(study_name, os.environ)
    for line in examine(study, Home.of(study.name, os.environ), os.environ):
        failing += line.status == "FAIL"
        click.echo(f"{line.status:5} {line.subject}: {line.text}")
    if failing:
        raise DlbugError(
            f"{failing} {'check' if failing == 1 else 'checks'} failed; fix {'it' if failing == 1 else 'them'} first"
        )


def main() -> None:
    """Run the command; an error that a user can fix is one message and exit code 1."""
    try:
        cli(standalone_mode=False)
    except DlbugError as error:
        click.echo(printable(f"error: {error}"), err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
