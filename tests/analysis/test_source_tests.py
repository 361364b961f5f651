"""Tests on counts compared with scipy, full enumerations and textbook formulas."""

import itertools
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from dlbug_assets.analysis.source_tests import source_residuals, source_tests
from dlbug_assets.analysis.statistics.multiplicity import with_corrections
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.warehouse.rows import table_schema

SO, GH = "Stack Overflow", "GitHub"
EFFECTS = load_taxonomy().names("effect")


def _counts(label_counts, table, libraries=("Keras",)):
    bugs = {
        (source, "Keras"): dict(zip(EFFECTS, map(int, row), strict=False))
        for source, row in zip((SO, GH), table, strict=True)
    }
    return label_counts({"effect": bugs}, libraries)


def _clusters(per_source):
    """Return rows of analysis.cluster_counts from {source: clusters of bugs by category}."""
    rows = [
        (source, "Keras", f"{number:04}", "effect", category, int(n))
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


def _tested(label_counts, table, clusters=None):
    clusters = _single(table) if clusters is None else clusters
    tests = source_tests(_counts(label_counts, table), clusters, seed=3)
    return tests.filter(library="Keras", dimension="effect").row(0, named=True)


@pytest.mark.parametrize("seed", range(4))
def test_both_p_values_equal_those_of_scipy_by_monte_carlo(label_counts, seed):
    random = np.random.default_rng(seed)
    table = np.array([random.multinomial(40, random.dirichlet(np.ones(4) * 5)) for _ in (SO, GH)]) + 1

    found = _tested(label_counts, table)

    method = stats.MonteCarloMethod(n_resamples=9999, rng=np.random.default_rng(1))
    shuffling = stats.PermutationMethod(n_resamples=999, rng=np.random.default_rng(1))
    by_monte_carlo = stats.chi2_contingency(table, correction=False, method=method)
    assert found["chi_square"] == pytest.approx(by_monte_carlo[0])
    assert found["p_permutation"] == pytest.approx(by_monte_carlo[1], abs=0.025)
    by_shuffling = stats.chi2_contingency(table, correction=False, method=shuffling)
    assert found["p_permutation"] == pytest.approx(by_shuffling[1], abs=0.06)
    method = stats.MonteCarloMethod(n_resamples=1999, rng=np.random.default_rng(1))
    assert found["p_fisher"] == pytest.approx(stats.fisher_exact(table, method=method)[1], abs=0.05)
    assert found["cramers_v"] == pytest.approx(math.sqrt(found["chi_square"] / table.sum()))


def test_p_values_of_small_tables_equal_those_of_all_shuffles(label_counts):
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

    found = _tested(label_counts, table)

    assert found["p_permutation"] == pytest.approx(by_chi_square, abs=0.015)
    assert found["p_fisher"] == pytest.approx(by_probability, abs=0.015)


def test_the_smallest_p_value_counts_the_data_as_one_shuffle(label_counts):
    assert _tested(label_counts, [[50, 0], [0, 50]])["p_permutation"] == 1 / 10_000


def test_undefined_tests_have_a_reason(label_counts):
    table = [[3, 2], [4, 0]]
    tests = source_tests(_counts(label_counts, table, ("Keras", "Caffe")), _single(table), seed=3)
    reasons = {
        (library, dimension): reason
        for library, dimension, reason in tests.select("library", "dimension", "undefined_reason").iter_rows()
    }

    assert reasons["Keras", "effect"] is None
    assert reasons["Caffe", "effect"] == "no bug has a label in effect: Stack Overflow, GitHub"
    assert _tested(label_counts, [[3], [4]])["undefined_reason"] == "all bugs are of one category"
    assert _tested(label_counts, [[3], [0]])["undefined_reason"] == "no bug has a label in effect: GitHub"
    assert not any(dimension == "antipattern" for _, dimension in reasons)
    assert tests["family"].unique().to_list() == [2]  # Keras and All


def test_shuffling_clusters_of_one_bug_equals_shuffling_bugs(label_counts):
    found = _tested(label_counts, [[14, 9, 7], [6, 10, 12]])

    assert found["p_clusters"] == pytest.approx(found["p_permutation"], abs=0.03)


def test_the_p_value_of_few_clusters_equals_that_of_all_divisions(label_counts):
    clusters = {SO: [(1, 0), (1, 0), (2, 1), (1, 1)], GH: [(0, 6), (1, 3), (0, 2)]}
    table = np.array([np.sum(clusters[source], axis=0) for source in (SO, GH)])

    def chi_square(of_github) -> Any:
        return stats.chi2_contingency([table.sum(axis=0) - of_github, of_github], correction=False)[0]

    every = [chi_square(np.sum(chosen, axis=0)) for chosen in itertools.combinations(clusters[SO] + clusters[GH], 3)]
    exact = np.mean(np.array(every) >= chi_square(table[1]) - 1e-9)

    assert _tested(label_counts, table, _clusters(clusters))["p_clusters"] == pytest.approx(exact, abs=0.03)


def test_one_large_repository_does_not_make_clusters_differ(label_counts):
    clusters = {SO: [(1, 0)] * 5 + [(0, 1)] * 5, GH: [(0, 40), (1, 0), (1, 0), (0, 1)]}
    table = [np.sum(clusters[source], axis=0) for source in (SO, GH)]

    found = _tested(label_counts, table, _clusters(clusters))

    assert found["p_permutation"] < 0.01
    assert found["p_clusters"] > 0.2


@pytest.mark.parametrize("seed", range(3))
def test_residuals_match_habermans_formula(label_counts, seed):
    table = np.random.default_rng(seed).integers(1, 40, size=(2, 5))

    rows = source_residuals(_counts(label_counts, table)).filter(library="Keras", dimension="effect")

    n, sources, categories = table.sum(), table.sum(axis=1), table.sum(axis=0)
    expected = sources[1] * categories / n
    residuals = (table[1] - expected) / np.sqrt(expected * (1 - sources[1] / n) * (1 - categories / n))
    bound = stats.norm.ppf(1 - 0.05 / 2 / 5)
    used = rows.head(5)
    assert used["expected_github"].to_list() == pytest.approx(expected)
    assert used["residual"].to_list() == pytest.approx(residuals)
    assert used["bound"].to_list() == pytest.approx([bound] * 5)
    assert used["differs"].to_list() == (np.abs(residuals) > bound).tolist()
    unused = rows.tail(2).select("residual", "differs", "undefined_reason").unique().rows()
    assert unused == [(None, None, "no bug has it")]


def test_the_residual_of_two_categories_is_the_z_of_two_proportions(label_counts):
    rows = source_residuals(_counts(label_counts, [[30, 10], [12, 18]])).filter(library="Keras", category="Crash")

    pooled = (30 + 12) / 70
    z = (12 / 30 - 30 / 40) / math.sqrt(pooled * (1 - pooled) * (1 / 30 + 1 / 40))
    assert rows["residual"].item() == pytest.approx(z if EFFECTS[0] == "Crash" else -z)


def test_corrections_match_their_definitions():
    p = [0.01, None, 0.04, 0.03, 0.5, 0.02]

    rows = with_corrections(pl.DataFrame({"p": p}), "p")

    # Holm: the k-th smallest times (m - k + 1); Benjamini and Hochberg: times m / k; both then made monotone.
    assert rows["p_holm"].to_list() == [pytest.approx(x) if x else None for x in (0.05, None, 0.09, 0.09, 0.5, 0.08)]
    assert rows["p_benjamini_hochberg"].to_list() == [
        pytest.approx(x) if x else None for x in (0.05, None, 0.05, 0.05, 0.5, 0.05)
    ]
    assert rows["family"].to_list() == [5] * 6


def test_a_family_without_defined_p_values_has_size_0():
    rows = with_corrections(pl.DataFrame({"p": [None, None]}, schema={"p": pl.Float64}), "p")

    assert rows.select("p_holm", "p_benjamini_hochberg", "family").unique().rows() == [(None, None, 0)]
