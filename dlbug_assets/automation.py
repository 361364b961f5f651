"""Jobs, the whole graph and each group by itself; and the schedules that keep a live corpus fresh."""

import hashlib
import json
from pathlib import Path

import dagster as dg

from dlbug_assets.clock import Clock
from dlbug_assets.collecting import LANDINGS, step_name
from dlbug_assets.labeling.handed_in import waiting
from dlbug_assets.study import SCHEMAS, Study

WHOLE_GRAPH = "whole_graph"

#: Dagster's tags for a run over the partitions from one to another.
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


#: From labels to publication: what follows when somebody hands a sheet in.
LABELLING = "labelling"
_LOOK_SECONDS = 15


def automation(study: Study, labels: Path) -> dg.Definitions:
    """One job for everything and one per stage, each followed by publication so that nobody reads stale tables.

    A study that follows a source has two schedules: what changed, daily, and everything, weekly. A study whose labels
    are handed in as files has a sensor on the inbox in the folder ``labels``.
    """
    everything = dg.define_asset_job(
        WHOLE_GRAPH, selection=dg.AssetSelection.all(), description="Every table of the study, then its publication"
    )
    stages = [
        dg.define_asset_job(
            f"{schema}_group",
            selection=dg.AssetSelection.groups(schema) | dg.AssetSelection.groups("publishing"),
            description=f"The tables of the stage {schema}, then their publication",
        )
        for schema in SCHEMAS
    ]
    schedules = []
    if study.sources.posts == "api" or study.sources.commits in ("api", "clone"):
        schedules = [_schedule(study, sweep=False), _schedule(study, sweep=True)]
    labelling = dg.define_asset_job(
        LABELLING,
        selection=dg.AssetSelection.groups("labeling", "analysis", "publishing"),
        description="What follows from sheets that were handed in: agreement, decisions, analysis, publication",
    )
    sensors = [_inbox_sensor(labels / "inbox")] if study.sources.labels == "files" else []
    return dg.Definitions(jobs=[everything, labelling, *stages], schedules=schedules, sensors=sensors)


def _inbox_sensor(inbox: Path) -> dg.SensorDefinition:
    @dg.sensor(
        name="labels_inbox",
        job_name=LABELLING,
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Takes in what raters put into labels/inbox, once no file there is growing any more",
    )
    def labels_inbox(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        settled, growing = waiting(inbox, Clock())
        if growing:
            return dg.SkipReason(f"still growing: {', '.join(path.name for path in growing)}")
        seen = hashlib.sha256(
            json.dumps([[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in settled]).encode()
        ).hexdigest()
        if not settled or context.cursor == seen:
            return dg.SkipReason("nothing new in the inbox")
        return dg.SensorResult([dg.RunRequest(run_key=seen)], cursor=seen)

    return labels_inbox


def _schedule(study: Study, *, sweep: bool) -> dg.ScheduleDefinition:
    request = dg.RunRequest(
        tags={RANGE_START: study.library_names[0], RANGE_END: study.library_names[-1]},
        run_config={"ops": {step_name(landing): {"config": {"sweep": sweep}} for landing in LANDINGS}},
    )

    @dg.schedule(
        name="sweep" if sweep else "refresh",
        cron_schedule=study.schedule.sweep if sweep else study.schedule.refresh,
        execution_timezone="UTC",
        job_name=WHOLE_GRAPH,
        description="The full question again: scores that changed by votes alone, deletions"
        if sweep
        else "What changed since the last time, and what follows from it",
    )
    def schedule() -> dg.RunRequest:
        return request

    return schedule
