"""Collecting posts into landing, and loading raw_posts and raw_answers from there, partitioned by library.

screening, candidate_posts and the funnel are SQL.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from dlbug_assets.asset_factories.landings import POSTS_LANDING, landing_asset
from dlbug_assets.asset_factories.tables import TableAssets
from dlbug_assets.stackoverflow.sources import PostSource
from dlbug_assets.warehouse.rows import Part


def assets(source: PostSource, lock: Path, tables: TableAssets) -> list[dg.AssetsDefinition]:
    """The room's Python assets; ``lock`` lets one process at a time collect for a study."""

    @tables.by_library(
        "stackoverflow.raw_posts",
        "stackoverflow.raw_answers",
        "stackoverflow.irregularities",
        "stackoverflow.collections",  # the last one: what stands there counts as loaded
        reads={"libraries": "reference.libraries"},
        after=[POSTS_LANDING],
    )
    def raw_posts(library: str, own: Any, **_: Any) -> dict[str, Part]:
        return source.load(library, own)

    return [landing_asset(POSTS_LANDING, source.collect, lock, tables), raw_posts]
