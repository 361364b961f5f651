"""Assets of the Stack Overflow corpus: its landing, and the tables loaded from it, partitioned by library.

Screening, candidate posts and the funnel are SQL models.
"""

from pathlib import Path

import dagster as dg

from dlbug_assets.asset_factories.landings import POSTS_LANDING, landing_asset
from dlbug_assets.asset_factories.tables import TableAssets
from dlbug_assets.stackoverflow.sources import PostSource


def assets(source: PostSource, lock: Path, tables: TableAssets) -> list[dg.AssetsDefinition]:
    """Return the Python assets; the file ``lock`` lets one process at a time collect."""
    return [
        landing_asset(POSTS_LANDING, source.collect, lock, tables),
        tables.partitioned_table(
            "stackoverflow.raw_posts",
            "stackoverflow.raw_answers",
            "stackoverflow.irregularities",
            "stackoverflow.collections",  # the last one: its rows mark collections as loaded
            compute=source.load,
            after=[POSTS_LANDING],
        ),
    ]
