import math
import warnings

import pytest

from dlbug_assets.analysis.correlation import library_correlation

SO = "Stack Overflow"
FOUR = {"effect": ("Crash", "Hang", "Unknown", "Data Corruption")}


def _pair(frame, a="Caffe", b="Keras"):
    return frame.filter(source=SO, dimension="effect", library_a=a, library_b=b).row(0, named=True)


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_three_measures_of_one_pair(label_counts):
    counts = label_counts(
        {"effect": {(SO, "Keras"): {"Crash": 1, "Hang": 2, "Unknown": 3},
                    (SO, "Caffe"): {"Crash": 2, "Hang": 2, "Unknown": 8}}},
        ("Keras", "Caffe"), FOUR,
    )  # fmt: skip

    pair = _pair(library_correlation(counts))

    # Deviations (-1, 0, 1) and (-2, -2, 4): 6 / sqrt(2 * 24); ranks (1, 2, 3) and (1.5, 1.5, 3): 1.5 / sqrt(2 * 1.5).
    assert pair["pearson"] == pytest.approx(6 / math.sqrt(48))
    assert pair["spearman"] == pytest.approx(1.5 / math.sqrt(3))
    p, q = [1 / 6, 2 / 6, 3 / 6], [2 / 12, 2 / 12, 8 / 12]
    divergence = sum(x * math.log2(2 * x / (x + y)) + y * math.log2(2 * y / (x + y)) for x, y in zip(p, q, strict=True))
    assert pair["jensen_shannon"] == pytest.approx(math.sqrt(divergence / 2))
    assert (pair["categories"], pair["left_out"], pair["undefined_reason"]) == (3, "Data Corruption", None)


def test_alike_and_disjoint(label_counts):
    counts = label_counts(
        {"effect": {(SO, "Keras"): {"Crash": 1, "Hang": 3}, (SO, "Caffe"): {"Crash": 10, "Hang": 30},
                    (SO, "Torch"): {"Unknown": 4}}},
        ("Keras", "Caffe", "Torch"), FOUR,
    )  # fmt: skip

    rows = library_correlation(counts)

    assert (_pair(rows)["jensen_shannon"], _pair(rows)["pearson"]) == (0.0, pytest.approx(1.0))
    assert _pair(rows, "Caffe", "Torch")["jensen_shannon"] == pytest.approx(1.0)


def test_undefined_measures_are_null_with_a_reason(label_counts):
    counts = label_counts(
        {"effect": {(SO, "Keras"): {"Crash": 2, "Hang": 2}, (SO, "Caffe"): {"Crash": 1, "Hang": 3}}},
        ("Keras", "Caffe", "Torch"), FOUR,
    )  # fmt: skip

    rows = library_correlation(counts)

    flat = _pair(rows)
    assert (flat["pearson"], flat["spearman"]) == (None, None)
    assert flat["jensen_shannon"] is not None
    assert flat["undefined_reason"] == "a correlation needs shares that vary: every category has the same in Keras"
    assert _pair(rows, "Keras", "Torch")["undefined_reason"] == "no bug has a label: Torch"
    assert rows.height == 3 * 3  # three sources, three pairs
    assert rows.select("pearson", "spearman", "jensen_shannon").fill_null(0).to_series(0).is_nan().sum() == 0


def test_one_category_has_a_distance_only(label_counts):
    crashes = {(SO, "Keras"): {"Crash": 2}, (SO, "Caffe"): {"Crash": 1}}
    counts = label_counts({"effect": crashes}, ("Keras", "Caffe"), FOUR)

    pair = _pair(library_correlation(counts))

    assert (pair["pearson"], pair["jensen_shannon"]) == (None, 0.0)
    assert pair["undefined_reason"] == "a correlation needs two categories or more"
