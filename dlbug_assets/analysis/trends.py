"""Whether a category becomes more or less frequent over the years (section 8, Figure 9)."""

import math
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from dlbug_assets.analysis.findings.verdicts import ENOUGH_BUGS
from dlbug_assets.analysis.statistics.multiplicity import with_corrections
from dlbug_assets.analysis.statistics.resampling import generator, share_as_extreme, shuffled_bugs
from dlbug_assets.parallel import parallel_map

#: Shuffles of the years for each series, and for those that few of these match: P values of a large family are small.
RESAMPLES, MORE_RESAMPLES = 9_999, 90_000
_FEW = 10
#: Drawn at a time.
_AT_A_TIME = 10_000

#: Under so many years (the paper has four) an order of them says little.
ENOUGH_YEARS = 5

#: Statistics that should be equal may differ in the last digits.
_ROUNDING = 1e-9

_KEYS = ("source", "library", "dimension", "category")

_SCHEMA = {
    **dict.fromkeys(_KEYS, pl.String),
    "years": pl.Int64,
    "first_year": pl.Int32,
    "last_year": pl.Int32,
    "bugs": pl.Int64,
    "total": pl.Int64,
    "share_first": pl.Float64,
    "share_last": pl.Float64,
    "statistic": pl.Float64,
    "p_asymptotic": pl.Float64,
    "p_monte_carlo": pl.Float64,
    "resamples": pl.Int64,
    "direction": pl.String,
    "underpowered": pl.Boolean,
    "underpowered_reason": pl.String,
    "undefined_reason": pl.String,
}


def trends(evolution: pl.DataFrame, seed: int) -> pl.DataFrame:
    """One row per series of ``evolution`` (analysis.yearly_evolution): source, library, dimension, category.

    Gives years (how many have bugs of the source and library), first_year, last_year, bugs, total, share_first,
    share_last (0..1, of the first and the last year), statistic (z of the linear-by-linear association of the year
    with the category against the rest, above 0 where it rises; Cochran 1954, Armitage 1955), p_asymptotic (two-sided,
    from the normal distribution), p_monte_carlo (share of shuffles of the years among the bugs whose statistic is as
    far from 0), resamples, direction (rising, falling: the sign of the statistic, significant or not), p_holm and
    p_benjamini_hochberg over every defined p_monte_carlo (family: how many), underpowered with its reason (under
    :data:`ENOUGH_YEARS` years or under 10 bugs of the category), undefined_reason.

    10,000 shuffles in all (the data counted) cannot give a P value under 0.0001, which Holm's correction of hundreds
    of tests would not leave significant: where fewer than ten shuffles are as extreme, 90,000 more are made.
    """
    ordered = evolution.group_by(_KEYS, maintain_order=True).agg(pl.col("year", "bugs", "total").sort_by("year"))
    rows = parallel_map(partial(_row, seed=seed), ordered.iter_rows())
    return with_corrections(pl.DataFrame(rows, schema=_SCHEMA), "p_monte_carlo")


def _row(series: tuple[Any, ...], seed: int) -> dict[str, object]:
    *keys, years, of_category, of_all = series
    bugs, totals = np.array(of_category), np.array(of_all)
    row = dict(zip(_KEYS, keys, strict=True)) | {
        "years": len(years), "first_year": years[0], "last_year": years[-1],
        "bugs": int(bugs.sum()), "total": int(totals.sum()),
        "share_first": bugs[0] / totals[0], "share_last": bugs[-1] / totals[-1],
        **_power(len(bugs), int(bugs.sum())),
    }  # fmt: skip
    missing = _missing(bugs, totals)
    return row | (
        {"undefined_reason": missing} if missing
        else _tested(bugs, totals, np.array(years), generator(seed, "trend", *map(str, keys)))
    )  # fmt: skip


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


def _tested(bugs: np.ndarray, totals: np.ndarray, years: np.ndarray, random: np.random.Generator) -> dict[str, object]:
    from scipy.special import ndtr  # noqa: PLC0415 - slow to import

    z = trend_z(bugs, totals, years)
    extreme, resamples = _as_extreme(bugs, totals, years, RESAMPLES, random), RESAMPLES
    if extreme < _FEW:
        extreme += _as_extreme(bugs, totals, years, MORE_RESAMPLES, random)
        resamples += MORE_RESAMPLES
    rising = np.sign(round(z, 9))
    return {
        "statistic": z,
        "p_asymptotic": float(2 * ndtr(-abs(z))),
        "p_monte_carlo": share_as_extreme(extreme, resamples),
        "resamples": resamples,
        "direction": {1: "rising", -1: "falling"}.get(rising),
    }


def trend_z(bugs: np.ndarray, totals: np.ndarray, years: np.ndarray) -> float:
    """Return z of the linear-by-linear association of the year with a category against the rest: the sum of the years
    of the category's ``bugs``, less its expectation, over its standard deviation where the margins are fixed.

    ``totals`` are the bugs of all categories, year by year. Cochran 1954, "Some methods for strengthening the common
    chi-square tests"; Armitage 1955, "Tests for linear trends in proportions and frequencies"; with n - 1 as in
    Mantel 1963, "Chi-square tests with one degree of freedom".
    """
    n, of_category = float(totals.sum()), float(bugs.sum())
    of_all, of_squares = float(totals @ years), float(totals @ years**2)
    variance = (of_category - of_category**2 / n) * (of_squares - of_all**2 / n) / (n - 1)
    return (float(bugs @ years) - of_category * of_all / n) / math.sqrt(variance)


def _as_extreme(
    bugs: np.ndarray, totals: np.ndarray, years: np.ndarray, resamples: int, random: np.random.Generator
) -> int:
    """How many shuffles have a mean year of the category's bugs that is as far from the mean of all."""
    mean = (totals @ years) / totals.sum()

    def distance(of_category: np.ndarray) -> np.ndarray:
        return np.abs(of_category @ (years - mean))

    bound = distance(bugs) - _ROUNDING
    return sum(
        int((distance(shuffled_bugs(totals, bugs.sum(), min(_AT_A_TIME, resamples - done), random)) >= bound).sum())
        for done in range(0, resamples, _AT_A_TIME)
    )
