"""Tests on counts compared with scipy, full enumerations and textbook formulas."""

import itertools
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from dlbug_assets.analysis.source_tests import source_differences
from dlbug_assets.analysis.statistics.multiplicity import with_corrections
from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.warehouse.rows import table_schema
from support.small_studies import GH, SO, small_study

EFFECTS = load_taxonomy(load_study("islam2019")).names("effect")
#: A study of these effects, each bug of which may have several.
SEVERAL = {
    "dimensions": {"effect": "multiple = true"},
    "taxonomy": "dimension,name\n" + "".join(f"effect,{name}\n" for name in EFFECTS),
}


def source_tests(counts, clusters, study):
    return source_differences(counts, clusters, study)["source_tests"]


def source_residuals(counts, clusters, study):
    return source_differences(counts, clusters, study)["source_residuals"]


def _counts(label_counts, table, libraries=("Keras",)):
    bugs = {
        (source, "Keras"): dict(zip(EFFECTS, map(int, row), strict=False))
        for source, row in zip((SO, GH), table, strict=True)
    }
    return label_counts({"effect": bugs}, libraries)


def _clusters(per_source):
    """Return rows of analysis.cluster_counts from {source: clusters of bugs by category}."""
    rows = [
        (source, "Keras", f"{number:04}", "effect", category, int(n), int(sum(bugs)))
        for source, clusters in per_source.items()
        for number, bugs in enumerate(clusters)
        for category, n in zip(EFFECTS, bugs, strict=False)
        if n
    ]
    return pl.DataFrame(rows, schema=table_schema("analysis.cluster_counts"), orient="row")


def _single(table):
    """Return clusters of one bug each."""
    table = np.asarray(table)
    return _clusters({
        source: [np.eye(len(row), dtype=int)[place] for place, n in enumerate(row) for _ in range(n)]
        for source, row in zip((SO, GH), table, strict=True)
    })  # fmt: skip


@pytest.fixture
def tested(label_counts, tmp_path):
    """Return a function that tests the effects of a library, given as a table and, if not single bugs, as clusters."""

    def row(table, clusters=None):
        clusters = _single(table) if clusters is None else clusters
        tests = source_tests(_counts(label_counts, table), clusters, small_study(tmp_path / "study"))
        return tests.filter(library="Keras", dimension="effect").row(0, named=True)

    return row


def _corrected_v(table):
    """Return Cramer's V with the correction of Bergsma 2013."""
    n, (rows, columns) = table.sum(), table.shape
    statistics: Any = stats.chi2_contingency(table, correction=False)
    squared = max(0, statistics[0] / n - (rows - 1) * (columns - 1) / (n - 1))
    return math.sqrt(squared / (min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1))


@pytest.mark.parametrize("seed", range(4))
def test_both_p_values_equal_those_of_scipy_by_monte_carlo(tested, seed):
    random = np.random.default_rng(seed)
    table = np.array([random.multinomial(40, random.dirichlet(np.ones(4) * 5)) for _ in (SO, GH)]) + 1

    found = tested(table)

    method = stats.MonteCarloMethod(n_resamples=9999, rng=np.random.default_rng(1))
    shuffling = stats.PermutationMethod(n_resamples=999, rng=np.random.default_rng(1))
    by_monte_carlo = stats.chi2_contingency(table, correction=False, method=method)
    assert found["chi_square"] == pytest.approx(by_monte_carlo[0])
    assert found["p_permutation"] == pytest.approx(by_monte_carlo[1], abs=0.025)
    by_shuffling = stats.chi2_contingency(table, correction=False, method=shuffling)
    assert found["p_permutation"] == pytest.approx(by_shuffling[1], abs=0.06)
    method = stats.MonteCarloMethod(n_resamples=1999, rng=np.random.default_rng(1))
    assert found["p_fisher"] == pytest.approx(stats.fisher_exact(table, method=method)[1], abs=0.05)
    assert found["cramers_v"] == pytest.approx(_corrected_v(table))


def test_p_values_of_small_tables_equal_those_of_all_shuffles(tested):
    table = np.array([[4, 1, 1], [0, 3, 1]])
    labels = [column for column, n in enumerate(table.sum(axis=0)) for _ in range(n)]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()

    def chi_square(first):
        return sum(
            (o - e) ** 2 / e for o, e in zip([*first, *(table.sum(axis=0) - first)], expected.ravel(), strict=True)
        )

    def ways(first):
        return math.prod(math.comb(n, k) for n, k in zip(table.sum(axis=0).tolist(), first.tolist(), strict=True))

    shuffles = [
        np.bincount([labels[place] for place in chosen], minlength=3) for chosen in itertools.combinations(range(10), 6)
    ]
    by_chi_square = np.mean([chi_square(first) >= chi_square(table[0]) - 1e-9 for first in shuffles])
    by_probability = np.mean([ways(first) <= ways(table[0]) for first in shuffles])

    found = tested(table)

    assert found["p_permutation"] == pytest.approx(by_chi_square, abs=0.015)
    assert found["p_fisher"] == pytest.approx(by_probability, abs=0.015)


def test_the_smallest_p_value_counts_the_data_as_one_shuffle(tested):
    assert tested([[50, 0], [0, 50]])["p_permutation"] == 1 / 10_000


@pytest.mark.parametrize(
    ("table", "expected"), [([[50, 0], [0, 50]], 1), ([[20, 21], [21, 20]], 0), ([[1, 0], [0, 1]], 0)]
)
def test_cramers_v_is_within_0_and_1(tested, table, expected):
    assert tested(table)["cramers_v"] == pytest.approx(expected)


def test_undefined_tests_have_a_reason(label_counts, tested, tmp_path):
    table = [[3, 2], [4, 0]]
    study = small_study(tmp_path / "study", ("Keras", "Caffe"))
    tests = source_tests(_counts(label_counts, table, study.library_names), _single(table), study)
    reasons = {
        (library, dimension): reason
        for library, dimension, reason in tests.select("library", "dimension", "undefined_reason").iter_rows()
    }

    assert reasons["Keras", "effect"] is None
    assert reasons["Caffe", "effect"] == "no bug has a label in effect: Stack Overflow, GitHub"
    assert tested([[3], [4]])["undefined_reason"] == "all bugs are of one category"
    assert tested([[3], [0]])["undefined_reason"] == "no bug has a label in effect: GitHub"
    assert not any(dimension == "antipattern" for _, dimension in reasons)
    assert tests["family"].unique().to_list() == [2]  # Keras and All


def test_shuffling_clusters_of_one_bug_equals_shuffling_bugs(tested):
    found = tested([[14, 9, 7], [6, 10, 12]])

    assert found["p_clusters"] == pytest.approx(found["p_permutation"], abs=0.03)


@pytest.mark.parametrize(
    ("repositories", "p_clusters", "decision", "reason"),
    [
        ([(0, 40)], None, None, "one cluster in GitHub"),
        ([(0, 20), (0, 20)], 1 / 66, "undecided", "fewer than 5 clusters in GitHub"),
        ([(0, 10)] * 4, 1 / 1001, "undecided", "fewer than 5 clusters in GitHub"),
        ([(0, 8)] * 5, 1 / 3003, "differ", None),
        ([(1, 1)] * 5, 1, "no difference shown", None),
    ],
)
def test_few_clusters_decide_nothing(label_counts, tmp_path, *, repositories, p_clusters, decision, reason):
    clusters = {SO: [(1, 0)] * 10 if decision != "no difference shown" else [(1, 1)] * 10, GH: repositories}
    counts = _counts(label_counts, [np.sum(clusters[source], axis=0) for source in (SO, GH)])
    study = small_study(tmp_path / "study")

    row, category = (
        compute(counts, _clusters(clusters), study).filter(library="Keras", dimension="effect").row(0, named=True)
        for compute in (source_tests, source_residuals)
    )

    assert (row["clusters_stack_overflow"], row["clusters_github"]) == (10, len(repositories))
    assert row["p_clusters"] == (None if p_clusters is None else pytest.approx(p_clusters))
    assert (row["decision"], row["undecided_reason"], row["undefined_reason"]) == (decision, reason, None)
    assert category["p_clusters"] == row["p_clusters"]
    assert category["differs"] == {"differ": True, "no difference shown": False}.get(decision)
    assert category["undecided_reason"] == reason


def test_one_large_repository_does_not_make_clusters_differ(tested):
    clusters = {SO: [(1, 0)] * 5 + [(0, 1)] * 5, GH: [(0, 40), (1, 0), (1, 0), (0, 1)]}
    table = [np.sum(clusters[source], axis=0) for source in (SO, GH)]

    found = tested(table, _clusters(clusters))

    assert found["p_permutation"] < 0.01
    assert found["p_clusters"] > 0.2
    assert (found["decision"], found["undecided_reason"]) == ("undecided", "fewer than 5 clusters in GitHub")


@pytest.mark.parametrize("seed", range(3))
def test_residuals_match_habermans_formula(label_counts, tmp_path, seed):
    table = np.random.default_rng(seed).integers(1, 40, size=(2, 5))

    rows = source_residuals(_counts(label_counts, table), _single(table), small_study(tmp_path / "study")).filter(
        library="Keras", dimension="effect"
    )

    n, sources, categories = table.sum(), table.sum(axis=1), table.sum(axis=0)
    expected = sources[1] * categories / n
    residuals = (table[1] - expected) / np.sqrt(expected * (1 - sources[1] / n) * (1 - categories / n))
    used = rows.head(5)
    assert used["expected_github"].to_list() == pytest.approx(expected)
    assert used["residual"].to_list() == pytest.approx(residuals)
    # In clusters of one bug, larger residuals have smaller P values.
    assert used.sort(pl.col("residual").abs(), descending=True)["p_clusters"].is_sorted()
    assert used["differs"].to_list() == (used["p_clusters"] < 0.05).to_list()
    unused = rows.tail(2).select("residual", "differs", "undefined_reason").unique().rows()
    assert unused == [(None, None, "no bug has it")]


def test_the_residual_of_two_categories_is_the_z_of_two_proportions(label_counts, tmp_path):
    table = [[30, 10], [12, 18]]
    counts = _counts(label_counts, table)
    rows = source_residuals(counts, _single(table), small_study(tmp_path / "study")).filter(
        library="Keras", category="Crash"
    )

    pooled = (30 + 12) / 70
    z = (12 / 30 - 30 / 40) / math.sqrt(pooled * (1 - pooled) * (1 / 30 + 1 / 40))
    assert rows["residual"].item() == pytest.approx(z if EFFECTS[0] == "Crash" else -z)


def _shares(dimension, of_sources, libraries=("Keras",)):
    """Return rows of analysis.label_counts of one dimension from {source: ({category: bugs}, total)}.

    The libraries have the same bugs; rows of `both` and `All` are left out, except for the total of each source.
    """
    rows = [
        (source, library, dimension, category, n, total)
        for source, (bugs, total) in of_sources.items()
        for library in (*libraries, "All")
        for category, n in bugs.items()
    ]
    return pl.DataFrame(rows, schema=table_schema("analysis.label_counts"), orient="row")


def test_several_categories_per_bug_have_residuals_of_having_each_and_no_test(tmp_path):
    study = small_study(tmp_path / "study", **SEVERAL)
    counts = _shares("effect", {SO: ({"Crash": 30, "Hang": 25, "Unknown": 40}, 40),
                                GH: ({"Crash": 12, "Hang": 0, "Unknown": 30}, 30)})  # fmt: skip

    # Bugs with and without each of two categories, independently in both sources.
    has = {SO: (30, 25, 40), GH: (12, 0, 30)}
    clusters = pl.DataFrame(
        [(source, "Keras", str(number), "effect", name, 1, 1)
         for source, numbers in has.items()
         for name, n in zip(("Crash", "Hang", "Unknown"), numbers, strict=True) for number in range(n)],
        schema=table_schema("analysis.cluster_counts"), orient="row",
    )  # fmt: skip

    tests = source_tests(counts, clusters, study)
    rows = {
        row["category"]: row for row in source_residuals(counts, clusters, study).filter(library="Keras").to_dicts()
    }

    undefined = tests.filter(library="Keras").row(0, named=True)
    assert (undefined["bugs_stack_overflow"], undefined["bugs_github"], undefined["categories"]) == (40, 30, 3)
    assert (undefined["p_permutation"], undefined["undefined_reason"]) == (
        None, "bugs have several categories: see source_comparison"
    )  # fmt: skip
    # Of each category alone, the table of having it or not is one of two proportions.
    pooled = (30 + 12) / 70
    z = (12 / 30 - 30 / 40) / math.sqrt(pooled * (1 - pooled) * (1 / 30 + 1 / 40))
    assert rows["Crash"]["residual"] == pytest.approx(z)
    assert rows["Crash"]["expected_github"] == pytest.approx(42 * 30 / 70)
    assert rows["Hang"]["p_clusters"] == 1 / 10_000
    assert rows["Crash"]["p_clusters"] == pytest.approx(2 * stats.norm.sf(abs(z)) * 2, abs=0.01)  # of two categories
    assert (rows["Unknown"]["residual"], rows["Unknown"]["undefined_reason"]) == (None, "every bug has it")


#: Three sources, and what they distinguish.
THREE = {
    "sources": ("Mail", "Chat", "Forum"),
    "dimensions": {"effect": "", "harm": "asked_of = {posts_per_library = 3}"},
    "taxonomy": "dimension,name\neffect,Crash\neffect,Hang\neffect,Unknown\nharm,Loss\nharm,Delay\n",
}


def _of_three(table, dimension="effect"):
    """Return counts of three sources, and clusters of one bug each, from bugs by source and category."""
    names = {"effect": ("Crash", "Hang", "Unknown"), "harm": ("Loss", "Delay")}[dimension]
    counts = _shares(dimension, {
        source: (dict(zip(names, row, strict=True)), sum(row))
        for source, row in zip(THREE["sources"], table, strict=True)
    })  # fmt: skip
    clusters = [
        (source, "Keras", f"{category} {number}", dimension, category, 1, 1)
        for source, row in zip(THREE["sources"], table, strict=True)
        for category, n in zip(names, row, strict=True)
        for number in range(n)
    ]
    return counts, pl.DataFrame(clusters, schema=table_schema("analysis.cluster_counts"), orient="row")


def test_p_values_of_three_sources_equal_those_of_scipy(tmp_path):
    table = [[9, 4, 2], [5, 7, 6], [3, 4, 10]]

    found = source_tests(*_of_three(table), small_study(tmp_path / "study", **THREE)).row(0, named=True)

    method = stats.MonteCarloMethod(n_resamples=9999, rng=np.random.default_rng(1))
    expected: Any = stats.chi2_contingency(table, correction=False, method=method)
    chi_square, p = expected[:2]
    assert [found[f"bugs_{name}"] for name in ("mail", "chat", "forum")] == [15, 18, 17]
    assert found["chi_square"] == pytest.approx(chi_square)
    assert found["p_permutation"] == pytest.approx(p, abs=0.01)
    assert found["p_clusters"] == pytest.approx(p, abs=0.02)
    method = stats.MonteCarloMethod(n_resamples=1999, rng=np.random.default_rng(1))
    assert found["p_fisher"] == pytest.approx(stats.fisher_exact(table, method=method)[1], abs=0.02)
    assert found["cramers_v"] == pytest.approx(_corrected_v(np.array(table)))


def test_a_source_without_labels_is_left_out_of_three(tmp_path):
    study = small_study(tmp_path / "study", **THREE)

    without = source_tests(*_of_three([[9, 4, 2], [0, 0, 0], [3, 4, 10]]), study).row(0, named=True)
    alone = source_tests(*_of_three([[9, 4, 2], [0, 0, 0], [0, 0, 0]]), study).row(0, named=True)

    assert without["chi_square"] == pytest.approx(stats.chi2_contingency([[9, 4, 2], [3, 4, 10]], correction=False)[0])
    assert without["bugs_chat"] == 0
    assert alone["undefined_reason"] == "no bug has a label in effect: Chat, Forum"


def test_a_dimension_of_a_sample_is_tested_only_if_two_sources_have_labels(tmp_path):
    study = small_study(tmp_path / "study", **THREE)

    one, two = (source_tests(*_of_three(table, "harm"), study) for table in ([[4, 2], [0, 0], [0, 0]],
                                                                              [[4, 2], [0, 0], [1, 3]]))  # fmt: skip

    assert one.height == 0
    assert two["undefined_reason"].to_list() == [None, None]  # Keras and All


def test_corrections_match_their_definitions():
    p = [0.01, None, 0.04, 0.03, 0.5, 0.02]

    rows = with_corrections(pl.DataFrame({"p": p}), "p", load_study("islam2019"))

    # Holm: the k-th smallest times (m - k + 1); Benjamini and Hochberg: times m / k; both then made monotone.
    assert rows["p_holm"].to_list() == [pytest.approx(x) if x else None for x in (0.05, None, 0.09, 0.09, 0.5, 0.08)]
    assert rows["p_benjamini_hochberg"].to_list() == [
        pytest.approx(x) if x else None for x in (0.05, None, 0.05, 0.05, 0.5, 0.05)
    ]
    assert rows["family"].to_list() == [5] * 6


def test_all_libraries_of_a_study_with_one_repeat_its_test(tmp_path):
    counts, clusters = _of_three([[9, 4, 2], [5, 7, 6], [3, 4, 10]])

    rows = source_tests(counts, clusters, small_study(tmp_path / "study", **THREE))

    assert rows["library"].to_list() == ["Keras", "All"]
    assert rows["family"].to_list() == [1, 1]
    assert rows["p_holm"].to_list() == rows["p_clusters"].to_list() == [rows["p_clusters"][0]] * 2
    assert rows["decision"].to_list() == ["differ"] * 2
    assert rows["p_permutation"].n_unique() == rows["p_fisher"].n_unique() == rows["p_score"].n_unique() == 1


def test_a_family_without_defined_p_values_has_size_0():
    rows = with_corrections(pl.DataFrame({"p": [None, None]}, schema={"p": pl.Float64}), "p", load_study("islam2019"))

    assert rows.select("p_holm", "p_benjamini_hochberg", "family").unique().rows() == [(None, None, 0)]
