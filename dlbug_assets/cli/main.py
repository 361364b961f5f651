"""The dlbug command: a thin layer over Dagster and DuckDB.

Polars, DuckDB, requests and Dagster take seconds to import, so only the commands that need them import them.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from dlbug_assets.cli.completion import SHELLS, script
from dlbug_assets.cli.env_file import load_env_file
from dlbug_assets.cli.labels.commands import labels
from dlbug_assets.cli.options import incomplete_option, open_home, study_option
from dlbug_assets.cli.printing.next_step import command
from dlbug_assets.cli.terminal import printable
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import ENV_FILE, Home, restrict_new_files
from dlbug_assets.protocol.study import load_study

_FORMATS = ("table", "csv", "json", "parquet")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dlbug")
@click.pass_context
def cli(context: click.Context) -> None:
    """Bug studies as living data pipelines: collect, label, agree, analyse, publish."""
    context.obj = restrict_new_files()
    ignored = load_env_file(os.environ)
    if ignored:
        click.echo(
            f"{ENV_FILE.resolve()}: ignored {', '.join(ignored)}; see docs/operator.md for the variables", err=True
        )


@cli.command()
@study_option
@click.option("--select", metavar="SELECTION", help="Only these assets, in Dagster's selection syntax.")
@click.option("--libraries", metavar="A,B", help="Collect for these libraries only.")
@click.option("--sweep", is_flag=True, help="Repeat the full query of the sources, instead of asking for changes.")
@incomplete_option("Sample commits of libraries with unread repositories, too.")
@click.option(
    "--log-format", type=click.Choice(("text", "json")), default="text", show_default=True, help="Format of the log."
)
def run(
    study_name: str, *, select: str | None, libraries: str | None, sweep: bool, incomplete: bool, log_format: str
) -> None:
    """Materialize a study's tables and publish them; exit with status 1 if anything that it follows is unread.

    The study may also be a replication package: that of a zip is kept in the home and run from there, that of a folder
    is run where it is.
    """
    from dlbug_assets.cli.packages import study_of_package  # noqa: PLC0415
    from dlbug_assets.cli.runs import run_and_report  # noqa: PLC0415
    from dlbug_assets.ingest.completeness import are_corpora_known, require_complete  # noqa: PLC0415
    from dlbug_assets.warehouse.published import published_query  # noqa: PLC0415

    study = load_study(study_of_package(study_name, os.environ) or study_name, os.environ)
    wanted = [library.strip() for library in libraries.split(",")] if libraries else None
    run_and_report(study, select, libraries=wanted, sweep=sweep, incomplete=incomplete, log_format=log_format)
    with published_query(open_home(study)) as query:
        if are_corpora_known(query):
            require_complete(
                query,
                "Everything else is published, but no commit of these libraries is sampled and no queue is frozen. Fix "
                "the causes and run again; or pass --incomplete to sample what was read.",
                wanted,
            )


@cli.command()
@study_option
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
    home = open_home(study)
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
@study_option
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
    from dlbug_assets.cli.sql.answer import Bounds, answer  # noqa: PLC0415
    from dlbug_assets.cli.sql.prompt import prompt  # noqa: PLC0415

    bounds = Bounds(limit, memory, timeout)
    home = open_home(load_study(study_name, os.environ))
    # The user names the output, and decides who can read it.
    os.umask(umask)
    if query is None:
        prompt(home, bounds)
    else:
        answer(home, query, output_format, output, bounds)


cli.add_command(labels)


@cli.command()
@study_option
@click.option("--memory", default="1GB", show_default=True, help="Memory of a query.")
@click.option(
    "--timeout",
    type=click.IntRange(1, 86400),
    default=60,
    show_default=True,
    help="Seconds after which a query is stopped.",
)
def mcp(study_name: str, *, memory: str, timeout: int) -> None:
    """Serve the published database to an assistant: Model Context Protocol over standard input and output.

    Its tools list, describe and explain tables and run read-only queries, with the limits of `dlbug sql`.
    """
    if find_spec("mcp") is None:
        raise DlbugError("this needs the package mcp, an extra of dlbug: pip install 'dlbug[mcp]'")
    from dlbug_assets.cli.mcp.server import serve  # noqa: PLC0415
    from dlbug_assets.cli.sql.answer import Bounds  # noqa: PLC0415

    study = load_study(study_name, os.environ)
    serve(study, open_home(study), Bounds(memory=memory, seconds=timeout), os.environ)


@cli.command()
@study_option
@click.option(
    "--author", "authors", multiple=True, metavar="'FAMILY, GIVEN'", help="An author to cite; can be repeated."
)
def package(study_name: str, authors: tuple[str, ...]) -> None:
    """Write the replication package of the published study: tables, protocol and report, without texts and names."""
    from dlbug_assets.atomic_files import write_folder  # noqa: PLC0415
    from dlbug_assets.publishing.packages.package import Package, archive  # noqa: PLC0415
    from dlbug_assets.warehouse.published import published_query  # noqa: PLC0415
    from dlbug_assets.warehouse.table_specs import load_specs  # noqa: PLC0415

    study = load_study(study_name, os.environ)
    home = open_home(study)
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
    click.echo(f"Next:    {command('verify', home.package / f'{name}.zip')}")


@cli.command()
@click.argument("package", type=click.Path(path_type=Path))
def verify(package: Path) -> None:
    """Recompute a replication package, a zip or a folder, and compare every table; exit with status 1 if any differs.

    Files of releases are looked for in DLBUG_RELEASES, then downloaded.
    """
    from dlbug_assets.cli.packages import verify  # noqa: PLC0415
    from dlbug_assets.protocol.names import counted  # noqa: PLC0415

    found = verify(package, os.environ)
    for name in found.changed_files:
        click.echo(f"{printable(name)}: the study that was recomputed has another one")
    for difference in found.differences:
        click.echo(printable(difference))
    if found.versions:
        click.echo(found.versions, err=True)
    if found.histories:
        click.echo(f"Not compared: {', '.join(found.histories)}, which earlier publications are part of", err=True)
    click.echo(f"{found.tables - len(found.differences)} of {counted(found.tables, 'table')} equal")
    if found.differences or found.changed_files:
        raise DlbugError("the package is not what its study results in: the first difference of each table is above")


@cli.command()
def studies() -> None:
    """List the studies that ship and those that were run: what they are about, and what each needs."""
    from dlbug_assets.cli.studies.known import descriptions  # noqa: PLC0415

    for description in descriptions(os.environ):
        click.echo(description)
    click.echo(f"Next: {command('run')}", err=True)


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
    click.echo(f"Next:  edit it, then {command('run', '--study', name)}")


@cli.command()
@click.argument("file", type=click.Choice(("study", "claims")))
def schema(file: str) -> None:
    """Print the JSON Schema of study.toml or claims.toml, by which editors complete and check it."""
    from dlbug_assets.cli.studies.schemas import schema  # noqa: PLC0415

    click.echo(schema(file), nl=False)


@cli.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script by which a shell completes commands, options and names of studies.

    In ~/.bashrc or ~/.zshrc: eval "$(dlbug completion bash)", or zsh; in ~/.config/fish/config.fish: dlbug completion
    fish | source
    """
    click.echo(script(shell, cli))


@cli.command()
@study_option
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
    click.echo(f"Next: {command('run', '--study', study_name)}", err=True)


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
