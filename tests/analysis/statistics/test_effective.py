"""Limits of shares of clustered bugs equal those that were computed independently."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbug_assets.analysis.statistics.effective import Limits, difference, intraclass_correlation, limits

BUGS = np.array([[4, 0, 1], [0, 2, 0], [1, 1, 0]])
TOTALS = BUGS.sum(axis=1)


def test_bugs_of_a_cluster_that_resemble_each_other_are_correlated():
    assert intraclass_correlation(BUGS, TOTALS) == pytest.approx(0.4157303)


def test_bugs_that_are_clusters_of_their_own_are_not_correlated():
    assert intraclass_correlation(np.eye(3), np.ones(3)) == 0


def test_limits_are_those_of_the_effective_number_of_bugs():
    found = limits(BUGS, TOTALS, intraclass_correlation(BUGS, TOTALS), 0.95)

    assert found.share == pytest.approx([5 / 9, 3 / 9, 1 / 9])
    assert found.low == pytest.approx([0.0602, 0.0143, 0.0027], abs=5e-5)
    assert found.high == pytest.approx([0.9606, 0.9450, 0.8516], abs=5e-5)


def test_a_share_of_zero_has_an_upper_limit():
    totals = np.full(41, 100 / 41)
    # A design effect of 4: 25 effective bugs, t quantile of 40 degrees of freedom.
    correlation = 3 / ((totals**2).sum() / totals.sum() - 1)

    found = limits(np.zeros((41, 1)), totals, correlation, 0.95)

    assert (found.low[0], found.high[0]) == pytest.approx((0, 0.1404429), abs=1e-7)


def test_a_difference_adds_the_squares_of_its_limits():
    first = Limits(np.array([0.5]), np.array([0.4]), np.array([0.6]))
    second = Limits(np.array([0.3]), np.array([0.0]), np.array([0.7]))

    assert difference([first], [second]) == (pytest.approx([0.2 - 0.17**0.5]), pytest.approx([0.2 + 0.1**0.5]))
    # The mean of two equal differences varies less.
    assert difference([first] * 2, [second] * 2)[1] == pytest.approx([0.2 + 0.1**0.5 / 2**0.5])


tables = st.lists(st.tuples(*[st.integers(0, 9)] * 3).filter(any), min_size=2, max_size=12).map(np.array)


@given(tables, tables, st.sampled_from([0.8, 0.95, 0.999]))
def test_no_limit_leaves_the_range_of_shares_and_differences(first, second, confidence):
    found = []
    for bugs in (first, second):
        totals = bugs.sum(axis=1)
        correlation = intraclass_correlation(bugs, totals)
        assert 0 <= correlation <= 1
        found.append(limits(bugs, totals, correlation, confidence))
        assert (found[-1].low >= 0).all()
        assert (found[-1].low <= found[-1].share).all()
        assert (found[-1].share <= found[-1].high).all()
        assert (found[-1].high <= 1).all()
    low, high = difference([found[0]], [found[1]])
    assert (low >= -1 - 1e-12).all()
    assert (high <= 1 + 1e-12).all()
    assert (low <= found[0].share - found[1].share + 1e-12).all()


def test_the_correlation_within_groups_does_not_count_their_difference():
    bugs = np.array([[2, 0], [2, 0], [0, 2], [0, 2]])
    totals = bugs.sum(axis=1)

    assert intraclass_correlation(bugs, totals) == 1
    assert intraclass_correlation(bugs, totals, np.array([0, 0, 1, 1])) == 0
    assert intraclass_correlation(bugs[:2], totals[:2], np.array([0, 1])) == 0
