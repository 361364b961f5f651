"""`dlbug labels status`: the progress of labelling, as text for a terminal of 80 columns."""

from collections.abc import Callable
from pathlib import Path

import click
import polars as pl
from rich.console import Console

from dlbug_assets.cli.labels.receipts import MOST_REFUSALS, receipt_lines
from dlbug_assets.cli.printing.next_step import command
from dlbug_assets.cli.printing.summary import print_table
from dlbug_assets.cli.terminal import printable
from dlbug_assets.labeling.status import next_steps, progress
from dlbug_assets.protocol.study import Study

#: Characters of a bar of progress.
_BAR = 20


def print_status(study: Study, query: Callable[[str], pl.DataFrame], folder: Path, console: Console) -> None:
    """Print how far each person is, kappa so far, refused rows, and what to do next.

    ``query`` runs SQL on the published database; ``folder`` contains the frozen rounds and the outbox.
    """
    if study.sources.labels == "release":
        click.echo("The labels of this study come from a release: nothing is asked.")
    else:
        _print_bars(progress(query("from labeling.questions"), study))
    _print_kappas(study, query, console)
    if study.sources.labels != "release":
        _print_refusals(study, query)
        click.echo("\nNext:")
        for step in next_steps(study, query, folder):
            click.echo(printable(f"  {step}"))


def _print_bars(rows: pl.DataFrame) -> None:
    """Print a bar for each person and pass; ``rows`` have the columns of PROGRESS."""
    persons = rows["person"].str.len_chars().max()
    passes = rows["pass"].str.len_chars().max()
    digits = rows["asked"].cast(pl.String).str.len_chars().max()
    before = None
    for person, pass_name, counted, asked, answered, _, withdrawn, refused in rows.iter_rows():
        # Full only if nothing is left.
        done = _BAR * answered // asked
        states = [f"{number} {state}" for number, state in ((withdrawn, "withdrawn"), (refused, "refused")) if number]
        head = f"{'' if person == before else person:{persons}}  {pass_name:{passes}}  "
        bar = f"[{'#' * done}{'-' * (_BAR - done)}]"
        click.echo(f"{head}{bar}  {answered:{digits}} of {asked:{digits}} {counted}")
        if states:
            click.echo(f"{'':{len(head)}}{', '.join(states)}")
        before = person


def _print_kappas(study: Study, query: Callable[[str], pl.DataFrame], console: Console) -> None:
    """Print kappa of each dimension over all sources, at the newest checkpoint that has units."""
    kappas = query(
        "select dimension, round, checkpoint, units, waiting, kappa, kappa_low, kappa_high, alpha, "
        "coalesce(undefined_reason, interval_undefined_reason) "
        "from labeling.kappa_checkpoints where scope = 'cumulative' and source = 'all' and units > 0 "
        "qualify row_number() over (partition by dimension order by round desc, checkpoint desc) = 1"
    )
    order = pl.Enum(["is_bug", *study.asked_names])
    rows = [
        (dimension, f"{checkpoint}%" if number == 1 else f"r{number} {checkpoint}%", units, waiting,
         None if kappa is None else f"{kappa:z.3f}", reason or f"{low:z.3f} to {high:z.3f}",
         *([None if alpha is None else f"{alpha:z.3f}"] if study.labeling.raters_per_item else []))
        for dimension, number, checkpoint, units, waiting, kappa, low, high, alpha, reason
        in kappas.sort(pl.col("dimension").cast(order)).rows()
    ]  # fmt: skip
    if not rows:
        click.echo("\nKappa: no item or bug is answered by all of its raters yet")
        return
    columns = ("Dimension", "#Checkpoint", "#Units", "#Waiting", "#Kappa", "95% interval")
    alpha = ("#Alpha",) if study.labeling.raters_per_item else ()
    print_table(console, "Cohen's kappa so far, over all sources", (*columns, *alpha), rows)


def _print_refusals(study: Study, query: Callable[[str], pl.DataFrame]) -> None:
    """Print the refused rows that wait for an answer, below the receipts of their files, the newest first."""
    rejected = query("from labeling.rejected_labels order by file, line, entry")
    if rejected.is_empty():
        return
    receipts = query("from labeling.receipts order by received_at desc")
    newest = receipts.join(rejected, left_on=["file", "received_at"], right_on=["file", "seen_at"], how="semi")
    all_of_them = command("sql", "--study", study.name, "from labeling.rejected_labels")
    click.echo(f"\nRefused, and not answered since: {rejected.height}")
    left = MOST_REFUSALS
    for receipt in newest.iter_rows(named=True):
        rows = rejected.filter(file=receipt["file"], seen_at=receipt["received_at"])
        for line in receipt_lines(receipt, rows.head(left), all_of_them):
            click.echo(f"  {line}")
        left -= min(left, rows.height)
        if not left:
            break
    if rejected.height > MOST_REFUSALS:
        click.echo(f"  and {rejected.height - MOST_REFUSALS} more: {all_of_them}")
