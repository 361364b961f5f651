"""Jobs: the whole graph, and each group by itself."""

import dagster as dg

from dlbug_assets.study import SCHEMAS

WHOLE_GRAPH = "whole_graph"


def automation() -> dg.Definitions:
    """One job for everything and one per stage, each followed by publication so that nobody reads stale tables."""
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
    return dg.Definitions(jobs=[everything, *stages])
