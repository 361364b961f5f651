"""Schedules that refresh the corpora."""

import dagster as dg

from dlbug_assets.asset_factories.landings import LANDINGS, step_name
from dlbug_assets.protocol.study import Study

#: The job that collects and loads the corpora.
REFRESH = "refresh"

#: Dagster's tags for a run over the partitions from one to another.
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

#: Retries of a refresh that received no reply: one, 4 and 16 minutes after the attempt before.
_RETRIES = 3

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def refresh_schedule(study: Study, *, sweep: bool) -> dg.ScheduleDefinition:
    """Return the schedule `refresh`, which collects changes, or `sweep`, which repeats the full query."""
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
        description="Repeats the full query: finds scores that changed through votes alone, and deletions"
        if sweep
        else "Collects what changed since the last refresh",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        running = context.instance.get_runs(dg.RunsFilter(job_name=REFRESH, statuses=_UNFINISHED), limit=1)
        if running:
            return dg.SkipReason(f"the previous refresh is still running: run {running[0].run_id}")
        return request

    return schedule
