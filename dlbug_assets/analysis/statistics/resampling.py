"""Seeded random draws: clusters with replacement (bootstrap), and bugs without it (permutation).

NumPy leaves Python to others while it draws, so that draws for several things can be made side by side.
"""

import hashlib

import numpy as np
import polars as pl

from dlbug_assets.protocol.taxonomy import SOURCES

#: Of each bootstrap.
RESAMPLES = 2000
#: Drawn at a time: with hundreds of thousands of clusters all draws together would not fit into memory.
_AT_A_TIME = 100


def generator(seed: int, *what: str) -> np.random.Generator:
    """A generator of its own for each thing that is drawn for: what is added beside it changes nothing."""
    entropy = int.from_bytes(hashlib.sha256("|".join([str(seed), *what]).encode()).digest())
    return np.random.Generator(np.random.PCG64(entropy))


def in_scope(clusters: pl.DataFrame, source: str, library: str, dimension: str) -> pl.DataFrame:
    """The rows of analysis.cluster_counts that a source (or `both`) and library (or `All`) are made of."""
    sources = SOURCES if source == "both" else (source,)
    of_library = pl.lit(value=True) if library == "All" else pl.col("library") == library
    return clusters.filter(pl.col("source").is_in(sources) & of_library & (pl.col("dimension") == dimension))


def cluster_table(clusters: pl.DataFrame, categories: pl.Series) -> np.ndarray:
    """Bugs by cluster (rows) and category (columns, in the order of ``categories``).

    ``clusters``: rows of analysis.cluster_counts of one dimension. A repository that has bugs of two libraries is one
    cluster where both are asked for.
    """
    places = pl.DataFrame({"category": categories, "_column": range(len(categories))})
    found = clusters.join(places, on="category", how="inner").with_columns(
        _row=pl.struct("source", "cluster").rank("dense") - 1
    )
    table = np.zeros((found["_row"].n_unique(), len(categories)), dtype=np.int64)
    np.add.at(table, (found["_row"].to_numpy(), found["_column"].to_numpy()), found["bugs"].to_numpy())
    return table


def bootstrap_counts(table: np.ndarray, random: np.random.Generator, resamples: int = RESAMPLES) -> np.ndarray:
    """Bugs by resample and category: of each resample as many clusters as there are, drawn with replacement.

    A cluster comes with all that is in it: drawing within it once more would count the variation in it twice (Davison
    and Hinkley 1997, section 3.8; Field and Welsh 2007). Clusters with the same bugs are drawn together, as so many of
    a multinomial, so that time and memory go with the number of different clusters.
    """
    patterns, seen = np.unique(table, axis=0, return_counts=True)
    size = int(seen.sum())
    drawn = []
    for done in range(0, resamples, _AT_A_TIME):
        weights = random.multinomial(size, seen / size, size=min(_AT_A_TIME, resamples - done))
        drawn.append(weights @ patterns)
    return np.vstack(drawn)


def percentile_limits(values: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    """The 2.5% and 97.5% percentiles of what is defined (Efron 1979), None where nothing is."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None, None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def shuffled_bugs(both: np.ndarray, second: int, resamples: int, random: np.random.Generator) -> np.ndarray:
    """Bugs by resample and category of the second of two groups, as they come about when bugs are shuffled among both.

    ``both``: bugs by category, of which ``second`` are in the second group. The sizes of categories and groups stay as
    they are: what is drawn without replacement is multivariate hypergeometric.
    """
    return random.multivariate_hypergeometric(both, second, resamples, method="marginals")


def shuffled_clusters(first: np.ndarray, second: np.ndarray, resamples: int, random: np.random.Generator) -> np.ndarray:
    """Bugs by resample and category of as many clusters as ``second`` has, drawn from both without replacement.

    ``first``, ``second``: bugs by cluster and category. Clusters with the same bugs are drawn together.
    """
    patterns, seen = np.unique(np.vstack([first, second]), axis=0, return_counts=True)
    drawn = []
    for done in range(0, resamples, _AT_A_TIME):
        size = min(_AT_A_TIME, resamples - done)
        drawn.append(random.multivariate_hypergeometric(seen, len(second), size, method="marginals") @ patterns)
    return np.vstack(drawn)


def share_as_extreme(extreme: int, resamples: int) -> float:
    """The P value of so many resamples that are as extreme as what was seen, which counts as one of them.

    Phipson and Smyth 2010: a P value of 0 can't be had by sampling.
    """
    return (extreme + 1) / (resamples + 1)
