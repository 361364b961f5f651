"""Confidence intervals of shares when several bugs come from one repository: the cluster bootstrap."""

from typing import Any

import numpy as np
import polars as pl

from dlbug_assets.analysis.statistics.pools import member
from dlbug_assets.analysis.statistics.resampling import (
    bootstrap_counts,
    cluster_table,
    filter_clusters,
    generator,
    percentile_limits,
)
from dlbug_assets.parallel import parallel_map
from dlbug_assets.protocol.study import Study

#: Columns that this module computes.
CLUSTER_COLUMNS = pl.Schema(
    {
        "clusters": pl.Int64,
        "cluster_low": pl.Float64,
        "cluster_high": pl.Float64,
        "design_effect": pl.Float64,
        "cluster_undefined_reason": pl.String,
    }
)

ONE_CLUSTER = "the bugs are all of one cluster"


def with_cluster_intervals(rows: pl.DataFrame, clusters: pl.DataFrame, dimension: str, study: Study) -> pl.DataFrame:
    """Return the distribution of one dimension with cluster bootstrap intervals and design effects.

    ``rows`` has source, library and category, in the order of analysis.label_counts; ``clusters`` is
    analysis.cluster_counts. Adds clusters (the number of clusters with a label), cluster_low and cluster_high
    (percentile bootstrap 95% limits of the share, 0..1, over :data:`resampling.RESAMPLES` resamples of clusters),
    design_effect (variance of the share over the resamples, divided by the binomial variance
    share * (1 - share) / total; Kish 1965) and cluster_undefined_reason. Limits and design effect are NULL for fewer
    than two clusters, and for a share of 0 or 1, which is the same in every resample.
    """

    def with_limits(group: tuple[tuple[Any, ...], pl.DataFrame]) -> pl.DataFrame:
        (source, library), of_library = group
        table = cluster_table(filter_clusters(clusters, source, library, dimension), of_library["category"])
        purpose = member(study, "source", source), member(study, "library", library)
        limits = _limits(table, dimension, generator(study.study.seed, "shares", *purpose, dimension))
        return of_library.hstack(pl.DataFrame(limits, schema=CLUSTER_COLUMNS, orient="row"))

    empty = rows.clear().hstack(pl.DataFrame(schema=CLUSTER_COLUMNS))
    return pl.concat([empty, *parallel_map(with_limits, rows.group_by(["source", "library"], maintain_order=True))])


def _limits(table: np.ndarray, dimension: str, random: np.random.Generator) -> list[tuple[object, ...]]:
    """Return a row of :data:`CLUSTER_COLUMNS` per category, from :func:`resampling.cluster_table`."""
    clusters, categories = len(table), table.shape[1] - 1
    if clusters < 2:  # noqa: PLR2004
        reason = ONE_CLUSTER if clusters else f"no bug has a label in {dimension}"
        return [(clusters, None, None, None, reason)] * categories
    *bugs, total = table.sum(axis=0).tolist()
    counts = bootstrap_counts(table, random)
    shares = counts[:, :-1] / counts[:, -1:]
    rows: list[tuple[object, ...]] = []
    for column in range(categories):
        share = bugs[column] / total
        if share in (0, 1):
            rows.append((clusters, None, None, None, f"{'every' if share else 'no'} bug has it, in every resample"))
            continue
        low, high = percentile_limits(shares[:, column])
        binomial = share * (1 - share) / total
        rows.append((clusters, low, high, float(np.var(shares[:, column], ddof=1) / binomial), None))
    return rows
