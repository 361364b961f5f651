"""Export of sheets: checkpoints to repeat, incomplete corpora, and what is due after an answer changed."""

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.sheets.export import export
from dlbug_assets.labeling.sheets.formats import RATE_BUGS
from support.filled_sheets import Loop, items_of

LOGIC = {"bug_type": "Structural Logic Bug", "root_cause": "Structure Inefficiency", "effect": "Crash"}
LOGIC |= {"stage": "none", "antipattern": "none"}


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


def test_no_queue_is_frozen_while_something_is_unread(loop, tmp_path):
    unread = {"library": "Keras", "source": "GitHub", "unread": 1, "followed": 2, "unread_reason": "a/b: is shallow"}
    tables = {"from labeling.rater_labels": loop.labels, "from labeling.questions": loop.questions}

    def query(sql):
        return tables.get(sql, pl.DataFrame([unread]))

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
def test_an_answer_that_changed_after_freezing_is_resolved_by_rater_or_adjudicator(loop, who):
    def submit_batch(checkpoint, answer, again=()):
        for rater in ("ann", "bob"):
            sheet = loop.due(again)[f"{checkpoint}-{rater}"]
            loop.submit(sheet, lambda row, rater=rater: {"is_bug": answer(rater, row["item_id"])})
        loop.compute()
        for sheet in loop.due().values():
            if sheet.pass_name == RATE_BUGS:
                loop.submit(sheet, lambda _: LOGIC)

    submit_batch(50, lambda *_: True)
    submit_batch(100, lambda rater, item: (rater, item) != ("ann", "SO-Keras-0"), again=[50])
    loop.compute()
    # The bug stays frozen, and the adjudicator is asked.
    assert loop.units.filter(item_id="SO-Keras-0").select("bug_index", "frozen_by").rows() == [(1, "agreement")]
    (name,) = due = loop.due()
    assert (name, [row["item_id"] for row in due[name].rows]) == ("100-eve", ["SO-Keras-0"])
    (row,) = due[name].rows
    assert {row["bugs A"], row["bugs B"]} == {"no bug", "1. the whole item"}
    loop.drop("mine.csv", f"item_id,rater,batch,bug_index,is_bug\nSO-Keras-0,{who},100,1,true\n".encode())
    loop.read()
    assert loop.due() == {}
    assert loop.rejected.rows() == []
