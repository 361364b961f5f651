"""The state of every question: not asked, waiting, answered, answered none, withdrawn or refused."""

import polars as pl
import pytest

from dlbug_assets.labeling.questions import QUESTIONS, questions, states
from dlbug_assets.labeling.sheets.validation import REJECTED_LABELS, row_json
from dlbug_assets.labeling.units import freeze


@pytest.fixture(scope="session")
def items(make_items):
    return make_items({"SO-1": 5, "SO-2": 100})


@pytest.fixture
def asked(validated, items, study):
    """Return labeling.questions by item, bug and dimension: state, batch and answer per person."""

    def of_rows(rows, rejected=(), items=items, study=study):
        labels = validated(rows, items, study)
        units = freeze(labels, items, study).units
        refused = pl.DataFrame(list(rejected), schema=REJECTED_LABELS)
        found = questions(labels, units, items, refused, study=study)
        assert found.schema == QUESTIONS
        table: dict = {}
        for item, bug, dimension, rater, *rest in found.drop("file", "line").rows():
            table.setdefault((item, bug, dimension), {})[rater] = tuple(rest)
        return table

    return of_rows


@pytest.fixture
def listed(rater_row):
    return [rater_row("SO-1", rater, 5) for rater in ("ann", "bob")]


def refusal(row, file="5-ann.csv"):
    return {"file": file, "line": 4, "content": row_json(row), "reason": "?", "seen_at": row["received_at"]}


WAITS = ("waiting", 5, None)


def test_every_list_of_bugs_waits_at_first(asked):
    assert asked([]) == {
        (item, 0, "is_bug"): dict.fromkeys(("ann", "bob"), ("waiting", batch, None))
        for item, batch in (("SO-1", 5), ("SO-2", 100))
    }


def test_lists_of_bugs_are_answered_true_or_false(asked, rater_row):
    rows = [rater_row("SO-1", "ann", 5), rater_row("SO-1", "bob", 5, 0)]
    assert asked(rows)["SO-1", 0, "is_bug"] == {
        "ann": ("answered", 5, "true"),
        "bob": ("answered", 5, "false"),
        "eve": WAITS,  # the lists differ
    }


def test_questions_about_a_frozen_bug_wait_until_they_are_answered(asked, listed, rater_row):
    assert asked(listed)["SO-1", 1, "stage"] == {"ann": WAITS, "bob": WAITS}
    table = asked([*listed, rater_row("SO-1", "ann", 5, bug_type="API Bug", stage="Training")])
    assert {name: table["SO-1", 1, name] for name in ("bug_type", "stage", "antipattern")} == {
        "bug_type": {"ann": ("answered", 5, "API Bug"), "bob": WAITS},
        "stage": {"ann": ("answered", 5, "Training"), "bob": WAITS},
        "antipattern": {"ann": ("answered none", 5, "none"), "bob": WAITS},
    }


def test_a_blank_cell_waits(asked, listed, rater_row):
    table = asked([*listed, rater_row("SO-1", "ann", 5, bug_type="API Bug", stage=None)])
    assert table["SO-1", 1, "stage"]["ann"] == WAITS
    assert table["SO-1", 1, "effect"]["ann"] == ("answered", 5, "Crash")


def test_a_cell_that_is_cleared_is_withdrawn_until_it_is_answered_again(asked, listed, rater_row):
    rows = [
        *listed,
        rater_row("SO-1", "ann", 5, bug_type="API Bug", stage="Training"),
        rater_row("SO-1", "ann", 5, bug_type="API Bug", stage=None, file="5-ann (2).csv"),
    ]
    assert asked(rows)["SO-1", 1, "stage"]["ann"] == ("withdrawn", 5, None)
    rows.append(rater_row("SO-1", "ann", 5, bug_type="API Bug", stage="none", file="5-ann (3).csv"))
    assert asked(rows)["SO-1", 1, "stage"]["ann"] == ("answered none", 5, "none")


def test_an_adjudicator_is_asked_where_raters_differ_who_have_all_answered(asked, listed, rater_row):
    rows = [*listed, rater_row("SO-1", "ann", 5, bug_type="API Bug", stage="Training")]
    assert not any("eve" in people for people in asked(rows).values())
    rows.append(rater_row("SO-1", "bob", 5, bug_type="Data Bug", stage=None))
    table = asked(rows)
    assert [key for key, people in table.items() if "eve" in people] == [("SO-1", 1, "bug_type")]
    assert table["SO-1", 1, "bug_type"]["eve"] == WAITS
    undecided = dict.fromkeys(("root_cause", "effect", "stage", "antipattern"))
    rows.append(rater_row("SO-1", "eve", 5, bug_type="Data Bug", **undecided))
    assert asked(rows)["SO-1", 1, "bug_type"]["eve"] == ("answered", 5, "Data Bug")


def test_a_bug_that_the_adjudicator_adds_is_due_for_every_rater(asked, listed, rater_row):
    rows = [*listed, *[rater_row("SO-1", rater, 5, bug_type="API Bug") for rater in ("ann", "bob")]]
    added = rater_row("SO-1", "eve", 5, 3, place="line 30")
    table = asked([*rows, added])
    assert {key: people for key, people in table.items() if key[1] == 3 and key[2] != "antipattern"} == {
        ("SO-1", 3, name): {"ann": WAITS, "bob": WAITS} for name in ("bug_type", "root_cause", "effect", "stage")
    }
    assert table["SO-1", 1, "bug_type"] == dict.fromkeys(("ann", "bob"), ("answered", 5, "API Bug"))


def test_a_bug_that_is_listed_again_for_a_later_batch_is_rated_again(asked, listed, rater_row):
    rows = [*listed, *[rater_row("SO-1", rater, 5, bug_type="API Bug") for rater in ("ann", "bob")]]
    rows.append(rater_row("SO-1", "ann", 10))
    again = ("waiting", 10, None)
    assert asked(rows)["SO-1", 1, "bug_type"] == {"ann": again, "bob": ("answered", 5, "API Bug")}
    rows.append(rater_row("SO-1", "ann", 10, bug_type="Data Bug"))
    assert asked(rows)["SO-1", 1, "bug_type"]["ann"] == ("answered", 10, "Data Bug")


def test_only_answers_for_batches_up_to_a_checkpoint_count_there(validated, listed, rater_row, items, study):
    rows = [*listed, *[rater_row("SO-1", rater, 5, bug_type="API Bug") for rater in ("ann", "bob")]]
    rows += [rater_row("SO-1", "ann", 10), rater_row("SO-1", "ann", 10, bug_type="Data Bug")]
    rows += [rater_row("SO-2", rater, 100) for rater in ("ann", "bob")]
    labels = validated(rows, items, study)
    units = freeze(labels, items, study).units

    def answers(checkpoint):
        found = states(labels, units, items, study, "bug_type", checkpoint=checkpoint)
        return found.select("item_id", "rater", "state", "answer").rows()

    assert answers(5) == [("SO-1", "ann", "answered", "API Bug"), ("SO-1", "bob", "answered", "API Bug")]
    assert answers(10) == [("SO-1", "ann", "answered", "Data Bug"), ("SO-1", "bob", "answered", "API Bug")]
    assert answers(100) == [
        *answers(10), ("SO-2", "ann", "waiting", None), ("SO-2", "bob", "waiting", None),
    ]  # fmt: skip


def test_a_question_whose_row_was_refused_is_refused_until_it_is_answered(asked, listed, rater_row):
    rows = [rater_row("SO-1", "bob", 5)]
    refused = [refusal(rater_row("SO-1", "ann", 5))]
    assert asked(rows, refused)["SO-1", 0, "is_bug"]["ann"] == ("refused", 5, None)
    rating = [refusal(rater_row("SO-1", "ann", 5, bug_type="Cosmic Ray"))]
    table = asked(listed, rating)
    assert table["SO-1", 1, "bug_type"] == {"ann": ("refused", 5, None), "bob": WAITS}
    assert table["SO-1", 0, "is_bug"]["ann"] == ("answered", 5, "true")
    # What was answered before still counts.
    rows = [*listed, rater_row("SO-1", "ann", 5, bug_type="API Bug")]
    assert asked(rows, rating)["SO-1", 1, "bug_type"]["ann"] == ("answered", 5, "API Bug")


def test_refusals_without_an_item_or_a_rater_mark_no_question(asked, rater_row):
    rows = [rater_row(None, "ann", 5), rater_row("SO-1", None, 5), rater_row("SO-1", "zoe", 5)]
    whole_file = {"file": "x", "line": 0, "content": None, "reason": "?", "seen_at": rows[0]["received_at"]}
    table = asked([], [*map(refusal, rows), whole_file])
    assert {state for people in table.values() for state, *_ in people.values()} == {"waiting"}


def test_who_is_not_asked_about_an_item_has_questions_that_are_not_asked(asked, rater_row, items, make_study):
    three = make_study(raters=("ann", "bob", "cid"), raters_per_item=2)
    drawn = items.with_columns(raters=pl.Series([["ann", "cid"], ["bob", "cid"]], dtype=pl.List(pl.String)))
    table = asked([rater_row("SO-1", rater, 5) for rater in ("ann", "cid")], items=drawn, study=three)
    yes = ("answered", 5, "true")
    not_asked = ("not asked", None, None)
    assert table["SO-1", 0, "is_bug"] == {"ann": yes, "bob": not_asked, "cid": yes}
    assert table["SO-1", 1, "bug_type"] == {"ann": WAITS, "bob": not_asked, "cid": WAITS}
    waits = ("waiting", 100, None)
    assert table["SO-2", 0, "is_bug"] == {"ann": not_asked, "bob": waits, "cid": waits}


def test_what_is_asked_of_a_sample_is_not_asked_elsewhere(asked, rater_row, make_items, make_study):
    dimensions = [
        {**dimension.model_dump(), "asked_of": {"posts_per_library": 1}} if dimension.name == "stage" else dimension
        for dimension in make_study().dimensions
    ]
    items = make_items({"SO-1": 5, "GH-1": 5, "SO-2": 10})
    rows = [rater_row(item, rater, batch) for item, batch in (("SO-1", 5), ("GH-1", 5), ("SO-2", 10)) for rater in
            ("ann", "bob")]  # fmt: skip
    table = asked(rows, items=items, study=make_study(dimensions=dimensions))
    not_asked = dict.fromkeys(("ann", "bob"), ("not asked", None, None))
    assert table["SO-1", 1, "stage"] == {"ann": WAITS, "bob": WAITS}
    assert table["GH-1", 1, "stage"] == not_asked
    assert table["SO-2", 1, "stage"] == not_asked
    assert table["SO-2", 1, "effect"] == dict.fromkeys(("ann", "bob"), ("waiting", 10, None))


def test_answers_cite_their_file_and_line(validated, listed, rater_row, items, study):
    labels = validated([*listed, rater_row("SO-1", "ann", 5, bug_type="API Bug", file="x.csv", line=9)], items, study)
    units = freeze(labels, items, study).units
    rejected = pl.DataFrame([refusal(rater_row("SO-1", "bob", 5, bug_type="?"), "y.csv")], schema=REJECTED_LABELS)
    found = questions(labels, units, items, rejected, study=study).filter(dimension="effect")
    assert found.select("rater", "state", "file", "line").rows() == [
        ("ann", "answered", "x.csv", 9),
        ("bob", "refused", "y.csv", 4),
    ]
