"""What leaves the pipeline: study_info, the report, and the published database."""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from dlbug_assets.asset_factories.tables import FOLLOW_UPSTREAM, OWNERS, TableAssets, asset_key
from dlbug_assets.chart_style import markdown_image
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import Study
from dlbug_assets.publishing.figures import Picture
from dlbug_assets.publishing.folders import write_folder
from dlbug_assets.publishing.report import contents, pictures
from dlbug_assets.publishing.report_queries import REPORT_TABLES, ask_all
from dlbug_assets.publishing.study_info import notice, study_info
from dlbug_assets.warehouse.database import Warehouse

#: Characters of SVG.
_LARGE = 50_000


def assets(study: Study, home: Home, tables: TableAssets) -> list[dg.AssetsDefinition]:
    """The room's assets. Call it last: the published database waits for every table made so far."""

    @tables.whole("publishing.study_info", reads={"refreshes": "publishing.corpus_refreshes"})
    def info(refreshes: pl.DataFrame) -> pl.DataFrame:
        return study_info(study, dict(refreshes.select("corpus", "last_refresh").iter_rows()))

    @dg.asset(
        key=asset_key("publishing.report"),
        deps=[asset_key(table) for table in REPORT_TABLES],
        group_name="publishing",
        description="report/: index.html, the study beside the paper for people to read, and its figures and tables",
        kinds={"python", "html", "altair"},
        owners=OWNERS,
        automation_condition=FOLLOW_UPSTREAM,
        required_resource_keys={"warehouse"},
    )
    def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        warehouse: Warehouse = context.resources.warehouse
        rows = ask_all(warehouse.read)
        drawn = pictures(rows)
        write_folder(home.report, contents(rows, drawn))
        small = {picture.figure.label: _small(picture) for picture in drawn}
        path = dg.MetadataValue.path(home.report / "index.html")
        return dg.MaterializeResult(metadata={"path": path, "notice": notice(study), **tables.protocol, **small})

    @dg.asset(
        key=asset_key("publishing.database"),
        deps=[asset_key(table) for table in sorted(tables.made)],
        group_name="publishing",
        description="The published database: a copy of every table that people and BI tools open, replaced atomically",
        kinds={"duckdb"},
        owners=OWNERS,
        automation_condition=FOLLOW_UPSTREAM,
        required_resource_keys={"warehouse"},
    )
    def database(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        warehouse: Warehouse = context.resources.warehouse
        path = warehouse.publish()
        metadata: Mapping[str, Any] = {
            "path": dg.MetadataValue.path(path),
            "bytes": path.stat().st_size,
            **tables.protocol,
            "notice": notice(study),
            **_so_far(context, warehouse),
        }
        return dg.MaterializeResult(metadata=metadata)

    return [info, report, database]


def _so_far(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dict[str, Any]:
    """What the run came to, for those who look at it later: its steps, the tables it wrote, its seconds, which of its
    checks did not hold (by table), and how many findings there are of each verdict."""
    so_far = context.instance.get_run_stats(context.run_id)
    checked = context.instance.get_records_for_run(
        context.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    evaluations = [record.event_log_entry.get_dagster_event().asset_check_evaluation_data for record in checked]
    broken = [f"{each.asset_key.to_user_string()}: {each.check_name}" for each in evaluations if not each.passed]
    verdicts: list[tuple[Any, ...]] = []
    if warehouse.exists("analysis.finding_verdicts"):
        verdicts = warehouse.read(
            "select verdict, count(*) from analysis.finding_verdicts group by verdict order by verdict"
        ).rows()
    return {
        "steps done": so_far.steps_succeeded,
        "steps failed": so_far.steps_failed,
        "tables written": so_far.materializations,
        "seconds so far": round(time.time() - so_far.start_time, 1),
        "checks that did not hold": "\n".join(broken) or "none",
        "findings": ", ".join(f"{count} {verdict}" for verdict, count in verdicts) or "not judged yet",
    }


def _small(picture: Picture) -> str | dg.MarkdownMetadataValue:
    """A figure for the UI, which keeps what it shows of every run: a large one is only named."""
    if picture.svg is None:
        return f"not drawn: {picture.reason}"
    if len(picture.svg) > _LARGE:
        return f"figures/{picture.figure.name}.svg. {picture.alternative}"
    return dg.MetadataValue.md(markdown_image(picture.svg, picture.alternative))
