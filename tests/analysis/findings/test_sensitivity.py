"""Variants of what counts, and the findings under each, on hand-made labels."""

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

SO = "Stack Overflow"
_TEXT = ("bug_id", "item_id", "source", "library", "link", "bug_type", "root_cause", "effect", "stage", "antipattern",
         "bug_type_as_written", "root_cause_as_written", "effect_as_written")  # fmt: skip


def _bugs(*items):
    """(item, effect as written ...): the bugs of each item, all of them crashes but for 'Hang'."""
    rows = []
    for item, *effects in items:
        for index, effect in enumerate(effects, start=1):
            rows.append({"bug_id": f"{item}#{index}", "item_id": item, "source": SO, "library": "Keras",
                         "bug_index": index, "link": None if item.startswith("no link") else item, "year": None,
                         "effect": "Hang" if effect == "Hang" else "Crash", "effect_as_written": effect})  # fmt: skip
    return pl.DataFrame(
        rows, schema=dict.fromkeys(_TEXT, pl.String) | {"bug_index": pl.Int32, "year": pl.Int32}
    )  # fmt: skip


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


def test_an_exact_repeat_counts_once_as_it_was_written():
    labels = _bugs(("a", "Crash", "Crash", "crash", "Hang"), ("b", "Crash"), ("no link", "Crash", "Crash"))

    counted = variants(labels, seed=7)

    assert counted[AS_LABELLED].height == 7
    assert counted[REPEATS_ONCE]["bug_id"].sort().to_list() == [
        "a#1", "a#3", "a#4", "b#1", "no link#1", "no link#2"
    ]  # fmt: skip


def test_every_commit_has_one_vote_that_does_not_depend_on_the_order():
    labels = _bugs(*((f"item {n}", "Crash", "Hang", "Hang") for n in range(300)))

    votes = variants(labels, seed=7)[ONE_VOTE]
    again = variants(labels.reverse(), seed=7)[ONE_VOTE]

    assert votes["item_id"].is_unique().all()
    assert votes.height == 300
    assert votes.sort("bug_id").equals(again.sort("bug_id"))
    # A draw: each of the three is as likely.
    for index in (1, 2, 3):
        assert votes.filter(bug_index=index).height == pytest.approx(100, abs=25)


def test_a_finding_that_hangs_on_one_commit_does_not_survive():
    commits = [(f"hang {n}", "Hang") for n in range(12)]
    labels = _bugs(("much", *["Crash"] * 13), *commits)

    crash = _judged(labels).filter(position=21)

    assert crash.select("variant", "bugs", "computed", "verdict", "survives").rows() == [
        (AS_LABELLED, 25, "52", "reproduced differently", True),
        (REPEATS_ONCE, 13, "8", "not reproduced", False),
        (ONE_VOTE, 13, "8", "not reproduced", False),
    ]


def test_what_was_never_testable_neither_survives_nor_fails():
    rows = _judged(_bugs(*((f"crash {n}", "Crash") for n in range(20)), *((f"hang {n}", "Hang") for n in range(5))))

    assert rows.height == 38 * 3
    assert rows.filter(verdict="not testable")["survives"].unique().to_list() == [None]
    assert rows.filter(position=21)["survives"].to_list() == [True] * 3
    assert rows.group_by("position").len()["len"].unique().to_list() == [3]


def test_too_few_votes_left_to_say_so_is_no_survival():
    labels = _bugs(("much", *["Crash"] * 13), *((f"hang {n}", "Hang") for n in range(4)))

    rows = _judged(labels).filter(position=21)

    assert rows.select("verdict", "survives").rows() == [
        ("reproduced differently", True), ("underpowered", False), ("underpowered", False)
    ]  # fmt: skip
