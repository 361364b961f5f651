import pytest

from dlbug_assets.analysis.distributions import distribution

SO = "Stack Overflow"


def test_shares_have_wilson_intervals(label_counts):
    counts = label_counts({"effect": {(SO, "Keras"): {"Crash": 1, "Hang": 9}}}, ("Keras",))

    rows = distribution(counts, "effect").filter(source=SO, library="Keras")

    crash = rows.filter(category="Crash").row(0, named=True)
    assert (crash["bugs"], crash["total"], crash["share"]) == (1, 10, 0.1)
    # The textbook value for 1 of 10 (Newcombe 1998 uses the same formula).
    assert crash["share_low"] == pytest.approx(0.01787621, abs=1e-8)
    assert crash["share_high"] == pytest.approx(0.40415003, abs=1e-8)
    assert crash["undefined_reason"] is None


def test_limits_are_exact_for_no_bug_and_every_bug(label_counts):
    counts = label_counts({"effect": {(SO, "Keras"): {"Crash": 35}}}, ("Keras",))

    rows = distribution(counts, "effect").filter(source="both", library="All")

    assert rows.filter(category="Hang")["share_low"].to_list() == [0.0]
    assert rows.filter(category="Crash")["share_high"].to_list() == [1.0]


def test_shares_without_labels_are_null_with_a_reason(label_counts):
    rows = distribution(label_counts({}, ("Keras",)), "stage")

    assert rows.select("share", "share_low", "share_high").null_count().row(0) == (rows.height,) * 3
    assert rows["undefined_reason"].unique().to_list() == ["no bug has a label in stage"]


def test_rows_have_the_order_and_grain_of_the_counts(label_counts):
    counts = label_counts({"effect": {(SO, "Torch"): {"Crash": 2}}}, ("Torch", "Caffe"))

    keys = ["source", "library", "category"]
    assert distribution(counts, "effect").select(keys).equals(counts.filter(dimension="effect").select(keys))
