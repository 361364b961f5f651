"""Seeded resampling: clusters with replacement (bootstrap), and bugs without replacement (permutation).

NumPy releases the GIL while it samples, so that samples can be taken in parallel.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

#: The number of resamples of each bootstrap.
RESAMPLES = 2000
# Sample in batches: with hundreds of thousands of clusters, the weights of all resamples would not fit into memory.
_BATCH_SIZE = 100


def generator(seed: int, *purpose: str) -> np.random.Generator:
    """Return a generator whose numbers depend on the seed and the purpose only.

    With one generator per purpose, adding a library or a dimension leaves the results of the others unchanged.
    """
    entropy = int.from_bytes(hashlib.sha256("|".join([str(seed), *purpose]).encode()).digest())
    return np.random.Generator(np.random.PCG64(entropy))


def filter_clusters(clusters: pl.DataFrame, source: str, library: str, dimension: str) -> pl.DataFrame:
    """Return the rows of analysis.cluster_counts for a source (or `both`), a library (or `All`) and a dimension."""
    of_source = pl.lit(value=True) if source == "both" else pl.col("source") == source
    of_library = pl.lit(value=True) if library == "All" else pl.col("library") == library
    return clusters.filter(of_source & of_library & (pl.col("dimension") == dimension))


def cluster_table(clusters: pl.DataFrame, categories: pl.Series) -> np.ndarray:
    """Return the number of bugs by cluster (rows) and category (columns, in the order of ``categories``), and of all.

    ``clusters`` are rows of analysis.cluster_counts of one dimension. A repository with bugs of two libraries is one
    cluster if rows of both are passed. The last column is the number of bugs with any label: where bugs have several
    categories, it is less than the sum of the others.
    """
    places = pl.DataFrame({"category": categories, "_column": range(len(categories))})
    found = clusters.join(places, on="category", how="inner").with_columns(
        _row=pl.struct("source", "cluster").rank("dense") - 1
    )
    labelled = found.unique(["_row", "library"])
    table = np.zeros((found["_row"].n_unique(), len(categories) + 1), dtype=np.int64)
    np.add.at(table, (found["_row"].to_numpy(), found["_column"].to_numpy()), found["bugs"].to_numpy())
    np.add.at(table[:, -1], labelled["_row"].to_numpy(), labelled["total"].to_numpy())
    return table


def bootstrap_counts(table: np.ndarray, random: np.random.Generator, resamples: int = RESAMPLES) -> np.ndarray:
    """Return the number of bugs by resample (rows) and column of ``table``, which has a row per cluster.

    Each resample has as many clusters as ``table`` has rows, sampled with replacement. Clusters are sampled whole:
    resampling within them as well would count the variation within them twice (Davison and Hinkley 1997, section 3.8;
    Field and Welsh 2007). Clusters with equal rows are sampled together from a multinomial distribution, so that time
    and memory depend on the number of different rows.
    """
    patterns, frequencies = np.unique(table, axis=0, return_counts=True)
    size = int(frequencies.sum())
    batches: list[np.ndarray] = []
    for start in range(0, resamples, _BATCH_SIZE):
        weights = random.multinomial(size, frequencies / size, size=min(_BATCH_SIZE, resamples - start))
        batches.append(weights @ patterns)
    return np.vstack(batches)


def percentile_limits(values: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    """Return the 2.5% and 97.5% percentiles of the values that are not NaN (Efron 1979), None if there are none."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None, None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def shuffled_bugs(both: np.ndarray, second: int, resamples: int, random: np.random.Generator) -> np.ndarray:
    """Return the bugs of the second of two groups by resample (rows) and category, with bugs shuffled among both.

    ``both`` is the number of bugs by category, of which ``second`` are in the second group. The sizes of categories
    and groups are fixed, so that the counts have a multivariate hypergeometric distribution.
    """
    return random.multivariate_hypergeometric(both, second, resamples, method="marginals")


def shuffled_tables(
    groups: np.ndarray, categories: np.ndarray, resamples: int, random: np.random.Generator
) -> np.ndarray:
    """Return random tables (resample, group, category) whose margins are the sizes of ``groups`` and ``categories``.

    Each of the ways to distribute the members of the categories to the groups is equally likely (Patefield 1981).
    """
    from scipy.stats import random_table  # noqa: PLC0415 - slow to import  # pyright: ignore[reportMissingTypeStubs]

    if len(groups) == 2:  # noqa: PLR2004 - the second one determines the first
        second = shuffled_bugs(categories, groups[1], resamples, random)
        return np.stack([categories - second, second], axis=1)
    tables: Any = random_table(groups, categories)  # scipy has no types
    return tables.rvs(resamples, random_state=random)


def shuffled_members(
    sizes: np.ndarray, frequencies: np.ndarray, resamples: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield the number of clusters by resample, group and pattern, with clusters shuffled among the groups, in batches.

    ``sizes`` are the numbers of clusters of the groups, ``frequencies`` those of equal clusters, which are sampled
    together: time and memory depend on the number of patterns.
    """
    for start in range(0, resamples, _BATCH_SIZE):
        yield shuffled_tables(sizes, frequencies, min(_BATCH_SIZE, resamples - start), random)


def monte_carlo_p(extreme: int, resamples: int) -> float:
    """Return the P value when ``extreme`` of the resamples are at least as extreme as the data.

    The data count as one more resample, so that the P value is never 0 (Phipson and Smyth 2010).
    """
    return (extreme + 1) / (resamples + 1)
