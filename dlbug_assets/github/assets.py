"""Assets of the GitHub corpus: its landing, and the tables loaded from it, partitioned by library."""

from functools import partial
from pathlib import Path

import dagster as dg

from dlbug_assets.asset_factories.landings import COMMITS_LANDING, landing_asset
from dlbug_assets.asset_factories.tables import TableAssets
from dlbug_assets.github.sampling import sampled_commits
from dlbug_assets.github.sources import CommitSource
from dlbug_assets.protocol.study import Study


def assets(
    study: Study, source: CommitSource, lock: Path, tables: TableAssets, *, incomplete: bool
) -> list[dg.AssetsDefinition]:
    """Return the Python assets; ``lock`` lets one process at a time collect for a study.

    ``incomplete`` allows sampling while repositories are unread.
    """
    return [
        landing_asset(COMMITS_LANDING, source.collect, lock, tables),
        tables.partitioned_table(
            "github.repositories",
            "github.fix_commits",
            "github.collections",  # written last: its rows mark collections as loaded
            compute=source.load,
            after=[COMMITS_LANDING],
        ),
        tables.partitioned_table(
            "github.sampled_commits",
            compute=partial(sampled_commits, study=study, details=source.details, incomplete=incomplete),
            reads={"commits": "github.fix_commits", "repositories": "github.repositories"},
        ),
    ]
