"""Variants of the labels, and the findings under each, on small inputs."""

import polars as pl
import pytest

from dlbug_assets.analysis.findings.sensitivity import (
    AS_LABELLED,
    ONE_VOTE,
    REPEATS_ONCE,
    finding_sensitivity,
    variants,
)
from dlbug_assets.layout import SEEDS
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.warehouse.rows import table_schema

SO = "Stack Overflow"


def _bugs(*items):
    """Return the bugs of each (item, effect as written, ...); their effect is Crash except for 'Hang'."""
    rows = []
    for item, *effects in items:
        for index, effect in enumerate(effects, start=1):
            rows.append({"bug_id": f"{item}#{index}", "item_id": item, "source": SO, "library": "Keras",
                         "bug_index": index, "link": None if item.startswith("no link") else item,
                         "effect": "Hang" if effect == "Hang" else "Crash", "effect_as_written": effect})  # fmt: skip
    return pl.DataFrame(rows, schema=table_schema("labeling.labels"))


def _seed(name):
    return pl.read_csv(SEEDS / f"{name}.csv", infer_schema_length=None)


def _judged(labels):
    taxonomy = load_taxonomy()
    places: dict[str, int] = {}
    categories = []
    for category in taxonomy.categories:
        places[category.dimension] = places.get(category.dimension, 0) + 1
        categories.append((category.dimension, category.name, places[category.dimension]))
    return finding_sensitivity(
        labels,
        libraries=pl.DataFrame({"library": ["Keras"], "position": [1]}),
        taxonomy=pl.DataFrame(categories, schema=["dimension", "name", "position"], orient="row"),
        published=_seed("findings"),
        effect=_seed("table4_p"),
        published_correlation=_seed("fig6_correlation"),
        seed=7,
    )


def test_exact_repeats_of_labels_as_written_count_once():
    labels = _bugs(("a", "Crash", "Crash", "crash", "Hang"), ("b", "Crash"), ("no link", "Crash", "Crash"))

    counted = variants(labels, seed=7)

    assert counted[AS_LABELLED].height == 7
    assert counted[REPEATS_ONCE]["bug_id"].sort().to_list() == [
        "a#1", "a#3", "a#4", "b#1", "no link#1", "no link#2"
    ]  # fmt: skip


def test_the_vote_of_a_commit_does_not_depend_on_the_order_of_its_bugs():
    labels = _bugs(*((f"item {n}", "Crash", "Hang", "Hang") for n in range(300)))

    votes = variants(labels, seed=7)[ONE_VOTE]
    again = variants(labels.reverse(), seed=7)[ONE_VOTE]

    assert votes["item_id"].is_unique().all()
    assert votes.height == 300
    assert votes.sort("bug_id").equals(again.sort("bug_id"))
    # Each of the three bugs is equally likely.
    for index in (1, 2, 3):
        assert votes.filter(bug_index=index).height == pytest.approx(100, abs=25)


def test_a_finding_that_depends_on_one_commit_does_not_survive():
    commits = [(f"hang {n}", "Hang") for n in range(12)]
    labels = _bugs(("much", *["Crash"] * 13), *commits)

    crash = _judged(labels).filter(position=21)

    assert crash.select("variant", "bugs", "computed", "verdict", "survives").rows() == [
        (AS_LABELLED, 25, "52", "reproduced differently", True),
        (REPEATS_ONCE, 13, "8", "not reproduced", False),
        (ONE_VOTE, 13, "8", "not reproduced", False),
    ]


def test_untestable_findings_neither_survive_nor_fail():
    rows = _judged(_bugs(*((f"crash {n}", "Crash") for n in range(20)), *((f"hang {n}", "Hang") for n in range(5))))

    assert rows.height == 38 * 3
    assert rows.filter(verdict="not testable")["survives"].unique().to_list() == [None]
    assert rows.filter(position=21)["survives"].to_list() == [True] * 3
    assert rows.group_by("position").len()["len"].unique().to_list() == [3]


def test_a_finding_that_becomes_underpowered_does_not_survive():
    labels = _bugs(("much", *["Crash"] * 13), *((f"hang {n}", "Hang") for n in range(4)))

    rows = _judged(labels).filter(position=21)

    assert rows.select("verdict", "survives").rows() == [
        ("reproduced differently", True), ("underpowered", False), ("underpowered", False)
    ]  # fmt: skip
