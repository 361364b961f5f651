import math
import warnings

import polars as pl
import pytest
from scipy.stats import f, f_oneway, t, ttest_ind

from dlbug_assets.analysis.comparison import equal_means_test, source_comparison, student_t_test
from dlbug_assets.layout import STUDIES
from dlbug_assets.warehouse.rows import table_schema
from support.small_studies import GH, SO, small_study

LIBRARIES = ("Caffe", "Keras", "Tensorflow")
PRINTED = STUDIES / "islam2019" / "published"
NOTHING_PUBLISHED = pl.DataFrame(schema=table_schema("reference.published_cells"))


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_t_test_equals_that_of_scipy_with_pooled_variance():
    assert student_t_test([0.1, 0.2, 0.4], [0.3, 0.5, 0.7]) == pytest.approx(
        ttest_ind([0.1, 0.2, 0.4], [0.3, 0.5, 0.7], equal_var=True)[1], rel=1e-12
    )


def test_analysis_of_variance_of_two_samples_is_the_t_test():
    """F is the square of t."""
    first, second = [0.1, 0.2, 0.4, 0.2], [0.3, 0.5, 0.7, 0.6]

    assert f_oneway(first, second).pvalue == pytest.approx(student_t_test(first, second), rel=1e-12)
    assert equal_means_test([first, second]) == student_t_test(first, second)


def test_the_p_value_of_three_samples_is_that_of_their_f():
    samples = [[1, 2, 3], [2, 3, 4], [6, 7, 8]]

    # Means 2, 3 and 7 around 4: 3 * (4 + 1 + 9) / 2 = 21 between, (2 + 2 + 2) / 6 = 1 within.
    assert equal_means_test(samples) == pytest.approx(f.sf(21, 2, 6))
    assert equal_means_test([[1, 1], [2, 2], [3, 3]]) is None


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
    shares = pl.read_csv(PRINTED / f"{table}.csv").filter(category=category)
    printed = pl.read_csv(PRINTED / f"{p_table}.csv").filter(category=category)["p_value"][0]

    p = student_t_test(*(shares.filter(source=source)["percent"].to_list() for source in (SO, GH)))

    assert f"{p:.4f}" == f"{printed:.4f}"


def _effects(label_counts):
    """Return counts where Crash differs between the sources, Hang has no bugs, and Unknown rounds to 0 percent."""
    crash = {(SO, "Caffe"): 500, (SO, "Keras"): 480, (SO, "Tensorflow"): 520,
             (GH, "Caffe"): 100, (GH, "Keras"): 120, (GH, "Tensorflow"): 80}  # fmt: skip
    bugs = {cell: {"Crash": n, "Data Corruption": 999 - n, "Unknown": 1} for cell, n in crash.items()}
    bugs[SO, "Caffe"] = {"Crash": 500, "Data Corruption": 498, "Unknown": 2}
    return label_counts({"effect": bugs}, LIBRARIES)


@pytest.fixture
def compare(tmp_path):
    """Return a function that compares the sources of a study; see small_study for its other arguments."""

    def compared(counts, published=NOTHING_PUBLISHED, libraries=LIBRARIES, **study):
        return source_comparison(counts, published, small_study(tmp_path / "study", libraries, **study))

    return compared


def test_every_category_has_a_row_and_undefined_ones_a_reason(label_counts, compare):
    published = pl.DataFrame(
        {"dimension": "effect", "category": ["Crash", "Hang", "Crash"], "unit": ["p", "p", "percent"],
         "value": [0.7812, 0.3466, 50.0]},
    )  # fmt: skip

    rows = compare(_effects(label_counts), published)
    effect = {row["category"]: row for row in rows.filter(dimension="effect").iter_rows(named=True)}

    crash = effect["Crash"]
    expected = ttest_ind([0.5, 0.48, 0.52], [0.1, 0.12, 0.08], equal_var=True)[1]
    assert crash["p_paper"] == pytest.approx(expected, rel=1e-9)
    assert crash["p_paper_rounded"] == pytest.approx(expected, rel=1e-9)
    assert crash["mean_share_stack_overflow"] == pytest.approx(0.5)
    assert (crash["p_published"], crash["rejects"], crash["undefined_reason"]) == (0.7812, True, None)
    hang = effect["Hang"]
    assert (hang["p_paper"], hang["p_holm"], hang["rejects"]) == (None, None, None)
    assert (hang["p_published"], hang["undefined_reason"]) == (0.3466, "the shares do not vary within either source")
    unknown = effect["Unknown"]
    assert unknown["p_paper"] is not None
    assert unknown["p_paper_rounded"] is None
    assert unknown["undefined_reason"].startswith("p_paper_rounded:")


def test_holm_corrects_for_every_defined_p_value(label_counts, compare):
    rows = compare(_effects(label_counts))

    tested = rows.filter(pl.col("p_paper").is_not_null()).sort("p_paper")
    assert tested.height == 3  # Crash, Data Corruption, Unknown
    assert tested["p_holm"][0] == pytest.approx(3 * tested["p_paper"][0])


def test_a_library_without_labels_leaves_the_dimension_undefined(label_counts, compare):
    counts = label_counts(
        {"effect": {(SO, "Caffe"): {"Crash": 1}, (SO, "Keras"): {"Crash": 1}, (GH, "Keras"): {"Crash": 1}}},
        ("Caffe", "Keras"),
    )

    rows = compare(counts)

    assert rows["p_paper"].null_count() == rows.height
    assert rows.filter(dimension="effect")["undefined_reason"].unique().to_list() == [
        "no bug has a label in effect: Caffe (GitHub)"
    ]
    assert rows.filter(dimension="stage")["undefined_reason"].unique().to_list() == ["no bug has a label in stage"]


def test_dimensions_of_a_sample_are_compared_only_if_two_sources_have_labels(label_counts, compare):
    one = label_counts({"antipattern": {(SO, "Caffe"): {"Dead Code": 3}}}, LIBRARIES)
    both = label_counts({"antipattern": {(SO, "Caffe"): {"Dead Code": 3}, (GH, "Keras"): {"Dead Code": 3}}}, LIBRARIES)

    assert "antipattern" not in compare(one)["dimension"]
    assert "antipattern" in compare(both)["dimension"]


def test_a_single_library_is_undefined(label_counts, compare):
    counts = label_counts({"effect": {(SO, "Keras"): {"Crash": 3}, (GH, "Keras"): {"Crash": 3}}}, ("Keras",))

    assert compare(counts).filter(dimension="effect", category="Crash")["undefined_reason"].to_list() == [
        "a t-test needs two libraries or more"
    ]


FORUMS = (SO, "Issue-tracker", "Forum")
SYMPTOMS = {"symptom": ("Crash", "Hang")}


def test_three_sources_are_compared_by_analysis_of_variance(label_counts, compare):
    crashes = {(SO, "Ebb"): 2, (SO, "Flow"): 4, ("Issue-tracker", "Ebb"): 1, ("Issue-tracker", "Flow"): 3,
               ("Forum", "Ebb"): 9, ("Forum", "Flow"): 7}  # fmt: skip
    bugs = {cell: {"Crash": n, "Hang": 10 - n} for cell, n in crashes.items()}
    counts = label_counts({"symptom": bugs}, ("Ebb", "Flow"), SYMPTOMS, FORUMS)

    rows = compare(
        counts, libraries=("Ebb", "Flow"), sources=FORUMS, dimensions={"symptom": ""},
        taxonomy="dimension,name\nsymptom,Crash\nsymptom,Hang\n",
    )  # fmt: skip

    crash = rows.row(0, named=True)
    assert [crash[f"mean_share_{name}"] for name in ("stack_overflow", "issue_tracker", "forum")] == [
        pytest.approx(share) for share in (0.3, 0.2, 0.8)
    ]
    expected = f_oneway([0.2, 0.4], [0.1, 0.3], [0.9, 0.7]).pvalue
    assert (crash["p_paper"], crash["p_paper_rounded"]) == (pytest.approx(expected), pytest.approx(expected))
    assert rows["category"].to_list() == ["Crash", "Hang"]


def test_a_source_without_labels_is_left_out_if_two_others_have_some(label_counts, compare):
    bugs = {(SO, "Ebb"): {"Crash": 1, "Hang": 9}, (SO, "Flow"): {"Crash": 2, "Hang": 8},
            ("Forum", "Ebb"): {"Crash": 5, "Hang": 5}, ("Forum", "Flow"): {"Crash": 6, "Hang": 4}}  # fmt: skip
    counts = label_counts({"symptom": bugs}, ("Ebb", "Flow"), SYMPTOMS, FORUMS)

    crash = compare(
        counts, libraries=("Ebb", "Flow"), sources=FORUMS, dimensions={"symptom": ""},
        taxonomy="dimension,name\nsymptom,Crash\nsymptom,Hang\n",
    ).row(0, named=True)  # fmt: skip

    assert crash["p_paper"] == pytest.approx(student_t_test([0.1, 0.2], [0.5, 0.6]))
    assert crash["mean_share_issue_tracker"] is None
