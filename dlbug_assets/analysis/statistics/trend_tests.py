"""A test of whether shares rise or fall with the year, where bugs of a cluster resemble each other.

Years are permuted over whole clusters, with a studentized statistic, so that clusters may differ in size from year to
year. A cluster weighs as much as the number of independent bugs that it is worth.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from dlbug_assets.analysis.statistics.effective import effective_bugs, intraclass_correlation

#: Permutations end when this number of them is as extreme as the data: the relative error of P is about 1/sqrt of it.
EXTREMES = 20

#: With more clusters, P is that of the normal distribution, which the permuted statistic then approaches.
MANY_CLUSTERS = 2000

# Statistics of permutations that should be equal may differ in the last digits.
_ROUNDING = 1e-9
_FIRST_BATCH, _BATCH_CELLS = 100, 1 << 20


class TrendTests(NamedTuple):
    """The result of :func:`cluster_trends`, by category.

    ``statistic`` is above 0 if the share rises with the year, ``p`` its two-sided P value, and ``draws`` the number of
    permutations behind it, 0 for P values of the normal distribution.
    """

    statistic: np.ndarray
    p: np.ndarray
    draws: np.ndarray


def cluster_trends(table: np.ndarray, years: np.ndarray, random: np.random.Generator, most: int) -> TrendTests:
    """Test for each category whether its share rises or falls with the year, with years permuted over clusters.

    ``table`` is as :func:`~dlbug_assets.analysis.statistics.resampling.cluster_table` returns it, of two clusters or
    more; ``years`` are the mean years of the clusters' bugs, which differ. There are at most ``most`` - 1 permutations
    of a category, the same for all, and fewer if :data:`EXTREMES` are as extreme as the data.

    With w the weight of a cluster, from the intraclass correlation of the category against the rest, p the weighted
    share and t the year, less its weighted mean, u = t w (share - p) is what the cluster adds to the slope. The
    statistic is the sum of u, divided by the square root of m / (m - 1) times the sum of its squares, for m clusters.
    """
    from scipy.special import ndtr  # noqa: PLC0415 - slow to import  # pyright: ignore[reportMissingTypeStubs]

    bugs, totals = table[:, :-1], table[:, -1]
    weights = np.column_stack([
        effective_bugs(totals, intraclass_correlation(np.column_stack([own, totals - own]), totals)) for own in bugs.T
    ])  # fmt: skip
    shares = bugs / totals[:, None]
    apart = weights * (shares - (weights * shares).sum(axis=0) / weights.sum(axis=0))
    parts, squares = weights / weights.sum(axis=0), apart**2
    later = years - years.mean()
    least = _ROUNDING**2 * (later**2).sum() * squares.sum(axis=0)

    def statistic(drawn: np.ndarray) -> np.ndarray:
        """Return the statistic by draw and category, of years by draw and cluster; 0 where nothing varies."""
        mean = drawn @ parts
        variance = drawn**2 @ squares - 2 * mean * (drawn @ squares) + mean**2 * squares.sum(axis=0)
        scale = np.sqrt(len(table) / (len(table) - 1) * np.maximum(variance, 0))
        return np.divide(drawn @ apart, scale, out=np.zeros_like(scale), where=variance > least)

    [observed] = statistic(later[None])
    if len(table) > MANY_CLUSTERS:
        return TrendTests(observed, 2 * ndtr(-np.abs(observed)), np.zeros(len(observed), dtype=np.int64))
    bound = np.abs(observed) * (1 - _ROUNDING)
    extreme = (np.abs(statistic(drawn)) >= bound for drawn in _permutations(later, random))
    return TrendTests(observed, *sequential_p(extreme, EXTREMES, most))


def _permutations(years: np.ndarray, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield permutations of the years of clusters, by draw and cluster, in growing batches."""
    largest = max(_FIRST_BATCH, _BATCH_CELLS // len(years))
    size = _FIRST_BATCH
    while True:
        yield random.permuted(np.broadcast_to(years, (size, len(years))), axis=1)
        size = min(2 * size, largest)


def sequential_p(batches: Iterable[np.ndarray], extremes: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sequential Monte Carlo P value of each test, and its number of draws (Besag and Clifford 1991).

    ``batches`` are whether draws are as extreme as the data, by draw and test. A test ends with its draw number l that
    is the last of ``extremes`` such draws, with P = extremes / l; or with draw ``most`` - 1, of which g are such draws,
    with P = (g + 1) / most. Both are exact: for attainable a, P is at most a with probability a without an effect.
    """
    drawn, last = 0, most - 1
    found = draws = np.zeros(0, dtype=np.int64)
    for batch in batches:
        if drawn == 0:
            found, draws = np.zeros((2, batch.shape[1]), dtype=np.int64)
        running = found + batch[: last - drawn].cumsum(axis=0)
        drawn += len(running)
        ends = (draws == 0) & (running[-1] >= extremes)
        draws[ends] = drawn - len(running) + 1 + (running[:, ends] >= extremes).argmax(axis=0)
        found = running[-1]
        if draws.all() or drawn == last:
            break
    return np.where(draws > 0, extremes / np.maximum(draws, 1), (found + 1) / most), np.where(draws > 0, draws, last)
