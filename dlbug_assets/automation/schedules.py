"""Schedules that refresh the corpora."""

import dagster as dg

from dlbug_assets.asset_factories.landings import LANDINGS, step_name
from dlbug_assets.protocol.study import Study

#: What collects, and the corpora: what comes of the world outside.
REFRESH = "refresh"

#: Dagster's tags for a run over the partitions from one to another.
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

#: How often a refresh that finds no network tries once more by itself, a minute, 4 and 16 minutes later.
_RETRIES = 3

_NOT_OVER = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def refresh_schedule(study: Study, *, sweep: bool) -> dg.ScheduleDefinition:
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
