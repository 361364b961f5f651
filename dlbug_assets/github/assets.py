"""Collecting commits into landing, and the tables repositories, fix_commits and sampled_commits, by library."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from dlbug_assets.asset_factories.landings import COMMITS_LANDING, landing_asset
from dlbug_assets.asset_factories.tables import TableAssets
from dlbug_assets.github.sampling import bottom_k_sample
from dlbug_assets.github.sources import CommitSource
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import Part


def assets(study: Study, source: CommitSource, lock: Path, tables: TableAssets) -> list[dg.AssetsDefinition]:
    """The room's assets; ``lock`` lets one process at a time collect for a study."""

    @tables.by_library(
        "github.repositories",
        "github.fix_commits",
        "github.collections",  # the last one: what stands there counts as loaded
        reads={"libraries": "reference.libraries"},
        after=[COMMITS_LANDING],
    )
    def repositories(library: str, own: Any, **_: Any) -> dict[str, Part]:
        return source.load(library, own)

    @tables.by_library("github.sampled_commits", reads={"commits": "github.fix_commits"})
    def sampled_commits(library: str, commits: pl.DataFrame, **_: Any) -> Part:
        sample = bottom_k_sample(commits, library, study.study.seed, study.selection.commits_per_library)
        details = source.details(library, sample["sha"].to_list())
        columns = tables.spec("github.sampled_commits").column_names
        rows = sample.join(details, on=["library", "sha"], how="left").select(columns)
        return Part(rows, "library = ?", [library])

    return [landing_asset(COMMITS_LANDING, source.collect, lock, tables), repositories, sampled_commits]
