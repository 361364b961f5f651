"""The summaries that commands print: a study's results after a run, and the progress of labelling."""

from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import polars as pl
from rich.console import Console
from rich.table import Table

from dlbug_assets.layout import Home
from dlbug_assets.warehouse.published import open_published


def print_summary(home: Home, console: Console) -> None:
    """Print sizes beside the paper's, kappa, findings and paths; raises :class:`DlbugError` if nothing is published."""
    connection = open_published(home)
    try:
        info = dict(connection.execute("from publishing.study_info").fetchall())
        if info["is_synthetic"] == "true":
            console.print(f"\n[bold yellow]{info['notice']}[/]")
        _dataset(connection, console)
        _completeness(connection, console)
        _kappas(connection, console)
        _findings(connection, console)
        _differences(connection, console)
    finally:
        connection.close()
    console.print(f"\nDatabase: {home.published}", soft_wrap=True)
    console.print(f"Report:   {home.report / 'index.html'}", soft_wrap=True)
    console.print(f'Query:    dlbug sql --study {home.study} "from analysis.findings"', soft_wrap=True)


def print_status(status: pl.DataFrame, query: Callable[[str], pl.DataFrame], console: Console) -> None:
    """Print the progress of labelling: ``status`` has the columns of STATUS in labeling.

    ``query`` runs SQL on the published database.
    """
    columns = ("Person", "Source", "#Items", "#Listed", "#Left", "#Bugs rated", "#Bugs left", "#Rejected")
    rows = [
        (rater, source, items, listed, items - listed, rated, left, rejected)
        for rater, source, items, listed, rated, left, rejected in status.rows()
    ]
    _table(console, "Submitted labels", columns, rows)
    disagreements = query(
        "select count(*) filter (adjudicated_label is null), count(*) filter (adjudicated_label is not null) "
        "from labeling.disagreements"
    )
    undecided, decided = disagreements.row(0)
    console.print(f"\nDisagreements: {undecided} undecided, {decided} decided")
    kappas = query(
        "select source, dimension, checkpoint, units, round(kappa, 3), round(kappa_low, 3), round(kappa_high, 3), "
        "undefined_reason from labeling.kappa_checkpoints where scope = 'cumulative' "
        "qualify row_number() over (partition by source, dimension order by round desc, checkpoint desc) = 1 "
        "order by source, dimension"
    )
    lines = [
        (source, dimension, f"{checkpoint}%", units, kappa, reason or f"{low} to {high}")
        for source, dimension, checkpoint, units, kappa, low, high, reason in kappas.rows()
    ]
    names = ("Source", "Dimension", "#Checkpoint", "#Units", "#Kappa", "95% interval")
    _table(console, "Cohen's kappa so far", names, lines)


def _table(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; columns of numbers, whose names begin with #, are aligned to the right."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.removeprefix("#"), justify="right" if column.startswith("#") else "left")
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row))
    console.print()
    console.print(table)


def _dataset(connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    rows = connection.execute(
        "select library, posts, published_posts, post_bugs, published_post_bugs, "
        "commits, published_commits, commit_bugs, published_commit_bugs from analysis.dataset_summary"
    ).fetchall()
    columns = ("Library", "#Posts", "#paper", "#Bugs", "#paper", "#Commits", "#paper", "#Bugs", "#paper")
    _table(console, "Dataset (beside the paper's Table 1)", columns, rows)


def _completeness(connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    """Print how much of what the study follows was read, and each library of which something is missing."""
    ((followed, read, refused),) = connection.execute(
        "select sum(followed), sum(read), sum(refused) from publishing.completeness"
    ).fetchall()
    console.print(f"\nCompleteness: {read} of {followed} repositories and queries read, {refused} gone or blocked")
    rows = connection.execute(
        "select library, source, followed, read, unread, refused, outdated, rows_set_aside "
        "from publishing.completeness where unread > 0 or outdated > 0 or rows_set_aside > 0 order by library, source"
    ).fetchall()
    if rows:
        columns = ("Library", "Source", "#Followed", "#Read", "#Unread", "#Refused", "#Outdated", "#Set aside")
        _table(console, "Incomplete (reasons are in publishing.completeness)", columns, rows)


def _kappas(connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    rows = connection.execute(
        "select k.round, checkpoint, units, round(kappa, 3), round(kappa_low, 3), round(kappa_high, 3), "
        "undefined_reason from labeling.kappa_checkpoints as k "
        "where source = 'all' and dimension = 'bug_type' and scope = 'cumulative' order by k.round, checkpoint"
    ).fetchall()
    if not rows:
        console.print("\nInter-rater agreement: not testable, the source has final labels but no labels by rater")
        return
    lines = [
        (number, f"{checkpoint}%", units, kappa, reason or f"{low} to {high}")
        for number, checkpoint, units, kappa, low, high, reason in rows
    ]
    columns = ("#Round", "#Checkpoint", "#Units", "#Kappa", "95% interval")
    _table(console, "Cohen's kappa of bug types, both sources", columns, lines)


def _findings(connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    rows = connection.execute(
        "select v.finding, v.verdict, min_by(f.claim, f.position) from analysis.finding_verdicts as v "
        "join analysis.findings as f on f.finding = v.finding and f.verdict = v.verdict group by all order by v.finding"
    ).fetchall()
    _table(console, "The paper's findings", ("#Finding", "Verdict", "Claim"), rows)


def _differences(connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    rows = connection.execute(
        "select reference, count(*), count(*) filter (same_when_rounded), "
        "count(*) filter (not same_when_rounded), count(*) filter (computed is null) "
        "from analysis.replication_diff where reading = 'printed' group by reference order by min(position)"
    ).fetchall()
    columns = ("Reference", "#Numbers", "#Same", "#Differ", "#Not computed")
    _table(console, "Compared with the printed tables (analysis.replication_diff)", columns, rows)
