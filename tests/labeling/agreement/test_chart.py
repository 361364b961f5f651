from xml.etree import ElementTree as ET

import polars as pl
import pytest

from dlbug_assets import chart_style
from dlbug_assets.labeling.agreement.chart import NOTES, NOTHING_YET, TITLE, below_target, chart, picture, words
from dlbug_assets.labeling.agreement.checkpoints import KAPPA_CHECKPOINTS

SVG = "{http://www.w3.org/2000/svg}"
CHECKPOINTS = (5, 10, *range(20, 101, 10))


@pytest.fixture(scope="module")
def kappas():
    """Return rows of kappa_checkpoints from (source, dimension, checkpoint, kappa, low, high, disagree_most)."""

    def frame(*rows, scope="cumulative", number=1):
        names = ("source", "dimension", "checkpoint", "kappa", "kappa_low", "kappa_high", "disagree_most")
        key = {"scope": scope, "round": number}
        full = [dict.fromkeys(KAPPA_CHECKPOINTS) | dict(zip(names, row, strict=False)) | key for row in rows]
        return pl.DataFrame(full, schema=KAPPA_CHECKPOINTS)

    return frame


@pytest.fixture(scope="module")
def shown(kappas):
    """Return the rows of the chart, for a target."""

    def rows(*of_kappas, target=0.8):
        return kappas(*of_kappas).with_columns(kappa_target=pl.lit(target))

    return rows


def data(rows):
    """Return the chart's data and its Vega-Lite specification."""
    spec = picture(rows, TITLE, NOTES).to_dict()
    return pl.DataFrame(next(iter(spec["datasets"].values()))), spec


def texts(svg):
    return [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 (our own)


def test_each_dimension_has_a_panel_in_the_order_of_the_rows(shown):
    rows = shown(
        *(("GitHub", dimension, 5, 0.5, 0.4, 0.6) for dimension in ("is_bug", "bug_type", "root_cause", "effect"))
    )
    written = texts(chart_style.svg(picture(rows, TITLE, NOTES), "kappa", ""))
    panels = ["is it a bug", "bug type", "root cause", "effect"]
    assert [text for text in written if text in panels] == panels


def test_intervals_are_clipped_below_the_lowest_kappa(shown):
    rows, spec = data(
        shown(("GitHub", "effect", 5, -0.45, -0.9, 0.0), ("Stack Overflow", "bug_type", 10, 0.2, -0.8, 1.0))
    )
    assert rows["low"].round(6).to_list() == [-0.6, -0.6]
    assert rows["high"].to_list() == [0.0, 1.0]
    scales = [layer["encoding"]["y"]["scale"] for layer in spec["spec"]["layer"] if "scale" in
              layer["encoding"]["y"]]  # fmt: skip
    assert {tuple(round(end, 6) for end in scale["domain"]) for scale in scales} == {(-0.6, 1)}


def test_sources_are_side_by_side_with_different_shapes(shown):
    rows, spec = data(shown(("Stack Overflow", "is_bug", 10, 0.5, 0.4, 0.6), ("GitHub", "is_bug", 10, 0.5, 0.4, 0.6)))
    assert rows["percent"].round(6).to_list() == [9.3, 10.7]
    shapes = spec["spec"]["layer"][-1]["encoding"]["shape"]["scale"]
    assert shapes == {"domain": ["Stack Overflow", "GitHub"], "range": ["circle", "square"]}


def test_the_target_line_is_at_the_studys_target(shown):
    rows, spec = data(shown(("GitHub", "effect", 5, 0.5, 0.4, 0.6), target=0.9))
    assert rows["kappa_target"].to_list() == [0.9]
    assert spec["spec"]["layer"][0]["encoding"] == {"y": {"field": "kappa_target", "type": "quantitative"}}


def test_lines_are_interrupted_where_kappa_is_undefined(shown):
    rows = shown(
        *(("GitHub", "effect", checkpoint, kappa, kappa, kappa)
          for checkpoint, kappa in ((5, 0.0), (10, 0.5), (20, None), (30, 0.5), (40, 1.0)))
    )  # fmt: skip
    svg = chart_style.svg(picture(rows, TITLE, NOTES), "kappa", words(rows))
    tree = ET.fromstring(svg)  # noqa: S314 (our own)
    line = next(path for path in tree.iter(f"{SVG}path") if path.get("stroke-width") == "1.5")
    assert line.attrib["d"].count("M") == 2
    bars = [bar for bar in tree.iter(f"{SVG}line") if bar.get("stroke-width") == "5"]
    assert len(bars) == 4
    assert "NaN" not in svg and "null" not in svg


def test_a_kappa_without_an_interval_has_a_mark_and_no_bar(shown):
    rows = shown(("GitHub", "effect", 5, 0.5, None, None), ("GitHub", "effect", 10, 0.6, 0.4, 0.8))
    tree = ET.fromstring(chart_style.svg(picture(rows, TITLE, NOTES), "kappa", words(rows)))  # noqa: S314 (our own)
    assert len([bar for bar in tree.iter(f"{SVG}line") if bar.get("stroke-width") == "5"]) == 1
    assert data(rows)[0]["low"].to_list() == [None, 0.4]


def test_the_text_alternative_lists_the_newest_kappa_per_source_and_dimension(shown):
    rows = shown(
        ("Stack Overflow", "is_bug", 10, 0.5, 0.4, 0.6),
        ("Stack Overflow", "is_bug", 5, 0.1, 0.4, 0.6),
        ("GitHub", "effect", 20, None, None, None),
        ("GitHub", "root_cause", 20, -0.001, None, None),
    )
    assert words(rows) == (
        "GitHub, effect: undefined at 20%; GitHub, root cause: 0.00 at 20%; Stack Overflow, is it a bug: 0.50 at 10%."
    )


def test_units_that_wait_are_counted_in_words(shown):
    rows = shown(("GitHub", "effect", 20, 0.5, 0.4, 0.6), ("GitHub", "is_bug", 20, None, None, None))
    rows = rows.with_columns(waiting=pl.Series([3, 0], dtype=pl.Int32))
    assert words(rows) == "GitHub, effect: 0.50 at 20%, 3 waiting; GitHub, is it a bug: undefined at 20%."
    assert below_target(rows, 0.8) == [
        "GitHub, effect: kappa 0.500 (95% interval 0.400 to 0.600) at 20% of the queue is below the target of 0.8; "
        "units that wait for an answer: 3."
    ]


def test_a_sentence_replaces_a_chart_without_kappa(kappas, study):
    assert chart(kappas(), study) == NOTHING_YET == "No two raters have labelled the same items yet."
    assert chart(kappas(("GitHub", "is_bug", 5, None, None, None)), study) == NOTHING_YET
    assert chart(kappas(("GitHub", "is_bug", 5, 0.5, 0.4, 0.6), scope="increment"), study) == NOTHING_YET
    assert chart(kappas(("all", "is_bug", 5, 0.5, 0.4, 0.6)), study) == NOTHING_YET


def test_a_full_chart_is_small_and_independent_of_row_order(kappas, study):
    frame = kappas(
        *(
            (source, dimension, checkpoint, 0.123456 + checkpoint / 123, -0.0123456, 0.98765)
            for source in ("Stack Overflow", "GitHub", "all")
            for dimension in ("is_bug", "bug_type", "root_cause", "effect", "stage", "antipattern")
            for checkpoint in CHECKPOINTS
        )
    )
    markdown = chart(frame, study)
    assert markdown.startswith("![Cohen's kappa at each checkpoint](data:image/svg+xml;base64,")
    assert len(markdown) < 80_000
    assert chart(frame.reverse(), study) == markdown


def test_below_target_lists_the_lowest_categories(kappas):
    of_kappas = kappas(
        ("Stack Overflow", "is_bug", 10, 0.7, 0.6, 0.8),
        ("Stack Overflow", "bug_type", 5, 0.1, 0.0, 0.2),
        ("Stack Overflow", "bug_type", 10, 0.6125, 0.51, 1.0251, "Coding Bug (0.000), Data Bug (0.250)"),
        ("Stack Overflow", "root_cause", 5, 0.1, 0.0, 0.2),
        ("Stack Overflow", "root_cause", 10, 0.8, 0.7, 0.9),
        ("GitHub", "root_cause", 5, -0.0001, -0.25, 0.25, "API Misuse (0.000)"),
        ("GitHub", "effect", 5, 0.3, 0.2, 0.4),
        ("GitHub", "effect", 10, None, None, None),
        ("all", "bug_type", 10, 0.5, 0.4, 0.6),
    )
    assert below_target(of_kappas, 0.8) == [
        "Stack Overflow, is it a bug: kappa 0.700 (95% interval 0.600 to 0.800) at 10% of the queue is below the "
        "target of 0.8.",
        "Stack Overflow, bug type: kappa 0.613 (95% interval 0.510 to 1.025) at 10% of the queue is below the target "
        "of 0.8; lowest for Coding Bug (0.000), Data Bug (0.250).",
        "GitHub, root cause: kappa 0.000 (95% interval -0.250 to 0.250) at 5% of the queue is below the target of "
        "0.8; lowest for API Misuse (0.000).",
    ]


def test_below_target_gives_the_reason_if_there_is_no_interval(kappas):
    rows = kappas(("GitHub", "effect", 5, 0.5, None, None)).with_columns(
        interval_undefined_reason=pl.lit("fewer than 20 units"), waiting=0
    )
    assert below_target(rows, 0.8) == [
        "GitHub, effect: kappa 0.500 (fewer than 20 units) at 5% of the queue is below the target of 0.8."
    ]


def test_below_target_ignores_increments(kappas):
    both = pl.concat(
        [
            kappas(("GitHub", "effect", 5, 0.3, 0.2, 0.4)),
            kappas(("GitHub", "effect", 10, 0.9, 0.8, 1.0), scope="increment"),
        ]
    )
    assert below_target(both, 0.8) == [
        "GitHub, effect: kappa 0.300 (95% interval 0.200 to 0.400) at 5% of the queue is below the target of 0.8."
    ]
    assert below_target(both, 0.3) == []


def test_only_the_newest_round_is_shown(study, kappas):
    both = pl.concat(
        [
            kappas(("GitHub", "effect", 100, 0.9, 0.8, 1.0)),
            kappas(("GitHub", "effect", 5, 0.3, 0.2, 0.4), number=2),
        ]
    )
    assert below_target(both, 0.8) == [
        "GitHub, effect: kappa 0.300 (95% interval 0.200 to 0.400) at 5% of round 2 is below the target of 0.8."
    ]
    newest = kappas(("GitHub", "effect", 5, 0.3, 0.2, 0.4), number=2)
    assert chart(both, study) == chart(newest, study)


def test_nothing_is_below_the_target_without_kappa(kappas):
    assert below_target(kappas(), 0.8) == []
