"""Final labels that were imported while raters label: who is asked, what decides, how agreement is measured."""

import polars as pl
import pytest

from dlbug_assets.labeling.agreement.checkpoints import measure
from dlbug_assets.labeling.imported.archive import receive_final
from dlbug_assets.protocol.taxonomy import load_taxonomy
from support.filled_sheets import Loop, items_of, labelling_study

MAP = """[columns]
item_id = "Item"
is_bug = "Bug"
place = "Place"
bug_type = "Type"
root_cause = "Cause"
effect = "Effect"
antipattern = "Antipattern"
"""
RATERS = """[raters.ann]
is_bug = "ann"
bug_type = "Type ann"
root_cause = "Cause"
effect = "Effect"
stage = "Stage ann"
[raters.bob]
is_bug = "bob"
bug_type = "Type bob"
root_cause = "Cause"
effect = "Effect"
stage = "Stage ann"
"""
HEADER = "Item,Bug,Place,Type,Cause,Effect,Antipattern,ann,Type ann,bob,Type bob,Stage ann"
CAUSE = "API Misuse,Crash"
RATED = {
    "bug_type": "Data Bug", "root_cause": "API Misuse", "effect": "Crash", "stage": "none", "antipattern": "none"
}  # fmt: skip


@pytest.fixture
def loop(tmp_path):
    study = labelling_study(checkpoints=(50, 100))
    return Loop(study, load_taxonomy(study), items_of(6, study), tmp_path, "csv")


def import_final(loop, *rows, described=MAP, name="final.csv"):
    file, described_in = loop.folder / name, loop.folder / "map.toml"
    file.write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    described_in.write_text(described, encoding="utf-8")
    receive_final(file, described_in, loop.folder / "final", loop.clock)
    loop.read()


def row(number, bug="true", place="", kind="API Bug", raters=",,,"):
    labels = f"{kind},{CAUSE}" if bug == "true" else ",,"
    return f"SO-Keras-{number},{bug},{place},{labels},,{raters},"


def decisions(loop):
    return loop.decided.select("bug_id", "bug_type", "decided_by").rows()


def states(loop, item):
    questions = loop.questions.filter(item_id=f"SO-Keras-{item}")
    return {
        (dimension, rater): state for dimension, rater, state in questions.select("dimension", "rater", "state").rows()
    }


def asked_about(loop, sheet):
    return [each["item_id"] for each in loop.due()[sheet].rows]


def one_bug(_):
    return {"is_bug": "true", "place": "line 1"}


def test_items_with_final_labels_are_not_asked_and_decided(loop):
    import_final(loop, row(0), row(1, "false"), row(4, place="line 3"), row(4, kind="Data Bug"))
    assert asked_about(loop, "50-ann") == ["SO-Keras-2"]
    assert loop.units.rows() == [
        ("SO-Keras-0", 1, None, "imported", None),
        ("SO-Keras-4", 1, "line 3", "imported", None),
        ("SO-Keras-4", 2, None, "imported", None),
    ]
    assert decisions(loop) == [
        ("SO-Keras-0#1", "API Bug", "imported"),
        ("SO-Keras-4#1", "API Bug", "imported"),
        ("SO-Keras-4#2", "Data Bug", "imported"),
    ]
    assert set(states(loop, 0).values()) == set(states(loop, 1).values()) == {"not asked"}
    assert loop.receipts.select("file", "pass", "rows", "taken", "refused").rows() == [
        ("final/final.csv", "final", 4, 4, 0)
    ]


def test_the_labels_of_the_other_items_are_those_of_the_raters(loop):
    import_final(loop, row(0))
    for rater in ("ann", "bob"):
        loop.submit(loop.due()[f"50-{rater}"], one_bug)
    loop.read()
    for rater in ("ann", "bob"):
        loop.submit(loop.due()[f"50-{rater}-dimensions"], lambda _: RATED)
    loop.read()
    assert loop.rejected.is_empty()
    assert decisions(loop) == [
        ("SO-Keras-0#1", "API Bug", "imported"),
        ("SO-Keras-1#1", "Data Bug", "agreement"),
        ("SO-Keras-2#1", "Data Bug", "agreement"),
    ]


def test_later_answers_of_raters_are_kept_but_change_nothing(loop):
    early = loop.due()["50-ann"], loop.due()["50-bob"]
    import_final(loop, row(0, "false"), row(1))
    for sheet in early:
        loop.submit(sheet, one_bug)
    loop.read()
    assert loop.rejected.is_empty()
    assert loop.units.select("item_id", "frozen_by").rows() == [("SO-Keras-1", "imported"), ("SO-Keras-2", "agreement")]
    assert states(loop, 0)["is_bug", "ann"] == "answered"
    assert states(loop, 1)["bug_type", "ann"] == "not asked"
    assert asked_about(loop, "50-ann-dimensions") == ["SO-Keras-2"]
    assert decisions(loop) == [("SO-Keras-1#1", "API Bug", "imported")]
    # Without the import, the raters' agreement counts.
    import_final(loop)
    assert loop.units["item_id"].to_list() == ["SO-Keras-0", "SO-Keras-1", "SO-Keras-2"]
    assert loop.receipts.filter(file="final/final.csv")["withdrawn"].to_list() == [0, 2]


def test_lists_that_differ_are_not_to_be_aligned_where_final_labels_exist(loop):
    for rater, answer in (("ann", {"is_bug": "true"}), ("bob", {"is_bug": "false"})):
        loop.submit(loop.due()[f"50-{rater}"], lambda _, answer=answer: answer)
    loop.read()
    assert asked_about(loop, "50-eve") == ["SO-Keras-0", "SO-Keras-1", "SO-Keras-2"]
    import_final(loop, row(0), row(1, "false"))
    assert asked_about(loop, "50-eve") == ["SO-Keras-2"]
    assert loop.disagreements.select("item_id", "dimension", "adjudicated_label", "adjudicated_by").rows() == [
        ("SO-Keras-0", "is_bug", "true", "imported"),
        ("SO-Keras-1", "is_bug", "false", "imported"),
        ("SO-Keras-2", "is_bug", None, None),
    ]


def test_columns_of_raters_are_their_answers_and_the_final_label_decides(loop):
    import_final(
        loop,
        row(0, raters="true,Data Bug,true,API Bug"),
        row(1, "false", raters="true,,false,"),
        row(3, raters="true,API Bug,false,"),
        row(4, raters="true,Nothing,true,API Bug"),
        described=MAP + RATERS,
    )
    assert loop.disagreements.select(
        "item_id", "dimension", "label_1", "label_2", "adjudicated_label", "adjudicated_by"
    ).rows() == [
        ("SO-Keras-0", "bug_type", "Data Bug", "API Bug", "API Bug", "imported"),
        ("SO-Keras-1", "is_bug", "true", "false", "false", "imported"),
        ("SO-Keras-3", "is_bug", "true", "false", "true", "imported"),
    ]
    assert states(loop, 0)["root_cause", "ann"] == "answered"
    assert states(loop, 0)["stage", "bob"] == "not asked"
    assert states(loop, 3)["bug_type", "bob"] == "not asked"
    assert decisions(loop) == [(f"SO-Keras-{number}#1", "API Bug", "imported") for number in (0, 3, 4)]
    assert "-dimensions" not in "".join(loop.due())
    ((file, line, reason),) = loop.rejected.select("file", "line", "reason").rows()
    assert (file, line, reason[:38]) == ("final/final.csv", 5, "bug_type: unknown category 'Nothing'; ")
    assert loop.receipts["note"].to_list() == ["1 answers of raters are refused"]


def test_agreement_covers_columns_of_raters_and_does_not_wait_for_items_with_final_labels(loop):
    rated = "true,API Bug,true,API Bug"
    other = "true,Data Bug,true,API Bug"
    import_final(loop, row(0, raters=rated), row(1, raters=other), row(2, "false"), described=MAP + RATERS)
    tables = measure(loop.labels, loop.units, loop.items, loop.study, loop.imported.labels)
    counted = tables.kappa_checkpoints.filter(source="all", checkpoint=50, scope="cumulative")
    counted = counted.select("dimension", "units", "waiting", "observed_agreement")
    assert counted.filter(pl.col("dimension").is_in(["is_bug", "bug_type", "root_cause"])).rows() == [
        ("is_bug", 2, 0, 1.0), ("bug_type", 2, 0, 0.5), ("root_cause", 2, 0, 1.0)
    ]  # fmt: skip


def test_rows_of_a_file_are_refused_until_their_items_are_answered(loop):
    import_final(loop, row(0), row(1, kind="Nonsense"), "SO-Keras-9,true,,API Bug,API Misuse,Crash,,,,,,")
    assert loop.rejected.select("file", "line", "entry").rows() == [
        ("final/final.csv", 3, 1),
        ("final/final.csv", 4, 1),
    ]
    import_final(loop, row(1), name="rest.csv")
    assert loop.rejected.select("file", "line").rows() == [("final/final.csv", 4)]
    assert decisions(loop) == [("SO-Keras-0#1", "API Bug", "imported"), ("SO-Keras-1#1", "API Bug", "imported")]


def test_imported_bugs_do_not_displace_those_of_a_sampled_dimension(tmp_path):
    study = labelling_study(checkpoints=(50, 100))
    labeling = study.labeling.model_copy(update={"antipattern_posts_per_library": 1})
    study = study.model_copy(update={"labeling": labeling})
    loop = Loop(study, load_taxonomy(study), items_of(6, study), tmp_path, "csv")
    for rater in ("ann", "bob"):
        loop.submit(
            loop.due()[f"50-{rater}"], lambda sheet_row: one_bug(0) if sheet_row["item_id"].endswith("2") else None
        )
    loop.read()
    assert states(loop, 2)["antipattern", "ann"] == "waiting"
    import_final(loop, row(0), row(1))
    assert states(loop, 2)["antipattern", "ann"] == "waiting"
    assert states(loop, 0)["antipattern", "ann"] == "not asked"
