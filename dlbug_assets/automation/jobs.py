"""The jobs of a study, with its schedules and sensors."""

from collections.abc import Sequence

import dagster as dg

from dlbug_assets.automation.schedules import REFRESH, refresh_schedule
from dlbug_assets.automation.sensors import INBOX_INTERVAL_SECONDS, LABELLING, inbox_sensor, orphaned_runs_sensor
from dlbug_assets.layout import SCHEMAS, Home
from dlbug_assets.protocol.study import Study

WHOLE_GRAPH = "whole_graph"


def study_tags(study: Study) -> dict[str, str]:
    """Return the tags of a study's assets and runs: its name, and whether its data are synthetic."""
    return {"study": study.name, "synthetic": str(study.is_synthetic).lower()}


def automation(study: Study, home: Home, corpora: Sequence[dg.AssetKey]) -> dg.Definitions:
    """Return the jobs, schedules and sensors of a study; ``corpora`` are its partitioned assets.

    There is a job for everything, one for the corpora, one for labelling and one per stage. All but the second
    include publication, so that the published tables are never older than those that a job materialized. A study that
    follows a source has two schedules, which refresh the corpora: changes daily, everything weekly. A study whose
    labels are submitted as files has a sensor on the inbox. While the UI runs, a sensor materializes what is downstream
    of a change, and another marks orphaned runs as failed.
    """
    tags = study_tags(study)
    everything = dg.define_asset_job(
        WHOLE_GRAPH,
        selection=dg.AssetSelection.all(),
        description="All tables of the study, then their publication",
        tags=tags,
    )
    refresh = dg.define_asset_job(
        REFRESH,
        selection=list(corpora),
        description="The replies of the sources, and the corpora that are loaded from them",
        tags=tags,
    )
    stages = [
        dg.define_asset_job(
            f"{schema}_group",
            selection=dg.AssetSelection.groups(schema) | dg.AssetSelection.groups("publishing"),
            description=f"The tables of the stage {schema}, then their publication",
            tags=tags,
        )
        for schema in SCHEMAS
    ]
    schedules = []
    if study.follows_a_source:
        schedules = [refresh_schedule(study, sweep=False), refresh_schedule(study, sweep=True)]
    labelling = dg.define_asset_job(
        LABELLING,
        selection=dg.AssetSelection.groups("labeling", "analysis", "publishing"),
        description="Everything downstream of submitted sheets: agreement, decisions, analysis, publication",
        tags=tags,
    )
    downstream = dg.AutomationConditionSensorDefinition(
        "downstream",
        target=dg.AssetSelection.all(),
        run_tags=tags,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=INBOX_INTERVAL_SECONDS,
        description="Materializes what is downstream of a change, up to the published database",
    )
    sensors: list[dg.SensorDefinition] = [downstream, orphaned_runs_sensor(home.run_locks)]
    if study.sources.labels == "files":
        sensors.append(inbox_sensor(home.labels / "inbox"))
    return dg.Definitions(jobs=[everything, refresh, labelling, *stages], schedules=schedules, sensors=sensors)
