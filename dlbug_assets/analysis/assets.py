"""The statistics as assets: frames in, frames out. Counts and joins are SQL models."""

import dagster as dg
import polars as pl

from dlbug_assets.analysis import comparison, correlation, findings, intervals
from dlbug_assets.table_assets import TableAssets
from dlbug_assets.taxonomy import DIMENSIONS

_COUNTS = {"counts": "analysis.label_counts"}


def assets(tables: TableAssets) -> list[dg.AssetsDefinition]:
    """The room's Python assets."""

    @tables.whole(*(f"analysis.{dimension}_distribution" for dimension in DIMENSIONS), reads=_COUNTS)
    def distributions(counts: pl.DataFrame) -> dict[str, pl.DataFrame]:
        return {f"{dimension}_distribution": intervals.distribution(counts, dimension) for dimension in DIMENSIONS}

    @tables.whole(
        "analysis.source_comparison",
        reads=_COUNTS
        | {"bug_type": "reference.table2_p", "root_cause": "reference.table3_p", "effect": "reference.table4_p"},
    )
    def source_comparison(counts: pl.DataFrame, **published_p: pl.DataFrame) -> pl.DataFrame:
        return comparison.source_comparison(counts, published_p)

    @tables.whole("analysis.library_correlation", reads=_COUNTS)
    def library_correlation(counts: pl.DataFrame) -> pl.DataFrame:
        return correlation.library_correlation(counts)

    @tables.whole(
        "analysis.findings",
        reads=_COUNTS
        | {
            "published": "reference.findings",
            "root_cause_by_bug_type": "analysis.root_cause_by_bug_type",
            "comparison": "analysis.source_comparison",
            "correlation": "analysis.library_correlation",
            "evolution": "analysis.yearly_evolution",
            "published_correlation": "reference.fig6_correlation",
        },
    )
    def the_findings(**frames: pl.DataFrame) -> pl.DataFrame:
        return findings.findings(**frames)

    return [distributions, source_comparison, library_correlation, the_findings]
