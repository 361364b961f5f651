"""When a claim holds: one function per kind, on arrays of shares whose first axis is the draw.

Shares are in percent, by draw and group (and by category or year). A group is a library, a category of another
dimension, or all bugs. In a tie a strict claim does not hold; the functions return both whether it holds, and whether
it would if ties counted for it. What is undefined (NaN) holds in neither way.
"""

from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from dlbug_assets.analysis.correlation import rowwise_pearson
from dlbug_assets.protocol.claims import ShareClaim

#: Percentage points within which shares are close to a value, or stay the same over the years.
CLOSE = 5

_HALF = 0.5
# Rounding errors are not a slope.
_NO_SLOPE = 1e-12


class Held(NamedTuple):
    """Whether a claim holds, by draw (and by group): strictly, or with ties counted for it."""

    strictly: np.ndarray
    with_ties: np.ndarray

    def over(self, over: str) -> "Held":
        """Return whether it holds in more than half of the groups ("most"), else in each of them."""
        if over == "most":
            return Held(*(np.greater(held.mean(axis=-1), _HALF) for held in self))
        return Held(*(np.all(held, axis=-1) for held in self))


def share(own: np.ndarray, claim: ShareClaim) -> Held:
    """Return whether the shares are within the bounds of the claim."""
    if claim.above is not None:
        return Held(np.greater(own, claim.above), np.greater_equal(own, claim.above))
    if claim.at_least is not None:
        held = np.greater_equal(own, claim.at_least)
    elif claim.below is not None:
        return Held(np.less(own, claim.below), np.less_equal(own, claim.below))
    elif claim.between is not None:
        held = (own >= claim.between[0]) & (own <= claim.between[1])
    else:
        held = np.abs(own - float(claim.close_to or 0)) <= CLOSE
    return Held(held, held)


def more(own: np.ndarray, rivals: np.ndarray) -> Held:
    """Return whether each share exceeds all of its rivals (last axis)."""
    return Held(*(np.all(compare(own[..., None], rivals), axis=-1) for compare in (np.greater, np.greater_equal)))


def rank(own: np.ndarray, rivals: np.ndarray, *, at_most: int | None = None, exactly: int | None = None) -> Held:
    """Return whether the shares have a rank among themselves and their rivals (last axis); equal ones share a rank."""
    defined = ~np.isnan(own) & ~np.isnan(rivals).any(axis=-1)
    place = 1 + (rivals > own[..., None]).sum(axis=-1)
    if at_most is not None:
        held = defined & (place <= at_most)
        return Held(held, held)
    held = defined & (place == exactly)
    return Held(held & ~(rivals == own[..., None]).any(axis=-1), held)


def alike(distributions: np.ndarray, margin: float) -> Held:
    """Return whether no category (last axis) differs by ``margin`` or more between the distributions (axis 1)."""
    largest = np.ptp(distributions, axis=1).max(axis=-1)
    return Held(largest < margin, largest < margin)


def differ(distributions: np.ndarray, margin: float) -> Held:
    """Return whether a category differs by ``margin`` or more."""
    largest = np.ptp(distributions, axis=1).max(axis=-1)
    return Held(largest >= margin, largest >= margin)


def closer(distributions: np.ndarray, others: np.ndarray) -> Held:
    """Return whether the distributions (axis 1) are closer to each other than each of them is to any of the others."""
    own = [
        jensen_shannon(distributions[:, a], distributions[:, b])
        for a, b in combinations(range(_size(distributions)), 2)
    ]
    rest = [
        jensen_shannon(distributions[:, a], others[:, b])
        for a in range(_size(distributions))
        for b in range(_size(others))
    ]  # fmt: skip
    apart, nearest = np.max(own, axis=0), np.min(rest, axis=0)
    return Held(apart < nearest, apart <= nearest)


def correlated(distributions: np.ndarray, rest: np.ndarray, *, at_least: float, below: float | None) -> Held:
    """Return whether distributions (axis 1) correlate pairwise by ``at_least``, and with each of the rest by less.

    The rest are distributions of which no pair has to correlate, but each with those before by less than ``below``.
    """
    strong = np.all([rowwise_pearson(distributions[:, a], distributions[:, b]) >= at_least
                     for a, b in combinations(range(_size(distributions)), 2)], axis=0)  # fmt: skip
    if below is None:
        return Held(strong, strong)
    together = np.concatenate([distributions, rest], axis=1)
    first = _size(distributions)
    pairs = [(a, b) for a, b in combinations(range(_size(together)), 2) if b >= first]
    weak = np.array([rowwise_pearson(together[:, a], together[:, b]) for a, b in pairs])
    return Held(strong & (weak < below).all(axis=0), strong & (weak <= below).all(axis=0))


def trend(
    bugs: np.ndarray, totals: np.ndarray, years: np.ndarray, direction: Literal["rising", "falling", "steady"]
) -> Held:
    """Return whether the share of each library rises or falls, by its slope, or stays close to that of all years.

    The arguments are those of :func:`slope`.
    """
    if direction == "steady":
        with np.errstate(invalid="ignore", divide="ignore"):
            overall = bugs.sum(axis=-1) / totals.sum(axis=-1)
            apart = np.abs(100 * bugs / totals - 100 * overall[..., None])
        held = ((apart <= CLOSE) | (totals == 0)).all(axis=-1) & ~np.isnan(overall)
        return Held(held, held)
    signed = slope(bugs, totals, years) * (1 if direction == "rising" else -1)
    return Held(signed > _NO_SLOPE, signed >= -_NO_SLOPE)


def slope(bugs: np.ndarray, totals: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Return the slope of a share over the years, per year, by draw and library.

    ``bugs`` and ``totals`` are by draw, library and year (``years``, last axis). The slope is that of the regression of
    the bugs (1 if of the category, else 0) on their years; years without bugs do not count.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        later = years - (totals * years).sum(axis=-1, keepdims=True) / totals.sum(axis=-1, keepdims=True)
        return (later * bugs).sum(axis=-1) / (later**2 * totals).sum(axis=-1)


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Jensen-Shannon distance with base 2 by draw, from 0 for equal to 1 for disjoint distributions."""
    from scipy.spatial.distance import jensenshannon  # noqa: PLC0415 - slow to import

    undefined = np.isnan(first).any(axis=-1) | np.isnan(second).any(axis=-1)
    with np.errstate(invalid="ignore"):  # for equal vectors, the square root of a tiny negative number
        # scipy's stub of the function lacks `axis`.
        distance = np.nan_to_num(jensenshannon(first, second, base=2, axis=1))  # pyright: ignore[reportCallIssue]
    return np.where(undefined, np.nan, distance)


def _size(distributions: np.ndarray) -> int:
    return distributions.shape[1]
