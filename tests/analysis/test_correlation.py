import math
import warnings

import numpy as np
import polars as pl
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import pearsonr, spearmanr

from dlbug_assets.analysis.correlation import library_correlation, pairwise_correlation, with_sensitivity
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.rows import table_schema

SO = "Stack Overflow"
STUDY = load_study("islam2019")
FOUR = {"effect": ("Crash", "Hang", "Unknown", "Data Corruption")}


def _pair(frame, a="Caffe", b="Keras"):
    return frame.filter(source=SO, dimension="effect", library_a=a, library_b=b).row(0, named=True)


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_measures_of_one_pair_match_their_formulas(label_counts):
    counts = label_counts(
        {"effect": {(SO, "Keras"): {"Crash": 1, "Hang": 2, "Unknown": 3},
                    (SO, "Caffe"): {"Crash": 2, "Hang": 2, "Unknown": 8}}},
        ("Keras", "Caffe"), FOUR,
    )  # fmt: skip

    pair = _pair(pairwise_correlation(counts))

    # Deviations (-1, 0, 1) and (-2, -2, 4): 6 / sqrt(2 * 24); ranks (1, 2, 3) and (1.5, 1.5, 3): 1.5 / sqrt(2 * 1.5).
    assert pair["pearson"] == pytest.approx(6 / math.sqrt(48))
    assert pair["spearman"] == pytest.approx(1.5 / math.sqrt(3))
    p, q = [1 / 6, 2 / 6, 3 / 6], [2 / 12, 2 / 12, 8 / 12]
    divergence = sum(x * math.log2(2 * x / (x + y)) + y * math.log2(2 * y / (x + y)) for x, y in zip(p, q, strict=True))
    assert pair["jensen_shannon"] == pytest.approx(math.sqrt(divergence / 2))
    assert (pair["categories"], pair["left_out"], pair["undefined_reason"]) == (3, "Data Corruption", None)


def test_log_ratios_have_half_a_bug_more_in_each_category(label_counts):
    bugs = {(SO, "Keras"): {"Crash": 1, "Hang": 0, "Unknown": 9}, (SO, "Caffe"): {"Crash": 4, "Hang": 12, "Unknown": 2}}
    pair = _pair(pairwise_correlation(label_counts({"effect": bugs}, ("Keras", "Caffe"), FOUR)))

    a, b = (np.array(list(of_library.values())) + 0.5 for of_library in bugs.values())
    centered = [np.log(shares) - np.log(shares).mean() for shares in (a / a.sum(), b / b.sum())]
    assert pair["pearson_clr"] == pytest.approx(pearsonr(*centered)[0], abs=1e-12)
    assert pair["pearson_clr"] != pytest.approx(pair["pearson"], abs=0.1)


def test_a_post_in_two_libraries_is_in_both_samples_or_in_neither(label_counts):
    """Both libraries have the same posts, so that each resample has equal shares."""
    bugs = {"Crash": 12, "Hang": 5, "Unknown": 3}
    counts = label_counts({"effect": {(SO, library): bugs for library in ("Caffe", "Keras")}}, ("Caffe", "Keras"), FIVE)
    rows = [(SO, library, f"{name} {number}", "effect", name, 1, 1) for library in ("Caffe", "Keras")
            for name, n in bugs.items() for number in range(n)]  # fmt: skip
    clusters = pl.DataFrame(rows, schema=table_schema("analysis.cluster_counts"), orient="row")

    pair = _pair(library_correlation(counts, clusters, STUDY))

    assert (pair["pearson_low"], pair["pearson_median"], pair["pearson_high"]) == pytest.approx((1, 1, 1))
    assert (pair["jensen_shannon_low"], pair["jensen_shannon_high"]) == (0, 0)


def test_resamples_are_less_alike_than_the_data(label_counts):
    alike = {"Caffe": {"Crash": 10, "Hang": 5, "Unknown": 5}, "Keras": {"Crash": 10, "Hang": 5, "Unknown": 5}}

    pair = _pair(_sensitive(label_counts, alike))

    assert pair["pearson"] == pytest.approx(1)
    assert pair["pearson_low"] < pair["pearson_median"] < 0.95


def test_equal_and_disjoint_distributions_have_the_extreme_distances(label_counts):
    counts = label_counts(
        {"effect": {(SO, "Keras"): {"Crash": 1, "Hang": 3}, (SO, "Caffe"): {"Crash": 10, "Hang": 30},
                    (SO, "Torch"): {"Unknown": 4}}},
        ("Keras", "Caffe", "Torch"), FOUR,
    )  # fmt: skip

    rows = pairwise_correlation(counts)

    assert (_pair(rows)["jensen_shannon"], _pair(rows)["pearson"]) == (0.0, pytest.approx(1.0))
    assert _pair(rows, "Caffe", "Torch")["jensen_shannon"] == pytest.approx(1.0)


def test_undefined_measures_are_null_with_a_reason(label_counts):
    counts = label_counts(
        {"effect": {(SO, "Keras"): {"Crash": 2, "Hang": 2}, (SO, "Caffe"): {"Crash": 1, "Hang": 3}}},
        ("Keras", "Caffe", "Torch"), FOUR,
    )  # fmt: skip

    rows = pairwise_correlation(counts)

    flat = _pair(rows)
    assert (flat["pearson"], flat["spearman"]) == (None, None)
    assert flat["jensen_shannon"] is not None
    assert flat["undefined_reason"] == "a correlation needs shares that vary: every category has the same in Keras"
    assert _pair(rows, "Keras", "Torch")["undefined_reason"] == "no bug has a label: Torch"
    assert rows.height == 3 * 3  # three sources, three pairs
    assert rows.select("pearson", "spearman", "jensen_shannon").fill_null(0).to_series(0).is_nan().sum() == 0


def test_one_category_has_only_a_distance(label_counts):
    crashes = {(SO, "Keras"): {"Crash": 2}, (SO, "Caffe"): {"Crash": 1}}
    counts = label_counts({"effect": crashes}, ("Keras", "Caffe"), FOUR)

    pair = _pair(pairwise_correlation(counts))

    assert (pair["pearson"], pair["jensen_shannon"]) == (None, 0.0)
    assert pair["undefined_reason"] == "a correlation needs two categories or more"


FIVE = {"effect": (*FOUR["effect"], "Bad Performance")}


def _sensitive(label_counts, bugs, size=1):
    """Return correlations of effects on Stack Overflow, with bugs in clusters of ``size`` of the same category."""
    counted = {(SO, library): of_library for library, of_library in bugs.items()}
    counts = label_counts({"effect": counted}, ("Caffe", "Keras"), FIVE)
    rows = [
        (SO, library, f"{library} {category} {number}", "effect", category, size, size)
        for library, of_library in bugs.items()
        for category, n in of_library.items()
        for number in range(n // size)
    ]
    clusters = pl.DataFrame(
        rows, schema=table_schema("analysis.cluster_counts"), orient="row",
    )  # fmt: skip
    return with_sensitivity(pairwise_correlation(counts), counts, clusters, STUDY)


BUGS = {"Caffe": {"Crash": 40, "Hang": 20, "Unknown": 10, "Data Corruption": 30},
        "Keras": {"Crash": 60, "Hang": 10, "Unknown": 20, "Data Corruption": 10}}  # fmt: skip


@pytest.mark.slow
def test_intervals_equal_those_of_sampling_bug_by_bug(label_counts):
    pair = _pair(_sensitive(label_counts, BUGS))

    random = np.random.default_rng(5)
    resampled = [
        [random.multinomial(sum(bugs.values()), np.array(list(bugs.values())) / sum(bugs.values())) / sum(bugs.values())
         for bugs in BUGS.values()]
        for _ in range(4000)
    ]  # fmt: skip
    measures = {
        "pearson": [pearsonr(a, b)[0] for a, b in resampled],
        "spearman": [spearmanr(a, b)[0] for a, b in resampled],
        "jensen_shannon": [jensenshannon(a, b, base=2) for a, b in resampled],
    }
    for measure, values in measures.items():
        low, high = np.percentile(values, [2.5, 97.5])
        tolerance = (
            0.21 if measure == "spearman" else 0.03
        )  # correlations of the ranks of four categories are multiples of 0.2
        assert (pair[f"{measure}_low"], pair[f"{measure}_high"]) == pytest.approx((low, high), abs=tolerance)
    assert pair["interval_undefined_reason"] is None


def test_clustered_bugs_have_wider_intervals(label_counts):
    alone, clustered = (_pair(_sensitive(label_counts, BUGS, size=size)) for size in (1, 10))

    for measure in ("pearson", "jensen_shannon"):
        widths = [pair[f"{measure}_high"] - pair[f"{measure}_low"] for pair in (alone, clustered)]
        assert widths[1] > 1.5 * widths[0]


def test_the_most_influential_category_is_named(label_counts):
    pair = _pair(_sensitive(label_counts, BUGS))

    shares = {library: np.array(list(bugs.values())) / sum(bugs.values()) for library, bugs in BUGS.items()}
    without = {
        category: pearsonr(*(np.delete(vector, place) for vector in shares.values()))[0]
        for place, category in enumerate(BUGS["Caffe"])
    }
    name = max(without, key=lambda category: abs(without[category] - pair["pearson"]))
    assert pair["most_influential"] == name == "Crash"
    assert pair["pearson_without_largest"] == pytest.approx(without[name])


def test_influence_needs_more_than_three_categories(label_counts):
    three = {library: {name: bugs[name] for name in ("Crash", "Hang", "Unknown")} for library, bugs in BUGS.items()}

    pair = _pair(_sensitive(label_counts, three))

    assert (pair["most_influential"], pair["pearson_without_largest"]) == (None, None)
    assert pair["pearson_low"] is not None


def test_undefined_intervals_are_null_with_a_reason(label_counts):
    one_cluster = {"Caffe": {"Crash": 10}, "Keras": BUGS["Keras"]}

    single = _pair(_sensitive(label_counts, one_cluster, size=10))
    nothing = _pair(_sensitive(label_counts, {"Keras": BUGS["Keras"]}))
    flat = _pair(_sensitive(label_counts, {"Caffe": {"Crash": 5, "Hang": 5}, "Keras": {"Crash": 3, "Hang": 4}}))

    assert (single["pearson_low"], single["interval_undefined_reason"]) == (
        None, "the bugs are all of one cluster, or of one in each source and set of libraries: Caffe"
    )  # fmt: skip
    assert nothing["interval_undefined_reason"] == "no bug has a label: Caffe"
    assert (flat["pearson_low"], flat["jensen_shannon_low"] is None) == (None, False)
    assert flat["interval_undefined_reason"] == flat["undefined_reason"] is not None


def test_a_single_library_has_no_pairs(label_counts):
    counts = label_counts({"effect": {(SO, "Keras"): {"Crash": 2, "Hang": 1}}}, ("Keras",), FOUR)

    rows = library_correlation(counts, pl.DataFrame(schema=table_schema("analysis.cluster_counts")), STUDY)

    assert rows.height == 0
    assert rows.columns == list(table_schema("analysis.library_correlation"))


def test_shares_of_bugs_with_several_categories_are_of_the_labelled_bugs():
    """Ten bugs of each library, of which some have two categories."""
    bugs = {"Caffe": {"Crash": 9, "Hang": 6, "Unknown": 1}, "Keras": {"Crash": 4, "Hang": 8, "Unknown": 3}}
    counts, clusters = [], []
    for library, by_category in bugs.items():
        for name, n in by_category.items():
            counts.append((SO, library, "effect", name, n, 10))
            # Crashes are the first of the ten, the others the last ones.
            numbers = range(n) if name == "Crash" else range(10 - n, 10)
            clusters += [(SO, library, str(number), "effect", name, 1, 1) for number in numbers]
    counted, clustered = (
        pl.DataFrame(rows, schema=table_schema(f"analysis.{table}"), orient="row")
        for table, rows in (("label_counts", counts), ("cluster_counts", clusters))
    )

    pair = _pair(library_correlation(counted, clustered, STUDY))

    a, b = ([n / 10 for n in row.values()] for row in bugs.values())
    assert pair["pearson"] == pytest.approx(pearsonr(a, b)[0])
    assert pair["jensen_shannon"] == pytest.approx(jensenshannon(a, b, base=2))
    assert pair["jensen_shannon_low"] < pair["jensen_shannon"] < pair["jensen_shannon_high"]
