"""The summary of a study's results that is printed after a run."""

from collections.abc import Collection, Sequence
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dlbug_assets.analysis.claims.support import CONTRADICTED, DRAWS, SUPPORTED
from dlbug_assets.cli.printing.next_step import command
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import Study
from dlbug_assets.publishing.contents import missing_agreement, reference_text, short_names
from dlbug_assets.publishing.tables import SIZES, queries, size_table
from dlbug_assets.warehouse.frames import to_frame
from dlbug_assets.warehouse.published import open_published

#: The two verdicts on a finding, in one sentence each.
NUMBER_MEANS = "Number: whether the number printed for the finding's headline claim comes out here as well."
SUPPORT_MEANS = (
    f"Support: whether the headline claim holds in at least {SUPPORTED:.0%} of {DRAWS:,} resamples of clusters "
    f"(supported), in at most {CONTRADICTED:.0%} (contradicted), or neither is shown (undecided)."
)


def print_summary(study: Study, home: Home, console: Console) -> None:
    """Print sizes, kappa, findings, printed numbers and paths, as far as the study has them.

    Raises :class:`DlbugError` if nothing is published.
    """
    connection = open_published(home)
    try:
        info = dict(connection.execute("from publishing.study_info").fetchall())
        if info["is_synthetic"] == "true":
            console.print(f"\n[bold yellow]{info['notice']}[/]")
        _dataset(study, connection, console)
        _completeness(study.study.group, connection, console)
        _kappas(study, connection, console)
        if study.files.claims:
            _findings(connection, console)
        if study.published:
            _differences(connection, console)
    finally:
        connection.close()
    table = "analysis.claims" if study.files.claims else f"analysis.{study.dimension_names[0]}_distribution"
    console.print(f"\nDatabase: {home.published}", soft_wrap=True)
    console.print(f"Report:   {home.report / 'index.html'}", soft_wrap=True)
    query = command("sql", "--study", home.study, f"from {table}")
    console.print(f"Query:    {query}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"Next:     {command('ui', '--study', home.study)}", soft_wrap=True, markup=False, highlight=False)


def print_table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    unfolded: Collection[str] = (),
) -> None:
    """Print a table; columns of numbers, whose names begin with #, are aligned to the right.

    Long texts are folded, except in the columns ``unfolded``.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(
            column.removeprefix("#").strip(),
            overflow="fold",
            justify="right" if column.startswith("#") else "left",
            no_wrap=column in unfolded,
        )
    for row in rows:
        # Text, because a title with brackets is not markup.
        table.add_row(*(Text("-" if value is None else str(value)) for value in row))
    console.print()
    console.print(table)


def _dataset(study: Study, connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    """Print the numbers of items and bugs by library and source, beside printed ones where there are any."""
    sizes = size_table(study, to_frame(connection.sql(queries(study)[SIZES])))
    sources = [source for source, width in sizes.groups for _ in range(width)]
    short = short_names(study.source_names) if len(study.source_names) > 1 else dict.fromkeys(sources, "")
    columns, lines = [study.study.group], [[title] for title, _ in sizes.rows]
    for place, (source, name) in enumerate(zip(sources, sizes.columns, strict=True)):
        cells = [of_row[place] for _, of_row in sizes.rows]
        is_printed = any(cell.published is not None for cell in cells)
        columns += [f"#{short[source]} {name}", *(["#printed"] if is_printed else [])]
        for line, cell in zip(lines, cells, strict=True):
            line += [cell.computed, *([cell.published or "-"] if is_printed else [])]
    named = ", ".join(f"{name} ({initials})" for name, initials in short.items() if initials not in ("", name))
    print_table(console, f"Dataset: {named}" if named else "Dataset", columns, lines)


def _completeness(group: str, connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    """Print how much of what the study follows was read, and each library of which something is missing.

    A study that follows nothing has no rows.
    """
    ((followed, read, refused),) = connection.execute(
        "select sum(followed), sum(read), sum(refused) from publishing.completeness"
    ).fetchall()
    if followed is None:
        return
    console.print(f"\nCompleteness: {read} of {followed} repositories and queries read, {refused} gone or blocked")
    rows = connection.execute(
        "select library, source, followed, read, unread, refused, outdated, rows_set_aside "
        "from publishing.completeness where unread > 0 or outdated > 0 or rows_set_aside > 0 order by library, source"
    ).fetchall()
    if rows:
        columns = (group, "Source", "#Followed", "#Read", "#Unread", "#Refused", "#Outdated", "#Set aside")
        print_table(console, "Incomplete (reasons are in publishing.completeness)", columns, rows)


def _kappas(study: Study, connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    """Print kappa of the required dimensions over all sources at each checkpoint."""
    rows = connection.execute(
        "select kappas.round, checkpoint, max(units) over (partition by kappas.round, checkpoint), dimensions.title, "
        "kappa, kappa_low, kappa_high, undefined_reason "
        "from labeling.kappa_checkpoints as kappas "
        "inner join reference.dimensions as dimensions on dimensions.dimension = kappas.dimension "
        "where source = 'all' and scope = 'cumulative' and dimensions.is_required "
        "order by kappas.round, checkpoint, dimensions.position"
    ).fetchall()
    if not rows:
        ((rater_labels,),) = connection.execute("select count(*) from labeling.rater_labels").fetchall()
        console.print(f"\nInter-rater agreement: not testable, {missing_agreement(study, rater_labels)}")
        return
    lines: dict[tuple[int, int], list[Any]] = {}
    for number, checkpoint, units, _, kappa, low, high, reason in rows:
        line = lines.setdefault((number, checkpoint), [number, f"{checkpoint}%", units])
        interval = "" if low is None else f" ({low:z.2f}, {high:z.2f})"
        line.append(reason or f"{kappa:z.3f}{interval}")
    titles = dict.fromkeys(title for _, _, _, title, *_ in rows)
    columns = ("#Round", "#Checkpoint", "#Units", *titles)
    # A first round is not counted.
    skipped = 1 if all(number == 1 for number, _ in lines) else 0
    print_table(
        console,
        "Cohen's kappa over all sources, with 95% intervals",
        columns[skipped:],
        [line[skipped:] for line in lines.values()],
    )


def _findings(connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    """Print the two verdicts on the headline claim of each finding, and the number of claims by support."""
    rows = connection.execute(
        "select verdicts.finding, verdicts.verdict, verdicts.support, round(verdicts.probability, 2), headline.claim "
        "from analysis.finding_verdicts as verdicts "
        "inner join analysis.claims as headline "
        "on headline.finding = verdicts.finding and headline.role = 'headline' "
        "order by verdicts.finding"
    ).fetchall()
    columns = ("#Finding", "Number", "Support", "#Probability", "Claim")
    if any(verdict is not None for _, verdict, *_ in rows):
        print_table(console, "Findings", columns, rows, columns[1:3])
        console.print(f"\n{NUMBER_MEANS}")
    else:
        print_table(console, "Findings", columns[:1] + columns[2:], [row[:1] + row[2:] for row in rows], columns[2:3])
    console.print(SUPPORT_MEANS)
    counts = connection.execute(
        "select support, count(*) from analysis.claims group by support "
        "order by list_position(['supported', 'contradicted', 'undecided', 'not testable'], support)"
    ).fetchall()
    console.print(f"\nClaims: {', '.join(f'{number} {support}' for support, number in counts)}")


def _differences(connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    rows = connection.execute(
        "select reference, count(*), count(*) filter (same_when_rounded), "
        "count(*) filter (not same_when_rounded), count(*) filter (computed is null) "
        "from analysis.replication_diff where reading = 'printed' group by reference order by min(position)"
    ).fetchall()
    columns = ("Printed in", "#Numbers", "#Same", "#Differ", "#Not computed")
    lines = [(reference_text(reference), *numbers) for reference, *numbers in rows]
    print_table(console, "Compared with printed numbers (analysis.replication_diff)", columns, lines)
