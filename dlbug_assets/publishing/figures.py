"""The figures of the report: each has a query, a chart of its rows, and an alternative text.

A figure shows the rows of its query and nothing else, so that `dlbug sql` returns every number in it. A figure without
data is not rendered; the report states the reason instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import polars as pl

from dlbug_assets import chart_style
from dlbug_assets.labeling.agreement import chart
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.names import in_sentence, plural
from dlbug_assets.protocol.published_cells import BOTH_SOURCES
from dlbug_assets.protocol.study import Study
from dlbug_assets.publishing import charts
from dlbug_assets.publishing.contents import (
    Printed,
    has_raters,
    main_dimension,
    printed_correlation,
    printed_distribution,
    printed_evolution,
    printed_relation,
    reference_text,
    related_dimensions,
)

if TYPE_CHECKING:
    import altair as alt

# The alternative text of a relation names this many rows.
_MOST_NAMED = 12
#: A chart shows this many categories of a dimension.
MOST_SHOWN = 30


@dataclass(frozen=True)
class Figure:
    """The definition of a figure: ``name`` of its files, ``label`` in the text, query and chart.

    ``draw`` returns the chart of the query's rows, given title and notes. ``missing`` returns why the rows cannot be
    shown, None if they can; ``describe`` returns the main points of the rows for the alternative text.
    ``printed_notes`` replace the notes where the rows have printed numbers only; a figure without them shows none.
    """

    name: str
    label: str
    title: str
    notes: tuple[str, ...]
    query: str
    draw: Callable[[pl.DataFrame, str, Sequence[str]], "alt.TopLevelMixin"]
    missing: Callable[[pl.DataFrame], str | None]
    describe: Callable[[pl.DataFrame], str]
    printed_notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RenderedFigure:
    """A figure as SVG with its alternative text, or the reason why it was not rendered."""

    figure: Figure
    title: str
    svg: str | None
    alternative: str
    reason: str | None = None


def render_figure(figure: Figure, rows: pl.DataFrame, notice: str | None = None) -> RenderedFigure:
    """Return a figure of the rows of its query.

    ``notice`` is written into the figure, because its files may be passed on without the report.
    """
    reason = figure.missing(rows)
    if reason:
        return RenderedFigure(figure, figure.title, None, "", reason)
    is_printed = bool(figure.printed_notes) and charts.only_printed(rows)
    title = f"{figure.title}, as printed" if is_printed else figure.title
    notes = [*(figure.printed_notes if is_printed else figure.notes), *([notice] if notice else [])]
    alternative = f"{title}. {figure.describe(rows)}"
    chart = figure.draw(rows, title, notes)
    svg = chart_style.svg(chart, figure.name.replace("_", "-"), alternative)
    return RenderedFigure(figure, title, svg, alternative)


def figure_files(rendered: RenderedFigure) -> Mapping[str, bytes]:
    """Return the files of a figure by name: SVG, PNG (twice its size) and PDF; none if it was not rendered."""
    if rendered.svg is None:
        return {}
    name = rendered.figure.name
    return {
        f"{name}.svg": rendered.svg.encode(),
        f"{name}.png": chart_style.png(rendered.svg),
        f"{name}.pdf": chart_style.pdf(rendered.svg),
    }


def figures(study: Study) -> tuple[Figure, ...]:
    """Return the figures of a study, in the order of its report.

    A figure of which numbers are printed has the number of the printed one. The others are counted, from S1 on if there
    are printed ones.
    """
    dimensions = [(_distribution(study, each), printed_distribution(study, each.name)) for each in study.dimensions]
    pair = related_dimensions(study)
    drafts: list[tuple[Figure, Printed | None]] = [
        *([(_FUNNEL, None)] if study.sources.posts not in (None, "release") else []),
        *([(_KAPPA, None)] if has_raters(study) else []),
        *dimensions,
        *([(_relation(*pair, printed_relation(study)), printed_relation(study))] if pair else []),
        *([(_correlation(study), printed_correlation(study))] if len(study.libraries) > 1 else []),
        (_evolution(study), printed_evolution(study)),
        *([(_PUBLISHED, None)] if study.published else []),
    ]
    numbers = [printed.number if printed and printed.is_figure else None for _, printed in drafts]
    numbers = [None if number in numbers[:place] else number for place, number in enumerate(numbers)]
    own = (f"Figure {'S' * any(numbers)}{number}" for number in count(1))
    return tuple(
        replace(figure, label=next(own) if number is None else f"Figure {number}")
        for (figure, _), number in zip(drafts, numbers, strict=True)
    )


def _of_source(source: str) -> str:
    return "" if source == BOTH_SOURCES else f", {source}"


def _distribution(study: Study, dimension: Dimension) -> Figure:
    """Return the figure of a distribution over categories, in the source of the printed one or in all."""
    printed = printed_distribution(study, dimension.name)
    source = printed.source if printed else BOTH_SOURCES
    reference = f"and reference = '{printed.reference}'" if printed and printed.is_figure else ""
    group = in_sentence(study.study.group)
    no_pool = "" if len(study.libraries) > 1 else "and shown.library <> 'All'"
    query = f"""
with frequent as (
    select category, row_number() over (order by sum(bugs) desc, category) <= {MOST_SHOWN} as is_frequent
    from analysis.{dimension.name}_distribution
    where source = '{_quoted(source)}' and library <> 'All'
    group by category
),

printed as (
    select library, category, min_by(value, position) / 100 as share
    from reference.published_cells
    where dimension = '{dimension.name}' and unit = 'percent' and source = '{_quoted(source)}'
        and within_category is null and "year" is null {reference}
    group by library, category
)

select
    shown.library, shown.category, shown.bugs, shown.total, shown.share, shown.cluster_low as low,
    shown.cluster_high as high, printed.share as published,
    (sum(shown.bugs) over (partition by shown.category) > 0 and frequent.is_frequent)
    or coalesce(max(printed.share) over (partition by shown.category) > 0, false) as is_used
from analysis.{dimension.name}_distribution as shown
left join frequent on frequent.category = shown.category
left join printed on printed.library = shown.library and printed.category = shown.category
left join reference.libraries as libraries on libraries.library = shown.library
left join labeling.categories as categories
    on categories.dimension = '{dimension.name}' and categories.category = shown.category
where shown.source = '{_quoted(source)}' {no_pool}
order by libraries.position nulls last, categories.position"""
    notes = [
        f"Bars: share of the {group}'s bugs, with number and 95% interval by clusters; none if all are of one cluster.",
        f"In brackets: number of the {group}'s bugs.",
    ]
    if dimension.multiple:
        notes.append("A bug may have several categories.")
    if dimension.open:
        notes.append(f"Of more than {MOST_SHOWN} categories, the most frequent.")
    drawn = ", measured from the drawing" if printed and printed.is_drawn else ""
    if printed:
        notes.append(f"Diamonds: printed shares{drawn}.")
    missing = f"no bug has a label in {in_sentence(dimension.title)}"
    return Figure(
        f"{dimension.name}_distribution",
        "",
        f"{dimension.title}{_of_source(source)}",
        tuple(notes),
        query.strip(),
        charts.distribution,
        lambda rows: None if rows["bugs"].sum() or charts.only_printed(rows) else missing,
        _describe_distribution,
        (f"Bars: printed shares{drawn}. In this study, {missing}.",),
    )


def _relation(first: Dimension, second: Dimension, printed: Printed | None) -> Figure:
    source = printed.source if printed and printed.is_figure else BOTH_SOURCES
    drawn = ", measured from the drawing" if printed and printed.is_drawn else ""
    reference = f"and reference = '{printed.reference}'" if printed and printed.is_figure else ""
    return Figure(
        f"{second.name}_by_{first.name}",
        "",
        f"{second.title} within each {in_sentence(first.title)}{_of_source(source)}",
        (
            "Colour: share of the row's bugs. Numbers: bugs; at the left, the row's bugs with labels in both.",
            *([f"Below: percent of the row's bugs, and in brackets as printed{drawn}."] if printed else []),
        ),
        f"""
with cells as (
    select category_a, category_b, bugs, total, share
    from analysis.crosstab
    where source = '{_quoted(source)}' and library = 'All'
        and dimension_a = '{first.name}' and dimension_b = '{second.name}'
),

row_names as (
    select category_a, max(total) as total from cells group by category_a
    qualify row_number() over (order by max(total) desc, category_a) <= {MOST_SHOWN}
),

column_names as (
    select category_b from cells group by category_b
    qualify row_number() over (order by sum(bugs) desc, category_b) <= {MOST_SHOWN}
),

printed as (
    select within_category, category, min_by(value, position) / 100 as share
    from reference.published_cells
    where dimension = '{second.name}' and within_dimension = '{first.name}' and unit = 'percent'
        and source = '{_quoted(source)}' and library = 'All' and "year" is null {reference}
    group by within_category, category
)

select
    row_names.category_a, column_names.category_b, coalesce(cells.bugs, 0) as bugs, row_names.total,
    coalesce(cells.share, 0) as share, printed.share as published
from row_names
cross join column_names
left join cells on cells.category_a = row_names.category_a and cells.category_b = column_names.category_b
left join printed
    on printed.within_category = row_names.category_a and printed.category = column_names.category_b
left join labeling.categories as a on a.dimension = '{first.name}' and a.category = row_names.category_a
left join labeling.categories as b on b.dimension = '{second.name}' and b.category = column_names.category_b
order by a.position, b.position""".strip(),
        charts.relation,
        lambda rows: (
            None
            if rows.height
            else f"no bug has labels in both {in_sentence(first.title)} and {in_sentence(second.title)}"
        ),
        _describe_relation,
    )


def _correlation(study: Study) -> Figure:
    printed = printed_correlation(study)
    dimension = main_dimension(study, printed)
    source = printed.source if printed else BOTH_SOURCES
    groups = plural(study.study.group)
    what = f"shares of {in_sentence(dimension.title)}"
    return Figure(
        f"{dimension.name}_correlation",
        "",
        f"{groups} correlated by {in_sentence(dimension.title)}{_of_source(source)}",
        (f"Pearson's r of the {what}{'; in brackets, as printed' if printed else ''}.",),
        f"""
with pairs as (
    select library_a, library_b, pearson from analysis.library_correlation
    where source = '{_quoted(source)}' and dimension = '{dimension.name}'
    union all
    select library_b, library_a, pearson from analysis.library_correlation
    where source = '{_quoted(source)}' and dimension = '{dimension.name}'
),

printed as (
    select library, library_b, value from reference.published_cells
    where unit = 'correlation' and source = '{_quoted(source)}' and dimension = '{dimension.name}'
    union all
    select library_b, library, value from reference.published_cells
    where unit = 'correlation' and source = '{_quoted(source)}' and dimension = '{dimension.name}'
)

select pairs.library_a, pairs.library_b, pairs.pearson, printed.value as published
from pairs
inner join reference.libraries as a on a.library = pairs.library_a
inner join reference.libraries as b on b.library = pairs.library_b
left join printed on printed.library = pairs.library_a and printed.library_b = pairs.library_b
where pairs.pearson is not null
order by a.position, b.position""".strip(),
        charts.correlation,
        lambda rows: None if rows.height else f"no two {in_sentence(groups)} have {what} that vary",
        _describe_correlation,
    )


def _evolution(study: Study) -> Figure:
    printed = printed_evolution(study)
    dimension = main_dimension(study, printed)
    source = printed.source if printed else BOTH_SOURCES
    drawn = ", measured from the drawing" if printed and printed.is_drawn else ""
    missing = "no bug of this study has a date"
    return Figure(
        f"{dimension.name}_evolution",
        "",
        f"{dimension.title} over the years{_of_source(source)}",
        (
            f"Area of a square: share of the {in_sentence(study.study.group)}'s bugs of that year; below, the number.",
            f"Pale: the year has fewer than {charts.FEW} bugs.",
            *([f"Outlines: printed shares{drawn}."] if printed else []),
        ),
        f"""
with computed as (
    select library, "year", category, bugs, total, share
    from analysis.yearly_evolution
    where source = '{_quoted(source)}' and dimension = '{dimension.name}'
),

printed as (
    select library, "year", category, min_by(value, position) / 100 as published
    from reference.published_cells
    where source = '{_quoted(source)}' and dimension = '{dimension.name}' and unit = 'percent'
        and within_category is null and "year" is not null
    group by library, "year", category
)

select
    shown.library, shown."year", shown.category, coalesce(shown.bugs, 0) as bugs, shown.total, shown.share,
    shown.published,
    coalesce(greatest(
        max(shown.bugs) over (partition by shown.category), max(shown.published) over (partition by shown.category)
    ) > 0, false) as is_used
from (from computed full join printed using (library, "year", category)) as shown
inner join reference.libraries as libraries on libraries.library = shown.library
inner join labeling.categories as categories
    on categories.dimension = '{dimension.name}' and categories.category = shown.category
order by libraries.position, categories.position, shown.year""".strip(),
        charts.evolution,
        lambda rows: None if rows["bugs"].sum() or charts.only_printed(rows) else missing,
        _describe_evolution,
        (f"Area of a square: printed share{drawn}. In this study, {missing.replace(' of this study', '')}.",),
    )


def _quoted(name: str) -> str:
    return name.replace("'", "''")


def _describe_distribution(rows: pl.DataFrame) -> str:
    """Return the most frequent category of each library, or the one with the largest printed share."""
    by = "published" if charts.only_printed(rows) else "bugs"
    sentences = []
    for library in rows["library"].unique(maintain_order=True):
        of_library = rows.filter(pl.col("library") == library)
        largest = of_library[by].arg_max()
        if largest is None:
            continue
        most = of_library.row(largest, named=True)
        if by == "published":
            sentences.append(f"{library}: {most['category']} leads with {_percent(most['published'])}")
        elif most["total"]:
            sentences.append(f"{library}: {most['category']} leads with {_percent(most['share'])}, {_count(most)}")
        else:
            sentences.append(f"{library}: no bugs")
    return "; ".join(sentences) + "."


def _describe_relation(rows: pl.DataFrame) -> str:
    leading = (
        rows.sort("bugs", descending=True, maintain_order=True).group_by("category_a", maintain_order=True).first()
    )
    return (
        "; ".join(
            f"{row['category_a']}: mostly {row['category_b']}, {_count(row)}"
            for row in leading.head(_MOST_NAMED).iter_rows(named=True)
        )
        + "."
    )


def _describe_correlation(rows: pl.DataFrame) -> str:
    once = rows.filter(pl.col("library_a") < pl.col("library_b")).sort("pearson", descending=True, nulls_last=True)
    return "; ".join(f"{row['library_a']} and {row['library_b']} {row['pearson']:.2f}" for row in once.to_dicts()) + "."


def _describe_evolution(rows: pl.DataFrame) -> str:
    """Return the shares of the two most frequent categories in each library's first and last year."""
    is_printed = charts.only_printed(rows)
    shown = rows.filter(pl.col("published" if is_printed else "total").is_not_null())
    by = "published" if is_printed else "bugs"
    most = shown.group_by("category").agg(pl.col(by).sum()).sort(by, "category", descending=[True, False])
    sentences = []
    for category in most["category"].head(2):
        for library in shown["library"].unique(maintain_order=True):
            years = shown.filter(pl.col("category") == category, pl.col("library") == library).sort("year")
            if years.is_empty():
                continue
            ends = (years.row(0, named=True), years.row(-1, named=True))
            first, last = (
                f"{_percent(end['published']) if is_printed else _count(end)} in {end['year']}" for end in ends
            )
            sentences.append(f"{category} in {library}: {first}, {last}")
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
    return (
        "; ".join(
            f"{reference_text(row['reference'])}: {row['same']} of {row['len']} as printed" for row in counts.to_dicts()
        )
        + "."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _count(row: Mapping[str, object]) -> str:
    return f"{row['bugs']} of {row['total']}"


_FUNNEL = Figure(
    "funnel",
    "",
    "From questions collected to bugs",
    ("Questions left after each step of the selection, and the bugs found in them.",),
    """
select steps.library, steps.step, steps.number
from (
    unpivot (
        select
            funnel.library, funnel.collected, funnel.in_scope as "in scope", funnel.with_code as "with code",
            funnel.candidates as "read by raters", sizes.bugs
        from stackoverflow.funnel as funnel
        inner join analysis.dataset_sizes as sizes
            on sizes.library = funnel.library and sizes.source = 'Stack Overflow'
    )
    on collected, "in scope", "with code", "read by raters", bugs
    into name step value number
) as steps
inner join reference.libraries as libraries on libraries.library = steps.library
order by libraries.position, list_position(['collected', 'in scope', 'with code', 'read by raters', 'bugs'], step)
""".strip(),
    charts.funnel,
    lambda rows: None if rows["number"].sum() else "no question was collected",
    _describe_funnel,
)

_KAPPA = Figure(
    "kappa",
    "",
    "Agreement of raters over the checkpoints",
    chart.NOTES,
    chart.QUERY,
    chart.picture,
    chart.missing,
    chart.words,
)

_PUBLISHED = Figure(
    "published",
    "",
    "Computed against printed",
    ("One mark per share that is printed as a number; on the line, both are equal.",),
    """
select
    cells.reference, cells.source, sources.position, cells.library, cells.category, cells.published, cells.computed,
    case when cells.same_when_rounded then 'as printed' else 'differs' end as agreement
from analysis.replication_diff as cells
left join reference.sources as sources on sources.source = cells.source
where cells.unit = 'percent' and cells.same_when_rounded is not null
order by cells.reference, cells.same_when_rounded desc, cells.position
""".strip(),
    charts.against_published,
    lambda rows: None if rows.height else "no printed share is of this study",
    _describe_agreement,
)
