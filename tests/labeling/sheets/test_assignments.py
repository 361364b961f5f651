"""Sheets that are due: whose items they contain, and what they show."""

import polars as pl
import pytest

from support.filled_sheets import Loop, items_of

CATEGORIES = {"bug_type": "Data Bug", "root_cause": "API Misuse", "effect": "Crash", "stage": "none"}
CATEGORIES |= {"antipattern": "none"}
#: Who is asked about each item.
RATERS = {"SO-Keras-0": ["ann", "bob"], "SO-Keras-1": ["cid", "dan"], "SO-Keras-2": ["ann", "dan"]}


@pytest.fixture
def loop(make_study, taxonomy, tmp_path):
    """Return the labelling of three items by two of four raters each."""
    study = make_study(raters=("ann", "bob", "cid", "dan"), checkpoints=(100,), raters_per_item=2)
    items = items_of(3, study)
    raters = pl.Series("raters", [RATERS[item] for item in items["item_id"]], pl.List(pl.String))
    return Loop(study, taxonomy, items.with_columns(raters), tmp_path, "csv")


def contents(loop):
    return {name: [row["item_id"] for row in sheet.rows] for name, sheet in loop.due().items()}


def hand_in(loop, answer):
    for sheet in loop.due().values():
        loop.submit(sheet, lambda row, person=sheet.person: answer(person, row["item_id"]))
    loop.compute()


def test_sheets_contain_the_items_that_their_rater_is_asked_about(loop):
    assert contents(loop) == {
        "100-ann": ["SO-Keras-0", "SO-Keras-2"], "100-bob": ["SO-Keras-0"], "100-cid": ["SO-Keras-1"],
        "100-dan": ["SO-Keras-1", "SO-Keras-2"],
    }  # fmt: skip
    hand_in(loop, lambda *_: {"is_bug": True})
    assert contents(loop) == {
        "100-ann-dimensions": ["SO-Keras-0", "SO-Keras-2"], "100-bob-dimensions": ["SO-Keras-0"],
        "100-cid-dimensions": ["SO-Keras-1"], "100-dan-dimensions": ["SO-Keras-1", "SO-Keras-2"],
    }  # fmt: skip


def test_the_adjudicator_sees_the_answers_of_the_raters_of_each_item_as_a_and_b(loop):
    hand_in(loop, lambda *_: {"is_bug": True})
    effects = {"ann": "Crash", "bob": "Hang", "cid": "Hang", "dan": "Incorrect Functionality"}
    hand_in(loop, lambda person, _: CATEGORIES | {"effect": effects[person], "comment": f"by number {effects[person]}"})
    (sheet,) = loop.due().values()
    assert sheet.name == "100-eve-dimensions"
    assert sheet.rater_columns == tuple(
        f"{name} {letter}" for name in (*loop.study.asked_names, "comment") for letter in "AB"
    )
    assert sheet.asked == tuple(each for each in loop.study.asked if each.name == "effect")
    for row in sheet.rows:
        assert {row["effect A"], row["effect B"]} == {effects[rater] for rater in RATERS[row["item_id"]]}
        assert row["comment A"] == f"by number {row['effect A']}"
        assert (row["bug_type A"], row["bug_type B"], row["bug_type"]) == ("Data Bug", "Data Bug", None)
        assert not {*RATERS[row["item_id"]]} & {str(cell) for cell in row.values()}


def test_lists_to_align_are_shown_side_by_side_with_a_row_per_bug(loop):
    lists = {"bob": [{"is_bug": True, "place": "line 1"}, {"is_bug": True, "place": "line 2"}]}
    hand_in(loop, lambda person, _: lists.get(person, {"is_bug": person != "cid", "place": None}))
    sheet = loop.due()["100-eve"]
    assert sheet.rater_columns == ("bugs A", "bugs B", "comment A", "comment B")
    assert [(row["item_id"], row["bug_index"], row["is_bug"]) for row in sheet.rows] == [
        ("SO-Keras-0", 1, None), ("SO-Keras-0", 2, None), ("SO-Keras-1", 1, None),
    ]  # fmt: skip
    assert [{row["bugs A"], row["bugs B"]} for row in sheet.rows] == [
        {"1. the whole item", "1. line 1\n2. line 2"}, {"1. the whole item", "1. line 1\n2. line 2"},
        {"1. the whole item", "no bug"},
    ]  # fmt: skip


def test_bugs_that_are_rated_in_part_are_due_again_with_the_answers_so_far(loop):
    hand_in(loop, lambda *_: {"is_bug": True})
    blank = {"stage": None, "comment": "stage?"}
    hand_in(loop, lambda _, item: CATEGORIES | (blank if item == "SO-Keras-2" else {}))
    assert contents(loop) == {"100-ann-dimensions": ["SO-Keras-2"], "100-dan-dimensions": ["SO-Keras-2"]}
    (row,) = loop.due()["100-ann-dimensions"].rows
    assert {name: row[name] for name in (*CATEGORIES, "comment")} == CATEGORIES | blank
    # The sheet lacks the complete answer of ann, which still counts.
    hand_in(loop, lambda *_: {"stage": "Training"})
    assert loop.due() == {}
    assert loop.receipts["withdrawn"].sum() == 0
    assert loop.decided.select("item_id", "stage").rows() == [
        ("SO-Keras-0", None), ("SO-Keras-1", None), ("SO-Keras-2", "Training"),
    ]  # fmt: skip
