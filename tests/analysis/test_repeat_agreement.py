import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score

from dlbug_assets.analysis.repeat_agreement import repeat_agreement
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.rows import table_schema
from support.small_studies import GH, SO, small_study

STUDY = load_study("islam2019")


def _labels(rows, decided_by="artifact"):
    """Return labels from (source, library, link, effect) in the order of the sheet; other dimensions are NULL."""
    return pl.DataFrame(
        [
            {"source": source, "library": library, "item_id": "i", "bug_index": place, "bug_id": f"i#{place}",
             "link": link, "decided_by": decided_by, **dict.fromkeys(STUDY.asked_names), "effect": effect}
            for place, (source, library, link, effect) in enumerate(rows, start=1)
        ],
        schema_overrides=dict.fromkeys(STUDY.asked_names, pl.String) | {"link": pl.String},
    )  # fmt: skip


def _leftovers(*rows):
    """Return labels of further sheets from (source, bug_id, dimension, category)."""
    return pl.DataFrame(
        rows, schema=table_schema("labeling.leftover_labels", only=("source", "bug_id", "dimension", "category")),
        orient="row",
    )  # fmt: skip


def _row(labels, source, dimension="effect", basis="repeated rows", leftovers=None):
    found = repeat_agreement(labels, _leftovers() if leftovers is None else leftovers, STUDY)
    return found.filter(basis=basis, source=source, dimension=dimension).row(0, named=True)


def test_links_with_exactly_two_rows_are_pairs():
    labels = _labels([
        (GH, "Keras", "a", "Crash"), (GH, "Keras", "a", "Hang"),
        (GH, "Keras", "b", "Crash"), (GH, "Keras", "b", "Crash"),
        (GH, "Keras", "c", "Hang"), (GH, "Keras", "c", "Hang"),
        (GH, "Keras", "three", "Hang"), (GH, "Keras", "three", "Hang"), (GH, "Keras", "three", "Hang"),
        (GH, "Keras", "one", "Hang"), (SO, "Keras", "one", "Crash"),
        (GH, "Keras", None, "Hang"), (GH, "Keras", None, "Hang"),
        (GH, "Keras", "d", "Hang"), (GH, "Keras", "d", None),
        (SO, "Keras", "e", "Crash"), (SO, "Keras", "e", "Crash"),
    ])  # fmt: skip

    github, both = _row(labels, GH), _row(labels, "both")

    assert (github["pairs"], github["agreements"], github["observed_agreement"]) == (3, 2, pytest.approx(2 / 3))
    assert github["kappa"] == pytest.approx(cohen_kappa_score(["C", "C", "H"], ["H", "C", "H"]))
    assert github["underpowered"]
    assert (both["pairs"], both["agreements"]) == (4, 3)
    assert both["kappa"] == pytest.approx(cohen_kappa_score(["C", "C", "H", "C"], ["H", "C", "H", "C"]))
    one_category = _row(labels, SO)
    assert (one_category["observed_agreement"], one_category["kappa"]) == (1.0, None)
    assert one_category["undefined_reason"] == "only one category was used"
    assert _row(labels, GH, "stage")["undefined_reason"] == "no link has two rows"


def test_rows_of_a_link_in_two_libraries_are_pairs_whatever_else_these_have():
    labels = _labels([
        (SO, "Tensorflow", "a", "Hang"), (SO, "Keras", "a", "Crash"),
        (SO, "Tensorflow", "b", "Crash"), (SO, "Keras", "b", "Crash"), (SO, "Keras", "b", "Hang"),
        (SO, "Theano", "c", "Hang"), (SO, "Torch", "c", None),
    ])  # fmt: skip

    row = _row(labels, SO)

    # a: Keras, Tensorflow; b: both rows of Keras, and each with Tensorflow
    first, second = ["C", "C", "C", "H"], ["H", "H", "C", "C"]
    assert (row["pairs"], row["pairs_across_libraries"], row["agreements"]) == (4, 3, 1)
    assert row["kappa"] == pytest.approx(cohen_kappa_score(first, second))


def test_labels_of_a_leftover_sheet_are_compared_with_those_of_their_bugs():
    labels = _labels([(SO, "Keras", "a", "Crash"), (SO, "Keras", "b", "Hang"), (GH, "Keras", "c", None)])
    leftovers = _leftovers(
        (SO, "i#1", "effect", "Crash"), (SO, "i#2", "effect", "Crash"), (GH, "i#3", "effect", "Hang"),
        (SO, None, "effect", "Hang"), (SO, "i#1", "bug_type", "API Bug"),
    )  # fmt: skip

    row = _row(labels, "both", basis="leftover sheet", leftovers=leftovers)

    assert (row["pairs"], row["agreements"], row["kappa"]) == (2, 1, 0)
    untouched = _row(labels, GH, basis="leftover sheet", leftovers=leftovers)
    assert (untouched["pairs"], untouched["undefined_reason"]) == (0, "no label in a further sheet aligns with a bug")


def test_without_leftover_sheets_there_are_no_rows_about_them():
    labels = _labels([(SO, "Keras", "a", "Crash")])
    unaligned = _leftovers((SO, None, "effect", "Hang"))

    for leftovers in (_leftovers(), unaligned):
        assert set(repeat_agreement(labels, leftovers, STUDY)["basis"]) == {"repeated rows"}


def test_second_bugs_listed_by_raters_are_not_pairs():
    twice = [(GH, "Keras", "a", "Crash"), (GH, "Keras", "a", "Hang")]

    row = _row(_labels(twice, decided_by="agreement"), GH)

    assert (row["pairs"], row["kappa"]) == (0, None)
    assert row["undefined_reason"] == "no label is from the authors' release"


def test_ten_pairs_are_not_underpowered():
    pairs = [(GH, "Keras", str(n), effect) for n in range(10) for effect in ("Crash", "Hang" if n else "Crash")]

    assert _row(_labels(pairs), GH)["underpowered"] is False


def test_kappa_of_twenty_pairs_has_an_interval():
    pairs = [
        (GH, "Keras", str(n), effect)
        for n in range(20) for effect in ("Crash" if n % 2 else "Hang", "Crash" if n % 4 else "Hang")
    ]  # fmt: skip

    row = _row(_labels(pairs), GH)

    assert row["kappa"] == pytest.approx(0.5)
    assert -1 < row["kappa_low"] < row["kappa"] < row["kappa_high"] < 1


def test_several_categories_agree_if_they_are_the_same_in_any_order(tmp_path):
    answers = [(["A", "B"], ["B", "A"]), (["A"], ["A", "B"]), (["B"], ["B"]), (["C"], [])]
    labels = pl.DataFrame(
        [
            {"source": "Forum", "library": "Keras", "item_id": "i", "bug_index": place, "link": str(link),
             "bug_id": f"{link}#{place}", "decided_by": "artifact", "trick": trick}
            for link, pair in enumerate(answers) for place, trick in enumerate(pair)
        ]
    )  # fmt: skip
    study = small_study(
        tmp_path, sources=("Forum",), dimensions={"trick": "multiple = true", "kind": 'rolls_up = "trick"'},
        taxonomy="dimension,name\ntrick,A\ntrick,B\ntrick,C\n",
    )  # fmt: skip

    leftovers = _leftovers(("Forum", "0#0", "trick", "B; A"), ("Forum", "1#0", "trick", "B"))
    rows = repeat_agreement(labels, leftovers, study)

    assert rows.select("basis", "source", "dimension", "pairs", "agreements").rows() == [
        ("repeated rows", "Forum", "trick", 3, 2), ("repeated rows", "both", "trick", 3, 2),
        ("leftover sheet", "Forum", "trick", 2, 1), ("leftover sheet", "both", "trick", 2, 1),
    ]  # fmt: skip
    first, second = ["AB", "A", "B"], ["AB", "AB", "B"]
    assert rows["kappa"].to_list()[:2] == [pytest.approx(cohen_kappa_score(first, second))] * 2
