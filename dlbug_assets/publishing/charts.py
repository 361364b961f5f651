"""The charts of the report: functions from frames to Altair charts. The queries of their rows are in ``figures``.

Axes name the categories, so that colour is left to shares, coefficients and sources, and shares have counts, because
shares of few bugs would mislead otherwise.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from dlbug_assets.chart_style import BAR, INK, LINE, SOFT, colours, scale
from dlbug_assets.publishing.contents import reference_text

if TYPE_CHECKING:
    import altair as alt

_PALE = 0.35
#: Shares of fewer bugs are pale.
FEW = 10
# The panels of a distribution that fit beside each other, and their width together.
_PANELS = 6
_WIDTH = 576
# The width of a year.
_YEAR = 19
# The steps of the selection of posts, and what is found in them.
_STEPS = ("collected", "in scope", "with code", "read by raters", "bugs")
# A printed percentage is shown in a cell without bugs if it is not rounded to 0.
_LEAST_SHOWN = 0.005


def only_printed(rows: pl.DataFrame) -> bool:
    """Return whether a study has printed shares but no bug of its own; ``rows`` have bugs and published."""
    return not rows["bugs"].sum() and rows["published"].count() > 0


def distribution(rows: pl.DataFrame, title: str, notes: Sequence[str]) -> "alt.TopLevelMixin":
    """Return bars of shares with 95% intervals and counts, one panel per library; printed shares are diamonds.

    Without bugs, the bars are the printed shares, with their percentage. ``rows`` are all categories of the dimension
    in display order: library, category, bugs, total, share, low and high (limits of the share or NULL), published
    (share or NULL), is_used.
    """
    import altair as alt  # noqa: PLC0415 - see chart_style

    is_printed = only_printed(rows)
    shown = rows.filter(pl.col("is_used")).with_columns(panel=pl.format("{}  ({})", "library", "total"))
    if is_printed:
        shown = shown.filter(pl.col("published").is_not_null().any().over("library")).with_columns(
            panel="library", text=(100 * pl.col("published")).map_elements("{:.1f}%".format, return_dtype=pl.String)
        )
    categories = shown["category"].unique(maintain_order=True).to_list()
    panels = shown["panel"].unique(maintain_order=True).to_list()
    base = alt.Chart(shown).encode(y=alt.Y("category:N", sort=categories, title=None))
    percent = alt.Axis(format="%", tickCount=3, title=None, labelFlush=True)

    def at(column: str) -> "alt.X":
        return alt.X(f"{column}:Q", axis=percent, title=None)

    text = base.mark_text(align="left", dx=4, fontSize=10, color=INK)
    if is_printed:
        printed = base.transform_filter("isValid(datum.published)")
        layers = alt.layer(
            printed.mark_bar(height=11, fill="white", stroke=INK, strokeDash=[2, 2]).encode(x=at("published")),
            text.transform_filter("datum.published > 0").encode(x=at("published"), text="text:N"),
        )
    else:
        has_bugs = alt.datum.bugs > 0
        whiskers = base.mark_errorbar(ticks={"height": 6}, rule={"strokeWidth": 1.2}, color=INK)
        diamonds = base.mark_point(shape="diamond", size=28, stroke=INK, fill="white", strokeWidth=1)
        layers = alt.layer(
            base.mark_bar(height=11, fill=BAR, stroke=INK, strokeWidth=0.3).encode(x=at("share")),
            whiskers.transform_filter("datum.bugs > 0 && isValid(datum.low)").encode(x=at("low"), x2="high:Q"),
            text.transform_calculate(end="max(datum.share, datum.high || 0, datum.published || 0)")
            .transform_filter(has_bugs)
            .encode(x=at("end"), text="bugs:Q"),
            diamonds.transform_filter("isValid(datum.published)").encode(x=at("published")),
        )
    return (
        layers.properties(width=_WIDTH // min(len(panels), _PANELS), height=17 * len(categories))
        .facet(facet=alt.Facet("panel:N", sort=panels, title=None), columns=_PANELS, spacing=20)
        .properties(title=alt.TitleParams(title, subtitle=list(notes)))
    )


def relation(rows: pl.DataFrame, title: str, notes: Sequence[str]) -> "alt.TopLevelMixin":
    """Return a heat map of the categories of one dimension within those of another: shares with counts.

    Cells without bugs are white. ``rows`` are the categories of both in use: category_a, category_b, bugs, total, share
    (of category_a), published (share or NULL). Where shares are printed, cells show both as percent.
    """
    import altair as alt  # noqa: PLC0415

    has_printed = rows["published"].count() > 0
    in_percent = pl.format(
        "{} ({})", (100 * pl.col("share")).round(0).cast(int), (100 * pl.col("published")).round(0).cast(int)
    )
    shown = rows.with_columns(
        row=pl.format("{}  ({})", "category_a", "total"),
        percent=pl.when((pl.col("bugs") > 0) | (pl.col("published") >= _LEAST_SHOWN)).then(in_percent),
    )
    base = alt.Chart(shown).encode(
        x=alt.X("category_b:N", sort=shown["category_b"].unique(maintain_order=True).to_list(), title=None,
                axis=alt.Axis(labelAngle=-40, orient="bottom")),
        y=alt.Y("row:N", sort=shown["row"].unique(maintain_order=True).to_list(), title=None),
    )  # fmt: skip
    ink = alt.condition(alt.datum.share > 0.5, alt.value("white"), alt.value(INK))  # noqa: PLR2004
    frames = base.mark_rect(fill="white", stroke=LINE)
    cells = base.mark_rect(stroke="white").encode(color=_share_colour()).transform_filter(alt.datum.bugs > 0)
    numbers = base.mark_text(fontSize=11, dy=-6 if has_printed else 0).encode(text="bugs:Q", color=ink)
    percents = base.mark_text(fontSize=9, dy=7).encode(text="percent:N", color=ink)
    return alt.layer(
        frames,
        cells,
        numbers.transform_filter(alt.datum.bugs > 0),
        *([percents.transform_filter("isValid(datum.percent)")] if has_printed else []),
    ).properties(
        width=alt.Step(52), height=alt.Step(32 if has_printed else 24),
        title=alt.TitleParams(title, subtitle=list(notes)),
    )  # fmt: skip


def correlation(rows: pl.DataFrame, title: str, notes: Sequence[str]) -> "alt.TopLevelMixin":
    """Return a heat map of Pearson's correlation of libraries, with the printed one in brackets.

    ``rows`` are library_a, library_b (each pair in both orders), pearson, published (NULL if none is printed).
    """
    import altair as alt  # noqa: PLC0415

    libraries = rows["library_a"].unique(maintain_order=True).to_list()
    shown = rows.with_columns(
        number=pl.col("pearson").map_elements("{:.2f}".format, return_dtype=pl.String),
        printed=pl.col("published").map_elements("({:.2f})".format, return_dtype=pl.String),
    )
    base = alt.Chart(shown).encode(
        x=alt.X("library_a:N", sort=libraries, title=None, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("library_b:N", sort=libraries, title=None),
    )
    strong = alt.condition("abs(datum.pearson) > 0.6", alt.value("white"), alt.value(INK))
    cells = base.mark_rect(stroke="white").encode(
        color=alt.Color(
            "pearson:Q",
            scale=alt.Scale(scheme="blueorange", domain=[-1, 1], reverse=True),
            legend=alt.Legend(title="Pearson's r", gradientLength=120, orient="right"),
        )
    )
    numbers = base.mark_text(fontSize=13, dy=-6).encode(text="number:N", color=strong)
    printed = base.mark_text(fontSize=10, dy=9).encode(text="printed:N", color=strong)
    return alt.layer(cells, numbers, printed.transform_filter("isValid(datum.printed)")).properties(
        width=alt.Step(max(84, _WIDTH // len(libraries))),
        height=alt.Step(42),
        title=alt.TitleParams(title, subtitle=list(notes)),
    )


def evolution(rows: pl.DataFrame, title: str, notes: Sequence[str]) -> "alt.TopLevelMixin":
    """Return squares whose area is a category's share of the year's bugs, one panel per library.

    Outlines are printed shares. Squares of years with fewer than :data:`FEW` bugs are pale. ``rows`` are in display
    order: library, year, category, bugs, total, share, published (share or NULL), is_used.
    """
    import altair as alt  # noqa: PLC0415

    is_printed = only_printed(rows)
    shown = rows.filter(pl.col("is_used"))
    all_bugs = "all bugs of the year"
    categories = [*shown["category"].unique(maintain_order=True), *([] if is_printed else [all_bugs])]
    libraries = shown["library"].unique(maintain_order=True).to_list()
    totals = (
        shown.group_by("library", "year", maintain_order=True)
        .agg(bugs=pl.col("total").max(), category=pl.lit(all_bugs))
        .drop_nulls("bugs")
    )
    shown = shown if is_printed else pl.concat([shown, totals], how="diagonal")
    years = sorted(set(shown["year"]))
    base = alt.Chart(shown).encode(
        x=alt.X("year:O", title=None, scale=alt.Scale(domain=years), axis=alt.Axis(labelAngle=-90, grid=True)),
        y=alt.Y("category:N", sort=categories, title=None, axis=alt.Axis(grid=False)),
    )

    def area(column: str) -> "alt.Size":
        return alt.Size(
            f"{column}:Q", scale=alt.Scale(domain=[0, 1], range=[0, 300]), title="share of the year's bugs",
            legend=alt.Legend(format="%", values=[0.1, 0.3, 1.0], symbolFillColor=BAR, orient="right"),
        )  # fmt: skip

    squares = base.mark_square(fill=BAR, stroke=INK, strokeWidth=0.3).encode(
        size=area("share"), opacity=alt.condition(alt.datum.total < FEW, alt.value(_PALE), alt.value(1))
    )
    outlines = base.mark_square(filled=False, stroke=INK, strokeWidth=1, strokeDash=[2, 2])
    numbers = base.mark_text(fontSize=9, color=INK).encode(text="bugs:Q")
    return (
        alt.layer(
            squares.transform_filter(f"datum.category !== '{all_bugs}' && datum.bugs > 0"),
            outlines.transform_filter("datum.published > 0").encode(size=area("published")),
            numbers.transform_filter(f"datum.category === '{all_bugs}'"),
        )
        .properties(width=_YEAR * len(years), height=20 * len(categories))
        .facet(
            facet=alt.Facet("library:N", sort=libraries, title=None),
            columns=max(1, _WIDTH // (_YEAR * len(years))),
            spacing=20,
        )
        .properties(title=alt.TitleParams(title, subtitle=list(notes)))
    )


def funnel(rows: pl.DataFrame, title: str, notes: Sequence[str]) -> "alt.TopLevelMixin":
    """Return bars of the number of posts left after each selection step, one panel per library.

    ``rows`` are in display order: library, step, number.
    """
    import altair as alt  # noqa: PLC0415

    base = alt.Chart(rows).encode(y=alt.Y("step:N", sort=list(_STEPS), title=None))
    bars = base.mark_bar(height=13, fill=BAR).encode(x=alt.X("number:Q", title=None, axis=None))
    numbers = base.mark_text(align="left", dx=4, color=INK).encode(x="number:Q", text="number:Q")
    return (
        alt.layer(bars, numbers)
        .properties(width=110, height=100)
        .facet(
            column=alt.Column("library:N", sort=rows["library"].unique(maintain_order=True).to_list(), title=None),
            spacing=26,
        )
        .properties(title=alt.TitleParams(title, subtitle=list(notes)))
    )


def against_published(rows: pl.DataFrame, title: str, notes: Sequence[str]) -> "alt.TopLevelMixin":
    """Return a scatter plot of computed against published percents, one panel per printed table.

    ``rows`` are reference (the printed table), source, position (of the source), published, computed (percent) and
    agreement (`as printed` or `differs`).
    """
    import altair as alt  # noqa: PLC0415

    top = rows.select(pl.max_horizontal(pl.col("published", "computed").max())).item()
    scale_to_top = alt.Scale(domain=[0, top])
    sources = colours(rows.sort("position", nulls_last=True)["source"].unique(maintain_order=True).to_list())
    base = alt.Chart(rows.with_columns(panel=pl.col("reference").map_elements(reference_text, return_dtype=pl.String)))
    line = base.mark_rule(color=SOFT, strokeDash=[4, 3]).encode(
        x=alt.XDatum(0), x2=alt.X2Datum(top), y=alt.YDatum(0), y2=alt.Y2Datum(top)
    )
    points = base.mark_point(size=38, strokeWidth=1.4, fillOpacity=0.25, filled=False).encode(
        x=alt.X("published:Q", title="printed, percent", scale=scale_to_top),
        y=alt.Y("computed:Q", title="computed, percent", scale=scale_to_top),
        color=alt.Color("source:N", title=None, scale=scale(sources)),
        shape=alt.Shape(
            "agreement:N",
            title=None,
            scale=alt.Scale(domain=["as printed", "differs"], range=["circle", "square"]),
        ),
        opacity=alt.condition("datum.agreement === 'differs'", alt.value(1), alt.value(_PALE)),
    )
    return (
        alt.layer(line, points)
        .properties(width=200, height=200)
        .facet(facet=alt.Facet("panel:N", title=None), columns=3, spacing=24)
        .properties(title=alt.TitleParams(title, subtitle=list(notes)))
    )


def _share_colour() -> "alt.Color":
    import altair as alt  # noqa: PLC0415

    return alt.Color(
        "share:Q",
        scale=alt.Scale(scheme="blues", domain=[0, 1]),
        legend=alt.Legend(title="share of the row", format="%", gradientLength=120, orient="right"),
    )
