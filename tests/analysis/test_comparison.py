import math
import warnings

import polars as pl
import pytest
from scipy.stats import t, ttest_ind

from dlbug_assets.analysis.comparison import source_comparison, student_t_test
from dlbug_assets.layout import SEEDS

SO, GH = "Stack Overflow", "GitHub"
LIBRARIES = ("Caffe", "Keras", "Tensorflow")


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_t_test_equals_that_of_scipy_with_pooled_variance():
    assert student_t_test([0.1, 0.2, 0.4], [0.3, 0.5, 0.7]) == pytest.approx(
        ttest_ind([0.1, 0.2, 0.4], [0.3, 0.5, 0.7], equal_var=True)[1], rel=1e-12
    )


def test_one_constant_source_is_tested_without_a_warning():
    p = student_t_test([0.1, 0.1, 0.1], [0.1, 0.2, 0.3])

    assert p == pytest.approx(2 * t.sf(math.sqrt(3), 4))


def test_two_constant_sources_are_undefined():
    assert student_t_test([0.1, 0.1], [0.3, 0.3]) is None


@pytest.mark.parametrize(
    ("table", "p_table", "category"),
    [
        ("table2_bug_type", "table2_p", "API Bug"),
        ("table2_bug_type", "table2_p", "Non Model Structural Initialization Bug"),
        ("table2_bug_type", "table2_p", "Non Model Structural Processing Bug"),
        ("table3_root_cause", "table3_p", "API Misuse"),
        ("table3_root_cause", "table3_p", "Unaligned Tensor"),
        ("table4_effect", "table4_p", "Hang"),
        ("table4_effect", "table4_p", "Memory Out of Bound"),
    ],
)
def test_printed_percents_result_in_the_printed_p_value(table, p_table, category):
    shares = pl.read_csv(SEEDS / f"{table}.csv").filter(category=category)
    printed = pl.read_csv(SEEDS / f"{p_table}.csv").filter(category=category)["p_value"][0]

    p = student_t_test(*(shares.filter(source=source)["percent"].to_list() for source in (SO, GH)))

    assert f"{p:.4f}" == f"{printed:.4f}"


def _effects(label_counts):
    """Return counts where Crash differs between the sources, Hang has no bugs, and Unknown rounds to 0 percent."""
    crash = {(SO, "Caffe"): 500, (SO, "Keras"): 480, (SO, "Tensorflow"): 520,
             (GH, "Caffe"): 100, (GH, "Keras"): 120, (GH, "Tensorflow"): 80}  # fmt: skip
    bugs = {cell: {"Crash": n, "Data Corruption": 999 - n, "Unknown": 1} for cell, n in crash.items()}
    bugs[SO, "Caffe"] = {"Crash": 500, "Data Corruption": 498, "Unknown": 2}
    return label_counts({"effect": bugs}, LIBRARIES)


def test_every_category_has_a_row_and_undefined_ones_a_reason(label_counts):
    published = {"effect": pl.DataFrame({"category": ["Crash", "Hang"], "p_value": [0.7812, 0.3466]})}

    rows = source_comparison(_effects(label_counts), **published)
    effect = {row["category"]: row for row in rows.filter(dimension="effect").iter_rows(named=True)}

    crash = effect["Crash"]
    expected = ttest_ind([0.5, 0.48, 0.52], [0.1, 0.12, 0.08], equal_var=True)[1]
    assert crash["p_paper"] == pytest.approx(expected, rel=1e-9)
    assert crash["p_paper_rounded"] == pytest.approx(expected, rel=1e-9)
    assert crash["mean_share_stack_overflow"] == pytest.approx(0.5)
    assert (crash["p_published"], crash["rejects"], crash["undefined_reason"]) == (0.7812, True, None)
    hang = effect["Hang"]
    assert (hang["p_paper"], hang["p_holm"], hang["rejects"]) == (None, None, None)
    assert hang["undefined_reason"] == "the shares do not vary within either source"
    unknown = effect["Unknown"]
    assert unknown["p_paper"] is not None
    assert unknown["p_paper_rounded"] is None
    assert unknown["undefined_reason"].startswith("p_paper_rounded:")


def test_holm_corrects_for_every_defined_p_value(label_counts):
    rows = source_comparison(_effects(label_counts))

    tested = rows.filter(pl.col("p_paper").is_not_null()).sort("p_paper")
    assert tested.height == 3  # Crash, Data Corruption, Unknown
    assert tested["p_holm"][0] == pytest.approx(3 * tested["p_paper"][0])


def test_a_library_without_labels_leaves_the_dimension_undefined(label_counts):
    counts = label_counts(
        {"effect": {(SO, "Caffe"): {"Crash": 1}, (SO, "Keras"): {"Crash": 1}, (GH, "Keras"): {"Crash": 1}}},
        ("Caffe", "Keras"),
    )

    rows = source_comparison(counts)

    assert rows["p_paper"].null_count() == rows.height
    assert rows.filter(dimension="effect")["undefined_reason"].unique().to_list() == [
        "no bug has a label in effect: Caffe (GitHub)"
    ]
    assert rows.filter(dimension="stage")["undefined_reason"].unique().to_list() == ["no bug has a label in stage"]


def test_antipatterns_are_compared_only_if_both_sources_have_some(label_counts):
    one = label_counts({"antipattern": {(SO, "Caffe"): {"Dead Code": 3}}}, LIBRARIES)
    both = label_counts({"antipattern": {(SO, "Caffe"): {"Dead Code": 3}, (GH, "Keras"): {"Dead Code": 3}}}, LIBRARIES)

    assert "antipattern" not in source_comparison(one)["dimension"]
    assert "antipattern" in source_comparison(both)["dimension"]


def test_a_single_library_is_undefined(label_counts):
    counts = label_counts({"effect": {(SO, "Keras"): {"Crash": 3}, (GH, "Keras"): {"Crash": 3}}}, ("Keras",))

    assert source_comparison(counts).filter(dimension="effect", category="Crash")["undefined_reason"].to_list() == [
        "a t-test needs two libraries or more"
    ]
