"""Agreement coefficients: Cohen's kappa, Krippendorff's alpha, AC1 and PABAK."""

import math
from statistics import NormalDist

import numpy as np

_Z_95 = NormalDist().inv_cdf(0.975)
MISSING = -1

#: Kappa with its analytic bounds.
Kappa = tuple[float, float, float] | tuple[None, None, None]


def has_one_category(table: np.ndarray) -> bool:
    """Whether chance alone makes the raters agree everywhere, which leaves kappa 0/0."""
    return bool(table.max() == table.sum() and table.max() == np.diag(table).max())


def one_against_rest(table: np.ndarray, code: int) -> np.ndarray:
    both = table[code, code]
    first, second = table[code].sum() - both, table[:, code].sum() - both
    return np.array([[both, first], [second, table.sum() - both - first - second]])


def cohen_kappa(table: np.ndarray) -> tuple[float, float, float] | None:
    """Return Cohen's kappa (1960) of a square contingency table with its analytic 95% bounds (Fleiss, Cohen & Everitt
    1969, formula 13); None where it is undefined, because both raters used the same single category.

    Their shares are multiplied out to whole numbers of any size: rounding in the difference of two nearly equal
    terms would give a variance that is 0 a width.
    """
    first, second = table.sum(axis=1).tolist(), table.sum(axis=0).tolist()
    n = sum(first)
    chance = sum(a * b for a, b in zip(first, second, strict=True))  # expected agreement, times n squared
    left = n * n - chance  # what chance leaves to agree on
    missed = n * (n - int(np.trace(table)))  # kappa is 1 - missed / left
    if not left:
        return None
    total = 0
    for row, column in zip(*(places.tolist() for places in np.nonzero(table)), strict=True):
        if row == column:
            weight = n * left - (first[row] + second[row]) * missed
        else:
            weight = (second[row] + first[column]) * missed
        total += int(table[row, column]) * weight * weight
    mean = n * n * (left - missed) - chance * missed
    half = _Z_95 * math.sqrt((n * total - mean * mean) / (n * left**4))
    kappa = (left - missed) / left
    return kappa, kappa - half, kappa + half


def mean_of_pairs(kappas: list[tuple[float, float, float] | None]) -> Kappa:
    defined = [kappa for kappa in kappas if kappa is not None]
    if not defined or len(defined) < len(kappas):
        return None, None, None
    kappa, low, high = np.mean(defined, axis=0)
    return float(kappa), float(low), float(high)


def krippendorff_alpha(codes: np.ndarray) -> float | None:
    """Krippendorff's alpha, nominal, of unit x rater; None where fewer than two categories can be paired.

    A unit with a single label says nothing about agreement, and does not count towards chance either.
    """
    codes = codes[(codes != MISSING).sum(axis=1) > 1]
    counts = np.stack([(codes == code).sum(axis=1) for code in range(codes.max(initial=0) + 1)], axis=1)
    labels = counts.sum(axis=1)
    n, of_category = int(labels.sum()), counts.sum(axis=0)
    by_chance = n * n - int(of_category @ of_category)
    if not by_chance:
        return None
    differing = ((labels**2 - (counts**2).sum(axis=1)) / (labels - 1)).sum()
    return float(1 - (n - 1) * differing / by_chance)
