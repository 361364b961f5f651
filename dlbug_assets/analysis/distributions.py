"""How the bugs of a dimension are distributed over its categories, in total and by year."""

import polars as pl

from dlbug_assets.analysis.statistics.clusters import with_cluster_intervals
from dlbug_assets.analysis.statistics.intervals import with_wilson
from dlbug_assets.protocol.taxonomy import DIMENSIONS

_COLUMNS = ("source", "library", "category", "bugs", "total", "share", "share_low", "share_high", "undefined_reason")


def distributions(counts: pl.DataFrame, clusters: pl.DataFrame, seed: int) -> dict[str, pl.DataFrame]:
    """Return the rows of every table ``<dimension>_distribution``: :func:`distribution` with the intervals of
    :func:`~dlbug_assets.analysis.statistics.clusters.with_cluster_intervals`.

    ``counts`` is analysis.label_counts, ``clusters`` analysis.cluster_counts.
    """
    return {
        f"{dimension}_distribution": with_cluster_intervals(distribution(counts, dimension), clusters, dimension, seed)
        for dimension in DIMENSIONS
    }


def distribution(counts: pl.DataFrame, dimension: str) -> pl.DataFrame:
    """Return one dimension of ``analysis.label_counts`` with shares and Wilson 95% intervals, in the order of the
    counts.

    ``counts``: source (incl. `both`), library (incl. `All`), dimension, category, bugs, total.
    Returns source, library, category, bugs, total (bugs with a label in that dimension), share, share_low, share_high
    (0..1; NULL where total is 0) and undefined_reason (NULL where they are defined).
    """
    return (
        with_wilson(counts.filter(pl.col("dimension") == dimension))
        .with_columns(
            undefined_reason=pl.when(pl.col("total") == 0).then(pl.lit(f"no bug has a label in {dimension}")),
        )
        .select(_COLUMNS)
    )


def yearly_evolution(counts: pl.DataFrame) -> pl.DataFrame:
    """Return ``counts`` (analysis.yearly_counts) with share, share_low and share_high (Wilson 95%), 0..1."""
    return with_wilson(counts)
