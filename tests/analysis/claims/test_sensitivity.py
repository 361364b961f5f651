"""Variants of the labels, and the claims under each, on small inputs."""

import polars as pl
import pytest

from dlbug_assets.analysis.claims.sensitivity import AS_LABELLED, FIRST_BATCH, ONE_VOTE, REPEATS_ONCE, variants
from dlbug_assets.layout import STUDIES
from support.small_studies import GH, SO

CRASHES = """
[[claims]]
finding = 1
text = "Most bugs crash"
printed = "70.1"
kind = "share"
dimension = "effect"
category = "Crash"
above = 50
"""


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
    nothing = pl.DataFrame(schema={"bug_id": pl.String})
    return tuple(variants(rows, bug_labels, nothing, made.study.study) for rows in (labels, labels.reverse()))


def test_exact_repeats_of_labels_as_written_count_once(judged):
    counted, _ = _variants(
        judged(("a", "Crash", "Crash", "crash", "Hang"), ("b", "Crash"), ("no link", "Crash", "Crash"))
    )

    assert counted[AS_LABELLED].height == 7
    assert counted[REPEATS_ONCE]["bug_id"].sort().to_list() == [
        "a#1", "a#3", "a#4", "b#1", "no link#1", "no link#2"
    ]  # fmt: skip


def test_the_bugs_of_a_commit_share_its_vote(judged):
    made = judged(("a", "Crash", "Hang", "Hang"), ("b", "Crash"), ("c", "Hang", "Hang"), text=CRASHES)
    counted, _ = _variants(made)

    assert dict(counted[ONE_VOTE].group_by("item_id").agg(pl.col("votes").sum()).rows()) == dict.fromkeys("abc", 720720)
    # A third of the vote of a, the vote of b and none of c's: 4/9.
    assert made.sensitivity().select("variant", "bugs", "computed").rows() == [
        (AS_LABELLED, 6, "33.3"), (REPEATS_ONCE, 4, "50.0"), (ONE_VOTE, 3, "44.4")
    ]  # fmt: skip


def test_equal_votes_are_a_tie(judged):
    items = [*(("Crash", "Hang", "Hang"), ("Crash", "Crash", "Hang")) * 5, ("Crash", *["Hang"] * 9),
             ("Hang", *["Crash"] * 9)]  # fmt: skip
    rows = judged(*((f"item {n}", *effects) for n, effects in enumerate(items)), text=CRASHES).sensitivity()

    assert rows.filter(variant=ONE_VOTE).select("computed", "holds", "survives").row(0) == ("50.0", False, True)


def test_a_finding_that_depends_on_one_commit_does_not_survive(judged):
    commits = [(f"hang {n}", "Hang") for n in range(12)]

    crash = judged(("much", *["Crash"] * 13), *commits).sensitivity().filter(position=21)

    assert crash.select("variant", "bugs", "computed", "verdict", "holds", "survives").rows() == [
        (AS_LABELLED, 25, "52", "reproduced differently", True, True),
        (REPEATS_ONCE, 13, "8", "not reproduced", False, False),
        (ONE_VOTE, 13, "8", "not reproduced", False, False),
    ]


def test_untestable_findings_neither_survive_nor_fail(judged):
    rows = judged(
        *((f"crash {n}", "Crash") for n in range(20)), *((f"hang {n}", "Hang") for n in range(5))
    ).sensitivity()

    assert rows.height == 40 * 3
    assert rows.filter(verdict="not testable")["survives"].unique().to_list() == [None]
    assert rows.filter(position=21)["survives"].to_list() == [True] * 3
    assert rows.group_by("position").len()["len"].unique().to_list() == [3]


def test_the_first_batch_has_the_bugs_of_a_further_sheet(judged):
    made = judged(
        *((f"crash {n}", "Crash") for n in range(12)), *((f"hang {n}", "Hang") for n in range(20)), text=CRASHES
    )
    batch = [*(f"crash {n}#1" for n in range(12)), "hang 1#1", "unknown#1"]

    rows = made.sensitivity(*batch)

    assert rows.select("variant", "bugs", "computed", "holds", "survives").rows() == [
        (AS_LABELLED, 32, "37.5", False, True), (REPEATS_ONCE, 32, "37.5", False, True),
        (ONE_VOTE, 32, "37.5", False, True), (FIRST_BATCH, 13, "92.3", True, False),
    ]  # fmt: skip


def test_what_the_first_batch_has_no_data_for_neither_survives_nor_fails(judged):
    text = CRASHES + f'source = "{GH}"\n'
    made = judged(*((f"crash {n}", "Crash") for n in range(12)), text=text)
    for n in range(12):
        made.study.label(bug_id=f"other {n}#1", item_id=f"other {n}", source=GH, library="Keras", bug_index=1,
                         link=None, effect="Crash", effect_as_written="Crash")  # fmt: skip

    rows = made.sensitivity("crash 1#1")

    assert rows.select("variant", "survives").rows() == [
        (AS_LABELLED, True), (REPEATS_ONCE, True), (ONE_VOTE, True), (FIRST_BATCH, None)
    ]  # fmt: skip


def test_a_finding_of_which_few_bugs_are_left_does_not_survive(judged):
    rows = judged(("much", *["Crash"] * 13), *((f"hang {n}", "Hang") for n in range(4)), text=CRASHES).sensitivity()

    assert rows.select("variant", "bugs", "holds", "survives").rows() == [
        (AS_LABELLED, 17, True, True), (REPEATS_ONCE, 5, False, False), (ONE_VOTE, 5, False, False)
    ]  # fmt: skip


def test_a_finding_on_few_bugs_neither_survives_nor_fails(judged):
    rows = judged(*((f"item {n}", "Crash") for n in range(9)), text=CRASHES).sensitivity()

    assert rows.select("holds", "survives").rows() == [(True, None)] * 3


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
