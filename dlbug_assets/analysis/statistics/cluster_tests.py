"""A test of whether groups of clusters, such as the sources of a study, have the same distribution of bugs.

Whole clusters are permuted among the groups, with a studentized statistic (Chung and Romano 2013), so that groups whose
clusters differ in size or in variation can be compared. A cluster weighs as much as the number of independent bugs that
it is worth under a pooled intraclass correlation, so that a repository with most of the bugs does not decide alone.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import NamedTuple

import numpy as np

from dlbug_assets.analysis.statistics.effective import effective_bugs, intraclass_correlation
from dlbug_assets.analysis.statistics.resampling import shuffled_members

# Statistics of permutations that should be equal may differ in the last digits.
_ROUNDING = 1e-9
_BATCH_SIZE = 1000


class ClusterTest(NamedTuple):
    """The result of :func:`compare_clusters`.

    ``statistic`` is the studentized distance of the groups (infinite if they differ, but no cluster from others of its
    group), ``p`` its P value and ``p_categories`` those of the categories, corrected for their number by the
    distribution of the maximum; 1 for a category that no bug or every bug has. ``score`` is the statistic without the
    variance within the groups: under one intraclass correlation, and if each bug has one category, it is distributed
    as chi-square with (groups - 1) (categories - 1) degrees of freedom.
    """

    statistic: float
    p: float
    p_categories: np.ndarray
    score: float


def compare_clusters(groups: Sequence[np.ndarray], draws: int, random: np.random.Generator) -> ClusterTest:
    """Test whether two groups of clusters or more have the same distribution of bugs over categories.

    Each of ``groups`` is as :func:`~dlbug_assets.analysis.statistics.resampling.cluster_table` returns it, with two
    clusters or more. Some bugs have a category that others have not. All divisions of the clusters into groups of
    these sizes are compared if there are at most ``draws`` of them, else ``draws`` random ones.

    With w the weight of a cluster, p the weighted shares of the categories (within a group g, or of all), W the sum of
    weights and v the variance of p within a group over its clusters, the statistic is the sum over groups and
    categories of W_g (p_g - p)^2 / p, divided by that of W_g (1 - W_g / W) v_g / p. With two groups these are the
    squared difference of shares and its variance; with more, it is the F of Brown and Forsythe 1974. The statistic of
    a category is the sum of W_g (p_g - p)^2 / (p (1 - p)) over groups (max-T of Westfall and Young 1993).
    """
    sizes = np.array([len(group) for group in groups])
    numbers = np.repeat(np.arange(len(groups)), sizes)
    clusters = np.vstack(groups)
    correlation = intraclass_correlation(clusters[:, :-1], clusters[:, -1], numbers)
    # Equal clusters are counted.
    patterns, pattern_of = np.unique(clusters, axis=0, return_inverse=True)
    members = np.zeros((len(groups), len(patterns)), dtype=np.int64)
    np.add.at(members, (numbers, pattern_of), 1)
    frequencies = members.sum(axis=0)
    bugs, totals = patterns[:, :-1], patterns[:, -1]
    occurring = frequencies @ bugs
    varies = (occurring > 0) & (occurring < frequencies @ totals)
    weights = effective_bugs(totals, correlation)
    weighted = weights[:, None] * (bugs / totals[:, None])[:, varies]
    total = frequencies @ weights
    shares = frequencies @ weighted / total
    apart = weighted - weights[:, None] * shares
    terms = np.column_stack([weights, weights**2, apart, apart**2, weights[:, None] * apart])
    scale = sizes / (sizes - 1)

    def statistics(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the statistic, those of the categories and the unstudentized one, of sums of terms by group."""
        w, w2 = sums[..., :1], sums[..., 1:2]
        of_apart, of_squares, of_products = np.split(sums[..., 2:], 3, axis=-1)
        distance = of_apart / w
        variance = scale[:, None] * (of_squares - 2 * distance * of_products + distance**2 * w2) / w**2
        squares = w * distance**2
        between = (squares / shares).sum(axis=(-2, -1))
        inside = (w * (1 - w / total) * variance / shares).sum(axis=(-2, -1))
        # Clusters that do not differ within the groups have no variance apart from rounding errors.
        without = np.where(between > _ROUNDING, np.inf, 0.0)
        studentized = np.divide(between, inside, out=without, where=inside > _ROUNDING)
        return studentized, squares.sum(axis=-2) / (shares * (1 - shares)), between

    observed, by_category, score = statistics(members @ terms)
    least, least_by_category = observed * (1 - _ROUNDING), by_category * (1 - _ROUNDING)
    # The data are one of all divisions, or one more beside random ones (Phipson and Smyth 2010).
    if _has_at_most(draws, sizes):
        divisions, drawn = 0, _every_division(pattern_of, sizes, len(patterns))
    else:
        divisions, drawn = 1, shuffled_members(sizes, frequencies, draws, random)
    extreme, extremes = divisions, np.full(len(shares), divisions)
    for counted in drawn:
        sums = counted.reshape(-1, len(patterns)) @ terms
        found, categories, _ = statistics(sums.reshape(len(counted), len(groups), -1))
        extreme += int((found >= least).sum())
        extremes += (categories.max(axis=-1)[:, None] >= least_by_category).sum(axis=0)
        divisions += len(counted)
    p_categories = np.ones(len(varies))
    p_categories[varies] = extremes / divisions
    return ClusterTest(float(observed), extreme / divisions, p_categories, float(score))


def _has_at_most(draws: int, sizes: np.ndarray) -> bool:
    """Return whether clusters can be divided into groups of these sizes in at most ``draws`` ways."""
    divisions = math.lgamma(sizes.sum() + 1) - sum(math.lgamma(size + 1) for size in sizes)
    return divisions <= math.log(draws) + _ROUNDING


def _every_division(pattern_of: np.ndarray, sizes: np.ndarray, patterns: int) -> Iterator[np.ndarray]:
    """Yield the number of clusters by group and pattern of every division of the clusters, in batches."""
    divisions = _divisions(frozenset(range(len(pattern_of))), sizes.tolist())
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    while batch := list(islice(divisions, _BATCH_SIZE)):
        counted = np.zeros((len(batch), len(sizes), patterns), dtype=np.int64)
        np.add.at(counted, (np.arange(len(batch))[:, None], numbers, pattern_of[np.array(batch)]), 1)
        yield counted


def _divisions(clusters: frozenset[int], sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the clusters in the order of their groups, once for each division into groups of these sizes."""
    size, *others = sizes
    for chosen in combinations(sorted(clusters), size):
        if others:
            yield from (chosen + following for following in _divisions(clusters.difference(chosen), others))
        else:
            yield chosen
