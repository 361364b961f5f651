"""Export of sheets: checkpoints to repeat, and the message when no sheet is due."""

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.sheets.export import export, nothing_due
from dlbug_assets.labeling.sheets.formats import RATE_BUGS
from dlbug_assets.warehouse.rows import table_schema
from support.filled_sheets import Loop, items_of

LOGIC = {"bug_type": "Structural Logic Bug", "root_cause": "Structure Inefficiency", "effect": "Crash"}


@pytest.fixture
def loop(make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(50, 100))
    return Loop(study, taxonomy, items_of(2, study), tmp_path, "csv")


@pytest.mark.parametrize(
    ("written", "wrong"), [("abc", "abc"), ("²", "²"), ("5", "5"), ("50,", ""), ("50, 7", "7"), ("-50", "-50")]
)
def test_an_unknown_checkpoint_is_reported_as_written(loop, tmp_path, written, wrong):
    with pytest.raises(DlbugError, match=f"^--again '{wrong}': the study has the checkpoints 50, 100$"):
        export(loop.study, loop.taxonomy, tmp_path, loop.clock, pytest.fail, again=written)


def test_nothing_is_due_when_everything_is_labelled(loop):
    assert nothing_due(loop.disagreements) == "Nothing is due: everybody has labelled everything."


def test_no_queue_is_frozen_while_something_is_unread(loop, tmp_path):
    unread = {"library": "Keras", "source": "GitHub", "unread": 1, "followed": 2, "unread_reason": "a/b: is shallow"}
    labels = pl.DataFrame(schema=table_schema("labeling.rater_labels", loop.study))

    def query(sql):
        return labels if sql == "from labeling.rater_labels" else pl.DataFrame([unread])

    with pytest.raises(DlbugError) as raised:
        export(loop.study, loop.taxonomy, tmp_path / "labels", loop.clock, query)
    assert str(raised.value) == (
        "the corpora are incomplete:\n"
        "  Keras on GitHub: 1 of 2 repositories is unread (a/b: is shallow)\n"
        "No queue is frozen, because what is read later could not join this round. Fix the causes and run again; "
        "or pass --incomplete to freeze what was read."
    )
    assert not (tmp_path / "labels").exists()


@pytest.mark.slow
@pytest.mark.parametrize("who", ["ann", "eve"])
def test_a_changed_answer_after_freezing_is_resolved_by_rater_or_adjudicator(loop, who):
    def submit_batch(checkpoint, answer, again=()):
        for rater in ("ann", "bob"):
            sheet = loop.due(again)[f"{checkpoint}-{rater}"]
            loop.submit(sheet, lambda row, rater=rater: {"is_bug": answer(rater, row["item_id"])})
        loop.read()
        for sheet in loop.due().values():
            if sheet.pass_name == RATE_BUGS:
                loop.submit(sheet, lambda _: LOGIC)

    submit_batch(50, lambda *_: True)
    submit_batch(100, lambda rater, item: (rater, item) != ("ann", "SO-Keras-0"), again=[50])
    loop.read()
    assert (loop.due(), loop.due(again=[50, 100])) == ({}, {})
    assert nothing_due(loop.disagreements) == (
        "Nothing is due, but 1 disagreement is undecided (SO-Keras-0): a rater changed an answer after the item's "
        "bugs were frozen. Correct it in that rater's newest sheet and submit that again, or submit a row of the "
        "adjudicator (item_id, rater, batch, bug_index, is_bug)."
    )
    loop.drop("mine.csv", f"item_id,rater,batch,bug_index,is_bug\nSO-Keras-0,{who},100,1,true\n".encode())
    loop.read()
    assert nothing_due(loop.disagreements) == "Nothing is due: everybody has labelled everything."
    assert loop.rejected.rows() == []
