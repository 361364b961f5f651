"""The figures of the report: each has a query, a chart of its rows, and an alternative text.

A figure shows the rows of its query and nothing else, so that `dlbug sql` returns every number in it. A figure without
data is not rendered; the report states the reason instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from dlbug_assets import chart_style
from dlbug_assets.labeling.agreement import chart
from dlbug_assets.protocol.taxonomy import STACK_OVERFLOW
from dlbug_assets.publishing import charts

if TYPE_CHECKING:
    import altair as alt

# The alternative text of Figure 3 names this many bug types.
_MOST_NAMED = 12


@dataclass(frozen=True)
class Figure:
    """The definition of a figure: ``name`` of its files, ``label`` in the text, query and chart.

    ``draw`` returns the chart of the query's rows, given title and notes. ``missing`` returns why the rows cannot be
    shown, None if they can; ``describe`` returns the main points of the rows for the alternative text.
    """

    name: str
    label: str
    title: str
    notes: tuple[str, ...]
    query: str
    draw: Callable[[pl.DataFrame, str, Sequence[str]], "alt.TopLevelMixin"]
    missing: Callable[[pl.DataFrame], str | None]
    describe: Callable[[pl.DataFrame], str]


@dataclass(frozen=True)
class RenderedFigure:
    """A figure as SVG with its alternative text, or the reason why it was not rendered."""

    figure: Figure
    svg: str | None
    alternative: str
    reason: str | None = None


def render_figure(figure: Figure, rows: pl.DataFrame, notice: str | None = None) -> RenderedFigure:
    """Return a figure of the rows of its query.

    ``notice`` is written into the figure, because its files may be passed on without the report.
    """
    reason = figure.missing(rows)
    if reason:
        return RenderedFigure(figure, None, "", reason)
    notes = [*figure.notes, *([notice] if notice else [])]
    alternative = f"{figure.title}. {figure.describe(rows)}"
    chart = figure.draw(rows, figure.title, notes)
    return RenderedFigure(figure, chart_style.svg(chart, figure.name, alternative), alternative)


def files(rendered: RenderedFigure) -> Mapping[str, bytes]:
    """Return the files of a figure by name: SVG, PNG (twice its size) and PDF; none if it was not rendered."""
    if rendered.svg is None:
        return {}
    name = rendered.figure.name
    return {
        f"{name}.svg": rendered.svg.encode(),
        f"{name}.png": chart_style.png(rendered.svg),
        f"{name}.pdf": chart_style.pdf(rendered.svg),
    }


def _distribution(number: int, dimension: str, title: str, printed: str) -> Figure:
    """Return the figure of a distribution over categories on Stack Overflow.

    ``printed`` is a query of the paper's figure: library, category, percent.
    """
    label = dimension.replace("_", " ")
    query = f"""
select
    shown.library, shown.category, shown.bugs, shown.total, shown.share, shown.share_low, shown.share_high,
    printed.percent / 100 as published,
    sum(shown.bugs) over (partition by shown.category) > 0 as is_used
from analysis.{dimension}_distribution as shown
left join ({printed}) as printed on printed.library = shown.library and printed.category = shown.category
left join reference.libraries as libraries on libraries.library = shown.library
left join reference.taxonomy as taxonomy on taxonomy.dimension = '{dimension}' and taxonomy.name = shown.category
where shown.source = '{STACK_OVERFLOW}'
order by libraries.position nulls last, taxonomy.position"""
    return Figure(
        f"figure{number}",
        f"Figure {number}",
        title,
        (
            "Bars: share of the library's bugs, with number and Wilson 95% interval; in brackets, the library's bugs.",
            "Diamonds: the paper's shares, measured from its figure.",
        ),
        query.strip(),
        charts.distribution,
        lambda rows: None if rows["bugs"].sum() else f"no Stack Overflow bug of this study has a label in {label}",
        _describe_distribution,
    )


def _describe_distribution(rows: pl.DataFrame) -> str:
    """Return the most frequent category of each library."""
    sentences = []
    for library in rows["library"].unique(maintain_order=True):
        of_library = rows.filter(pl.col("library") == library)
        if not of_library["total"][0]:
            sentences.append(f"{library}: no bugs")
            continue
        most = of_library.row(of_library["bugs"].arg_max(), named=True)
        sentences.append(f"{library}: {most['category']} leads with {_percent(most['share'])}, {_count(most)}")
    return "; ".join(sentences) + "."


def _describe_relation(rows: pl.DataFrame) -> str:
    leading = rows.sort("bugs", descending=True, maintain_order=True).group_by("bug_type", maintain_order=True).first()
    return (
        "; ".join(
            f"{row['bug_type']}: mostly {row['root_cause']}, {_count(row)}"
            for row in leading.head(_MOST_NAMED).iter_rows(named=True)
        )
        + "."
    )


def _describe_correlation(rows: pl.DataFrame) -> str:
    once = rows.filter(pl.col("library_a") < pl.col("library_b")).sort("pearson", descending=True, nulls_last=True)
    return "; ".join(f"{row['library_a']} and {row['library_b']} {row['pearson']:.2f}" for row in once.to_dicts()) + "."


def _describe_evolution(rows: pl.DataFrame) -> str:
    """Return the shares of the two most frequent categories in each library's first and last year."""
    most = rows.group_by("category").agg(pl.col("bugs").sum()).sort("bugs", "category", descending=[True, False])
    sentences = []
    for category in most["category"].head(2):
        for library in rows["library"].unique(maintain_order=True):
            years = rows.filter(pl.col("category") == category, pl.col("library") == library).sort("year")
            first, last = years.row(0, named=True), years.row(-1, named=True)
            sentences.append(
                f"{category} in {library}: {_count(first)} in {first['year']}, {_count(last)} in {last['year']}"
            )
    return "; ".join(sentences) + "."


def _describe_funnel(rows: pl.DataFrame) -> str:
    sentences = []
    for library in rows["library"].unique(maintain_order=True):
        steps = rows.filter(pl.col("library") == library).select("step", "number").rows()
        sentences.append(f"{library}: " + ", ".join(f"{number} {step}" for step, number in steps))
    return "; ".join(sentences) + "."


def _describe_agreement(rows: pl.DataFrame) -> str:
    counts = rows.group_by("reference", maintain_order=True).agg(
        pl.len(), same=(pl.col("agreement") == "as printed").sum()
    )
    return "; ".join(f"{row['reference']}: {row['same']} of {row['len']} as printed" for row in counts.to_dicts()) + "."


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _count(row: Mapping[str, object]) -> str:
    return f"{row['bugs']} of {row['total']}"


FIGURES = (
    Figure(
        "funnel",
        "Figure A",
        "From questions collected to bugs",
        ("Stack Overflow questions left after each step of the selection, and the bugs found in them.",),
        """
select steps.library, steps.step, steps.number
from (
    unpivot (
        select
            funnel.library, funnel.collected, funnel.in_scope as "in scope", funnel.with_code as "with code",
            funnel.candidates as "read by raters", summary.post_bugs as bugs
        from stackoverflow.funnel as funnel
        inner join analysis.dataset_summary as summary on summary.library = funnel.library
        inner join reference.study as study on study.posts_are_a_corpus
    )
    on collected, "in scope", "with code", "read by raters", bugs
    into name step value number
) as steps
inner join reference.libraries as libraries on libraries.library = steps.library
order by libraries.position, list_position(['collected', 'in scope', 'with code', 'read by raters', 'bugs'], step)
""".strip(),
        charts.funnel,
        lambda rows: (
            None
            if rows["number"].sum()
            else "the source contains only posts with labelled bugs, so there was no selection"
        ),
        _describe_funnel,
    ),
    Figure(
        "kappa",
        "Figure B",
        "Agreement of raters over the checkpoints",
        chart.NOTES,
        chart.QUERY,
        chart.picture,
        chart.missing,
        chart.words,
    ),
    _distribution(
        1,
        "bug_type",
        "Bug types on Stack Overflow",
        "select library, category, percent from reference.fig1_bug_type_so",
    ),
    _distribution(
        2,
        "root_cause",
        "Root causes on Stack Overflow",
        "select library, category, percent from reference.fig2_root_cause_so",
    ),
    Figure(
        "figure3",
        "Figure 3",
        "Root causes within each bug type, Stack Overflow",
        ("Colour: share of the bug type's bugs. Numbers: bugs; in brackets, bugs of the type.",),
        f"""
select
    shown.bug_type, shown.root_cause, shown.bugs, shown.total, shown.share
from analysis.root_cause_by_bug_type as shown
inner join reference.taxonomy as types on types.dimension = 'bug_type' and types.name = shown.bug_type
inner join reference.taxonomy as causes on causes.dimension = 'root_cause' and causes.name = shown.root_cause
where shown.source = '{STACK_OVERFLOW}'
qualify shown.total > 0 and sum(shown.bugs) over (partition by shown.root_cause) > 0
order by types.position, causes.position
""".strip(),
        charts.relation,
        lambda rows: None if rows.height else "no Stack Overflow bug has both a bug type and a root cause",
        _describe_relation,
    ),
    _distribution(
        4, "effect", "Effects on Stack Overflow", "select library, category, percent from reference.fig4_effect_so"
    ),
    _distribution(
        5,
        "stage",
        "Stages of the pipeline, Stack Overflow",
        "select 'All' as library, stage as category, percent from reference.fig5_stages",
    ),
    Figure(
        "figure6",
        "Figure 6",
        "Libraries correlated by bug type, Stack Overflow",
        ("Pearson's r of the shares of bug types; in brackets, as printed in the paper.",),
        f"""
with pairs as (
    select library_a, library_b, pearson from analysis.library_correlation
    where source = '{STACK_OVERFLOW}' and dimension = 'bug_type'
    union all
    select library_b, library_a, pearson from analysis.library_correlation
    where source = '{STACK_OVERFLOW}' and dimension = 'bug_type'
),

printed as (
    select library_a, library_b, correlation from reference.fig6_correlation
    union all
    select library_b, library_a, correlation from reference.fig6_correlation
)

select pairs.library_a, pairs.library_b, pairs.pearson, printed.correlation as published
from pairs
inner join reference.libraries as a on a.library = pairs.library_a
inner join reference.libraries as b on b.library = pairs.library_b
left join printed on printed.library_a = pairs.library_a and printed.library_b = pairs.library_b
where pairs.pearson is not null
order by a.position, b.position
""".strip(),
        charts.correlation,
        lambda rows: None if rows.height else "no two libraries have Stack Overflow bugs of several types",
        _describe_correlation,
    ),
    _distribution(
        7,
        "antipattern",
        "Antipatterns on Stack Overflow",
        "select library, antipattern as category, percent from reference.fig7_antipatterns",
    ),
    Figure(
        "figure9",
        "Figure 9",
        "Bug types over the years, Stack Overflow",
        (
            "Area of a square: share of the library's bugs in posts of that year; below, the number of bugs.",
            f"Pale: the year has fewer than {charts.FEW} bugs.",
        ),
        f"""
select
    shown.library, shown.year, shown.category, shown.bugs, shown.total, shown.share,
    sum(shown.bugs) over (partition by shown.category) > 0 as is_used
from analysis.yearly_evolution as shown
inner join reference.libraries as libraries on libraries.library = shown.library
inner join reference.taxonomy as taxonomy on taxonomy.dimension = 'bug_type' and taxonomy.name = shown.category
where shown.source = '{STACK_OVERFLOW}' and shown.dimension = 'bug_type'
order by libraries.position, taxonomy.position, shown.year
""".strip(),
        charts.evolution,
        lambda rows: None if rows.height else "no Stack Overflow bug of this study has a date",
        _describe_evolution,
    ),
    Figure(
        "published",
        "Figure C",
        "Computed against printed",
        ("One mark per printed share of Tables 2 to 4; on the line, both are equal.",),
        """
select
    replace(reference, 'table', 'Table ') as reference, source, library, category, published, computed,
    case when same_when_rounded then 'as printed' else 'differs' end as agreement
from analysis.replication_diff
where unit = 'percent' and reading = 'printed' and computed is not null
order by reference, same_when_rounded desc, source, library, category
""".strip(),
        charts.against_published,
        lambda rows: None if rows.height else "no printed share is of a library of this study",
        _describe_agreement,
    ),
)
