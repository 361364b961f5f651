"""Releases with raters' own labels: agreement is computed, and what all say is the label."""

import polars as pl
import pytest

from dlbug_assets import releases
from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.adjudication import disagreements
from dlbug_assets.labeling.agreement.checkpoints import measure
from dlbug_assets.labeling.items import complete_items, order_queue
from dlbug_assets.labeling.questions import questions
from support.released_studies import COLUMNS, HEADER, csv_text, read, study_of

NO_POSTS = pl.DataFrame(
    schema={"library": pl.String, "post_id": pl.Int64, "title": pl.String, "created_at": pl.Datetime("us")}
)
NO_COMMITS = pl.DataFrame(
    schema={"library": pl.String, "sha": pl.String, "title": pl.String, "authored_at": pl.Datetime("us")}
)


def rated(tmp_path, *rows: tuple[str, str, str, str], **release):
    """Return the study and its releases; each row is the number of a link, symptom, cause and rater."""
    cells = [("Alpha", f"x:{number}", symptom, cause, "file", "", rater) for number, symptom, cause, rater in rows]
    (tmp_path / "bugs.csv").write_text(csv_text(cells, (*HEADER, "Rater")), encoding="utf-8")
    study = study_of(tmp_path, {"file": "bugs.csv", "columns": {**COLUMNS, "rater": "Rater"}, **release})
    return study, read(study)


def items_of(study, released) -> pl.DataFrame:
    return order_queue(complete_items(releases.items(released), NO_POSTS, NO_COMMITS), study)


def tables_of(study, released) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return labels of raters, units and items."""
    return releases.rater_labels(released, study), releases.units(released), items_of(study, released)


def disagreements_of(study, released) -> pl.DataFrame:
    labels, units, items = tables_of(study, released)
    return disagreements(labels, questions(labels, units, items, released.rejected, study=study), study)


def kappa_of(study, released) -> dict[str, tuple]:
    """Return units, observed agreement and kappa of each dimension, over all items."""
    table = measure(*tables_of(study, released), study).kappa_checkpoints
    table = table.filter(checkpoint=100, scope="cumulative", source="all")
    return {row["dimension"]: (row["units"], row["observed_agreement"], row["kappa"]) for row in table.to_dicts()}


BOTH = (
    ("1", "Crash", "Typo", "ann"), ("1", "Crash", "Typo", "bob"),
    ("2", "Hang", "Race", "ann"), ("2", "Hang", "Typo", "bob"),
    ("3", "Crash", "Race", "ann"), ("3", "Hang", "Race", "bob"),
    ("4", "Hang", "Typo", "ann"), ("4", "Hang", "Typo", "bob"),
)  # fmt: skip


def test_rows_with_a_rater_are_raters_labels(tmp_path):
    study, released = rated(tmp_path, *BOTH[:3])
    labels = releases.rater_labels(released, study)
    assert labels.drop("received_at").row(2, named=True) == {
        "item_id": "Alpha-x:2", "rater": "rater_1", "batch": 100, "pass": "dimensions", "revision": 1, "bug_index": 1,
        "is_bug": True, "symptom": "Hang", "cause": "Race", "inputs": ["file"], "remark": None, "place": None,
        "comment": None, "labelled_at": None, "file": "bugs.csv", "line": 4, "superseded": False,
        "withdrawn": False, "replaced_at": None, "round": 1,
    }  # fmt: skip


def test_raters_of_a_release_are_numbered_because_they_are_people(tmp_path):
    _, released = rated(
        tmp_path, ("1", "Crash", "Typo", "Zoe"), ("1", "Smoke", "Typo", "Ann Lee"), ("2", "Hang", "Race", "Ann Lee"),
        on_unknown="reject",
    )  # fmt: skip
    assert released.rows["rater"].to_list() == ["rater_2", "rater_1"]
    assert "Ann" not in released.rejected["content"][0]


def test_the_label_is_what_all_raters_say(tmp_path):
    study, released = rated(tmp_path, *BOTH)
    labels = releases.labels(released, study)
    assert labels.select("bug_id", "symptom", "cause", "decided_by", "provenance").rows() == [
        ("Alpha-x:1#1", "Crash", "Typo", "agreement", "bugs.csv, row 2; bugs.csv, row 3"),
        ("Alpha-x:4#1", "Hang", "Typo", "agreement", "bugs.csv, row 8; bugs.csv, row 9"),
    ]
    assert releases.units(released)["item_id"].to_list() == [f"Alpha-x:{number}" for number in range(1, 5)]


def test_where_raters_differ_the_label_without_a_rater_counts(tmp_path):
    study, released = rated(
        tmp_path, *BOTH, ("2", "Hang", "Race", ""), ("1", "Crash", "Typo", ""), ("5", "Crash", "", "")
    )
    labels = releases.labels(released, study)
    assert labels.select("bug_id", "symptom", "cause", "decided_by").rows() == [
        ("Alpha-x:1#1", "Crash", "Typo", "agreement"),
        ("Alpha-x:4#1", "Hang", "Typo", "agreement"),
        ("Alpha-x:2#1", "Hang", "Race", "artifact"),
        ("Alpha-x:5#1", "Crash", None, "artifact"),
    ]


def test_the_agreement_of_two_raters_is_cohens_kappa(tmp_path):
    kappas = kappa_of(*rated(tmp_path, *BOTH))
    # Symptom: Crash and Hang are said 2 and 2 times by ann, 1 and 3 times by bob; by chance 2/4 * 1/4 + 2/4 * 3/4.
    assert kappas["symptom"] == (4, 0.75, pytest.approx(0.5))
    assert kappas["cause"] == (4, 0.75, pytest.approx(0.5))


def test_raters_may_differ_per_item(tmp_path):
    renamed = {("3", "ann"): "cleo", ("4", "bob"): "dan"}
    rows = [(number, symptom, cause, renamed.get((number, rater), rater)) for number, symptom, cause, rater in BOTH]
    study, released = rated(tmp_path, *rows, ("5", "Hang", "Race", "ann"))
    # As before, but that bob, not cleo, comes first of the raters of item 3.
    assert kappa_of(study, released)["symptom"] == (4, 0.75, pytest.approx(0.5))
    found = disagreements_of(study, released)
    assert found.select("item_id", "dimension", "rater_1", "label_1", "rater_2", "label_2").rows() == [
        ("Alpha-x:2", "cause", "rater_1", "Race", "rater_2", "Typo"),
        ("Alpha-x:3", "symptom", "rater_2", "Hang", "rater_3", "Crash"),
    ]


def test_a_release_without_raters_has_no_agreement(tmp_path):
    study, released = rated(tmp_path, *((*row[:3], "") for row in BOTH))
    assert kappa_of(study, released) == {}
    assert releases.rater_labels(released, study).is_empty()
    assert disagreements_of(study, released).is_empty()


def test_what_a_rater_did_not_list_is_none(tmp_path):
    """Nobody waits for the raters of a release: ann alone has a second bug of 1, nobody one of 6."""
    study, released = rated(
        tmp_path, *BOTH, ("1", "Crash", "Typo", "ann"), ("6", "Hang", "Race", ""), ("1", "Hang", "Typo", ""),
        ("1", "Hang", "Typo", ""), ("1", "Hang", "Typo", ""),
    )  # fmt: skip
    assert releases.units(released).filter(item_id="Alpha-x:1")["bug_index"].to_list() == [1, 2, 3]
    labels, units, items = tables_of(study, released)
    table = measure(labels, units, items, study).kappa_checkpoints
    assert table["waiting"].unique().to_list() == [0]
    # Of five symptoms, ann says Crash 3 times and Hang twice, bob Crash once, Hang 3 times and none once.
    expected = (3 * 1 + 2 * 3) / 25
    kappa = pytest.approx((3 / 5 - expected) / (1 - expected))
    assert kappa_of(study, released)["symptom"] == (5, pytest.approx(3 / 5), kappa)
    found = disagreements_of(study, released).filter(bug_index=2, dimension="symptom")
    assert found.select("item_id", "label_1", "label_2").rows() == [("Alpha-x:1", "Crash", "none")]


def test_questions_to_the_raters_of_a_release_are_answered(tmp_path):
    study, released = rated(tmp_path, *BOTH, ("1", "Crash", "Typo", "ann"), ("6", "Hang", "Race", ""))
    labels, units, items = tables_of(study, released)
    found = questions(labels, units, items, released.rejected, study=study)
    assert set(found["dimension"]) == set(study.asked_names)
    assert set(found["state"]) == {"answered", "answered none"}
    of_second = found.filter(bug_index=2).select("dimension", "rater", "answer").rows()
    assert of_second[:2] == [("symptom", "rater_1", "Crash"), ("symptom", "rater_2", "none")]


def test_a_raters_blank_in_a_required_dimension_is_an_error(tmp_path):
    with pytest.raises(DlbugError, match=r"bugs\.csv, row 3: symptom is empty, but required of raters\. "):
        rated(tmp_path, BOTH[0], ("1", "", "Typo", "bob"))
