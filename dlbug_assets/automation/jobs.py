"""Jobs, the whole graph and each group by itself; the schedules that keep a live corpus fresh; and what follows."""

from collections.abc import Sequence

import dagster as dg

from dlbug_assets.automation.schedules import REFRESH, refresh_schedule
from dlbug_assets.automation.sensors import INBOX_INTERVAL_SECONDS, LABELLING, inbox_sensor, orphaned_runs_sensor
from dlbug_assets.layout import SCHEMAS, Home
from dlbug_assets.protocol.study import Study

WHOLE_GRAPH = "whole_graph"


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
        schedules = [refresh_schedule(study, sweep=False), refresh_schedule(study, sweep=True)]
    labelling = dg.define_asset_job(
        LABELLING,
        selection=dg.AssetSelection.groups("labeling", "analysis", "publishing"),
        description="What follows from sheets that were handed in: agreement, decisions, analysis, publication",
    )
    downstream = dg.AutomationConditionSensorDefinition(
        "downstream",
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=INBOX_INTERVAL_SECONDS,
        description="Makes what lies downstream of a change, up to the published database",
    )
    sensors: list[dg.SensorDefinition] = [downstream, orphaned_runs_sensor(home.run_locks)]
    if study.sources.labels == "files":
        sensors.append(inbox_sensor(home.labels / "inbox"))
    return dg.Definitions(jobs=[everything, refresh, labelling, *stages], schedules=schedules, sensors=sensors)
