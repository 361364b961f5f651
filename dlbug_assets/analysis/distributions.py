"""The distribution of bugs over the categories of a dimension, in total and by year."""

import polars as pl

from dlbug_assets.analysis.statistics.clusters import with_cluster_intervals
from dlbug_assets.analysis.statistics.intervals import with_wilson_intervals
from dlbug_assets.protocol.study import Study

_COLUMNS = (
    "source", "library", "category", "bugs", "total", "share", "share_low", "share_high", "undefined_reason"
)  # fmt: skip


def distributions(counts: pl.DataFrame, clusters: pl.DataFrame, study: Study) -> dict[str, pl.DataFrame]:
    """Return the rows of the tables ``<dimension>_distribution`` of all dimensions.

    They are those of :func:`distribution` with the columns that
    :func:`~dlbug_assets.analysis.statistics.clusters.with_cluster_intervals` adds. ``counts`` is
    analysis.label_counts, ``clusters`` analysis.cluster_counts.
    """
    return {
        f"{dimension}_distribution": with_cluster_intervals(distribution(counts, dimension), clusters, dimension)
        for dimension in study.dimension_names
    }


def distribution(counts: pl.DataFrame, dimension: str) -> pl.DataFrame:
    """Return one dimension of ``counts`` with shares and Wilson 95% intervals, in the same order.

    ``counts`` is analysis.label_counts: source (incl. `both`), library (incl. `All`), dimension, category, bugs, total.

    Columns: source, library, category, bugs, total (bugs with a label in the dimension), share, share_low, share_high
    (0..1; NULL where total is 0) and undefined_reason (NULL where they are defined).
    """
    return (
        with_wilson_intervals(counts.filter(pl.col("dimension") == dimension))
        .with_columns(
            undefined_reason=pl.when(pl.col("total") == 0).then(pl.lit(f"no bug has a label in {dimension}")),
        )
        .select(_COLUMNS)
    )


def yearly_evolution(counts: pl.DataFrame) -> pl.DataFrame:
    """Return ``counts`` (analysis.yearly_counts) with share, share_low and share_high (Wilson 95%), 0..1.

    share_at_least and share_at_most are the limits of the share over what is uncertain about years: whether the bugs
    that may be of the year are (``bugs_high`` of ``total_high``), with the category and without.
    """
    others, more = pl.col("total_high") - pl.col("bugs_high") + pl.col("bugs"), pl.col("bugs_high") - pl.col("bugs")
    return with_wilson_intervals(counts).with_columns(
        share_at_least=pl.col("bugs") / others, share_at_most=pl.col("bugs_high") / (pl.col("total") + more)
    )
