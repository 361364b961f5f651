"""Receipts: what became of the rows of each version of a file, and which refused rows wait for an answer."""

import pytest

from support.filled_sheets import Loop, items_of

HEAD = "item_id,rater,batch,bug_index,is_bug,place\n"
CATEGORIES = {"bug_type": "Data Bug", "root_cause": "API Misuse", "effect": "Crash", "stage": "none"}
CATEGORIES |= {"antipattern": "none"}


@pytest.fixture
def loop(make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(100,))
    return Loop(study, taxonomy, items_of(5, study), tmp_path, "csv")


def hand_in(loop, name, *answers, rater="ann"):
    """Submit rows about items: number, answer and place; return the receipt as a dictionary."""
    rows = "".join(f"SO-Keras-{number},{rater},100,1,{answer},{place}\n" for number, answer, place in answers)
    loop.drop(name, (HEAD + rows).encode())
    loop.compute()
    return last(loop)


def last(loop):
    """Return the counts of the last receipt that are not 0."""
    counts = ("rows", "taken", "changed", "unchanged", "blank", "withdrawn", "refused")
    return {name: count for name, count in loop.receipts.select(counts).row(-1, named=True).items() if count}


def waiting(loop):
    return loop.rejected.select("file", "line").rows()


def states(loop, rater="ann"):
    """Return the state of each list of bugs, in the order of the items."""
    return loop.questions.filter(dimension="is_bug", rater=rater).sort("item_id")["state"].to_list()


def rate(loop):
    """Let both raters list a bug in every item; return the sheet in which ann rates them."""
    for rater in ("ann", "bob"):
        loop.submit(loop.due()[f"100-{rater}"], lambda _: {"is_bug": True})
    loop.compute()
    return loop.due()["100-ann-dimensions"]


def decide(loop, **bobs):
    """Let ann and bob rate all bugs, bob with other labels; return the adjudicator's sheet."""
    loop.submit(rate(loop), lambda _: CATEGORIES)
    loop.submit(loop.due()["100-bob-dimensions"], lambda _: CATEGORIES | bobs)
    loop.compute()
    return loop.due()["100-eve-dimensions"]


ALL = [(number, "true", "") for number in range(5)]


def test_each_row_of_a_version_is_counted_once(loop):
    rows = [(0, "true", "line 1"), (1, "false", ""), (2, "perhaps", ""), (3, "", "")]
    assert hand_in(loop, "100-ann.csv", *rows) == {"rows": 4, "taken": 2, "blank": 1, "refused": 1}
    rows = [(0, "true", "line 1"), (1, "true", ""), (2, "true", ""), (3, "", ""), (4, "maybe", "")]
    counts = {"rows": 5, "taken": 1, "changed": 1, "unchanged": 1, "blank": 1, "refused": 1}
    assert hand_in(loop, "100-ann.csv", *rows) == counts
    assert loop.receipts.select("file", "version", "rater", "pass", "note").rows() == [
        ("100-ann.csv", 1, "ann", "units", None),
        ("100-ann.csv", 2, "ann", "units", None),
    ]
    assert waiting(loop) == [("100-ann.csv", 6)]


def test_a_version_of_a_sheet_may_have_another_name_and_clears_answers(loop):
    hand_in(loop, "100-ann.csv", *ALL)
    corrected = [*ALL[:3], (3, "", ""), (4, "false", "")]
    counts = {"rows": 5, "changed": 1, "unchanged": 3, "blank": 1, "withdrawn": 1}
    assert hand_in(loop, "100-ann (corrected).csv", *corrected) == counts
    assert loop.receipts["note"].to_list() == [
        None,
        "taken as a corrected version: it repeats 4 of 5 earlier answers; of those that it lacks, 1 withdrawn",
    ]
    assert states(loop) == ["answered"] * 3 + ["withdrawn", "answered"]
    # The item is due again.
    assert [row["item_id"] for row in loop.due()["100-ann"].rows] == ["SO-Keras-3"]


def test_a_cleared_row_withdraws_its_answer_and_a_row_that_is_left_out_of_a_portion_does_not(loop):
    hand_in(loop, "100-ann.csv", *ALL)
    counts = {"rows": 2, "unchanged": 1, "blank": 1, "withdrawn": 1}
    assert hand_in(loop, "100-ann.csv", ALL[0], (3, "", "")) == counts
    assert loop.receipts["note"].to_list()[-1] == (
        "taken as a portion of its sheet: it repeats 1 of 5 earlier answers; of those that it lacks, 1 withdrawn, "
        "3 kept"
    )
    assert states(loop) == ["answered"] * 3 + ["withdrawn", "answered"]


def test_rows_that_are_deleted_from_a_corrected_version_are_withdrawn(loop):
    hand_in(loop, "100-ann.csv", *ALL)
    assert hand_in(loop, "100-ann.csv", *ALL[1:]) == {"rows": 4, "unchanged": 4, "withdrawn": 1}
    assert states(loop) == ["withdrawn"] + ["answered"] * 4


def test_a_portion_withdraws_nothing_and_the_receipt_says_what_was_assumed(loop):
    hand_in(loop, "100-ann.csv", *ALL[:3])
    assert hand_in(loop, "100-ann (2).csv", (0, "false", ""), *ALL[3:]) == {"rows": 3, "taken": 2, "changed": 1}
    assert loop.receipts["note"].to_list()[-1] == (
        "taken as a portion of its sheet: it repeats 1 of 3 earlier answers; of those that it lacks, 2 kept"
    )
    assert states(loop) == ["answered"] * 5


def test_an_untouched_file_withdraws_nothing(loop):
    hand_in(loop, "100-ann.csv", *ALL)
    blank = [(number, "", "") for number in range(5)]
    assert hand_in(loop, "100-ann (2).csv", *blank) == {"rows": 5, "blank": 5}
    assert loop.receipts["note"].to_list()[-1] == "nothing is filled in"
    assert states(loop) == ["answered"] * 5


def test_an_answer_that_cannot_be_read_replaces_nothing(loop):
    hand_in(loop, "100-ann.csv", *ALL)
    assert hand_in(loop, "100-ann.csv", *ALL[1:], (0, "perhaps", "")) == {"rows": 5, "unchanged": 4, "refused": 1}
    assert states(loop) == ["answered"] * 5
    assert waiting(loop) == [("100-ann.csv", 6)]


@pytest.mark.parametrize("name", ["100-ann.csv", "100-ann (2).csv", "other.csv"])
def test_a_refused_row_waits_until_its_question_is_answered_whatever_the_file_is_named(loop, name):
    hand_in(loop, "100-ann.csv", (0, "perhaps", ""), (1, "true", ""))
    assert states(loop)[:2] == ["refused", "answered"]
    # Neither other answers nor another rater's answer settle it.
    hand_in(loop, name, (1, "true", ""), (2, "true", ""))
    hand_in(loop, "100-bob.csv", *ALL, rater="bob")
    assert waiting(loop) == [("100-ann.csv", 2)]
    hand_in(loop, name, (0, "true", ""))
    assert waiting(loop) == []
    assert states(loop)[0] == "answered"


def test_of_a_row_that_is_refused_again_the_last_reason_is_shown(loop):
    hand_in(loop, "100-ann.csv", (0, "perhaps", ""))
    hand_in(loop, "other.csv", (0, "maybe", ""))
    assert waiting(loop) == [("other.csv", 2)]
    assert loop.receipts["refused"].to_list() == [1, 1]


@pytest.mark.parametrize("row", ["SO-Keras-77,ann", "SO-Keras-1,zoe", "SO-Keras-1,bob"])
def test_a_row_without_a_known_item_and_rater_waits_for_a_version_of_its_sheet_without_it(loop, row):
    loop.drop("100-ann.csv", (HEAD + f"{row},100,1,true,\nSO-Keras-0,ann,100,1,true,\n").encode())
    loop.compute()
    hand_in(loop, "100-bob.csv", *ALL, rater="bob")
    assert waiting(loop) == [("100-ann.csv", 2)]
    hand_in(loop, "100-ann (fixed).csv", *ALL)
    assert waiting(loop) == []


def test_a_file_that_is_not_a_sheet_waits_for_a_version_that_is(loop):
    loop.drop("100-ann.csv", b"hello\n")
    loop.compute()
    assert (waiting(loop), last(loop)) == ([("100-ann.csv", 0)], {"rows": 1, "refused": 1})
    hand_in(loop, "100-ann (2).csv", *ALL)
    assert waiting(loop) == []


def test_a_row_of_a_rater_who_is_not_asked_is_refused_and_does_not_wait_for_ever(make_study, taxonomy, tmp_path):
    study = make_study(raters=("ann", "bob", "cid"), checkpoints=(100,), raters_per_item=2)
    items = items_of(2, study)
    items = items.with_columns(raters=items["item_id"].replace_strict({
        "SO-Keras-0": ["ann", "bob"], "SO-Keras-1": ["bob", "cid"],
    }))  # fmt: skip
    loop = Loop(study, taxonomy, items, tmp_path, "csv")
    assert {name: len(sheet.rows) for name, sheet in loop.due().items()} == {"100-ann": 1, "100-bob": 2, "100-cid": 1}
    assert hand_in(loop, "100-ann.csv", *ALL[:2]) == {"rows": 2, "taken": 1, "refused": 1}
    assert loop.rejected["reason"].to_list() == [
        "rater: ann is not asked about this item; copy rows from the own sheet only"
    ]
    assert states(loop) == ["answered", "not asked"]
    hand_in(loop, "100-ann.csv", *ALL[:1])
    assert waiting(loop) == []


@pytest.mark.parametrize("column", ["title", "link"])
def test_rows_that_were_moved_are_refused(loop, column):
    sheet = rate(loop)
    moved = {row["item_id"]: other[column] for row, other in zip(sheet.rows, reversed(sheet.rows), strict=True)}
    loop.submit(sheet, lambda row: CATEGORIES | {column: moved[row["item_id"]]})
    loop.compute()
    # The row in the middle is where it was.
    assert last(loop) == {"rows": 5, "taken": 1, "refused": 4}
    assert all(reason.startswith(f"{column}: ") and "was moved" in reason for reason in loop.rejected["reason"])


def test_a_rating_of_a_bug_that_does_not_exist_is_refused(loop):
    sheet = rate(loop)
    loop.submit(sheet, lambda row: CATEGORIES | {"bug_index": 2 if row["item_id"] == "SO-Keras-3" else 1})
    loop.compute()
    assert last(loop) == {"rows": 5, "taken": 4, "refused": 1}
    assert loop.rejected["reason"].to_list() == ["bug_index: the item has no bug 2; its frozen bugs are 1"]


def test_ratings_that_are_cleared_in_a_corrected_version_are_withdrawn(loop):
    sheet = rate(loop)
    loop.submit(sheet, lambda _: CATEGORIES)
    loop.compute()
    loop.submit(sheet, lambda row: None if row["item_id"] == "SO-Keras-2" else CATEGORIES, "100-ann-dimensions (2)")
    loop.compute()
    assert last(loop) == {"rows": 5, "unchanged": 4, "blank": 1, "withdrawn": 1}
    withdrawn = loop.questions.filter(state="withdrawn")
    assert withdrawn.select("item_id", "rater").unique().rows() == [("SO-Keras-2", "ann")]
    assert withdrawn["dimension"].to_list() == list(loop.study.asked_names)


def test_decisions_survive_further_exports_and_untouched_sheets_decide_nothing(loop):
    untouched = decide(loop, effect="Bad Performance")
    assert len(untouched.rows) == 5
    loop.submit(untouched, lambda _: None)
    loop.compute()
    assert (last(loop), loop.decided.height) == ({"rows": 5, "blank": 5}, 0)
    # She decides three of five bugs, and later the others, in the sheet that is exported then.
    decided = {"SO-Keras-0", "SO-Keras-1", "SO-Keras-2"}
    loop.submit(untouched, lambda row: {"effect": "Crash"} if row["item_id"] in decided else None)
    loop.compute()
    assert (last(loop), loop.decided.height) == ({"rows": 5, "taken": 3, "blank": 2}, 3)
    again = loop.due()["100-eve-dimensions"]
    assert [row["item_id"] for row in again.rows] == ["SO-Keras-3", "SO-Keras-4"]
    loop.submit(again, lambda _: {"effect": "Crash"})
    loop.read()
    assert last(loop) == {"rows": 2, "taken": 2}
    assert loop.decided["decided_by"].to_list() == ["adjudication"] * 5
    assert loop.due() == {}


def test_partial_decisions_are_continued_in_the_next_sheet(loop):
    sheet = decide(loop, effect="Bad Performance", bug_type="API Bug")
    both = {"effect": "Crash", "bug_type": "Data Bug"}
    loop.submit(sheet, lambda row: both if row["item_id"] == "SO-Keras-0" else {"effect": "Crash"})
    loop.compute()
    assert loop.decided["bug_id"].to_list() == ["SO-Keras-0#1"]
    again = loop.due()["100-eve-dimensions"]
    assert [(row["item_id"], row["effect"], row["bug_type"]) for row in again.rows] == [
        (f"SO-Keras-{number}", "Crash", None) for number in range(1, 5)
    ]
    # The sheet lacks the complete decision, and repeats the partial ones, all but one of which stay as they are.
    loop.submit(again, lambda row: {"bug_type": "API Bug"} if row["item_id"] == "SO-Keras-4" else {})
    loop.compute()
    assert last(loop) == {"rows": 4, "changed": 1, "unchanged": 3}
    assert dict(loop.decided.select("bug_id", "bug_type").rows()) == {
        "SO-Keras-0#1": "Data Bug",
        "SO-Keras-4#1": "API Bug",
    }
