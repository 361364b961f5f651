"""A chart of agreement over the checkpoints, and sentences where it is below the target.

What belongs here: showing kappa. What doesn't: computing it (checkpoints.py), and the style of all charts
(chart_style.py).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from dlbug_assets import chart_style
from dlbug_assets.labeling.agreement.subsets import ALL_SOURCES, CUMULATIVE
from dlbug_assets.labeling.items import FIRST_ROUND
from dlbug_assets.labeling.label_texts import IS_BUG
from dlbug_assets.protocol.study import Study

if TYPE_CHECKING:
    import altair as alt

NOTHING_YET = "No two raters have labelled the same items yet."

TITLE = "Agreement of raters over the checkpoints"
NOTES = (
    "Cohen's kappa of all items up to each checkpoint of the queue's newest round, in percent.",
    "Bars: analytic 95% intervals, clipped to the axis. Dashed: the study's target.",
)
#: The rows of the chart: of dimensions in which every item or bug has a label, so that kappa covers the whole queue.
QUERY = """
select kappas.source, kappas.dimension, kappas.checkpoint, kappas.units, kappas.waiting, kappas.kappa,
    kappas.kappa_low, kappas.kappa_high, study.kappa_target
from labeling.kappa_checkpoints as kappas
cross join reference.study as study
inner join reference.sources as sources on sources.source = kappas.source
left join reference.dimensions as dimensions on dimensions.dimension = kappas.dimension
where kappas.round = (select max(newest.round) from labeling.kappa_checkpoints as newest)
    and kappas.scope = 'cumulative'
    and (dimensions.is_required or kappas.dimension = 'is_bug')
order by sources.position, dimensions.position nulls first, kappas.checkpoint
""".strip()

_STEP = 0.2
# Percent of the queue by which neighbouring sources are apart, halved.
_SHIFT = 0.7
_SHAPES = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "stroke")


def chart(kappas: pl.DataFrame, study: Study) -> str:
    """Return Markdown with the chart of :func:`picture`, or a sentence if no kappa is defined.

    ``kappas`` is labeling.kappa_checkpoints, of which the rows of :data:`QUERY` are shown.
    """
    sources, dimensions = study.source_names, (IS_BUG, *study.required_names)
    shown = (
        kappas.filter(
            (pl.col("round") == pl.col("round").max())
            & (pl.col("scope") == CUMULATIVE)
            & pl.col("dimension").is_in(dimensions)
            & (pl.col("source") != ALL_SOURCES)
        )
        .sort(pl.col("source").cast(pl.Enum(sources)), pl.col("dimension").cast(pl.Enum(dimensions)), "checkpoint")
        .with_columns(kappa_target=pl.lit(study.labeling.kappa_target))
    )
    if missing(shown):
        return NOTHING_YET
    svg = chart_style.svg(picture(shown, TITLE, NOTES), "kappa", words(shown))
    return chart_style.markdown_image(svg, "Cohen's kappa at each checkpoint")


def missing(shown: pl.DataFrame) -> str | None:
    """Return why there is no chart, or None."""
    return NOTHING_YET if shown["kappa"].drop_nulls().is_empty() else None


def words(shown: pl.DataFrame) -> str:
    """Return the chart's text alternative: the newest kappa of each source and dimension, and how many units wait."""
    newest = shown.sort("checkpoint").group_by("source", "dimension", maintain_order=True).last()
    return (
        "; ".join(
            f"{row['source']}, {_dimension_text(row['dimension'])}: "
            + ("undefined" if row["kappa"] is None else f"{row['kappa']:z.2f}")
            + f" at {row['checkpoint']}%"
            + (f", {row['waiting']} waiting" if row["waiting"] else "")
            for row in newest.sort("source", "dimension").to_dicts()
        )
        + "."
    )


def picture(shown: pl.DataFrame, title: str, notes: Sequence[str]) -> "alt.TopLevelMixin":
    """Return the chart of the rows of :data:`QUERY`: cumulative kappa over the checkpoints.

    One panel per dimension and one line per source, interrupted where kappa is undefined. Intervals are clipped just
    below the lowest kappa.
    """
    import altair as alt  # noqa: PLC0415 - see chart_style.py

    # Clipped below the lowest kappa, not at the lowest limit: the wide first intervals would flatten all later ones.
    lowest = min(shown["kappa"].drop_nulls(), default=0.0)
    bottom = math.floor(min(0.0, lowest) / _STEP) * _STEP
    dimensions, sources = (shown[name].unique(maintain_order=True).to_list() for name in ("dimension", "source"))
    panels = [_dimension_text(dimension) for dimension in dimensions]
    shifts = [_SHIFT * (2 * place - len(sources) + 1) for place in range(len(sources))]
    rows = shown.with_columns(
        panel=pl.col("dimension").replace(dict(zip(dimensions, panels, strict=True))),
        # Sources are shifted apart, so that intervals at the same checkpoint do not overlap.
        percent=pl.col("checkpoint") + pl.col("source").replace_strict(dict(zip(sources, shifts, strict=True))),
        low=pl.col("kappa_low").clip(lower_bound=bottom),
        high="kappa_high",
    )
    base = alt.Chart(rows).encode(
        x=alt.X("percent:Q", title="percent of the queue", scale=alt.Scale(domain=[0, 102], nice=False)),
        color=alt.Color("source:N", title=None, scale=chart_style.scale(chart_style.colours(sources))),
    )
    kappa = alt.Y("kappa:Q", title="kappa", scale=alt.Scale(domain=[bottom, 1], nice=False))
    defined = base.transform_filter("isValid(datum.kappa)")
    bars = (
        base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=5, opacity=0.3).encode(y="low:Q", y2="high:Q")
    )
    line = base.mark_line(strokeWidth=1.5, invalid="break-paths-show-path-domains").encode(y=kappa)
    marks = defined.mark_point(filled=True, size=34, opacity=1).encode(
        y=kappa,
        shape=alt.Shape("source:N", title=None, scale=alt.Scale(domain=sources, range=list(_SHAPES[: len(sources)]))),
    )
    target = alt.Chart(rows).mark_rule(strokeDash=[6, 4], color=chart_style.INK).encode(y="kappa_target:Q")
    return (
        alt.layer(target, bars, line, marks)
        .properties(width=300, height=170)
        .facet(facet=alt.Facet("panel:N", sort=panels, title=None), columns=2)
        .properties(title=alt.TitleParams(title, subtitle=list(notes)))
    )


def below_target(kappas: pl.DataFrame, target: float) -> list[str]:
    """Return a sentence for each source and dimension whose newest kappa of the newest round is below the target.

    ``kappas`` is labeling.kappa_checkpoints, of which the cumulative rows count, in their order; the union of the
    sources is left out. A sentence lists the categories with the lowest kappa, and how many units wait.
    """
    series = ("source", "dimension")
    newest = (
        kappas.filter((pl.col("scope") == CUMULATIVE) & (pl.col("source") != ALL_SOURCES))
        .filter(pl.col("round") == pl.col("round").max().over(series))
        .filter(pl.col("checkpoint") == pl.col("checkpoint").max().over(series))
    )
    sentences = []
    for row in newest.filter(pl.col("kappa") < target).to_dicts():
        interval = row["interval_undefined_reason"] or (
            f"95% interval {_number(row['kappa_low'])} to {_number(row['kappa_high'])}"
        )
        sentences.append(
            f"{row['source']}, {_dimension_text(row['dimension'])}: kappa {_number(row['kappa'])} ({interval}) "
            f"at {row['checkpoint']}% of {_round_text(row['round'])} is below the target of {target:g}"
            + (f"; lowest for {row['disagree_most']}" if row["disagree_most"] else "")
            + (f"; units that wait for an answer: {row['waiting']}." if row["waiting"] else ".")
        )
    return sentences


def _number(kappa: float) -> str:
    return f"{kappa:z.3f}"


def _round_text(number: int) -> str:
    return "the queue" if number == FIRST_ROUND else f"round {number}"


def _dimension_text(dimension: str) -> str:
    return {IS_BUG: "is it a bug"}.get(dimension, dimension.replace("_", " "))
