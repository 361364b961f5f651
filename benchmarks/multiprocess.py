"""Run the study `sample` with Dagster's stock multiprocess executor: a process per step."""

import os
from collections.abc import Mapping

import dagster as dg

from dlbug_assets.automation.jobs import WHOLE_GRAPH
from dlbug_assets.cli.instance import prepared_instance
from dlbug_assets.definitions import build_defs
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study


def whole_graph() -> dg.JobDefinition:
    """Build the job of the whole graph with the stock multiprocess executor; each step's process builds it again."""
    ours = build_defs(load_study("sample"), os.environ)
    stock = dg.Definitions(
        assets=ours.assets,
        asset_checks=ours.asset_checks,
        jobs=ours.jobs,
        resources=ours.resources,
        loggers=ours.loggers,
        executor=dg.multiprocess_executor,
    )
    return stock.resolve_job_def(WHOLE_GRAPH)


def execute(environ: Mapping[str, str]) -> None:
    """Run the job for all libraries in DLBUG_HOME; raises the error of the first step that fails."""
    study = load_study("sample")
    tags = {
        "dagster/asset_partition_range_start": study.library_names[0],
        "dagster/asset_partition_range_end": study.library_names[-1],
    }
    with (
        prepared_instance(Home.of(study.name, environ)) as instance,
        dg.execute_job(
            dg.reconstructable(whole_graph),
            instance,
            run_config={"loggers": {"progress": {}}},
            tags=tags,
            raise_on_error=True,
        ),
    ):
        pass
