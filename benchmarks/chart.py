"""What was measured as charts. Import it once everything is measured: it loads what draws."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from benchmarks.growth import WHOLE_RUN
from dlbug_assets.drawing import INK, SOFT, colours, scale, svg
from dlbug_assets.study import SCHEMAS

if TYPE_CHECKING:
    from benchmarks.growth import Run
    from benchmarks.harness import Row

_TENS = [10.0**power for power in range(-2, 7)]


def ratio_chart(rows: Sequence["Row"]) -> str:
    """Each comparison's ratio, ours to the other's, as SVG: left of the line we are faster, right of it slower."""
    shown = pl.DataFrame({"what": [row.comparison.what for row in rows], "ratio": [row.ratio for row in rows]})
    low, high = min(0.1, *shown["ratio"]), max(2.0, *shown["ratio"])
    x = alt.X(
        "ratio:Q",
        scale=alt.Scale(type="log", domain=[0.8 * low, 1.25 * high], nice=False),
        title="our time / the other's (logarithmic)",
    )
    y = alt.Y("what:N", sort=None, title=None)
    base = alt.Chart(alt.Data(values=shown.to_dicts()))
    chart = alt.layer(
        base.mark_rule(color=SOFT, strokeWidth=2).encode(x=x, x2=alt.datum(1), y=y),
        base.mark_point(color=INK, filled=True, size=70, opacity=1).encode(x=x, y=y),
        base.mark_text(color=INK, dy=-10).encode(x=x, y=y, text=alt.Text("ratio:Q", format=".2f")),
        alt.Chart(alt.Data(values=[{}])).mark_rule(color=INK, strokeDash=[4, 3]).encode(x=alt.datum(1)),
        title=alt.Title("Benchmarks", subtitle="Left of the line we are faster"),
        width=420,
        height=alt.Step(34),
    )
    said = "; ".join(f"{what}: {ratio:.2f}" for what, ratio in shown.iter_rows())
    return svg(chart, "benchmarks", f"Our time as a ratio of the other's. {said}")


def growth_chart(runs: Sequence["Run"]) -> str:
    """Processor seconds of each stage and of the whole run over the study's size, both logarithmic, as SVG."""
    rows = [
        {"stage": step.group, "factor": run.factor, "seconds": step.processor_seconds}
        for run in runs
        for step in (*run.steps, run.whole)
    ]
    shown = pl.DataFrame(rows).group_by("stage", "factor", maintain_order=True).agg(pl.col("seconds").sum())
    x = alt.X(
        "factor:Q",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(values=[run.factor for run in runs], format="d"),
        title="times the size of the sample study",
    )
    lines = (
        alt.Chart(alt.Data(values=shown.to_dicts()))
        .mark_line(point=True)
        .encode(
            x=x,
            y=alt.Y("seconds:Q", scale=alt.Scale(type="log"), axis=alt.Axis(values=_TENS), title="processor seconds"),
            color=alt.Color("stage:N", scale=scale({**colours(SCHEMAS), WHOLE_RUN: INK}), title=None),
        )
    )
    base = runs[-1].whole.processor_seconds / runs[-1].factor
    linear = [{"factor": run.factor, "seconds": base * run.factor} for run in runs]
    guide = (
        alt.Chart(alt.Data(values=linear))
        .mark_line(color=SOFT, strokeDash=[4, 3])
        .encode(x=x, y=alt.Y("seconds:Q", scale=alt.Scale(type="log")))
    )
    chart = alt.layer(
        guide,
        lines,
        title=alt.Title("Time by stage and size", subtitle="The dashed line grows as the size does"),
        width=420,
        height=320,
    )
    whole = "; ".join(f"{run.factor} times the size {run.whole.processor_seconds:.0f} s" for run in runs)
    return svg(chart, "growth", f"Processor seconds of each stage over the size of the study. The whole run: {whole}")
