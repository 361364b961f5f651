"""Whether two sources differ alike in all libraries: tests of a common shift, stratified by library.

Sources may differ in each library, but in opposite directions; and they may differ over all libraries only because
these have other shares of the bugs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from dlbug_assets.analysis.comparison import compared_dimensions
from dlbug_assets.analysis.source_tests import RESAMPLES, SEVERAL_CATEGORIES
from dlbug_assets.analysis.statistics.effective import effective_bugs, intraclass_correlation
from dlbug_assets.analysis.statistics.resampling import cluster_table, filter_clusters, generator, shuffled_members
from dlbug_assets.parallel import parallel_map
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

# Statistics of permutations that should be equal may differ in the last digits.
_ROUNDING = 1e-9

_Stratum = tuple[np.ndarray, np.ndarray]


def stratified_tests(counts: pl.DataFrame, clusters: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return analysis.stratified_tests: one row per dimension in which the two sources of a study are compared.

    ``counts`` is analysis.label_counts, ``clusters`` analysis.cluster_counts. Libraries count that have two clusters or
    more in each source.

    Columns: dimension, libraries (the number that count), categories (that occur in them), cmh, cmh_df and p_cmh (the
    test of Cochran, Mantel and Haenszel, which takes bugs as independent), shift and p_clusters (of the permutation
    test of :func:`common_shift`) and undefined_reason.
    """
    multiple = {dimension.name for dimension in study.dimensions if dimension.multiple}

    def row(dimension: str) -> dict[str, object]:
        names = counts.filter(dimension=dimension)["category"].unique(maintain_order=True)
        by_library = (
            [cluster_table(filter_clusters(clusters, source, library, dimension), names)
             for source in study.source_names]
            for library in study.library_names
        )  # fmt: skip
        strata = [(first, second) for first, second in by_library if len(first) > 1 and len(second) > 1]
        used: np.ndarray = (
            np.any([table.any(axis=0) for pair in strata for table in pair], axis=0) if strata else np.zeros(1)
        )
        categories = int(used[:-1].sum())
        found: dict[str, object] = {"dimension": dimension, "libraries": len(strata), "categories": categories}
        if dimension in multiple:
            return found | {"undefined_reason": SEVERAL_CATEGORIES}
        if len(strata) < 2:  # noqa: PLR2004
            return found | {"undefined_reason": "fewer than two libraries have two clusters or more in each source"}
        if categories < 2:  # noqa: PLR2004
            return found | {"undefined_reason": "all bugs are of one category"}
        strata = [(first[:, used], second[:, used]) for first, second in strata]
        shift, p = common_shift(strata, RESAMPLES, generator(study.study.seed, "strata", dimension))
        cmh = cochran_mantel_haenszel([np.stack([table[:, :-1].sum(axis=0) for table in pair]) for pair in strata])
        return found | {**cmh._asdict(), "shift": shift, "p_clusters": p}

    rows = parallel_map(row, compared_dimensions(counts, study))
    return pl.DataFrame(rows, schema=table_schema("analysis.stratified_tests"))


class Cmh(NamedTuple):
    """The statistic, its degrees of freedom and its P value."""

    cmh: float
    cmh_df: int
    p_cmh: float


def cochran_mantel_haenszel(tables: Sequence[np.ndarray]) -> Cmh:
    """Return the generalized test of Cochran, Mantel and Haenszel for nominal categories (Landis et al. 1978).

    ``tables`` are bugs by source (two rows) and category, one per stratum; each source has bugs in each of them, and
    each category occurs in one of them.
    """
    from scipy.special import chdtrc  # noqa: PLC0415 - slow to import

    categories = tables[0].shape[1]
    apart, covariance = np.zeros(categories), np.zeros((categories, categories))
    for table in tables:
        (first, second), columns, total = table.sum(axis=1), table.sum(axis=0), table.sum()
        apart += table[0] - first * columns / total
        covariance += (
            first * second / (total**2 * (total - 1)) * (total * np.diag(columns) - np.outer(columns, columns))
        )
    freedom = int(np.linalg.matrix_rank(covariance))
    statistic = float(apart @ np.linalg.pinv(covariance, hermitian=True) @ apart)
    return Cmh(statistic, freedom, float(chdtrc(freedom, statistic)))


def common_shift(strata: Sequence[_Stratum], draws: int, random: np.random.Generator) -> tuple[float, float]:
    """Return how far the shares of the sources are apart in the same direction in all strata, and its P value.

    Each stratum has the clusters of either source as of
    :func:`~dlbug_assets.analysis.statistics.resampling.cluster_table`. Clusters are weighted as in
    :func:`~dlbug_assets.analysis.statistics.cluster_tests.compare_clusters`. With p the weighted shares and W the
    weights of a source in a stratum, and h = W_1 W_2 / (W_1 + W_2), D is the sum of h (p_1 - p_2) over strata; the
    statistic is the sum of D^2 / p over categories, divided by the sum of h, where p is the mean of the shares of both
    sources over strata, weighted by h. Whole clusters are permuted within strata.
    """
    parts = [_weighted(stratum) for stratum in strata]
    h = np.array([part.first[0] * (1 - part.first[0] / part.everything[0]) for part in parts])
    shares = h @ np.stack([part.everything[1:] / part.everything[0] for part in parts]) / h.sum()

    def statistic(sums: Sequence[np.ndarray]) -> np.ndarray:
        """Return the statistic by draw, of the sums of weights and weighted bugs of the first source by stratum."""
        common, scale = np.zeros(1), np.zeros(1)
        for part, first in zip(parts, sums, strict=True):
            second = part.everything - first
            weight = first[:, :1] * second[:, :1] / part.everything[0]
            common = common + weight * (first[:, 1:] / first[:, :1] - second[:, 1:] / second[:, :1])
            scale = scale + weight[:, 0]
        return (common**2 / shares).sum(axis=1) / scale

    observed = statistic([part.first[None] for part in parts])[0]
    drawn = [
        np.concatenate([
            counted[:, 0] @ part.terms for counted in shuffled_members(part.sizes, part.frequencies, draws, random)
        ])
        for part in parts
    ]  # fmt: skip
    extreme = (statistic(drawn) >= observed * (1 - _ROUNDING)).sum()
    # The data are one more permutation (Phipson and Smyth 2010).
    return float(observed), float((extreme + 1) / (draws + 1))


class _Weighted(NamedTuple):
    """A stratum: weight and weighted bugs (columns) of each pattern of clusters, of its first source, and of all."""

    terms: np.ndarray
    first: np.ndarray
    everything: np.ndarray
    frequencies: np.ndarray
    sizes: np.ndarray


def _weighted(stratum: _Stratum) -> _Weighted:
    sizes = np.array([len(table) for table in stratum])
    clusters = np.vstack(stratum)
    correlation = intraclass_correlation(clusters[:, :-1], clusters[:, -1], np.repeat([0, 1], sizes))
    patterns, pattern_of, frequencies = np.unique(clusters, axis=0, return_inverse=True, return_counts=True)
    weights = effective_bugs(patterns[:, -1], correlation)
    terms = np.column_stack([weights, weights[:, None] * patterns[:, :-1] / patterns[:, -1:]])
    first = terms[pattern_of[: sizes[0]]].sum(axis=0)
    return _Weighted(terms, first, frequencies @ terms, frequencies, sizes)
