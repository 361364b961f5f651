"""Agreement coefficients: Cohen's kappa and Krippendorff's alpha.

They are computed from integers, so that values that are 0, 1 or undefined are exactly that. The tests compare them
with statsmodels, scikit-learn and krippendorff.
"""

import math
from statistics import NormalDist

import numpy as np

from dlbug_assets.kappa import kappa_ratio

_Z_95 = NormalDist().inv_cdf(0.975)
#: The code of a label that was not submitted.
MISSING = -1

#: With fewer units, kappa has no analytic limits: their formula is for large samples.
ENOUGH_UNITS = 20
FEW_UNITS = f"fewer than {ENOUGH_UNITS} units"

#: Kappa with its analytic 95% limits, which are None with fewer than :data:`ENOUGH_UNITS` units.
DefinedKappa = tuple[float, float, float] | tuple[float, None, None]
#: The same, or None where kappa is undefined.
Kappa = DefinedKappa | tuple[None, None, None]


def has_one_category(table: np.ndarray) -> bool:
    """Return whether both raters used the same single category in a contingency table, which leaves kappa 0/0."""
    return bool(table.max() == table.sum() and table.max() == np.diag(table).max())


def one_against_rest(table: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the 2 x 2 table of one category against all others (Fleiss 1971).

    ``labels`` is the mask of the table's labels that contain the category.
    """
    by_first = table[labels]
    both = by_first[:, labels].sum()
    first, second = by_first.sum() - both, table[:, labels].sum() - both
    return np.array([[both, first], [second, table.sum() - both - first - second]])


def cohen_kappa(table: np.ndarray) -> DefinedKappa | None:
    """Return Cohen's kappa of a square contingency table with its analytic 95% limits, cut to -1..1.

    Sources: Cohen 1960 ("A coefficient of agreement for nominal scales"); Fleiss, Cohen & Everitt 1969, formula 13.
    Returns None where kappa is undefined, because both raters used the same single category. The limits are None with
    fewer than :data:`ENOUGH_UNITS` units.

    Shares are multiplied out to integers of any size: rounding in the difference of two nearly equal terms would
    widen intervals whose variance is 0.
    """
    first, second = table.sum(axis=1).tolist(), table.sum(axis=0).tolist()
    n = sum(first)
    numerator, left = kappa_ratio(int(np.trace(table)), first, second)
    if not left:
        return None
    kappa = numerator / left
    if n < ENOUGH_UNITS:
        return kappa, None, None
    missed = left - numerator  # the observed disagreement, and left is the expected one, both times n squared
    total = 0
    for row, column in zip(*(indices.tolist() for indices in np.nonzero(table)), strict=True):
        if row == column:
            weight = n * left - (first[row] + second[row]) * missed
        else:
            weight = (second[row] + first[column]) * missed
        total += int(table[row, column]) * weight * weight
    mean = n * n * numerator - (n * n - left) * missed
    half = _Z_95 * math.sqrt((n * total - mean * mean) / (n * left**4))
    return kappa, max(kappa - half, -1.0), min(kappa + half, 1.0)


def interval_reason(kappa: float | None, low: float | None) -> str | None:
    """Return why kappa has no analytic limits, None if it has them or is itself undefined."""
    return FEW_UNITS if kappa is not None and low is None else None


def mean_of_pairs(kappas: list[DefinedKappa | None]) -> Kappa:
    """Return the means of kappa and its limits over pairs of raters; None where that of a pair is undefined.

    The interval is rather too wide than too narrow: the standard error of a mean is at most the mean of the standard
    errors.
    """
    defined = [kappa for kappa in kappas if kappa is not None]
    if not defined or len(defined) < len(kappas):
        return None, None, None
    kappa = sum(kappa for kappa, _, _ in defined) / len(defined)
    limits = [(low, high) for _, low, high in defined if low is not None and high is not None]
    if len(limits) < len(defined):
        return kappa, None, None
    low, high = (sum(values) / len(limits) for values in zip(*limits, strict=True))
    return kappa, low, high


def krippendorff_alpha(codes: np.ndarray) -> float | None:
    """Return Krippendorff's alpha for nominal data, of an array of codes with the shape units x raters.

    Source: Krippendorff 2004 ("Content Analysis", chapter 11). Units with a single label do not count, neither for
    the observed nor for the expected disagreement. Returns None if the others contain fewer than two categories.
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
