"""Assets for readers: study_info, the report, and the published database."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import dagster as dg

from dlbug_assets.asset_factories.code_references import function_reference
from dlbug_assets.asset_factories.code_versions import source_version, text_version
from dlbug_assets.asset_factories.metadata import asset_key
from dlbug_assets.asset_factories.tables import FOLLOW_UPSTREAM, OWNERS, TableAssets
from dlbug_assets.atomic_files import write_folder
from dlbug_assets.chart_style import markdown_image
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import Study
from dlbug_assets.publishing.figures import RenderedFigure
from dlbug_assets.publishing.report import TEMPLATES, render_figures, report_files
from dlbug_assets.publishing.report_queries import report_tables, run_queries
from dlbug_assets.publishing.study_info import notice, study_info
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.macros import macro_files

# Figures with more characters of SVG are not in the metadata of a materialization, which the UI keeps for every run.
_LARGE = 50_000


def assets(study: Study, home: Home, tables: TableAssets) -> list[dg.AssetsDefinition]:
    """Return the assets. Call it last: the published database depends on every table registered so far."""
    info = tables.table(
        "publishing.study_info",
        compute=partial(study_info, study=study),
        reads={"refreshes": "publishing.corpus_refreshes"},
    )

    @dg.asset(
        key=asset_key("publishing.report"),
        deps=[asset_key(table) for table in report_tables(study)],
        group_name="publishing",
        description="report/: index.html, which shows the study's results, and its figures and tables",
        kinds={"python", "html", "altair"},
        owners=OWNERS,
        code_version=text_version(
            source_version(report_files),
            study.hash,
            *(path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.iterdir())),
        ),
        metadata=function_reference(report_files),
        automation_condition=FOLLOW_UPSTREAM,
        required_resource_keys={"warehouse"},
    )
    def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        warehouse: Warehouse = context.resources.warehouse
        rows = run_queries(warehouse.read, study)
        rendered = render_figures(rows, study)
        write_folder(home.report, report_files(rows, rendered, study))
        figures = {each.figure.label: _figure_metadata(each) for each in rendered}
        path = dg.MetadataValue.path(home.report / "index.html")
        return dg.MaterializeResult(metadata={"path": path, "notice": notice(study), **tables.protocol, **figures})

    @dg.asset(
        key=asset_key("publishing.database"),
        deps=[asset_key(table) for table in sorted(tables.registered)],
        group_name="publishing",
        description="The published database: a copy of every table that people and BI tools open, replaced atomically",
        kinds={"duckdb"},
        owners=OWNERS,
        code_version=text_version(
            source_version(Warehouse.publish), *(file.read_text(encoding="utf-8") for file in macro_files())
        ),
        metadata=function_reference(Warehouse.publish),
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
            **_run_summary(context, warehouse, study),
        }
        return dg.MaterializeResult(metadata=metadata)

    return [info, report, database]


def _run_summary(context: dg.AssetExecutionContext, warehouse: Warehouse, study: Study) -> dict[str, Any]:
    """Return a summary of the run so far for the UI.

    It has the number of steps, tables written and seconds, the failed checks by table, and the number of findings by
    verdict, if the study has claims.
    """
    stats = context.instance.get_run_stats(context.run_id)
    assert stats.start_time is not None  # noqa: S101 - the calling step is part of the run
    checked = context.instance.get_records_for_run(
        context.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    evaluations = [record.event_log_entry.get_dagster_event().asset_check_evaluation_data for record in checked]
    failed = [f"{each.asset_key.to_user_string()}: {each.check_name}" for each in evaluations if not each.passed]
    findings: dict[str, Any] = {}
    if study.files.claims:
        verdicts: list[tuple[Any, ...]] = []
        if warehouse.exists("analysis.finding_verdicts"):
            verdicts = warehouse.read(
                "select coalesce(verdict, support) as verdict, count(*) from analysis.finding_verdicts "
                "group by all order by verdict"
            ).rows()
        findings["findings"] = ", ".join(f"{count} {verdict}" for verdict, count in verdicts) or "not judged yet"
    return {
        "steps done": stats.steps_succeeded,
        "steps failed": stats.steps_failed,
        "tables written": stats.materializations,
        "seconds so far": round(time.time() - stats.start_time, 1),
        "failed checks": "\n".join(failed) or "none",
        **findings,
    }


def _figure_metadata(rendered: RenderedFigure) -> str | dg.MarkdownMetadataValue:
    """Return a figure as metadata for the UI, or its file name and alternative text if it is large."""
    if rendered.svg is None:
        return f"not rendered: {rendered.reason}"
    if len(rendered.svg) > _LARGE:
        return f"figures/{rendered.figure.name}.svg. {rendered.alternative}"
    return dg.MetadataValue.md(markdown_image(rendered.svg, rendered.alternative))
