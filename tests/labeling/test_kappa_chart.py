import base64
import re
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from dlbug_assets.labeling.agreement import KAPPA_CHECKPOINTS
from dlbug_assets.labeling.kappa_chart import NOTHING_YET, chart, disagreeing

SVG = "{http://www.w3.org/2000/svg}"
CHECKPOINTS = (5, 10, *range(20, 101, 10))


@pytest.fixture(scope="module")
def kappas():
    """Rows of kappa_checkpoints, cumulative unless said: (source, dimension, checkpoint, kappa, low, high, worst)."""

    def frame(*rows, scope="cumulative", number=1):
        names = ("source", "dimension", "checkpoint", "kappa", "kappa_low", "kappa_high", "disagree_most")
        said = {"scope": scope, "round": number}
        made = [dict.fromkeys(KAPPA_CHECKPOINTS) | dict(zip(names, row, strict=False)) | said for row in rows]
        return pl.DataFrame(made, schema=KAPPA_CHECKPOINTS)

    return frame


def drawn(markdown):
    """The picture's SVG, as text and as a tree."""
    found = re.fullmatch(
        r"!\[Cohen's kappa at each checkpoint]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", markdown
    )
    svg = base64.b64decode(found[1]).decode()
    return svg, ET.fromstring(svg)  # noqa: S314 (our own)


def panels(tree):
    return {panel.find(f"{SVG}text").text: panel for panel in tree.findall(f"{SVG}g")}


def texts(panel):
    return [text.text for text in panel.findall(f"{SVG}text")]


def lines(panel, colour):
    """What is drawn as lines in a colour: the bars of the intervals, then the line through the kappas."""
    return [path.get("d") for path in panel.findall(f"{SVG}path") if path.get("stroke") == colour]


def test_a_panel_for_each_dimension_that_everything_is_labelled_with(kappas):
    _, tree = drawn(
        chart(kappas(("GitHub", "stage", 5, 0.5, 0.4, 0.6), ("GitHub", "root_cause", 5, 0.75, 0.7, 0.8)), target=0.85)
    )
    assert list(panels(tree)) == ["is it a bug", "bug type", "root cause", "effect"]
    across = ["0%", "20%", "40%", "60%", "80%", "100%"]
    scale = ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert texts(panels(tree)["root cause"]) == [
        "root cause", *scale, *across, "Stack Overflow: undefined", "GitHub: 0.75",
    ]  # fmt: skip
    assert texts(tree) == [
        "Across: percent of the queue. Up: Cohen's kappa of all items so far, bars: analytic 95% interval, cut at the "
        "edges. Dashed: the target, 0.85."
    ]


def test_a_line_for_each_source_with_its_intervals(kappas):
    frame = kappas(
        ("Stack Overflow", "is_bug", 5, 0.0, -0.25, 0.25),
        ("Stack Overflow", "is_bug", 10, 0.5, 0.25, 0.75),
        ("Stack Overflow", "is_bug", 100, 1.0, 1.0, 1.0),
        ("GitHub", "is_bug", 10, 0.75, 0.25, 1.25),
        ("all", "is_bug", 10, 0.6, 0.5, 0.7),
    )
    # 340 pixels across, 220 from 1 down to 0; Stack Overflow lies 3 pixels to the left, GitHub 3 to the right.
    panel = panels(drawn(chart(frame))[1])["is it a bug"]
    assert lines(panel, "#0072B2") == ["M14 220V165M31 165V55M337 0V0", "M14 220L31 110L337 0"]
    assert lines(panel, "#D55E00") == ["M37 165V0", "M37 55"]
    assert [(dot.get("cx"), dot.get("cy")) for dot in panel.findall(f"{SVG}circle")] == [
        ("4", "-14"), ("14", "220"), ("31", "110"), ("337", "0"),
    ]  # fmt: skip
    assert [(mark.get("x"), mark.get("y")) for mark in panel.findall(f"{SVG}rect")] == [
        ("171.5", "-16.5"), ("34.5", "52.5"),
    ]  # fmt: skip
    assert texts(panel)[-2:] == ["Stack Overflow: 1.00", "GitHub: 0.75"]


def test_the_target_is_a_dashed_line(kappas):
    frame = kappas(("GitHub", "effect", 5, 0.5, 0.4, 0.6))
    for target, height in ((0.8, "44.0"), (0.9, "22.0")):
        for panel in panels(drawn(chart(frame, target))[1]).values():
            dashed = [path.get("d") for path in panel.findall(f"{SVG}path") if path.get("stroke-dasharray")]
            assert dashed == [f"M0 {height}H340"]
    assert chart(frame) == chart(frame, 0.8)


def test_the_scale_goes_down_to_the_lowest_kappa_and_bars_are_cut_there(kappas):
    frame = kappas(("GitHub", "effect", 5, -0.45, -0.9, 0.0), ("Stack Overflow", "bug_type", 10, 0.2, 0.2 - 1, 0.2 + 1))
    _, tree = drawn(chart(frame))
    scale = ["-0.6", "-0.4", "-0.2", "0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert all(texts(panel)[1:10] == scale for panel in panels(tree).values())
    assert lines(panels(tree)["effect"], "#D55E00") == ["M20 220V137.5", "M20 199.4"]
    assert lines(panels(tree)["bug type"], "#0072B2") == ["M31 220V0", "M31 110"]


def test_a_line_is_broken_where_kappa_is_undefined(kappas):
    frame = kappas(
        ("GitHub", "effect", 20, 1.0, 1.0, 1.0),
        ("GitHub", "effect", 5, 0.0, 0.0, 0.0),
        ("GitHub", "effect", 30, None, None, None),
        ("GitHub", "effect", 40, 0.5, 0.5, 0.5),
        ("GitHub", "effect", 50, None, None, None),
    )
    panel = panels(drawn(chart(frame))[1])["effect"]
    assert lines(panel, "#D55E00")[1] == "M20 220L71 0M139 110"
    assert texts(panel)[-1] == "GitHub: undefined"


def test_without_a_kappa_there_is_a_sentence_instead(kappas):
    assert chart(kappas()) == NOTHING_YET == "No two raters have labelled the same items yet."
    assert chart(kappas(("GitHub", "is_bug", 5, None, None, None))) == NOTHING_YET
    assert chart(kappas(("GitHub", "is_bug", 5, 0.5, 0.4, 0.6), scope="increment")) == NOTHING_YET
    assert chart(kappas(("all", "is_bug", 5, 0.5, 0.4, 0.6))) == NOTHING_YET


def test_a_full_chart_is_small_and_does_not_depend_on_the_order_of_rows(kappas):
    frame = kappas(
        *(
            (source, dimension, checkpoint, 0.123456 + checkpoint / 123, -0.0123456, 0.98765)
            for source in ("Stack Overflow", "GitHub", "all")
            for dimension in ("is_bug", "bug_type", "root_cause", "effect", "stage", "antipattern")
            for checkpoint in CHECKPOINTS
        )
    )
    assert len(chart(frame)) < 60_000
    assert chart(frame.reverse()) == chart(frame)
    svg, _ = drawn(chart(frame))
    assert "nan" not in svg and "inf" not in svg and "None" not in svg


def test_what_is_below_the_target_is_named_with_its_worst_categories(kappas):
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
    assert disagreeing(of_kappas, 0.8) == [
        "Stack Overflow, is it a bug: kappa 0.700 (95% interval 0.600 to 0.800) at 10% of the queue is below the "
        "target of 0.8.",
        "Stack Overflow, bug type: kappa 0.613 (95% interval 0.510 to 1.025) at 10% of the queue is below the target "
        "of 0.8; lowest for Coding Bug (0.000), Data Bug (0.250).",
        "GitHub, root cause: kappa 0.000 (95% interval -0.250 to 0.250) at 5% of the queue is below the target of "
        "0.8; lowest for API Misuse (0.000).",
    ]


def test_increments_do_not_count_as_the_newest(kappas):
    both = pl.concat(
        [
            kappas(("GitHub", "effect", 5, 0.3, 0.2, 0.4)),
            kappas(("GitHub", "effect", 10, 0.9, 0.8, 1.0), scope="increment"),
        ]
    )
    assert disagreeing(both, 0.8) == [
        "GitHub, effect: kappa 0.300 (95% interval 0.200 to 0.400) at 5% of the queue is below the target of 0.8."
    ]
    assert disagreeing(both, 0.3) == []


def test_a_new_round_begins_anew(kappas):
    both = pl.concat(
        [
            kappas(("GitHub", "effect", 100, 0.9, 0.8, 1.0)),
            kappas(("GitHub", "effect", 5, 0.3, 0.2, 0.4), number=2),
        ]
    )
    assert disagreeing(both, 0.8) == [
        "GitHub, effect: kappa 0.300 (95% interval 0.200 to 0.400) at 5% of round 2 is below the target of 0.8."
    ]
    svg, tree = drawn(chart(both))
    assert texts(panels(tree)["effect"])[-1] == "GitHub: 0.30"
    assert "Across: percent of round 2." in svg


def test_nothing_is_below_the_target_of_no_kappa(kappas):
    assert disagreeing(kappas(), 0.8) == []
