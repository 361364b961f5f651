"""The tables repositories, fix_commits and sampled_commits, partitioned by library."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from dlbug_assets.github.sampling import bottom_k
from dlbug_assets.github.sources import commit_source
from dlbug_assets.study import Study
from dlbug_assets.table_assets import Part, TableAssets


def assets(study: Study, tables: TableAssets, release: Callable[[], pl.DataFrame]) -> list[dg.AssetsDefinition]:
    """The room's assets; ``release`` gives the rows of the authors' release."""

    @tables.by_library("github.repositories", reads={"libraries": "reference.libraries"})
    def repositories(library: str, **_: Any) -> Part:
        now = pl.lit(datetime.now(UTC).replace(tzinfo=None)).alias("retrieved_at")
        return _part(commit_source(study, release).repositories(library).with_columns(now), library)

    @tables.by_library("github.fix_commits", reads={"repositories": "github.repositories"})
    def fix_commits(library: str, **_: Any) -> Part:
        commits = commit_source(study, release).commits(library)
        return _part(commits.with_columns(pl.col("authored_at").dt.year().alias("year")), library)

    @tables.by_library("github.sampled_commits", reads={"commits": "github.fix_commits"})
    def sampled_commits(library: str, commits: pl.DataFrame, **_: Any) -> Part:
        sample = bottom_k(commits, library, study.study.seed, study.selection.commits_per_library)
        details = commit_source(study, release).details(library, sample["sha"].to_list())
        columns = tables.spec("github.sampled_commits").column_names
        return _part(sample.join(details, on=["library", "sha"], how="left").select(columns), library)

    return [repositories, fix_commits, sampled_commits]


def _part(rows: pl.DataFrame, library: str) -> Part:
    return Part(rows, "library = ?", [library])
