"""Statistics compared with statsmodels over seeded random cases."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import Table
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from dlbug_assets.analysis.source_tests import adjusted_residuals
from dlbug_assets.analysis.statistics.intervals import wilson_limits
from dlbug_assets.analysis.statistics.multiplicity import benjamini_hochberg, holm
from dlbug_assets.analysis.trends import trend_z
from dlbug_assets.labeling.agreement.coefficients import cohen_kappa

CASES = 500


def close(expected):
    return pytest.approx(expected, rel=5e-15, abs=5e-15)


@pytest.fixture
def random():
    return np.random.default_rng(1902)


def test_wilson_limits_equal_those_of_statsmodels(random):
    for _ in range(CASES):
        total = random.integers(1, 10 ** random.integers(1, 7), size=5)
        bugs = random.binomial(total, random.random(5))
        expected = proportion_confint(bugs, total, alpha=0.05, method="wilson")
        for limits, oracle in zip(wilson_limits(bugs, total), expected, strict=True):
            assert np.clip(limits, 0, 1) == close(oracle)


def test_holm_and_benjamini_hochberg_equal_those_of_statsmodels(random, monkeypatch):
    monkeypatch.setattr("gc.collect", lambda: 0)  # multipletests collects garbage at every call, half a second each
    for _ in range(CASES):
        p_values = random.random(random.integers(1, 400)) ** random.integers(1, 6)
        p_values = p_values.round(random.integers(2, 6))  # ties, and P values that are 0 or 1
        assert holm(p_values) == close(multipletests(p_values, method="holm")[1])
        assert benjamini_hochberg(p_values) == close(multipletests(p_values, method="fdr_bh")[1])


def test_adjusted_residuals_equal_those_of_statsmodels(random):
    for _ in range(CASES):
        table = 1 + random.poisson(random.exponential(40), size=(2, random.integers(2, 12)))
        table[0, 0] = 0
        oracle = Table(table, shift_zeros=False)
        expected, residuals = adjusted_residuals(table, table.sum(axis=1))
        assert expected == close(oracle.fittedvalues)
        assert residuals == close(oracle.standardized_resids)


def test_trend_z_equals_that_of_statsmodels(random):
    for _ in range(CASES):
        years = np.sort(random.choice(np.arange(2008, 2030), size=random.integers(2, 16), replace=False))
        totals = random.integers(2, 10 ** random.integers(1, 5), size=len(years))
        bugs = random.binomial(totals, random.uniform(0.05, 0.95))
        bugs[0] = np.clip(bugs[0], 1, totals[0] - 1)  # some bugs have the category and some do not
        oracle = Table(np.array([totals - bugs, bugs]), shift_zeros=False)
        expected = oracle.test_ordinal_association(row_scores=np.array([0, 1]), col_scores=years)
        # statsmodels returns a bunch, whose attributes have no types.
        assert trend_z(bugs, totals, years) == close(expected.zscore)  # pyright: ignore[reportAttributeAccessIssue]


def test_kappa_and_its_limits_equal_those_of_statsmodels(random):
    for _ in range(CASES):
        size = random.integers(2, 12)
        table = random.poisson(random.exponential(3), size=(size, size)) + np.diag(random.integers(1, 40, size=size))
        expected = cohens_kappa(table)
        # The results are set as attributes from a dictionary.
        low, high = expected.kappa_low, expected.kappa_upp  # pyright: ignore[reportAttributeAccessIssue]
        found = cohen_kappa(table)
        assert found is not None
        assert found[0] == close(expected.kappa)  # pyright: ignore[reportAttributeAccessIssue]
        assert found[1:] == ((None, None) if table.sum() < 20 else close((max(low, -1), min(high, 1))))
