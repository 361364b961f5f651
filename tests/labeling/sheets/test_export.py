"""Sheets out: which may be asked for, and what is said where none is due."""

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.sheets.export import export, nothing_due
from support.filled_sheets import Loop, items_of

LOGIC = {"bug_type": "Structural Logic Bug", "root_cause": "Structure Inefficiency", "effect": "Crash"}


@pytest.fixture
def loop(make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(50, 100))
    return Loop(study, taxonomy, items_of(2, study), tmp_path, "csv")


@pytest.mark.parametrize(
    ("written", "wrong"), [("abc", "abc"), ("²", "²"), ("5", "5"), ("50,", ""), ("50, 7", "7"), ("-50", "-50")]
)
def test_a_checkpoint_that_the_study_does_not_have_is_named_as_it_was_written(loop, tmp_path, written, wrong):
    with pytest.raises(DlbugError, match=f"^--again '{wrong}': the study has the checkpoints 50, 100$"):
        export(loop.study, loop.taxonomy, tmp_path, loop.clock, ask=None, again=written)


def test_where_everybody_has_labelled_everything_nothing_is_due(loop):
    assert nothing_due(loop.disagreements) == "Nothing is due: everybody has labelled everything."


@pytest.mark.slow
@pytest.mark.parametrize("who", ["ann", "eve"])
def test_an_answer_that_turned_around_after_the_bugs_were_frozen_is_settled_by_rater_or_adjudicator(loop, who):
    def hand_in(checkpoint, says, again=()):
        for rater in ("ann", "bob"):
            sheet = loop.due(again)[f"{checkpoint}-{rater}"]
            loop.hand_in(sheet, lambda row, rater=rater: {"is_bug": says(rater, row["item_id"])})
        loop.read()
        for sheet in loop.due().values():
            if sheet.which == "dimensions":
                loop.hand_in(sheet, lambda _: LOGIC)

    hand_in(50, lambda *_: True)
    hand_in(100, lambda rater, item: (rater, item) != ("ann", "SO-Keras-0"), again=[50])
    loop.read()
    assert (loop.due(), loop.due(again=[50, 100])) == ({}, {})
    assert nothing_due(loop.disagreements) == (
        "Nothing is due, but 1 disagreement is undecided (SO-Keras-0): a rater turned an answer around after the "
        "item's bugs were frozen. Correct it in that rater's newest sheet and hand that in again, or hand in a row of "
        "the adjudicator's (item_id, rater, batch, bug_index, is_bug)."
    )
    loop.drop("mine.csv", f"item_id,rater,batch,bug_index,is_bug\nSO-Keras-0,{who},100,1,true\n".encode())
    loop.read()
    assert nothing_due(loop.disagreements) == "Nothing is due: everybody has labelled everything."
    assert loop.rejected.rows() == []
