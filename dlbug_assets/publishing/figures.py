"""The figures: for each a query on the tables, a chart of its rows, and words for those who do not see it.

A figure shows what its query gives and nothing else, so that `dlbug sql` can give every number in it. One whose rows
say nothing is not drawn, and says why.
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

_MOST_NAMED = 12


@dataclass(frozen=True)
class Figure:
    """What a figure is: ``name`` of its files, ``label`` in the text, and how its rows become a picture.

    ``missing`` says why rows cannot be drawn, or None; ``words`` tells what is to be seen.
    """

    name: str
    label: str
    title: str
    notes: tuple[str, ...]
    query: str
    draw: Callable[[pl.DataFrame, str, Sequence[str]], "alt.TopLevelMixin"]
    missing: Callable[[pl.DataFrame], str | None]
    words: Callable[[pl.DataFrame], str]


@dataclass(frozen=True)
class Picture:
    """A figure as it came out: its SVG, or the reason why there is none."""

    figure: Figure
    svg: str | None
    alternative: str
    reason: str | None = None


def drawn(figure: Figure, rows: pl.DataFrame, notice: str | None = None) -> Picture:
    """A figure of the rows of its query; ``notice`` is written into the picture, which may travel alone."""
    reason = figure.missing(rows)
    if reason:
        return Picture(figure, None, "", reason)
    notes = [*figure.notes, *([notice] if notice else [])]
    alternative = f"{figure.title}. {figure.words(rows)}"
    chart = figure.draw(rows, figure.title, notes)
    return Picture(figure, chart_style.svg(chart, figure.name, alternative), alternative)


def files(picture: Picture) -> Mapping[str, bytes]:
    """The files of a picture by name: SVG, PNG (twice its size) and PDF; none where it was not drawn."""
    if picture.svg is None:
        return {}
    return {
        f"{picture.figure.name}.svg": picture.svg.encode(),
        f"{picture.figure.name}.png": chart_style.png(picture.svg),
        f"{picture.figure.name}.pdf": chart_style.pdf(picture.svg),
    }


def _distribution(number: int, dimension: str, title: str, printed: str) -> Figure:
    """A distribution over categories on Stack Overflow, as the paper draws them; ``printed`` gives library, category
    and percent of its figure."""
    words = dimension.replace("_", " ")
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
            "Bars: share of the library's bugs, with its number and Wilson's 95% interval; the library's bugs in "
            "brackets.",
            "Diamonds: as in the paper, measured from its figure.",
        ),
        query.strip(),
        charts.distribution,
        lambda rows: None if rows["bugs"].sum() else f"no Stack Overflow bug of this study has a label in {words}",
        _leaders,
    )


def _leaders(rows: pl.DataFrame) -> str:
    """The most frequent category of each library."""
    told = []
    for library in rows["library"].unique(maintain_order=True):
        of_library = rows.filter(pl.col("library") == library)
        if not of_library["total"][0]:
            told.append(f"{library}: no bugs")
            continue
        most = of_library.row(of_library["bugs"].arg_max(), named=True)
        told.append(f"{library}: {most['category']} leads with {_percent(most['share'])}, {_of(most)}")
    return "; ".join(told) + "."


def _strongest_relations(rows: pl.DataFrame) -> str:
    leading = rows.sort("bugs", descending=True, maintain_order=True).group_by("bug_type", maintain_order=True).first()
    return (
        "; ".join(
            f"{row['bug_type']}: mostly {row['root_cause']}, {_of(row)}"
            for row in leading.head(_MOST_NAMED).iter_rows(named=True)
        )
        + "."
    )


def _pairs(rows: pl.DataFrame) -> str:
    once = rows.filter(pl.col("library_a") < pl.col("library_b")).sort("pearson", descending=True, nulls_last=True)
    return "; ".join(f"{row['library_a']} and {row['library_b']} {row['pearson']:.2f}" for row in once.to_dicts()) + "."


def _courses(rows: pl.DataFrame) -> str:
    """The two most frequent categories of all, from each library's first year to its last."""
    most = rows.group_by("category").agg(pl.col("bugs").sum()).sort("bugs", "category", descending=[True, False])
    told = []
    for category in most["category"].head(2):
        for library in rows["library"].unique(maintain_order=True):
            course = rows.filter(pl.col("category") == category, pl.col("library") == library).sort("year")
            first, last = course.row(0, named=True), course.row(-1, named=True)
            told.append(f"{category} in {library}: {_of(first)} in {first['year']}, {_of(last)} in {last['year']}")
    return "; ".join(told) + "."


def _steps(rows: pl.DataFrame) -> str:
    told = []
    for library in rows["library"].unique(maintain_order=True):
        steps = rows.filter(pl.col("library") == library).select("step", "number").rows()
        told.append(f"{library}: " + ", ".join(f"{number} {step}" for step, number in steps))
    return "; ".join(told) + "."


def _agreeing(rows: pl.DataFrame) -> str:
    counts = rows.group_by("reference", maintain_order=True).agg(
        pl.len(), same=(pl.col("agreement") == "as printed").sum()
    )
    return "; ".join(f"{row['reference']}: {row['same']} of {row['len']} as printed" for row in counts.to_dicts()) + "."


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _of(row: Mapping[str, object]) -> str:
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
            else "the source of posts has only those with labelled bugs, so nothing was selected from more"
        ),
        _steps,
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
        ("Colour: share of the bug type's bugs. Numbers: bugs; of the type in brackets.",),
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
        _strongest_relations,
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
        ("Pearson's r of the bug types' shares; in brackets as printed in the paper.",),
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
        _pairs,
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
            "Area of a square: share of the library's bugs in posts of that year; below, their number.",
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
        _courses,
    ),
    Figure(
        "published",
        "Figure C",
        "Computed against printed",
        ("One mark per printed share of Tables 2 to 4; on the line both are the same.",),
        """
select
    replace(reference, 'table', 'Table ') as reference, source, library, category, published, computed,
    case when same_when_rounded then 'as printed' else 'differs' end as agreement
from analysis.replication_diff
where reference not like '%\\_p' escape '\\' and computed is not null
order by reference, same_when_rounded desc, source, library, category
""".strip(),
        charts.against_published,
        lambda rows: None if rows.height else "no printed share is of a library of this study",
        _agreeing,
    ),
)
