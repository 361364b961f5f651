"""The trend test compared with its formula, full enumerations and synthetic series."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from dlbug_assets.analysis.distributions import yearly_evolution
from dlbug_assets.analysis.trends import trends
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.rows import table_schema
from support.small_studies import SO, small_study

STUDY = load_study("islam2019")


def _evolution(years, bugs, totals):
    series = zip(years, bugs, totals, strict=True)
    rows = [(SO, "Keras", year, "effect", "Crash", n, total) for year, n, total in series]
    return yearly_evolution(pl.DataFrame(rows, schema=table_schema("analysis.yearly_counts"), orient="row"))


def _trend(years, bugs, totals):
    return trends(_evolution(years, bugs, totals), STUDY).row(0, named=True)


def test_shares_of_years_have_wilson_intervals():
    row = _evolution([2015], [1], [10]).row(0, named=True)

    assert row["share"] == 0.1
    assert (row["share_low"], row["share_high"]) == pytest.approx((0.01787621, 0.40415003), abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_the_statistic_is_z_of_the_linear_by_linear_association(seed):
    """Compare with Agresti 2013, section 3.4: the correlation of year and category times the square root of n - 1."""
    random = np.random.default_rng(seed)
    years = np.sort(random.choice(np.arange(2009, 2019), size=6, replace=False))
    totals = random.integers(5, 40, size=6)
    bugs = random.binomial(totals, 0.4)

    found = _trend(years.tolist(), bugs.tolist(), totals.tolist())

    year_of_bug = np.repeat(years, totals)
    has_it = np.concatenate([[1] * n + [0] * (total - n) for n, total in zip(bugs, totals, strict=True)])
    z = np.corrcoef(year_of_bug, has_it)[0, 1] * math.sqrt(totals.sum() - 1)
    assert found["statistic"] == pytest.approx(z)
    assert found["p_asymptotic"] == pytest.approx(2 * norm.sf(abs(z)))
    assert found["p_monte_carlo"] == pytest.approx(found["p_asymptotic"], abs=0.05)
    assert found["direction"] == ("rising" if z > 0 else "falling")


@pytest.mark.parametrize(("bugs", "totals"), [([0, 1, 3], [3, 3, 4]), ([2, 2, 0], [2, 4, 3]), ([1, 1, 2], [4, 1, 4])])
def test_p_values_of_small_series_equal_those_of_all_shuffles(bugs, totals):
    years = [2015, 2016, 2018]
    of_bugs = [year for year, total in zip(years, totals, strict=True) for _ in range(total)]
    mean = sum(of_bugs) * sum(bugs) / len(of_bugs)

    def distance(chosen):
        return abs(sum(chosen) - mean)

    observed = distance([year for year, n in zip(years, bugs, strict=True) for _ in range(n)])
    exact = np.mean([distance(chosen) >= observed - 1e-9 for chosen in itertools.combinations(of_bugs, sum(bugs))])

    assert _trend(years, bugs, totals)["p_monte_carlo"] == pytest.approx(exact, abs=0.015)


@pytest.mark.slow
def test_more_shuffles_are_added_if_few_are_as_extreme():
    strong = _trend(range(2012, 2018), [0, 1, 2, 9, 12, 20], [20] * 6)
    weak = _trend(range(2012, 2018), [10, 9, 10, 11, 10, 10], [20] * 6)

    assert (strong["resamples"], weak["resamples"]) == (99_999, 9_999)
    assert strong["p_monte_carlo"] == 1 / 100_000
    assert weak["p_monte_carlo"] > 0.5


def test_rows_have_first_and_last_year_and_direction():
    row = _trend([2015, 2016, 2018], [4, 2, 1], [10, 10, 20])

    names = ("years", "first_year", "last_year", "bugs", "total", "share_first", "share_last", "direction")
    assert [row[name] for name in names] == [3, 2015, 2018, 7, 40, 0.4, 0.05, "falling"]
    assert _trend([2015, 2016, 2017], [3, 5, 3], [10, 10, 10])["direction"] is None


@pytest.mark.parametrize(
    ("years", "bugs", "reason"),
    [
        (range(2014, 2019), [2, 2, 2, 2, 2], None),
        (range(2015, 2019), [3, 3, 3, 3], "4 years, under 5"),
        (range(2014, 2019), [1, 2, 2, 2, 2], "9 bugs, under 10"),
        ([2015], [1], "1 year, under 5; 1 bug, under 10"),
    ],
)
def test_few_years_or_few_bugs_are_underpowered(years, bugs, reason):
    row = _trend(years, bugs, [20] * len(bugs))

    assert (row["underpowered"], row["underpowered_reason"]) == (reason is not None, reason)


@pytest.mark.parametrize(
    ("bugs", "totals", "reason"),
    [
        ([0, 0], [3, 4], "no bug has it"),
        ([3, 4], [3, 4], "every bug has it"),
        ([3], [4], "a trend needs two years or more"),
    ],
)
def test_undefined_trends_have_a_reason(bugs, totals, reason):
    row = _trend(range(2015, 2015 + len(bugs)), bugs, totals)

    assert row["undefined_reason"] == reason
    for name in ("statistic", "p_asymptotic", "p_monte_carlo", "p_holm", "direction"):
        assert row[name] is None
    assert row["family"] == 0


def test_no_years_result_in_an_empty_table_with_every_column():
    rows = trends(_evolution([], [], []), STUDY)

    assert rows.height == 0
    assert rows.columns == list(table_schema("analysis.trends"))


def test_pools_of_one_source_or_library_repeat_its_tests(tmp_path):
    series = {2018: (3, 10), 2019: (5, 10), 2020: (9, 10)}
    rows = [
        (source, library, year, "effect", "Crash", bugs, total)
        for source in ("Mail", "both")
        for library in ("Ebb", "All")
        for year, (bugs, total) in series.items()
    ]
    evolution = yearly_evolution(pl.DataFrame(rows, schema=table_schema("analysis.yearly_counts"), orient="row"))

    alone = trends(evolution, small_study(tmp_path / "alone", ("Ebb",), ("Mail",)))
    several = trends(evolution, small_study(tmp_path / "several", ("Ebb", "Flow"), ("Mail", "Chat")))

    assert alone.select("source", "library").rows() == [
        ("Mail", "Ebb"), ("Mail", "All"), ("both", "Ebb"), ("both", "All")
    ]  # fmt: skip
    assert alone["family"].to_list() == [1] * 4
    assert alone["p_holm"].to_list() == alone["p_monte_carlo"].to_list() == [alone["p_monte_carlo"][0]] * 4
    assert several["family"].to_list() == [4] * 4
