"""The course of agreement as a picture, and in sentences where it is too low.

What belongs here: showing kappa. What doesn't: computing it (agreement.py).

The picture is SVG, drawn here: a handful of lines needs no plotting library. It stands in Markdown as a data URI, so
that it shows wherever Markdown does, without a file or a server.
"""

import base64
import math
from collections.abc import Iterator
from html import escape

import polars as pl

from dlbug_assets.labeling.agreement import CUMULATIVE, IS_BUG
from dlbug_assets.labeling.items import FIRST_ROUND
from dlbug_assets.taxonomy import GITHUB, REQUIRED_DIMENSIONS, SOURCES, STACK_OVERFLOW

#: What every item or bug must be labelled with, so that kappa there speaks for the whole queue.
SHOWN = (IS_BUG, *REQUIRED_DIMENSIONS)
NOTHING_YET = "No two raters have labelled the same items yet."

# Okabe & Ito (2008), "Color Universal Design": blue and vermilion look different to every kind of colour vision.
_COLOURS = {STACK_OVERFLOW: "#0072B2", GITHUB: "#D55E00"}
# Sources lie side by side, so that intervals at the same checkpoint do not cover each other.
_SHIFTS = {STACK_OVERFLOW: -3.0, GITHUB: 3.0}

# Pixels. A panel is a plot with its title above and its scale below and to the left.
_PLOT_WIDTH, _PLOT_HEIGHT = 340, 220
_LEFT, _ABOVE, _BELOW, _RIGHT = 40, 52, 36, 28
_PANEL_WIDTH, _PANEL_HEIGHT = _LEFT + _PLOT_WIDTH + _RIGHT, _ABOVE + _PLOT_HEIGHT + _BELOW
_COLUMNS = 2
_FOOTER = 24

_STEP = 0.2


def chart(kappas: pl.DataFrame, target: float = 0.8) -> str:
    """Markdown with a picture of cumulative kappa over the checkpoints: a panel per dimension, a line per source.

    ``kappas`` is labeling.kappa_checkpoints, of which the newest round counts, ``target`` the study's ``kappa_target``.
    Bars are the analytic 95%
    intervals, cut at the plot's edges: at 1, which no kappa passes, and below the lowest kappa. A line is broken
    where kappa is undefined. Stage and antipattern, which a bug need not have, and the sources taken together are
    left out. Without any kappa a sentence says so.
    """
    shown = kappas.filter(
        (pl.col("round") == pl.col("round").max())
        & (pl.col("scope") == CUMULATIVE) & pl.col("dimension").is_in(SHOWN) & pl.col("source").is_in(SOURCES)
    ).sort("checkpoint")
    if shown["kappa"].drop_nulls().is_empty():
        return NOTHING_YET
    picture = base64.b64encode(_svg(shown, target).encode()).decode()
    return f"![Cohen's kappa at each checkpoint](data:image/svg+xml;base64,{picture})"


def disagreeing(kappas: pl.DataFrame, target: float) -> list[str]:
    """One sentence for each source and dimension whose newest kappa, of the newest round, is below the target.

    ``kappas`` is labeling.kappa_checkpoints, of which the cumulative rows count. In their order; the sources taken
    together are left out. Names the categories that the raters disagree on most.
    """
    series = ("source", "dimension")
    newest = (
        kappas.filter((pl.col("scope") == CUMULATIVE) & pl.col("source").is_in(SOURCES))
        .filter(pl.col("round") == pl.col("round").max().over(series))
        .filter(pl.col("checkpoint") == pl.col("checkpoint").max().over(series))
    )
    sentences = []
    for row in newest.filter(pl.col("kappa") < target).to_dicts():
        kappa, low, high = (_number(row[name]) for name in ("kappa", "kappa_low", "kappa_high"))
        sentences.append(
            f"{row['source']}, {_in_words(row['dimension'])}: kappa {kappa} (95% interval {low} to {high}) "
            f"at {row['checkpoint']}% of {_of(row['round'])} is below the target of {target:g}"
            + (f"; lowest for {row['disagree_most']}." if row["disagree_most"] else ".")
        )
    return sentences


def _number(kappa: float) -> str:
    return f"{kappa:z.3f}"


def _of(number: int) -> str:
    return "the queue" if number == FIRST_ROUND else f"round {number}"


def _in_words(dimension: str) -> str:
    return {IS_BUG: "is it a bug"}.get(dimension, dimension.replace("_", " "))


def _svg(shown: pl.DataFrame, target: float) -> str:
    # Below the lowest kappa, not below the lowest bound: wide first intervals would squeeze all later ones to nothing.
    bottom = round(math.floor(min(0.0, shown["kappa"].min()) / _STEP) * _STEP, 1)
    rows = math.ceil(len(SHOWN) / _COLUMNS)
    width, height = _COLUMNS * _PANEL_WIDTH, rows * _PANEL_HEIGHT + _FOOTER
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="11" fill="#444">',
        # Of its own: the page may be dark.
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, dimension in enumerate(SHOWN):
        x, y = number % _COLUMNS * _PANEL_WIDTH + _LEFT, number // _COLUMNS * _PANEL_HEIGHT + _ABOVE
        lines.append(f'<g transform="translate({x} {y})">')
        lines += _panel(shown.filter(pl.col("dimension") == dimension), dimension, bottom, target)
        lines.append("</g>")
    lines += [
        f'<text x="{_LEFT}" y="{height - 10}">Across: percent of {_of(shown["round"][0])}. Up: Cohen\'s kappa of all '
        f"items so far, bars: analytic 95% interval, cut at the edges. Dashed: the target, {target:g}.</text>",
        "</svg>",
    ]
    return "\n".join(lines)


def _panel(rows: pl.DataFrame, dimension: str, bottom: float, target: float) -> Iterator[str]:
    yield f'<text y="-28" font-size="14" font-weight="bold" fill="#111">{_in_words(dimension)}</text>'
    for step in range(round((1 - bottom) / _STEP) + 1):
        kappa = bottom + step * _STEP
        y = _height(kappa, bottom)
        yield f'<path d="M0 {y}H{_PLOT_WIDTH}" stroke="{"#888" if abs(kappa) < _STEP / 2 else "#e4e4e4"}"/>'
        yield f'<text x="-8" y="{y + 4:g}" text-anchor="end">{kappa:z.1f}</text>'
    for checkpoint in range(0, 101, 20):
        yield f'<text x="{_across(checkpoint)}" y="{_PLOT_HEIGHT + 16}" text-anchor="middle">{checkpoint}%</text>'
    yield f'<path d="M0 {_height(target, bottom)}H{_PLOT_WIDTH}" stroke="#111" stroke-dasharray="6 4"/>'
    for number, source in enumerate(SOURCES):
        of_source = rows.filter(pl.col("source") == source)
        yield _legend(source, number, of_source)
        yield from _line(source, of_source, bottom)


def _legend(source: str, number: int, rows: pl.DataFrame) -> str:
    """The source's name in its colour with its newest kappa, in place of a key to look up."""
    newest = rows["kappa"].last() if len(rows) else None
    x = number * _PLOT_WIDTH / 2
    return (
        f"{_mark(source, x + 4, -14)}"
        f'<text x="{x + 13:g}" y="-10" fill="{_COLOURS[source]}" font-weight="bold">{escape(source)}: '
        f"{'undefined' if newest is None else f'{newest:z.2f}'}</text>"
    )


def _line(source: str, rows: pl.DataFrame, bottom: float) -> Iterator[str]:
    colour, shift = _COLOURS[source], _SHIFTS[source]
    path, bars, marks, pen = [], [], [], "M"
    for checkpoint, kappa, low, high in rows["checkpoint", "kappa", "kappa_low", "kappa_high"].rows():
        if kappa is None:
            pen = "M"
            continue
        x, y = _across(checkpoint) + shift, _height(kappa, bottom)
        path.append(f"{pen}{x:g} {y:g}")
        bars.append(f"M{x:g} {_height(max(low, bottom), bottom):g}V{_height(min(high, 1), bottom):g}")
        marks.append(_mark(source, x, y))
        pen = "L"
    if path:
        yield f'<path d="{"".join(bars)}" stroke="{colour}" stroke-width="5" stroke-opacity="0.3"/>'
        yield f'<path d="{"".join(path)}" stroke="{colour}" stroke-width="1.5" fill="none"/>'
        yield from marks


def _mark(source: str, x: float, y: float) -> str:
    """A dot or a square: the sources can be told apart in black and white too."""
    if source == STACK_OVERFLOW:
        return f'<circle cx="{x:g}" cy="{y:g}" r="2.5" fill="{_COLOURS[source]}"/>'
    return f'<rect x="{x - 2.5:g}" y="{y - 2.5:g}" width="5" height="5" fill="{_COLOURS[source]}"/>'


def _across(checkpoint: int) -> float:
    return round(checkpoint / 100 * _PLOT_WIDTH, 1)


def _height(kappa: float, bottom: float) -> float:
    return round((1 - kappa) / (1 - bottom) * _PLOT_HEIGHT, 1)
