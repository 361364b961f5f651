"""Limits of shares by the effective number of bugs, where bugs of a cluster resemble each other.

The number of bugs is divided by the design effect: that of the pooled intraclass correlation or of the variance over
clusters, whichever is larger (Kish 1965; Korn and Graubard 1998), with a t quantile for the number of clusters.
"""

from typing import NamedTuple

import numpy as np


class Limits(NamedTuple):
    """Shares, 0..1, with lower and upper limits."""

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def intraclass_correlation(bugs: np.ndarray, totals: np.ndarray) -> float:
    """Return the pooled intraclass correlation (ANOVA estimator) of bugs by cluster and category, cut to 0..1.

    ``totals`` are the bugs with a label by cluster, all above 0.
    """
    clusters, number = len(totals), totals.sum()
    if (totals == 1).all():
        return 0.0
    shares = bugs.sum(axis=0) / number
    own = bugs / totals[:, None]
    between = (totals[:, None] * (own - shares) ** 2).sum() / (clusters - 1)
    inside = (bugs * (1 - own)).sum() / (number - clusters)
    typical = (number - (totals**2).sum() / number) / (clusters - 1)
    scale = between + (typical - 1) * inside
    return float(np.clip((between - inside) / scale, 0, 1)) if scale > 0 else 0.0


def limits(bugs: np.ndarray, totals: np.ndarray, correlation: float, confidence: float) -> Limits:
    """Return the shares of the categories with Wilson limits on the effective number of bugs.

    ``bugs`` are by cluster and category, ``totals`` the bugs with a label by cluster, above 0, of two clusters or more.
    """
    from scipy.special import stdtrit  # noqa: PLC0415 - slow to import

    clusters, number = len(totals), totals.sum()
    share = bugs.sum(axis=0) / number
    by_correlation = 1 + ((totals**2).sum() / number - 1) * correlation
    variance = clusters / (clusters - 1) * ((bugs - totals[:, None] * share) ** 2).sum(axis=0) / number**2
    binomial = share * (1 - share) / number
    by_variance = np.divide(variance, binomial, out=np.zeros_like(share), where=binomial > 0)
    effective = number / np.maximum(np.maximum(by_variance, by_correlation), 1)
    t = stdtrit(clusters - 1, (1 + confidence) / 2)
    center = share + t**2 / (2 * effective)
    half = t * np.sqrt(share * (1 - share) / effective + t**2 / (4 * effective**2))
    scale = 1 + t**2 / effective
    return Limits(share, np.clip((center - half) / scale, 0, 1), np.clip((center + half) / scale, 0, 1))


def difference(first: list[Limits], second: list[Limits]) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of the mean difference of shares by category: square-and-add (Newcombe 1998).

    The lists have one entry per library, of which the mean is taken.
    """
    apart = np.mean([a.share - b.share for a, b in zip(first, second, strict=True)], axis=0)
    pairs = list(zip(first, second, strict=True))
    down = np.sqrt(sum((a.share - a.low) ** 2 + (b.high - b.share) ** 2 for a, b in pairs)) / len(pairs)
    up = np.sqrt(sum((a.high - a.share) ** 2 + (b.share - b.low) ** 2 for a, b in pairs)) / len(pairs)
    return apart - down, apart + up
