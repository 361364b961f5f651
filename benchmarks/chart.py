"""Draw the measurements as charts. Import it after measuring: it loads the drawing libraries."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from benchmarks.harness import WHOLE_RUN, Row, Run
from dlbug_assets.chart_style import INK, SOFT, colours, scale, svg
from dlbug_assets.layout import SCHEMAS

_TENS = [10.0**power for power in range(-2, 7)]


def ratio_chart(rows: Sequence[Row]) -> str:
    """Draw each comparison's ratio, ours to the other's, as SVG: dlbug is faster on the left of the line."""
    ratios = pl.DataFrame({"task": [row.comparison.task for row in rows], "ratio": [row.ratio for row in rows]})
    low, high = min(0.1, *ratios["ratio"]), max(2.0, *ratios["ratio"])
    x = alt.X(
        "ratio:Q",
        scale=alt.Scale(type="log", domain=[0.8 * low, 1.25 * high], nice=False),
        title="our time / the other's (logarithmic)",
    )
    y = alt.Y("task:N", sort=None, title=None)
    base = alt.Chart(alt.Data(values=ratios.to_dicts()))
    chart = alt.layer(
        base.mark_rule(color=SOFT, strokeWidth=2).encode(x=x, x2=alt.datum(1), y=y),
        base.mark_point(color=INK, filled=True, size=70, opacity=1).encode(x=x, y=y),
        base.mark_text(color=INK, dy=-10).encode(x=x, y=y, text=alt.Text("ratio:Q", format=".2f")),
        alt.Chart(alt.Data(values=[{}])).mark_rule(color=INK, strokeDash=[4, 3]).encode(x=alt.datum(1)),
        title=alt.Title("Benchmarks", subtitle="Left of the line, dlbug is faster"),
        width=420,
        height=alt.Step(34),
    )
    text = "; ".join(f"{task}: {ratio:.2f}" for task, ratio in ratios.iter_rows())
    return svg(chart, "benchmarks", f"Our time as a ratio of the other's. {text}")


def growth_chart(runs: Sequence[Run]) -> str:
    """Draw processor seconds and peak memory of each step and of the whole run over the study's size, as SVG.

    All axes are logarithmic. Each step has a line in the colour of its stage.
    """
    steps = [
        {"stage": step.group, "step": step.name, "factor": run.factor,
         "seconds": step.processor_seconds, "peak": step.peak_mib}
        for run in runs
        for step in (*run.steps, run.whole)
    ]  # fmt: skip
    chart = alt.hconcat(
        _growth_panel(runs, steps, "seconds", "processor seconds", "Time"),
        _growth_panel(runs, steps, "peak", "MiB at the peak", "Memory of the process"),
        title=alt.Title("Steps by size of the study", subtitle="The dashed line is proportional to the size"),
    )
    whole = "; ".join(
        f"{run.factor} times the size {run.whole.processor_seconds:.0f} s, {run.whole.peak_mib:.0f} MiB" for run in runs
    )
    return svg(chart, "growth", f"Processor seconds and memory of each step over the size. The whole run: {whole}")


def _growth_panel(
    runs: Sequence[Run], steps: Sequence[Mapping[str, Any]], measure: str, unit: str, title: str
) -> alt.LayerChart | alt.FacetChart:
    """Draw one measure of the steps, with a guide through the whole run's last point that is linear in the size."""
    x = alt.X(
        "factor:Q",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(values=[run.factor for run in runs], format="d"),
        title="times the size of the sample study",
    )
    measured = [step for step in steps if step[measure] > 0]
    low, high = min(step[measure] for step in measured), max(step[measure] for step in measured)
    y = alt.Y(
        f"{measure}:Q",
        scale=alt.Scale(type="log", domain=[low, high], clamp=True, nice=False),
        axis=alt.Axis(values=[power for power in _TENS if low <= power <= high]),
        title=unit,
    )
    lines = (
        alt.Chart(alt.Data(values=measured))
        .mark_line(point=alt.OverlayMarkDef(size=14))
        .encode(
            x=x,
            y=y,
            detail="step:N",
            color=alt.Color("stage:N", scale=scale({**colours(SCHEMAS), WHOLE_RUN: INK}), title=None),
            size=alt.condition(f"datum.step === '{WHOLE_RUN}'", alt.value(3), alt.value(1)),
        )
    )
    last = max(step[measure] for step in steps if step["step"] == WHOLE_RUN)
    linear = [{"factor": run.factor, measure: last * run.factor / runs[-1].factor} for run in runs]
    guide = alt.Chart(alt.Data(values=linear)).mark_line(color=SOFT, strokeDash=[4, 3], clip=True).encode(x=x, y=y)
    return alt.layer(guide, lines, title=title, width=330, height=360)
