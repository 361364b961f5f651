"""Which shares have the printed P value, held against statsmodels, and shares that have none."""

import numpy as np
from statsmodels.stats.weightstats import ttest_ind

from dlbug_assets.analysis.reconstruction.p_values import PrintedTest, p_value
from dlbug_assets.analysis.reconstruction.printed_tables import PrintedP

IS_FIRST = np.array([True] * 5 + [False] * 4)


def _is_reached(p, shares, decimals=4):
    return PrintedTest.of(PrintedP(1, 0, p, decimals), IS_FIRST).is_reached(np.atleast_2d(shares))


def test_shares_have_the_rounded_p_value_of_their_t_test_and_no_other():
    shares = np.random.default_rng(1).integers(0, 60, (200, 9))
    expected = [round(float(ttest_ind(row[:5], row[5:])[1]), 4) for row in shares]

    for p in expected:
        assert _is_reached(p, shares).tolist() == [other == p for other in expected]


def test_equal_means_have_a_p_value_of_one():
    assert _is_reached(1.0, [1, 2, 3, 4, 5, 2, 3, 3, 4]).tolist() == [True]


def test_shares_that_do_not_vary_reach_no_p_value():
    for shares in ([0] * 9, [7] * 5 + [3] * 4):
        assert not any(_is_reached(p, shares) for p in (0.0, 0.5, 1.0))
        assert p_value(np.array(shares), IS_FIRST) is None


def test_a_p_value_of_two_decimals_is_reached_by_more_shares():
    shares = [10, 20, 30, 5, 15, 40, 35, 25, 50]
    p = float(ttest_ind(shares[:5], shares[5:])[1])

    assert _is_reached(round(p, 2), shares, decimals=2)
    assert not _is_reached(round(p, 2), shares, decimals=4)
