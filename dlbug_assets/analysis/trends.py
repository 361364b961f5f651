"""Trends: whether a category becomes more or less frequent over the years."""

import math
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from dlbug_assets.analysis.statistics.multiplicity import with_corrections
from dlbug_assets.analysis.statistics.pools import member
from dlbug_assets.analysis.statistics.resampling import generator, monte_carlo_p, shuffled_bugs
from dlbug_assets.analysis.statistics.shares import ENOUGH_BUGS
from dlbug_assets.parallel import parallel_map
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

#: Shuffles of the years of each series, and further ones if fewer than _FEW of them are as extreme as the data.
RESAMPLES, MORE_RESAMPLES = 9_999, 90_000
_FEW = 10
_BATCH_SIZE = 10_000

#: With fewer years, their order has little information.
ENOUGH_YEARS = 5

# Statistics that should be equal may differ in the last digits.
_ROUNDING = 1e-9

_KEYS = ("source", "library", "dimension", "category")


def trends(evolution: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return analysis.trends: a trend test per source, library, dimension and category.

    ``evolution`` is analysis.yearly_evolution. Years are calendar years, UTC.

    Columns: source, library, dimension, category, years (the number of years with bugs of the source and library),
    first_year, last_year, bugs, total, share_first and share_last (0..1, of the first and the last year), statistic (z
    of the linear-by-linear association of the year with the category against the rest, above 0 if it rises; Cochran
    1954, Armitage 1955), p_asymptotic (two-sided, from the normal distribution), p_monte_carlo (share of the shuffles
    of years among bugs whose statistic is at least as far from 0), resamples, direction (rising or falling: the sign of
    the statistic, significant or not), underpowered (fewer than :data:`ENOUGH_YEARS` years or than 10 bugs of the
    category), underpowered_reason, undefined_reason, p_holm and p_benjamini_hochberg over every defined p_monte_carlo,
    and family (their number).

    10,000 shuffles (including the data) cannot result in a P value below 0.0001, which Holm's correction for hundreds
    of tests would not leave significant. If fewer than ten shuffles are as extreme as the data, 90,000 more are added.
    """
    ordered = evolution.group_by(_KEYS, maintain_order=True).agg(pl.col("year", "bugs", "total").sort_by("year"))
    rows = parallel_map(partial(_test_series, study=study), ordered.iter_rows())
    corrections = ("p_holm", "p_benjamini_hochberg", "family")
    tests = pl.DataFrame(rows, schema=table_schema("analysis.trends", without=corrections))
    return with_corrections(tests, "p_monte_carlo", study)


def _test_series(series: tuple[Any, ...], study: Study) -> dict[str, object]:
    *keys, years, of_category, of_all = series
    bugs, totals = np.array(of_category), np.array(of_all)
    row: dict[str, object] = dict(zip(_KEYS, keys, strict=True)) | {
        "years": len(years), "first_year": years[0], "last_year": years[-1],
        "bugs": int(bugs.sum()), "total": int(totals.sum()),
        "share_first": bugs[0] / totals[0], "share_last": bugs[-1] / totals[-1],
        **_power(len(bugs), int(bugs.sum())),
    }  # fmt: skip
    missing = _missing(bugs, totals)
    if missing:
        return row | {"undefined_reason": missing}
    purpose = [member(study, column, name) for column, name in zip(_KEYS, keys, strict=True)]
    return row | _test_trend(bugs, totals, np.array(years), generator(study.study.seed, "trend", *purpose))


def _power(years: int, bugs: int) -> dict[str, object]:
    short = [f"{years} {'year' if years == 1 else 'years'}, under {ENOUGH_YEARS}"] if years < ENOUGH_YEARS else []
    few = [f"{bugs} {'bug' if bugs == 1 else 'bugs'}, under {ENOUGH_BUGS}"] if bugs < ENOUGH_BUGS else []
    return {"underpowered": bool(short or few), "underpowered_reason": "; ".join(short + few) or None}


def _missing(bugs: np.ndarray, totals: np.ndarray) -> str | None:
    if bugs.sum() == 0:
        return "no bug has it"
    if bugs.sum() == totals.sum():
        return "every bug has it"
    if len(bugs) < 2:  # noqa: PLR2004
        return "a trend needs two years or more"
    return None


def _test_trend(
    bugs: np.ndarray, totals: np.ndarray, years: np.ndarray, random: np.random.Generator
) -> dict[str, object]:
    from scipy.special import ndtr  # noqa: PLC0415 - slow to import

    z = trend_z(bugs, totals, years)
    extreme, resamples = _count_as_extreme(bugs, totals, years, RESAMPLES, random), RESAMPLES
    if extreme < _FEW:
        extreme += _count_as_extreme(bugs, totals, years, MORE_RESAMPLES, random)
        resamples += MORE_RESAMPLES
    sign = np.sign(round(z, 9))
    return {
        "statistic": z,
        "p_asymptotic": float(2 * ndtr(-abs(z))),
        "p_monte_carlo": monte_carlo_p(extreme, resamples),
        "resamples": resamples,
        "direction": {1: "rising", -1: "falling"}.get(sign),
    }


def trend_z(bugs: np.ndarray, totals: np.ndarray, years: np.ndarray) -> float:
    """Return z of the linear-by-linear association of the year with a category against the rest.

    It is the sum of the years of the category's ``bugs``, minus its expectation, divided by its standard deviation
    given the margins. ``bugs`` and ``totals`` (of all categories) are counts per year. Cochran 1954, "Some methods for
    strengthening the common chi-square tests"; Armitage 1955, "Tests for linear trends in proportions and
    frequencies"; with n - 1 as in Mantel 1963, "Chi-square tests with one degree of freedom".
    """
    n, of_category = float(totals.sum()), float(bugs.sum())
    of_all, of_squares = float(totals @ years), float(totals @ years**2)
    variance = (of_category - of_category**2 / n) * (of_squares - of_all**2 / n) / (n - 1)
    return (float(bugs @ years) - of_category * of_all / n) / math.sqrt(variance)


def _count_as_extreme(
    bugs: np.ndarray, totals: np.ndarray, years: np.ndarray, resamples: int, random: np.random.Generator
) -> int:
    """Return the number of shuffles whose mean year of the category's bugs is at least as far from the overall mean."""
    mean = (totals @ years) / totals.sum()

    def distance(of_category: np.ndarray) -> np.ndarray:
        return np.abs(of_category @ (years - mean))

    bound = distance(bugs) - _ROUNDING
    return sum(
        int((distance(shuffled_bugs(totals, bugs.sum(), min(_BATCH_SIZE, resamples - start), random)) >= bound).sum())
        for start in range(0, resamples, _BATCH_SIZE)
    )
