"""Variants of the labels, and the claims under each, on small inputs."""

import polars as pl
import pytest

from dlbug_assets.analysis.claims.sensitivity import AS_LABELLED, ONE_VOTE, REPEATS_ONCE, variants
from dlbug_assets.layout import STUDIES
from support.small_studies import SO


@pytest.fixture
def judged(claimed):
    """Return a function that adds the bugs of each (item, effect as written, ...).

    Their effect is Crash except for 'Hang'.
    """

    def make(*items, text=None):
        file = STUDIES / "islam2019" / "claims.toml" if text is None else None
        made = claimed(text or "", libraries=["Keras"], file=file)
        for item, *effects in items:
            for index, effect in enumerate(effects, start=1):
                made.study.label(
                    bug_id=f"{item}#{index}", item_id=item, source=SO, library="Keras", bug_index=index,
                    link=None if item.startswith("no link") else item,
                    effect="Hang" if effect == "Hang" else "Crash", effect_as_written=effect,
                )  # fmt: skip
        return made

    return make


def _variants(made):
    labels = made.study.labels()
    bug_labels = made.study.connection.sql("from labeling.bug_labels").pl()
    return variants(labels, bug_labels, made.study.study), variants(labels.reverse(), bug_labels, made.study.study)


def test_exact_repeats_of_labels_as_written_count_once(judged):
    counted, _ = _variants(
        judged(("a", "Crash", "Crash", "crash", "Hang"), ("b", "Crash"), ("no link", "Crash", "Crash"))
    )

    assert counted[AS_LABELLED].height == 7
    assert counted[REPEATS_ONCE]["bug_id"].sort().to_list() == [
        "a#1", "a#3", "a#4", "b#1", "no link#1", "no link#2"
    ]  # fmt: skip


def test_the_vote_of_a_commit_does_not_depend_on_the_order_of_its_bugs(judged):
    counted, again = _variants(judged(*((f"item {n}", "Crash", "Hang", "Hang") for n in range(300))))
    votes = counted[ONE_VOTE]

    assert votes["item_id"].is_unique().all()
    assert votes.height == 300
    assert votes.sort("bug_id").equals(again[ONE_VOTE].sort("bug_id"))
    # Each of the three bugs is equally likely.
    for index in (1, 2, 3):
        assert votes.filter(bug_index=index).height == pytest.approx(100, abs=25)


def test_a_finding_that_depends_on_one_commit_does_not_survive(judged):
    commits = [(f"hang {n}", "Hang") for n in range(12)]

    crash = judged(("much", *["Crash"] * 13), *commits).sensitivity().filter(position=21)

    assert crash.select("variant", "bugs", "computed", "verdict", "survives").rows() == [
        (AS_LABELLED, 25, "52", "reproduced differently", True),
        (REPEATS_ONCE, 13, "8", "not reproduced", False),
        (ONE_VOTE, 13, "8", "not reproduced", False),
    ]


def test_untestable_findings_neither_survive_nor_fail(judged):
    rows = judged(
        *((f"crash {n}", "Crash") for n in range(20)), *((f"hang {n}", "Hang") for n in range(5))
    ).sensitivity()

    assert rows.height == 38 * 3
    assert rows.filter(verdict="not testable")["survives"].unique().to_list() == [None]
    assert rows.filter(position=21)["survives"].to_list() == [True] * 3
    assert rows.group_by("position").len()["len"].unique().to_list() == [3]


def test_a_finding_that_becomes_underpowered_does_not_survive(judged):
    rows = judged(("much", *["Crash"] * 13), *((f"hang {n}", "Hang") for n in range(4))).sensitivity()

    assert rows.filter(position=21).select("verdict", "survives").rows() == [
        ("reproduced differently", True), ("underpowered", False), ("underpowered", False)
    ]  # fmt: skip


def test_queries_read_all_bugs_and_have_no_variants(judged):
    text = """
[[claims]]
finding = 1
text = "x"
kind = "query"
query = "select 1 as computed, true as holds, 1 as bugs"
[[claims]]
finding = 2
text = "y"
kind = "leads"
dimension = "effect"
category = "Crash"
"""
    rows = judged(("a", *["Crash"] * 13), text=text).sensitivity()

    assert rows.select("position", "variant").rows() == [
        (2, AS_LABELLED), (2, REPEATS_ONCE), (2, ONE_VOTE)
    ]  # fmt: skip
    assert rows.filter(pl.col("finding") == 2).height == 3
