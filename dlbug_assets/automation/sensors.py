"""Sensors: orphaned runs and the inbox of label sheets."""

import hashlib
import json
from pathlib import Path

import dagster as dg

from dlbug_assets.automation.orphaned_runs import fail_orphaned_runs
from dlbug_assets.clock import Clock
from dlbug_assets.labeling.sheets.inbox import file_stats, settled_files

#: The job that runs when a rater submits a sheet: from labels to publication.
LABELLING = "labelling"
INBOX_INTERVAL_SECONDS = 15


def orphaned_runs_sensor(run_locks: Path) -> dg.SensorDefinition:
    """Return the sensor that marks orphaned runs as failed, once a minute."""

    @dg.sensor(
        name="orphaned_runs",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs whose process has ended as failed",
    )
    def orphaned_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        failed = fail_orphaned_runs(context.instance, run_locks)
        return dg.SkipReason(f"marked as failed: {', '.join(failed)}" if failed else "no orphaned run")

    return orphaned_runs


def inbox_sensor(inbox: Path) -> dg.SensorDefinition:
    """Return the sensor that runs the labelling job when the settled files of the inbox have changed."""

    @dg.sensor(
        name="labels_inbox",
        job_name=LABELLING,
        minimum_interval_seconds=INBOX_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reads the sheets in labels/inbox once none of them is being written",
    )
    def labels_inbox(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        settled, growing = settled_files(inbox, Clock())
        if growing:
            return dg.SkipReason(f"still being written: {', '.join(path.name for path in growing)}")
        fingerprint = hashlib.sha256(json.dumps(file_stats(settled)).encode()).hexdigest()
        if not settled or context.cursor == fingerprint:
            return dg.SkipReason("nothing new in the inbox")
        return dg.SensorResult([dg.RunRequest(run_key=fingerprint)], cursor=fingerprint)

    return labels_inbox
