"""The permutation test of clusters: independently computed values, full enumerations, and its simulated size."""

import itertools

import numpy as np
import pytest

from dlbug_assets.analysis.statistics.cluster_tests import compare_clusters
from dlbug_assets.analysis.statistics.effective import effective_bugs, intraclass_correlation

REPOSITORIES = np.array([[4, 0, 1], [2, 0, 0], [3, 1, 0]])
POSTS = np.array([[0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]])
EVERY = np.vstack([REPOSITORIES, POSTS])


def _compare(*groups, draws=9999, seed=1):
    """Compare groups of bugs by cluster and category, of which each bug has one."""
    tables = [np.column_stack([group, np.sum(group, axis=1)]) for group in groups]
    return compare_clusters(tables, draws, np.random.default_rng(seed))


def test_weights_follow_from_the_correlation_within_both_groups():
    correlation = intraclass_correlation(EVERY, EVERY.sum(axis=1), np.repeat([0, 1], [3, 5]))

    assert correlation == pytest.approx(0.1640449, abs=5e-8)
    weights = effective_bugs(EVERY.sum(axis=1), correlation)
    assert weights == pytest.approx([3.018996, 1.718147, 2.680723, 1, 1, 1, 1, 1], abs=5e-7)
    shares = (weights / EVERY.sum(axis=1)) @ EVERY / weights.sum()
    assert shares == pytest.approx([0.575291, 0.295556, 0.129153], abs=5e-7)


def test_statistics_and_the_exact_p_value_equal_those_computed_independently():
    found = _compare(REPOSITORIES, POSTS)

    assert found.statistic == pytest.approx(2.5515091, abs=5e-8)
    assert found.score == pytest.approx(4.9993992, abs=5e-8)
    assert found.p == 5 / 56


def test_the_order_of_groups_and_clusters_does_not_matter():
    found, turned = _compare(REPOSITORIES, POSTS), _compare(POSTS[::-1], REPOSITORIES[::-1])

    assert turned.statistic == pytest.approx(found.statistic)
    assert (turned.p, turned.p_categories.tolist()) == (found.p, found.p_categories.tolist())


def test_random_divisions_estimate_the_p_values_of_all():
    exact, estimated = (_compare(REPOSITORIES, np.vstack([POSTS] * 2), draws=draws) for draws in (286, 285))
    many = [_compare(REPOSITORIES, np.vstack([POSTS] * 2), draws=285, seed=seed) for seed in range(50)]

    assert exact.p * 286 == pytest.approx(round(exact.p * 286))
    assert estimated.p * 286 == pytest.approx(round(estimated.p * 286))
    assert np.mean([found.p for found in many]) == pytest.approx(exact.p, abs=0.01)
    assert np.mean([found.p_categories for found in many], axis=0) == pytest.approx(exact.p_categories, abs=0.015)


def test_p_values_of_categories_are_corrected_by_the_largest_of_all_categories():
    weights = effective_bugs(
        EVERY.sum(axis=1), intraclass_correlation(EVERY, EVERY.sum(axis=1), np.repeat([0, 1], [3, 5]))
    )
    weighted = EVERY * (weights / EVERY.sum(axis=1))[:, None]
    shares = weighted.sum(axis=0) / weights.sum()

    def by_category(chosen):
        first = np.isin(np.arange(8), chosen)
        difference = (
            weighted[first].sum(axis=0) / weights[first].sum() - weighted[~first].sum(axis=0) / weights[~first].sum()
        )
        return difference**2 / (shares * (1 - shares)) / (1 / weights[first].sum() + 1 / weights[~first].sum())

    largest = np.array([by_category(chosen).max() for chosen in itertools.combinations(range(8), 3)])
    expected = [np.mean(largest >= own - 1e-9) for own in by_category([0, 1, 2])]

    assert _compare(REPOSITORIES, POSTS).p_categories == pytest.approx(expected)


def test_the_statistic_of_three_groups_is_that_of_brown_and_forsythe():
    groups = [np.array([[2, 0], [1, 1]]), np.array([[0, 3], [1, 2], [1, 0]]), np.array([[3, 0], [0, 1]])]
    clusters = np.vstack(groups)
    totals = clusters.sum(axis=1)
    weights = effective_bugs(totals, intraclass_correlation(clusters, totals, np.repeat([0, 1, 2], [2, 3, 2])))
    own = clusters / totals[:, None]
    shares = weights @ own / weights.sum()

    def statistic(members):
        between = inside = 0.0
        for group in members:
            w, p = weights[group], weights[group] @ own[group] / weights[group].sum()
            n = len(group)
            variance = n / (n - 1) * (w[:, None] ** 2 * (own[group] - p) ** 2).sum(axis=0) / w.sum() ** 2
            between += (w.sum() * (p - shares) ** 2 / shares).sum()
            inside += (w.sum() * (1 - w.sum() / weights.sum()) * variance / shares).sum()
        return between / inside

    observed = statistic([[0, 1], [2, 3, 4], [5, 6]])
    every = [
        statistic([list(first), list(second), list(set(range(7)).difference(first, second))])
        for first in itertools.combinations(range(7), 2)
        for second in itertools.combinations(set(range(7)).difference(first), 3)
    ]

    found = _compare(*groups)

    assert found.statistic == pytest.approx(observed)
    assert found.p == pytest.approx(np.mean(np.array(every) >= observed - 1e-9))


def test_groups_without_variation_within_them_differ_as_far_as_can_be():
    apart, alike = _compare([[1, 0]] * 5, [[0, 1]] * 5), _compare([[1, 1]] * 5, [[2, 2]] * 5)

    assert (apart.statistic, apart.p) == (np.inf, 2 / 252)
    assert (alike.statistic, alike.p) == (0, 1)


def test_categories_of_no_or_every_bug_do_not_differ():
    # Two bugs a cluster, of which both have the first category, and one or none the second.
    groups = [np.array([[2, one, 0, 2] for one in ones]) for ones in ([1, 1, 0], [0, 0, 1])]

    found = compare_clusters(groups, 9999, np.random.default_rng(1))

    assert found.p_categories.tolist() == [1, 1, 1]
    assert found.statistic > 0


#: The study islam2019 by library: number of bugs of a cluster -> number of such clusters, on GitHub and on Stack
#: Overflow, and the number of bugs of each type.
LABELLED = {
    "Caffe": ({1: 7, 2: 3, 3: 3, 4: 1}, {1: 35}, (2, 16, 7, 3, 19, 10, 4)),
    "Keras": (
        {1: 16, 2: 7, 3: 2, 4: 2, 5: 1, 6: 1, 7: 2, 8: 2, 9: 1, 10: 1, 13: 1, 16: 1, 20: 1, 34: 1, 37: 1, 126: 1},
        {1: 158, 2: 2},
        (217, 1, 68, 5, 112, 2, 51, 25, 1, 1, 29),
    ),
    "Tensorflow": (
        {1: 11, 2: 5, 3: 3, 4: 3, 6: 1, 8: 1, 9: 1, 11: 1, 24: 1},
        {1: 162, 2: 2},
        (90, 49, 6, 25, 14, 55, 11, 2, 13, 1),
    ),
    "Theano": ({1: 12, 2: 1, 3: 1, 4: 2, 10: 1}, {1: 27}, (3, 16, 2, 5, 8, 10, 7, 1, 1, 8, 1)),
    "Torch": ({1: 16, 2: 7, 3: 1, 4: 2, 5: 1}, {1: 25}, (5, 16, 6, 9, 5, 11, 7, 3, 6, 3)),
    "All": (
        {1: 62, 2: 23, 3: 10, 4: 10, 5: 2, 6: 2, 7: 2, 8: 3, 9: 2, 10: 2}
        | {11: 1, 13: 1, 16: 1, 20: 1, 24: 1, 34: 1, 37: 1, 126: 1},
        {1: 369, 2: 20, 3: 2},
        (317, 1, 165, 26, 154, 29, 146, 60, 5, 4, 60, 5),
    ),
}


def _simulated(sizes, shares, correlation, random):
    """Return bugs by cluster and category of clusters of these sizes, which a Dirichlet distribution correlates."""
    of_clusters = np.repeat(list(sizes), list(sizes.values()))
    concentration = np.array(shares) / np.sum(shares) * (1 - correlation) / correlation
    return random.multinomial(of_clusters, random.dirichlet(concentration, size=len(of_clusters)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "correlation"), [*((library, 0.2) for library in LABELLED), ("Keras", 0.5), ("Tensorflow", 0.8)]
)
def test_sources_without_a_difference_are_found_to_differ_in_one_of_twenty_samples(library, correlation):
    *sources, shares = LABELLED[library]
    random = np.random.default_rng([1902, round(10 * correlation)])
    samples = 400 if library == "All" else 1000

    p_values = [
        _compare(*(_simulated(sizes, shares, correlation, random) for sizes in sources), draws=399, seed=number).p
        for number in range(samples)
    ]

    assert 0.03 <= np.mean(np.array(p_values) <= 0.05) <= 0.07
