"""The statistics as assets: frames in, frames out. Counts and joins are SQL models."""

import dagster as dg
import polars as pl

from dlbug_assets.analysis import comparison, correlation, repeat_agreement, source_tests, trends
from dlbug_assets.analysis.findings import findings, sensitivity
from dlbug_assets.analysis.statistics import clusters, intervals
from dlbug_assets.asset_factories.tables import TableAssets
from dlbug_assets.protocol.taxonomy import DIMENSIONS

_COUNTS = {"counts": "analysis.label_counts"}
_CLUSTERS = {"clustered": "analysis.cluster_counts"}
_LABELS = {"labels": "labeling.labels"}
_PUBLISHED_P = {"bug_type": "reference.table2_p", "root_cause": "reference.table3_p", "effect": "reference.table4_p"}
_PUBLISHED = {"published": "reference.findings", "published_correlation": "reference.fig6_correlation"}


def assets(tables: TableAssets) -> list[dg.AssetsDefinition]:
    """The room's Python assets."""
    seed = tables.study.study.seed

    @tables.whole(*(f"analysis.{dimension}_distribution" for dimension in DIMENSIONS), reads=_COUNTS | _CLUSTERS)
    def distributions(counts: pl.DataFrame, clustered: pl.DataFrame) -> dict[str, pl.DataFrame]:
        return {
            f"{dimension}_distribution": clusters.with_cluster_intervals(
                intervals.distribution(counts, dimension), clustered, dimension, seed
            )
            for dimension in DIMENSIONS
        }

    @tables.whole("analysis.source_comparison", reads=_COUNTS | _PUBLISHED_P)
    def source_comparison(counts: pl.DataFrame, **published_p: pl.DataFrame) -> pl.DataFrame:
        return comparison.source_comparison(counts, published_p)

    @tables.whole("analysis.source_tests", "analysis.source_residuals", reads=_COUNTS | _CLUSTERS)
    def the_source_tests(counts: pl.DataFrame, clustered: pl.DataFrame) -> dict[str, pl.DataFrame]:
        return {
            "source_tests": source_tests.source_tests(counts, clustered, seed),
            "source_residuals": source_tests.source_residuals(counts),
        }

    @tables.whole("analysis.library_correlation", reads=_COUNTS | _CLUSTERS)
    def library_correlation(counts: pl.DataFrame, clustered: pl.DataFrame) -> pl.DataFrame:
        return correlation.with_sensitivity(correlation.library_correlation(counts), counts, clustered, seed)

    @tables.whole("analysis.yearly_evolution", reads={"counts": "analysis.yearly_counts"})
    def yearly_evolution(counts: pl.DataFrame) -> pl.DataFrame:
        return intervals.yearly_evolution(counts)

    @tables.whole("analysis.trends", reads={"evolution": "analysis.yearly_evolution"})
    def the_trends(evolution: pl.DataFrame) -> pl.DataFrame:
        return trends.trends(evolution, seed)

    @tables.whole(
        "analysis.findings",
        reads=_COUNTS
        | _PUBLISHED
        | {
            "root_cause_by_bug_type": "analysis.root_cause_by_bug_type",
            "comparison": "analysis.source_comparison",
            "correlation": "analysis.library_correlation",
            "evolution": "analysis.yearly_evolution",
        },
    )
    def the_findings(**frames: pl.DataFrame) -> pl.DataFrame:
        return findings.findings(**frames)

    @tables.whole(
        "analysis.finding_sensitivity",
        reads=_LABELS
        | _PUBLISHED
        | _PUBLISHED_P
        | {"libraries": "reference.libraries", "taxonomy": "reference.taxonomy"},
    )
    def finding_sensitivity(**frames: pl.DataFrame) -> pl.DataFrame:
        published_p = {dimension: frames.pop(dimension) for dimension in _PUBLISHED_P}
        return sensitivity.finding_sensitivity(**frames, published_p=published_p, seed=seed)

    @tables.whole("analysis.repeat_agreement", reads=_LABELS)
    def the_repeat_agreement(labels: pl.DataFrame) -> pl.DataFrame:
        return repeat_agreement.repeat_agreement(labels)

    @tables.whole("analysis.replication_diff", reads={"cells": "analysis.replication_cells"})
    def replication_diff(cells: pl.DataFrame) -> pl.DataFrame:
        return replication_diff.replication_diff(cells)

    return [
        distributions,
        source_comparison,
        the_source_tests,
        library_correlation,
        yearly_evolution,
        the_trends,
        the_findings,
        finding_sensitivity,
        the_repeat_agreement,
        replication_diff,
    ]
