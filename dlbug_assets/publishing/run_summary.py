"""What a run came to, for those who look at it later: shown with the database that it published."""

import time
from typing import Any

import dagster as dg

from dlbug_assets.warehouse import Warehouse


def run_summary(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dict[str, Any]:
    """Metadata on the run so far: its steps done and failed, the tables it wrote, its seconds, which of its checks did
    not hold (by table), and how many findings there are of each verdict."""
    so_far = context.instance.get_run_stats(context.run_id)
    checked = context.instance.get_records_for_run(
        context.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    evaluations = [record.event_log_entry.get_dagster_event().asset_check_evaluation_data for record in checked]
    broken = [f"{each.asset_key.to_user_string()}: {each.check_name}" for each in evaluations if not each.passed]
    verdicts: list[tuple[Any, ...]] = []
    if warehouse.has("analysis.finding_verdicts"):
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
