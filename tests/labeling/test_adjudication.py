from datetime import datetime, timedelta

import polars as pl
import pytest

from dlbug_assets.labeling.adjudication import DISAGREEMENTS, decide, disagreements
from dlbug_assets.labeling.bug_labels import bug_labels, full_schema, wide
from dlbug_assets.labeling.items import add_years
from dlbug_assets.labeling.questions import QUESTIONS, questions
from dlbug_assets.labeling.sheets.validation import REJECTED_LABELS
from dlbug_assets.labeling.units import freeze
from dlbug_assets.protocol.study import load_study
from support.filled_sheets import NO_BRACKETS

RECEIVED = datetime(2026, 5, 1, 12)


@pytest.fixture(scope="session")
def items(make_items):
    return make_items({"SO-1": 5, "GH-1": 5})


@pytest.fixture
def adjudicate(validated, items, study, taxonomy):
    def outcome(rows, study=study):
        labels = validated(rows, items, study)
        units = freeze(labels, items, study).units
        asked = questions(labels, units, items, pl.DataFrame(schema=REJECTED_LABELS), study=study)
        differ, decided = disagreements(labels, asked, study), decide(labels, asked, units, items, study)
        assert differ.schema == DISAGREEMENTS
        assert decided.schema == full_schema(study)
        agreed = wide(add_years(decided, items, NO_BRACKETS), bug_labels(decided, study, taxonomy), study)
        return differ.rows(), agreed.to_dicts()

    return outcome


@pytest.fixture
def listed(rater_row):
    """Return rows in which all raters list the same bug."""

    def rows(item="SO-1", raters=("ann", "bob")):
        return [rater_row(item, rater, 5) for rater in raters]

    return rows


def test_equal_labels_of_all_raters_make_an_agreed_bug(adjudicate, listed, rater_row):
    rows = [*listed(), rater_row("SO-1", "ann", 5, bug_type="API Bug", stage="Training", file="5-ann.csv", line=7)]
    rows.append(rater_row("SO-1", "bob", 5, bug_type="api bug", stage="Training", file="5-bob.csv", line=8))
    differ, agreed = adjudicate(rows)
    assert differ == []
    [bug] = agreed
    assert bug.pop("created_at").year == 2017
    assert bug == {
        "bug_id": "SO-1#1", "item_id": "SO-1", "source": "Stack Overflow", "library": "Keras", "bug_index": 1,
        "bug_type": "API Bug", "root_cause": "API Misuse", "effect": "Crash", "stage": "Training",
        "antipattern": None, "year": 2017, "year_source": "looked up", "year_low": 2017, "year_high": 2017,
        "year_undefined_reason": None, "repository": None, "commit_sha": None, "decided_by": "agreement",
        "bug_type_as_written": "API Bug", "root_cause_as_written": "API Misuse", "effect_as_written": "Crash",
        "link": "https://example.org/SO-1", "provenance": "5-ann.csv line 7; 5-bob.csv line 8",
    }  # fmt: skip


def test_the_adjudicator_decides_only_differing_dimensions(adjudicate, listed, rater_row):
    rows = [
        *listed(),
        rater_row("SO-1", "ann", 5, bug_type="API Bug", stage="Training"),
        rater_row("SO-1", "bob", 5, bug_type="Data Bug"),
    ]
    differ, agreed = adjudicate(rows)
    assert differ == [
        ("SO-1", 1, "bug_type", "ann", "API Bug", "bob", "Data Bug", None, None, None),
        ("SO-1", 1, "stage", "ann", "Training", "bob", "none", None, None, None),
    ]
    assert agreed == []  # undecided
    decision = rater_row("SO-1", "eve", 5, bug_type="Coding Bug", effect="Hang", file="eve.csv", line=3)
    differ, agreed = adjudicate([*rows, decision])
    decided_at = RECEIVED + timedelta(minutes=2)
    assert [row[-3:] for row in differ] == [("Coding Bug", "eve", decided_at), ("none", "eve", decided_at)]
    [bug] = agreed
    assert (bug["bug_type"], bug["effect"], bug["stage"]) == ("Coding Bug", "Crash", None)
    assert bug["decided_by"] == "adjudication"
    assert bug["bug_type_as_written"] == "Coding Bug"
    assert bug["provenance"] == "5-ann.csv line 2; 5-bob.csv line 2; eve.csv line 3"


def test_a_bug_is_undecided_until_all_raters_rated_it(adjudicate, listed, rater_row):
    assert adjudicate([*listed(), rater_row("SO-1", "ann", 5, bug_type="API Bug")]) == ([], [])


def test_a_bug_missing_from_a_raters_sheet_waits_for_an_answer(adjudicate, listed, rater_row):
    rows = [*listed(), *listed("GH-1"), rater_row("SO-1", "ann", 5, bug_type="API Bug")]
    rows += [rater_row("GH-1", rater, 5, bug_type="API Bug") for rater in ("ann", "bob")]
    differ, agreed = adjudicate(rows)
    assert differ == []
    assert [bug["bug_id"] for bug in agreed] == ["GH-1#1"]


def test_a_blank_cell_waits_for_an_answer_and_none_is_one(adjudicate, listed, rater_row):
    rows = [*listed(), rater_row("SO-1", "ann", 5, bug_type="API Bug", stage="Training")]
    blank = rater_row("SO-1", "bob", 5, bug_type="API Bug", stage=None)
    assert adjudicate([*rows, blank]) == ([], [])
    differ, agreed = adjudicate([*rows, blank | {"stage": "none"}])
    assert [row[2:7] for row in differ] == [("stage", "ann", "Training", "bob", "none")]
    assert agreed == []


def test_blank_cells_of_the_adjudicator_are_undecided(adjudicate, listed, rater_row):
    types = {"ann": "API Bug", "bob": "Data Bug"}
    rows = [*listed(), *[rater_row("SO-1", rater, 5, bug_type=kind) for rater, kind in types.items()]]
    rows += [rater_row("GH-1", rater, 5) for rater in types]
    rows += [rater_row("GH-1", rater, 5, bug_type=kind, effect="Crash") for rater, kind in types.items()]
    rows[-1]["effect"] = "Hang"
    undecided = dict.fromkeys(("bug_type", "root_cause", "effect", "stage", "antipattern"))
    partly = rater_row("GH-1", "eve", 5, **undecided | {"effect": "Hang"})
    differ, agreed = adjudicate([*rows, rater_row("SO-1", "eve", 5, **undecided, comment="hard"), partly])
    assert [(row[0], row[2], row[7]) for row in differ] == [
        ("GH-1", "bug_type", None), ("GH-1", "effect", "Hang"), ("SO-1", "bug_type", None),
    ]  # fmt: skip
    assert agreed == []
    differ, agreed = adjudicate([*rows, partly | {"bug_type": "Coding Bug"}])
    assert [(bug["bug_id"], bug["bug_type"], bug["effect"], bug["decided_by"]) for bug in agreed] == [
        ("GH-1#1", "Coding Bug", "Hang", "adjudication")
    ]


def test_labels_of_bugs_that_only_some_raters_are_asked_about(rater_row, validated, items, make_study, taxonomy):
    three = make_study(raters=("ann", "bob", "cid"), raters_per_item=2)
    drawn = items.with_columns(raters=pl.Series([["ann", "cid"], ["bob", "cid"]], dtype=pl.List(pl.String)))
    rows = [rater_row(item, rater, 5) for item, raters in drawn.select("item_id", "raters").rows() for rater in raters]
    rows += [rater_row("SO-1", rater, 5, bug_type="API Bug") for rater in ("ann", "cid")]
    types = {"bob": "API Bug", "cid": "Data Bug"}
    rows += [rater_row("GH-1", rater, 5, bug_type=kind) for rater, kind in types.items()]
    labels = validated(rows, drawn, three)
    units = freeze(labels, drawn, three).units
    asked = questions(labels, units, drawn, pl.DataFrame(schema=REJECTED_LABELS), study=three)
    assert [row[:7] for row in disagreements(labels, asked, three).rows()] == [
        ("GH-1", 1, "bug_type", "bob", "API Bug", "cid", "Data Bug")
    ]
    decided = decide(labels, asked, units, drawn, three)
    assert decided.select("bug_id", "bug_type", "decided_by").rows() == [("SO-1#1", "API Bug", "agreement")]


def test_disagreement_about_is_bug_concerns_the_item(adjudicate, rater_row):
    rows = [rater_row("SO-1", "bob", 5), rater_row("SO-1", "ann", 5, 0)]
    assert adjudicate(rows)[0] == [("SO-1", 0, "is_bug", "ann", "false", "bob", "true", None, None, None)]
    decided_at = RECEIVED + timedelta(minutes=2)
    assert adjudicate([*rows, rater_row("SO-1", "eve", 5)])[0][0][-3:] == ("true", "eve", decided_at)


def test_a_decision_has_the_time_in_its_file(adjudicate, listed, rater_row):
    decided_at = RECEIVED - timedelta(days=3)
    rows = [
        *listed(),
        rater_row("SO-1", "ann", 5, bug_type="API Bug"),
        rater_row("SO-1", "bob", 5, bug_type="Data Bug"),
        rater_row("SO-1", "eve", 5, bug_type="Data Bug", labelled_at=decided_at),
    ]
    assert [row[-1] for row in adjudicate(rows)[0]] == [decided_at]


def test_the_latest_batch_counts(adjudicate, listed, rater_row):
    rows = [*listed()]
    rows += [rater_row("SO-1", "ann", 5, bug_type="API Bug"), rater_row("SO-1", "bob", 5, bug_type="Data Bug")]
    rows += [rater_row("SO-1", "ann", 10, bug_type="Data Bug"), rater_row("SO-1", "bob", 10, bug_type="Data Bug")]
    differ, agreed = adjudicate(rows)
    assert differ == []
    assert agreed[0]["bug_type"] == "Data Bug"


def test_two_bugs_of_an_item_can_be_decided_in_different_batches(adjudicate, rater_row):
    """The adjudicator's later sheet contains only the bugs that are still open."""
    rows = [rater_row("SO-1", rater, 5, bug) for bug in (1, 2) for rater in ("ann", "bob")]
    types = {"ann": "API Bug", "bob": "Data Bug"}
    rows += [rater_row("SO-1", rater, 5, bug, bug_type=types[rater]) for bug in (1, 2) for rater in types]
    rows += [rater_row("SO-1", "eve", 5), rater_row("SO-1", "eve", 5, 2)]
    rows += [rater_row("SO-1", "eve", 5, 1, bug_type="API Bug"), rater_row("SO-1", "eve", 10, 2, bug_type="Data Bug")]
    differ, agreed = adjudicate(rows)
    assert [(row[1], row[7]) for row in differ] == [(1, "API Bug"), (2, "Data Bug")]
    assert [(bug["bug_id"], bug["bug_type"]) for bug in agreed] == [("SO-1#1", "API Bug"), ("SO-1#2", "Data Bug")]


def test_bugs_that_are_not_frozen_need_no_decision(adjudicate, listed, rater_row):
    rows = [
        *listed(),
        rater_row("SO-1", "ann", 5, 2, bug_type="API Bug"),
        rater_row("SO-1", "bob", 5, 2, bug_type="Data Bug"),
    ]
    assert adjudicate(rows) == ([], [])


def test_three_raters_form_three_pairs_in_alphabetical_order(adjudicate, listed, rater_row, make_study):
    three = make_study(raters=("zoe", "ann", "bob"))
    types = {"zoe": "API Bug", "ann": "Data Bug", "bob": "Coding Bug"}
    rows = listed(raters=tuple(types)) + [rater_row("SO-1", r, 5, bug_type=kind) for r, kind in types.items()]
    differ, _ = adjudicate(rows, three)
    assert [row[3:7] for row in differ] == [
        ("ann", "Data Bug", "bob", "Coding Bug"),
        ("ann", "Data Bug", "zoe", "API Bug"),
        ("bob", "Coding Bug", "zoe", "API Bug"),
    ]


def test_no_submissions(adjudicate):
    assert adjudicate([]) == ([], [])


def test_a_study_without_raters_has_empty_tables(validated, make_items):
    released = load_study("islam2019")
    items = make_items({"SO-1": 5})
    labels = validated([], items, released)
    units = freeze(labels, items, released).units
    assert units.is_empty()
    asked = questions(labels, units, items, pl.DataFrame(schema=REJECTED_LABELS), study=released)
    assert asked.is_empty()
    assert asked.schema == QUESTIONS
    assert disagreements(labels, asked, released).schema == DISAGREEMENTS
    assert decide(labels, asked, units, items, released).schema == full_schema(released)
