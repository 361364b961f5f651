"""Jobs, the whole graph and each group by itself; and the schedules that keep a live corpus fresh."""

import dagster as dg

from dlbug_assets.collecting import LANDINGS, step_name
from dlbug_assets.study import SCHEMAS, Study

WHOLE_GRAPH = "whole_graph"

#: Dagster's tags for a run over the partitions from one to another.
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def automation(study: Study) -> dg.Definitions:
    """One job for everything and one per stage, each followed by publication so that nobody reads stale tables.

    A study that follows a source has two schedules: what changed, daily, and everything, weekly.
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
    return dg.Definitions(jobs=[everything, *stages], schedules=schedules)


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
