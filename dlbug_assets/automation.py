"""Jobs, the whole graph and each group by itself; the schedules that keep a live corpus fresh; and what follows."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from dlbug_assets.clock import Clock
from dlbug_assets.collecting import LANDINGS, step_name
from dlbug_assets.labeling.handed_in import as_they_are, waiting
from dlbug_assets.layout import SCHEMAS, Home
from dlbug_assets.lost_runs import report_lost_runs
from dlbug_assets.study import Study

WHOLE_GRAPH = "whole_graph"
#: What collects, and the corpora: what comes of the world outside.
REFRESH = "refresh"

#: Dagster's tags for a run over the partitions from one to another.
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


#: From labels to publication: what follows when somebody hands a sheet in.
LABELLING = "labelling"
_LOOK_SECONDS = 15

#: How often a refresh that finds no network tries once more by itself, a minute, 4 and 16 minutes later.
_RETRIES = 3

_NOT_OVER = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def automation(study: Study, home: Home, corpora: Sequence[dg.AssetKey]) -> dg.Definitions:
    """One job for everything and one per stage, each followed by publication so that nobody reads stale tables; and one
    for the ``corpora``, what is made library by library.

    A study that follows a source has two schedules: what changed, daily, and everything, weekly; they refresh the
    corpora, and where nothing changed there is nothing that follows. A study whose labels
    are handed in as files has a sensor on the inbox. While the UI is open, what lies downstream of a change follows by
    itself, and runs whose process is gone are marked.
    """
    everything = dg.define_asset_job(
        WHOLE_GRAPH, selection=dg.AssetSelection.all(), description="Every table of the study, then its publication"
    )
    refresh = dg.define_asset_job(
        REFRESH, selection=list(corpora), description="What the sources reply, and the corpora that are made of it"
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
    if study.follows_a_source:
        schedules = [_schedule(study, sweep=False), _schedule(study, sweep=True)]
    labelling = dg.define_asset_job(
        LABELLING,
        selection=dg.AssetSelection.groups("labeling", "analysis", "publishing"),
        description="What follows from sheets that were handed in: agreement, decisions, analysis, publication",
    )
    downstream = dg.AutomationConditionSensorDefinition(
        "downstream",
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_LOOK_SECONDS,
        description="Makes what lies downstream of a change, up to the published database",
    )
    sensors: list[dg.SensorDefinition] = [downstream, _lost_runs_sensor(home.run_locks)]
    if study.sources.labels == "files":
        sensors.append(_inbox_sensor(home.labels / "inbox"))
    return dg.Definitions(jobs=[everything, refresh, labelling, *stages], schedules=schedules, sensors=sensors)


def _lost_runs_sensor(run_locks: Path) -> dg.SensorDefinition:
    @dg.sensor(
        name="lost_runs",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs whose process is gone as failed",
    )
    def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        lost = report_lost_runs(context.instance, run_locks)
        return dg.SkipReason(f"marked as failed: {', '.join(lost)}" if lost else "no run was lost")

    return lost_runs


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
        seen = hashlib.sha256(json.dumps(as_they_are(settled)).encode()).hexdigest()
        if not settled or context.cursor == seen:
            return dg.SkipReason("nothing new in the inbox")
        return dg.SensorResult([dg.RunRequest(run_key=seen)], cursor=seen)

    return labels_inbox


def _schedule(study: Study, *, sweep: bool) -> dg.ScheduleDefinition:
    collecting = {"config": {"sweep": sweep, "retries": _RETRIES}}
    request = dg.RunRequest(
        tags={RANGE_START: study.library_names[0], RANGE_END: study.library_names[-1]},
        run_config={"ops": {step_name(landing): collecting for landing in LANDINGS}},
    )

    @dg.schedule(
        name="sweep" if sweep else "refresh",
        cron_schedule=study.schedule.sweep if sweep else study.schedule.refresh,
        execution_timezone="UTC",
        job_name=REFRESH,
        description="The full question again: scores that changed by votes alone, deletions"
        if sweep
        else "What changed since the last time",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        running = context.instance.get_runs(dg.RunsFilter(job_name=REFRESH, statuses=_NOT_OVER), limit=1)
        if running:
            return dg.SkipReason(f"the one before it is not over yet: run {running[0].run_id}")
        return request

    return schedule
