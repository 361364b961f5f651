"""What leaves the pipeline: study_info, the report, and the published database."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from dlbug_assets.publishing.report import REPORT_TABLES, render, write_report
from dlbug_assets.publishing.study_info import notice, study_info
from dlbug_assets.study import Study
from dlbug_assets.table_assets import FOLLOWS, OWNERS, TableAssets, asset_key
from dlbug_assets.warehouse import Home, Warehouse


def assets(study: Study, home: Home, tables: TableAssets) -> list[dg.AssetsDefinition]:
    """The room's assets. Call it last: the published database waits for every table made so far."""

    @tables.whole("publishing.study_info", reads={"refreshes": "publishing.corpus_refreshes"})
    def info(refreshes: pl.DataFrame) -> pl.DataFrame:
        return study_info(study, dict(refreshes.select("corpus", "last_refresh").iter_rows()))

    @dg.asset(
        key=asset_key("publishing.report"),
        deps=[asset_key(table) for table in REPORT_TABLES],
        group_name="publishing",
        description="report/index.html: the study's tables and findings beside the paper's, for people to read",
        kinds={"python", "html"},
        owners=OWNERS,
        automation_condition=FOLLOWS,
        required_resource_keys={"warehouse"},
    )
    def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        warehouse: Warehouse = context.resources.warehouse
        path = write_report(home.report, render({table: warehouse.read(table) for table in REPORT_TABLES}))
        return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(path), "notice": notice(study)})

    @dg.asset(
        key=asset_key("publishing.database"),
        deps=[asset_key(table) for table in sorted(tables.made)],
        group_name="publishing",
        description="The published database: a copy of every table that people and BI tools open, replaced atomically",
        kinds={"duckdb"},
        owners=OWNERS,
        automation_condition=FOLLOWS,
        required_resource_keys={"warehouse"},
    )
    def database(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        warehouse: Warehouse = context.resources.warehouse
        path = warehouse.publish()
        metadata: Mapping[str, Any] = {
            "path": dg.MetadataValue.path(path),
            "bytes": path.stat().st_size,
            "study_hash": study.hash,
            "notice": notice(study),
        }
        return dg.MaterializeResult(metadata=metadata)

    return [info, report, database]
