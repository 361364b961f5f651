"""The permutation test of trends over clusters compared with its formula and full enumerations, and its size."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import norm

from dlbug_assets.analysis.statistics.trend_tests import MANY_CLUSTERS, cluster_trends, sequential_p

#: Bugs of clusters: of the category, and of all; and the mean years of the clusters.
BUGS = np.array([4, 0, 1, 1, 0, 2])
TOTALS = np.array([5, 3, 1, 2, 1, 4])
YEARS = np.array([2015.0, 2016.5, 2016.0, 2017.0, 2018.0, 2015.5])

#: Repositories of three libraries: number of bugs of a repository -> number of such repositories.
SIZES = {
    "Caffe": {1: 7, 2: 3, 3: 3, 4: 1},
    "Keras": {1: 16, 2: 7, 3: 2, 4: 2, 5: 1, 6: 1, 7: 2, 8: 2, 9: 1, 10: 1, 13: 1, 16: 1, 20: 1, 34: 1, 37: 1, 126: 1},
    "Tensorflow": {1: 11, 2: 5, 3: 3, 4: 3, 6: 1, 8: 1, 9: 1, 11: 1, 24: 1},
}


def _weights(bugs: np.ndarray, totals: np.ndarray) -> list[float]:
    """Return n / (1 + (n - 1) r), with r by analysis of variance of the category and of the rest."""
    clusters, number = len(bugs), totals.sum()
    share = bugs.sum() / number
    between = sum(2 * n * (y / n - share) ** 2 for y, n in zip(bugs, totals, strict=True)) / (clusters - 1)
    inside = sum(2 * y * (1 - y / n) for y, n in zip(bugs, totals, strict=True)) / (number - clusters)
    typical = (number - (totals**2).sum() / number) / (clusters - 1)
    correlation = min(max((between - inside) / (between + (typical - 1) * inside), 0), 1)
    return [n / (1 + (n - 1) * correlation) for n in totals]


def _statistic(bugs: np.ndarray, totals: np.ndarray, years: np.ndarray) -> float:
    """Return the studentized slope, term by term."""
    weights = _weights(bugs, totals)
    share = sum(w * y / n for w, y, n in zip(weights, bugs, totals, strict=True)) / sum(weights)
    mean = sum(w * year for w, year in zip(weights, years, strict=True)) / sum(weights)
    parts = [
        (year - mean) * w * (y / n - share) for w, y, n, year in zip(weights, bugs, totals, years, strict=True)
    ]  # fmt: skip
    m = len(parts)
    return sum(parts) / math.sqrt(m / (m - 1) * sum(part**2 for part in parts))


def test_the_statistic_is_the_studentized_sum_of_the_parts_of_clusters():
    both = np.column_stack([BUGS, TOTALS - BUGS, TOTALS])

    found = cluster_trends(both, YEARS, np.random.default_rng(1), 100)

    expected = _statistic(BUGS, TOTALS, YEARS)
    assert expected == pytest.approx(-1.5343635)
    # The rest falls as the category rises.
    assert found.statistic == pytest.approx([expected, -expected])
    assert found.p[0] == found.p[1]


def test_p_is_the_share_of_all_permutations_that_are_as_extreme():
    observed = abs(_statistic(BUGS, TOTALS, YEARS))
    exact = np.mean([
        abs(_statistic(BUGS, TOTALS, np.array(years))) >= observed - 1e-9 for years in itertools.permutations(YEARS)
    ])  # fmt: skip

    table, random = np.column_stack([BUGS, TOTALS]), np.random.default_rng(1)
    found = [cluster_trends(table, YEARS, random, 10_000).p[0] for _ in range(300)]

    # P is 20 / l at draw l: on average, 20 / 19 of the true one.
    assert np.mean(found) == pytest.approx(exact * 20 / 19, rel=0.04)


def test_the_result_of_a_category_does_not_depend_on_the_others():
    table = np.column_stack([BUGS, TOTALS - BUGS, np.minimum(TOTALS, 1), TOTALS])

    together = cluster_trends(table, YEARS, np.random.default_rng(1), 1000)
    alone = cluster_trends(table[:, [2, 3]], YEARS, np.random.default_rng(1), 1000)

    assert [column[2] for column in together] == pytest.approx([column[0] for column in alone])


def test_two_clusters_never_show_a_trend():
    found = cluster_trends(np.array([[5, 5], [0, 5]]), np.array([2015.0, 2016.0]), np.random.default_rng(1), 1000)

    assert found.p[0] == 1


def test_equal_shares_have_no_trend():
    found = cluster_trends(np.array([[1, 2], [2, 4], [1, 2]]), np.array([1.0, 2.0, 3.0]), np.random.default_rng(1), 100)

    assert (found.statistic[0], found.p[0]) == (0, 1)


def test_the_normal_distribution_replaces_permutations_of_many_clusters():
    random = np.random.default_rng(2)
    years = random.integers(2014, 2019, MANY_CLUSTERS + 1).astype(float)
    table = np.column_stack([random.binomial(1, 0.2 + 0.014 * (years - 2014)), np.ones(len(years), dtype=int)])

    by_normal = cluster_trends(table, years, random, 10_000)
    permuted = cluster_trends(table[1:], years[1:], random, 10_000)

    assert (by_normal.draws[0], permuted.draws[0] > 20) == (0, True)
    assert by_normal.p[0] == pytest.approx(2 * norm.sf(abs(by_normal.statistic[0])))
    assert by_normal.p[0] == pytest.approx(permuted.p[0], rel=0.5)


@pytest.mark.parametrize("sizes", [[200], [1] * 200, [4, 4, 1, 30, 50, 60]])
@pytest.mark.parametrize(("extreme", "p", "draws"), [([2, 5, 9], 3 / 9, 9), ([2, 5], 3 / 20, 19)])
def test_sequential_p_values_end_at_the_exact_draw_whatever_the_batches(sizes, extreme, p, draws):
    """Besag and Clifford 1991, with 3 extremes and at most 19 draws; a second test ends with the third draw."""
    drawn = np.zeros((200, 2), dtype=bool)
    drawn[[place - 1 for place in extreme], 0] = True
    drawn[:3, 1] = True

    found = sequential_p(iter(np.split(drawn, np.cumsum(sizes)[:-1])), 3, 20)

    assert [column.tolist() for column in found] == [[p, 1], [draws, 3]]


def test_sequential_p_values_are_exact():
    """Where P is uniform, as without an effect, it is at most a with probability a."""
    random = np.random.default_rng(1)
    true = random.random(20_000)

    p, _ = sequential_p((random.random((100, len(true))) < true for _ in itertools.count()), 10, 1000)

    assert [(p <= a).mean() for a in (0.01, 0.05, 0.1)] == pytest.approx([0.01, 0.05, 0.1], abs=0.004)


@pytest.mark.parametrize("later", [False, True], ids=["any year", "larger repositories later"])
@pytest.mark.parametrize("correlation", [0.2, 0.5])
@pytest.mark.parametrize("library", SIZES)
def test_it_rejects_5_percent_of_series_without_a_trend(library, correlation, later):
    """1,000 series of clusters that resemble each other by the correlation, of one share in all years."""
    random = np.random.default_rng(2019)
    totals = np.repeat(list(SIZES[library]), list(SIZES[library].values()))
    rejected, series = 0, 1000
    for _ in range(series):
        years = random.integers(2014, 2019, len(totals))
        if later:
            years += totals > np.quantile(totals, 0.8)
        alike = (1 - correlation) / correlation
        bugs = random.binomial(totals, random.beta(0.2 * alike, 0.8 * alike, len(totals)))
        if 0 < bugs.sum() < totals.sum():
            found = cluster_trends(np.column_stack([bugs, totals]), years.astype(float), random, 400)
            rejected += found.p[0] <= 0.05

    assert 0.03 <= rejected / series <= 0.07
