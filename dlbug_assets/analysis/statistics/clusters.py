"""Confidence intervals of shares when several bugs come from one repository: by the effective number of bugs."""

import numpy as np
import polars as pl

from dlbug_assets.analysis.statistics.effective import design_effects, intraclass_correlation, limits
from dlbug_assets.analysis.statistics.intervals import ALPHA
from dlbug_assets.analysis.statistics.resampling import cluster_table, filter_clusters

#: Columns that this module computes.
CLUSTER_COLUMNS = pl.Schema(
    {
        "clusters": pl.Int64,
        "cluster_low": pl.Float64,
        "cluster_high": pl.Float64,
        "design_effect": pl.Float64,
        "effective_n": pl.Float64,
        "cluster_undefined_reason": pl.String,
    }
)

ONE_CLUSTER = "the bugs are all of one cluster"


def with_cluster_intervals(rows: pl.DataFrame, clusters: pl.DataFrame, dimension: str) -> pl.DataFrame:
    """Return the distribution of one dimension with intervals by clusters and design effects.

    ``rows`` has source, library and category, in the order of analysis.label_counts; ``clusters`` is
    analysis.cluster_counts. Adds clusters (the number of clusters with a label), cluster_low and cluster_high (Wilson
    95% limits of the share, 0..1, with the effective number of bugs and a t quantile; see
    :func:`~dlbug_assets.analysis.statistics.effective.limits`), design_effect, effective_n (total / design_effect) and
    cluster_undefined_reason. They are NULL for fewer than two clusters.
    """
    empty = rows.clear().hstack(pl.DataFrame(schema=CLUSTER_COLUMNS))
    parts = [empty]
    for (source, library), of_library in rows.group_by(["source", "library"], maintain_order=True):
        of_clusters = filter_clusters(clusters, str(source), str(library), dimension)
        found = _limits(cluster_table(of_clusters, of_library["category"]), dimension)
        parts.append(of_library.hstack(pl.DataFrame(found, schema=CLUSTER_COLUMNS, orient="row")))
    return pl.concat(parts)


def _limits(table: np.ndarray, dimension: str) -> list[tuple[object, ...]]:
    """Return a row of :data:`CLUSTER_COLUMNS` per category, from :func:`resampling.cluster_table`."""
    bugs, totals = table[:, :-1], table[:, -1]
    if len(table) < 2:  # noqa: PLR2004
        reason = ONE_CLUSTER if len(table) else f"no bug has a label in {dimension}"
        return [(len(table), None, None, None, None, reason)] * bugs.shape[1]
    correlation = intraclass_correlation(bugs, totals)
    _, low, high = limits(bugs, totals, correlation, 1 - ALPHA)
    effects = design_effects(bugs, totals, correlation)
    columns = (low, high, effects, totals.sum() / effects)
    return [(len(table), *map(float, values), None) for values in zip(*columns, strict=True)]
