"""From exported sheets to agreed labels, with the same result in all three formats."""

import polars as pl
import pytest

from support.filled_sheets import Loop, items_of

pytestmark = pytest.mark.slow

FORMATS = ("xlsx", "csv", "label-studio")
NONE = {"stage": "none", "antipattern": "none"}
LOGIC = {"bug_type": "Structural Logic Bug", "root_cause": "Structure Inefficiency", "effect": "Crash"} | NONE
DATA = {"bug_type": "Data Bug", "root_cause": "Unaligned Tensor", "effect": "Bad Performance"} | NONE
DATA |= {"stage": "Training"}


@pytest.fixture(params=FORMATS)
def loop(request, make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(50, 100))
    return Loop(study, taxonomy, items_of(4, study, commits=2), tmp_path, request.param)


def number(row):
    return int(row["item_id"].rsplit("-", 1)[1])


def bugs(row):
    """Return both raters' answer: no bug in item 1, two in item 2, one in every other."""
    match number(row):
        case 1:
            return {"is_bug": False, "comment": "a question"}
        case 2:
            return [{"is_bug": True, "place": "=first\nline"}, {"is_bug": True, "place": "-second"}]
    return {"is_bug": True, "place": "  line   7"}


def test_from_the_first_sheet_to_the_agreed_bugs(loop):
    first = loop.due()
    assert sorted(first) == ["50-ann", "50-bob"]
    assert [row["item_id"] for row in first["50-ann"].rows] == [
        "SO-Keras-0", "SO-Keras-1", f"GH-Keras-{4:040}", f"GH-Keras-{5:040}",
    ]  # fmt: skip
    for name in ("50-ann", "50-bob"):
        loop.submit(first[name], bugs)
    loop.read()
    assert loop.rejected.rows() == []
    # The same single bug of both raters is frozen and rated next; item 2 is in the next batch.
    second = loop.due()
    assert sorted(second) == ["100-ann", "100-bob", "50-ann-dimensions", "50-bob-dimensions"]
    for rater in ("ann", "bob"):
        loop.submit(second[f"50-{rater}-dimensions"], lambda _, rater=rater: LOGIC if rater == "ann" else LOGIC | DATA)
        loop.submit(second[f"100-{rater}"], bugs)
    loop.read()
    assert loop.rejected.rows() == []
    # Both list the same two bugs in item 2; the adjudicator decides the first batch, whose labels all differ.
    third = loop.due()
    assert sorted(third) == ["100-ann-dimensions", "100-bob-dimensions", "50-eve-dimensions"]
    decision = third["50-eve-dimensions"].rows[0]
    assert {decision["bug_type A"], decision["bug_type B"]} == {"Structural Logic Bug", "Data Bug"}
    assert [decision[name] for name in ("bug_type", "stage", "antipattern")] == [None] * 3
    # One of them stays undecided.
    loop.submit(third["50-eve-dimensions"], lambda row: None if number(row) == 5 else DATA)
    loop.read()
    fourth = loop.due()
    assert sorted(fourth) == ["100-ann-dimensions", "100-bob-dimensions", "50-eve-dimensions"]
    assert len(fourth["100-ann-dimensions"].rows) == 3
    for rater in ("ann", "bob"):
        loop.submit(fourth[f"100-{rater}-dimensions"], lambda _: LOGIC)
    loop.read()
    assert sorted(loop.due()) == ["50-eve-dimensions"]
    decided = dict(loop.decided.select("bug_id", "decided_by").rows())
    assert decided == {
        "SO-Keras-0#1": "adjudication", "SO-Keras-2#1": "agreement", "SO-Keras-2#2": "agreement",
        "SO-Keras-3#1": "agreement", f"GH-Keras-{4:040}#1": "adjudication",
    }  # fmt: skip
    assert loop.rejected.rows() == []


def test_all_formats_result_in_the_same_tables(make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(50, 100))
    loops = [Loop(study, taxonomy, items_of(4, study), tmp_path / name, name) for name in FORMATS]
    answers = {
        ("units", False): bugs,
        ("dimensions", False): lambda _: LOGIC | {"comment": '@sure, ähm "x"'},
    }
    for loop in loops:
        for _ in range(3):
            for sheet in loop.due().values():
                loop.submit(sheet, answers[sheet.pass_name, bool(sheet.rater_columns)])
            loop.read()
        assert loop.rejected.rows() == []
    one, *others = [loop.current() for loop in loops]
    assert len(one) > 10
    for other in others:
        assert other == one
    for loop in loops[1:]:
        assert loop.units.equals(loops[0].units)
        assert loop.decided.drop("provenance").equals(loops[0].decided.drop("provenance"))


def test_earlier_items_can_be_labelled_again_after_a_training(loop):
    first = loop.due()
    for name, answer in (("50-ann", True), ("50-bob", False)):
        loop.submit(first[name], lambda _, answer=answer: {"is_bug": answer})
    loop.read()
    again = loop.due(again=[50])["100-ann"]
    assert sorted(map(number, again.rows)) == [0, 1, 2, 3, 4, 5]
    assert {row["batch"] for row in again.rows} == {100}
    loop.submit(again, lambda _: {"is_bug": False})
    loop.read()
    answers = loop.labels.filter(rater="ann", item_id="SO-Keras-0").select("batch", "is_bug", "superseded").rows()
    assert answers == [(50, True, False), (100, False, False)]


def test_an_unchanged_file_is_ignored_and_a_newer_one_supersedes_changed_rows(loop):
    sheet = loop.due()["50-ann"]
    path = loop.submit(sheet, bugs)
    loop.read()
    assert loop.new == [path.name]
    before = loop.labels
    loop.read()
    assert (loop.new, loop.labels.equals(before)) == ([], True)
    content = path.read_bytes()
    # One answer changes; the others are not new labels.
    loop.submit(sheet, lambda row: {"is_bug": False} if number(row) == 0 else bugs(row))
    loop.read()
    assert loop.new == [path.name]
    answers = loop.labels.filter(item_id="SO-Keras-0").select("bug_index", "is_bug", "superseded").rows()
    assert answers == [(1, True, True), (0, False, False)]
    assert loop.labels.height == before.height + 1
    # The first version is still in the archive.
    assert any(kept.read_bytes() == content for kept in (loop.folder / "received").rglob("*.*"))


def test_a_file_that_may_still_be_growing_is_not_received(loop):
    path = loop.submit(loop.due()["50-ann"], bugs)
    path.touch()
    loop.clock.advance(seconds=path.stat().st_mtime - loop.clock.now().timestamp() + 3)
    loop.read()
    assert (loop.labels.height, loop.growing) == (0, [path])
    loop.clock.advance(seconds=30)
    loop.read()
    assert loop.labels.height > 0


def test_invalid_rows_are_rejected_and_valid_ones_accepted(make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(100,))
    loop = Loop(study, taxonomy, items_of(9, study), tmp_path, "csv")
    changes = {
        0: {"item_id": "SO-Keras-77"},
        1: {"rater": "bob"},
        2: {"rater": "nobody"},
        3: {"is_bug": "perhaps"},
        4: {"bug_index": "many"},
        5: {"link": "https://example.org/changed"},
        6: {"is_bug": None, "comment": "forgotten"},
        7: {"batch": 7},
    }
    loop.submit(loop.due()["100-ann"], lambda row: {"is_bug": True} | changes.get(number(row), {}))
    loop.read()
    assert loop.labels["item_id"].to_list() == ["SO-Keras-8"]
    reasons = dict(loop.rejected.select("line", "reason").rows())
    assert {line: reason.split(";")[0] for line, reason in reasons.items()} == {
        2: "item_id: unknown 'SO-Keras-77'",
        3: "rater: the file name is for ann, but the row is for bob",
        4: "rater: unknown 'nobody'",
        5: "is_bug: 'perhaps' is neither true nor false",
        6: "bug_index: 'many' is not a whole number",
        7: "link: 'https://example.org/changed' is not that of SO-Keras-5, 'https://example.org/5?a=b&c=d': the row "
        "was moved or edited",
        8: "is_bug: missing",
        9: "batch: unknown '7'",
    }
    assert set(loop.rejected["file"]) == {"100-ann.csv"}
    # After they are fixed and submitted again, no row is rejected.
    loop.submit(loop.due()["100-ann"], lambda _: {"is_bug": True})
    loop.read()
    assert loop.rejected.rows() == []
    assert loop.labels.height == 9


def test_the_dimensions_pass_is_validated(make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(100,))
    loop = Loop(study, taxonomy, items_of(3, study), tmp_path, "xlsx")
    for rater in ("ann", "bob"):
        loop.submit(loop.due()[f"100-{rater}"], lambda _: {"is_bug": True})
    loop.read()
    answers = [LOGIC | {"bug_type": "Cosmic Ray"}, LOGIC | {"effect": None}, LOGIC]
    loop.submit(loop.due()["100-ann-dimensions"], lambda row: answers[number(row)])
    loop.read()
    assert loop.labels.filter(pl.col("pass") == "dimensions")["item_id"].to_list() == ["SO-Keras-2"]
    assert [reason.split(",")[0].split(";")[0] for reason in loop.rejected["reason"]] == [
        "bug_type: unknown category 'Cosmic Ray'",
        "effect: missing",
    ]
