"""Claims that depend on one cluster or item."""

import pytest

from support.small_studies import GH, SO

CRASHES = """
[[claims]]
finding = 1
text = "Most bugs crash"
kind = "share"
dimension = "effect"
category = "Crash"
above = 50
"""


@pytest.fixture
def of_commits(claimed):
    """Return a function that returns the rows for commits: (repository, commit) -> effects of its bugs."""

    def make(commits, text=CRASHES):
        made = claimed(text, libraries=["Keras"])
        for (repository, commit), effects in commits.items():
            for index, effect in enumerate(effects, start=1):
                made.study.label(source=GH, library="Keras", item_id=f"{repository}/{commit}", bug_index=index,
                                 repository=repository, commit_sha=commit, effect=effect)  # fmt: skip
        return made.tables()["leave_one_out"]

    return make


def test_a_claim_depends_on_the_cluster_without_which_it_does_not_hold(of_commits):
    rows = of_commits({
        ("a/a", "1"): ["Crash"] * 2,
        ("a/a", "2"): ["Crash"] * 2,
        ("b/b", "3"): ["Crash"] * 3,
        ("c/c", "4"): ["Crash"] * 1,
        ("d/d", "5"): ["Hang"] * 5,
    })  # fmt: skip

    # 8 of 13 crash: without a/a 4 of 9, without b/b 5 of 10, without commit 1 6 of 11, without c/c 7 of 12.
    assert rows.select("position", "left_out", "units", "deciding", "largest", "largest_bugs").rows() == [
        (1, "cluster", 4, 2, "a/a", 4), (1, "item", 5, 1, "3", 3)
    ]  # fmt: skip


def test_a_claim_that_holds_without_any_cluster_depends_on_none(of_commits):
    rows = of_commits({(f"{name}/{name}", name): ["Crash", "Crash", "Hang"] for name in "abcdefg"})

    assert rows.select("left_out", "units", "deciding", "largest", "largest_bugs").rows() == [
        ("cluster", 7, 0, None, None), ("item", 7, 0, None, None)
    ]  # fmt: skip


def test_a_claim_that_does_not_hold_may_depend_on_a_cluster_too(of_commits):
    rows = of_commits({("a/a", "1"): ["Hang"] * 4, ("b/b", "2"): ["Crash"] * 2, ("c/c", "3"): ["Crash"] * 1})

    assert rows.select("deciding", "largest").rows() == [(1, "a/a"), (1, "1")]


def test_without_its_only_cluster_a_claim_has_no_data(of_commits):
    rows = of_commits({("a/a", "1"): ["Crash"] * 9, ("a/a", "2"): ["Crash"]})

    assert rows.select("left_out", "units", "deciding", "largest").rows() == [
        ("cluster", 1, 1, "a/a"), ("item", 2, 0, None)
    ]  # fmt: skip


def test_claims_without_data_are_left_out(claimed):
    text = CRASHES + CRASHES.replace("finding = 1", "finding = 2").replace('"effect"', '"stage"').replace(
        '"Crash"', '"Training"'
    )
    made = claimed(text, {"effect": {(SO, "Keras"): {"Crash": 3, "Hang": 1}}}, libraries=["Keras"])

    assert made.tables()["leave_one_out"]["finding"].to_list() == [1, 1]
