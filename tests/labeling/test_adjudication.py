from datetime import datetime, timedelta

import pytest

from dlbug_assets.labeling.adjudication import DISAGREEMENTS, LABELS, decide, disagreements
from dlbug_assets.labeling.agreement.checkpoints import measure
from dlbug_assets.labeling.units import freeze
from dlbug_assets.protocol.study import load_study

RECEIVED = datetime(2026, 5, 1, 12)


@pytest.fixture(scope="session")
def items(make_items):
    return make_items({"SO-1": 5, "GH-1": 5})


@pytest.fixture
def room(taken, items, study):
    def outcome(rows, study=study):
        labels = taken(rows, items, study)
        units = freeze(labels, items, study)
        differ, agreed = disagreements(labels, units, study), decide(labels, units, items, study)
        assert differ.schema == DISAGREEMENTS
        assert agreed.schema == LABELS
        return differ.rows(), agreed.to_dicts()

    return outcome


@pytest.fixture
def found(hand_in):
    """Both raters list the same bug."""

    def rows(item="SO-1", raters=("ann", "bob")):
        return [hand_in(item, rater, 5) for rater in raters]

    return rows


def test_what_all_say_is_an_agreed_bug(room, found, hand_in):
    rows = [*found(), hand_in("SO-1", "ann", 5, bug_type="API Bug", stage="Training", file="5-ann.csv", line=7)]
    rows.append(hand_in("SO-1", "bob", 5, bug_type="api bug", stage="Training", file="5-bob.csv", line=8))
    differ, agreed = room(rows)
    assert differ == []
    [bug] = agreed
    assert bug.pop("created_at").year == 2017
    assert bug == {
        "bug_id": "SO-1#1", "item_id": "SO-1", "source": "Stack Overflow", "library": "Keras", "bug_index": 1,
        "bug_type": "API Bug", "root_cause": "API Misuse", "effect": "Crash", "stage": "Training",
        "antipattern": None, "year": 2017, "repository": None, "commit_sha": None, "decided_by": "agreement",
        "bug_type_as_written": "API Bug", "root_cause_as_written": "API Misuse", "effect_as_written": "Crash",
        "link": "https://example.org/SO-1", "provenance": "5-ann.csv line 7; 5-bob.csv line 8",
    }  # fmt: skip


def test_the_adjudicator_decides_only_where_raters_differ(room, found, hand_in):
    rows = [
        *found(),
        hand_in("SO-1", "ann", 5, bug_type="API Bug", stage="Training"),
        hand_in("SO-1", "bob", 5, bug_type="Data Bug"),
    ]
    differ, agreed = room(rows)
    assert differ == [
        ("SO-1", 1, "bug_type", "ann", "API Bug", "bob", "Data Bug", None, None, None),
        ("SO-1", 1, "stage", "ann", "Training", "bob", "none", None, None, None),
    ]
    assert agreed == []  # undecided
    ruling = hand_in("SO-1", "eve", 5, bug_type="Coding Bug", effect="Hang", file="eve.csv", line=3)
    differ, agreed = room([*rows, ruling])
    assert [row[-3:] for row in differ] == [("Coding Bug", "eve", RECEIVED), ("none", "eve", RECEIVED)]
    [bug] = agreed
    assert (bug["bug_type"], bug["effect"], bug["stage"]) == ("Coding Bug", "Crash", None)
    assert bug["decided_by"] == "adjudication"
    assert bug["bug_type_as_written"] == "Coding Bug"
    assert bug["provenance"] == "5-ann.csv line 2; 5-bob.csv line 2; eve.csv line 3"


def test_a_bug_waits_for_all_raters(room, found, hand_in):
    assert room([*found(), hand_in("SO-1", "ann", 5, bug_type="API Bug")]) == ([], [])


def test_a_rater_who_left_the_bug_out_says_none(room, found, hand_in):
    rows = [*found(), *found("GH-1"), hand_in("SO-1", "ann", 5, bug_type="API Bug")]
    rows += [hand_in("GH-1", rater, 5, bug_type="API Bug") for rater in ("ann", "bob")]
    differ, agreed = room(rows)
    assert [row[:7] for row in differ] == [
        ("SO-1", 1, "bug_type", "ann", "API Bug", "bob", "none"),
        ("SO-1", 1, "root_cause", "ann", "API Misuse", "bob", "none"),
        ("SO-1", 1, "effect", "ann", "Crash", "bob", "none"),
    ]
    assert [bug["bug_id"] for bug in agreed] == ["GH-1#1"]


def test_is_bug_is_about_the_item(room, hand_in):
    rows = [hand_in("SO-1", "bob", 5), hand_in("SO-1", "ann", 5, 0)]
    assert room(rows)[0] == [("SO-1", 0, "is_bug", "ann", "false", "bob", "true", None, None, None)]
    assert room([*rows, hand_in("SO-1", "eve", 5)])[0][0][-3:] == ("true", "eve", RECEIVED)


def test_a_decision_is_of_when_it_was_made_where_the_file_says_so(room, found, hand_in):
    made = RECEIVED - timedelta(days=3)
    rows = [
        *found(),
        hand_in("SO-1", "ann", 5, bug_type="API Bug"),
        hand_in("SO-1", "bob", 5, bug_type="Data Bug"),
        hand_in("SO-1", "eve", 5, bug_type="Data Bug", labelled_at=made),
    ]
    assert [row[-1] for row in room(rows)[0]] == [made]


def test_the_latest_batch_counts(room, found, hand_in):
    rows = [*found()]
    rows += [hand_in("SO-1", "ann", 5, bug_type="API Bug"), hand_in("SO-1", "bob", 5, bug_type="Data Bug")]
    rows += [hand_in("SO-1", "ann", 10, bug_type="Data Bug"), hand_in("SO-1", "bob", 10, bug_type="Data Bug")]
    differ, agreed = room(rows)
    assert differ == []
    assert agreed[0]["bug_type"] == "Data Bug"


def test_decisions_on_two_bugs_of_an_item_may_come_one_after_the_other(room, hand_in):
    """The adjudicator's later sheet holds the bugs alone that were left open."""
    rows = [hand_in("SO-1", rater, 5, bug) for bug in (1, 2) for rater in ("ann", "bob")]
    said = {"ann": "API Bug", "bob": "Data Bug"}
    rows += [hand_in("SO-1", rater, 5, bug, bug_type=said[rater]) for bug in (1, 2) for rater in said]
    rows += [hand_in("SO-1", "eve", 5), hand_in("SO-1", "eve", 5, 2)]
    rows += [hand_in("SO-1", "eve", 5, 1, bug_type="API Bug"), hand_in("SO-1", "eve", 10, 2, bug_type="Data Bug")]
    differ, agreed = room(rows)
    assert [(row[1], row[7]) for row in differ] == [(1, "API Bug"), (2, "Data Bug")]
    assert [(bug["bug_id"], bug["bug_type"]) for bug in agreed] == [("SO-1#1", "API Bug"), ("SO-1#2", "Data Bug")]


def test_what_is_no_unit_is_not_to_be_decided(room, found, hand_in):
    rows = [
        *found(),
        hand_in("SO-1", "ann", 5, 2, bug_type="API Bug"),
        hand_in("SO-1", "bob", 5, 2, bug_type="Data Bug"),
    ]
    assert room(rows) == ([], [])


def test_three_raters_make_three_pairs_in_alphabetical_order(room, found, hand_in, make_study):
    three = make_study(raters=("zoe", "ann", "bob"))
    types = {"zoe": "API Bug", "ann": "Data Bug", "bob": "Coding Bug"}
    rows = found(raters=tuple(types)) + [hand_in("SO-1", r, 5, bug_type=kind) for r, kind in types.items()]
    differ, _ = room(rows, three)
    assert [row[3:7] for row in differ] == [
        ("ann", "Data Bug", "bob", "Coding Bug"),
        ("ann", "Data Bug", "zoe", "API Bug"),
        ("bob", "Coding Bug", "zoe", "API Bug"),
    ]


def test_nothing_handed_in(room):
    assert room([]) == ([], [])


def test_a_study_without_raters_has_nothing_to_decide(taken, make_items):
    released = load_study("islam2019")
    items = make_items({"SO-1": 5})
    labels = taken([], items, released)
    units = freeze(labels, items, released)
    assert units.is_empty()
    assert disagreements(labels, units, released).schema == DISAGREEMENTS
    assert decide(labels, units, items, released).schema == LABELS
    assert all(table.is_empty() for table in measure(labels, items, released))
