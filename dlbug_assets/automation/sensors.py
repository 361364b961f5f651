"""Sensors: orphaned runs and the inbox of label sheets."""

import hashlib
import json
from pathlib import Path

import dagster as dg

from dlbug_assets.automation.orphaned_runs import fail_orphaned_runs
from dlbug_assets.clock import Clock
from dlbug_assets.labeling.sheets.inbox import file_stats, settled_files

#: From labels to publication: what follows when somebody hands a sheet in.
LABELLING = "labelling"
INBOX_INTERVAL_SECONDS = 15


def orphaned_runs_sensor(run_locks: Path) -> dg.SensorDefinition:
    @dg.sensor(
        name="lost_runs",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs whose process is gone as failed",
    )
    def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        lost = fail_orphaned_runs(context.instance, run_locks)
        return dg.SkipReason(f"marked as failed: {', '.join(lost)}" if lost else "no run was lost")

    return lost_runs


def inbox_sensor(inbox: Path) -> dg.SensorDefinition:
    @dg.sensor(
        name="labels_inbox",
        job_name=LABELLING,
        minimum_interval_seconds=INBOX_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Takes in what raters put into labels/inbox, once no file there is growing any more",
    )
    def labels_inbox(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        settled, growing = settled_files(inbox, Clock())
        if growing:
            return dg.SkipReason(f"still growing: {', '.join(path.name for path in growing)}")
        seen = hashlib.sha256(json.dumps(file_stats(settled)).encode()).hexdigest()
        if not settled or context.cursor == seen:
            return dg.SkipReason("nothing new in the inbox")
        return dg.SensorResult([dg.RunRequest(run_key=seen)], cursor=seen)

    return labels_inbox
