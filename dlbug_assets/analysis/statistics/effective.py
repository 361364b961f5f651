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


def intraclass_correlation(bugs: np.ndarray, totals: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Return the pooled intraclass correlation (ANOVA estimator) of bugs by cluster and category, cut to 0..1.

    ``totals`` are the bugs with a label by cluster, all above 0. ``groups`` are numbers of groups from 0 by cluster,
    by default of one: shares may differ between groups, the correlation is that within them.
    """
    groups = np.zeros(len(totals), dtype=np.int64) if groups is None else groups
    clusters = np.bincount(groups)
    if (totals == 1).all() or (clusters == 1).all():
        return 0.0
    numbers = np.bincount(groups, totals)
    shares = np.stack([bugs[groups == group].sum(axis=0) for group in range(len(clusters))]) / numbers[:, None]
    own = bugs / totals[:, None]
    freedom = len(totals) - len(clusters)
    between = (totals[:, None] * (own - shares[groups]) ** 2).sum() / freedom
    inside = (bugs * (1 - own)).sum() / (totals.sum() - len(totals))
    typical = (numbers - np.bincount(groups, totals**2) / numbers).sum() / freedom
    scale = between + (typical - 1) * inside
    return float(np.clip((between - inside) / scale, 0, 1)) if scale > 0 else 0.0


def effective_bugs(totals: np.ndarray, correlation: float) -> np.ndarray:
    """Return how many independent bugs each cluster is worth, of its ``totals``: 1 if the bugs are all alike."""
    return totals / (1 + (totals - 1) * correlation)


def design_effects(bugs: np.ndarray, totals: np.ndarray, correlation: float) -> np.ndarray:
    """Return the design effects of the shares of the categories, at least 1.

    They are the larger of that of the intraclass ``correlation`` (Kish 1965) and of the variance of the share over
    clusters, divided by the binomial one, which is left out for a share of 0 or 1. ``bugs`` are by cluster and
    category, ``totals`` the bugs with a label by cluster, above 0, of two clusters or more.
    """
    clusters, number = len(totals), totals.sum()
    share = bugs.sum(axis=0) / number
    by_correlation = 1 + ((totals**2).sum() / number - 1) * correlation
    variance = clusters / (clusters - 1) * ((bugs - totals[:, None] * share) ** 2).sum(axis=0) / number**2
    binomial = share * (1 - share) / number
    by_variance = np.divide(variance, binomial, out=np.zeros_like(share), where=binomial > 0)
    return np.maximum(np.maximum(by_variance, by_correlation), 1)


def limits(bugs: np.ndarray, totals: np.ndarray, correlation: float, confidence: float) -> Limits:
    """Return the shares of the categories with Wilson limits on the effective number of bugs.

    The arguments are those of :func:`design_effects`.
    """
    from scipy.special import stdtrit  # noqa: PLC0415 - slow to import  # pyright: ignore[reportMissingTypeStubs]

    share = bugs.sum(axis=0) / totals.sum()
    effective = totals.sum() / design_effects(bugs, totals, correlation)
    t = stdtrit(len(totals) - 1, (1 + confidence) / 2)
    center = share + t**2 / (2 * effective)
    half = t * np.sqrt(share * (1 - share) / effective + t**2 / (4 * effective**2))
    scale = 1 + t**2 / effective
    return Limits(share, np.clip((center - half) / scale, 0, share), np.clip((center + half) / scale, share, 1))


def difference(first: list[Limits], second: list[Limits]) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of the mean difference of shares by category: square-and-add (Newcombe 1998).

    The lists have one entry per library, of which the mean is taken.
    """
    apart = np.mean([a.share - b.share for a, b in zip(first, second, strict=True)], axis=0)
    pairs = list(zip(first, second, strict=True))
    down = np.sqrt(sum((a.share - a.low) ** 2 + (b.high - b.share) ** 2 for a, b in pairs)) / len(pairs)
    up = np.sqrt(sum((a.high - a.share) ** 2 + (b.share - b.low) ** 2 for a, b in pairs)) / len(pairs)
    return apart - down, apart + up
