"""Run the sample study at a factor of its size: `python -m benchmarks.growth_run FACTOR REPLY`."""

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import tomli_w

from dlbug_assets.cli.main import cli
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study, posts_per_library, shipped_studies
from dlbug_assets.warehouse.published import open_published

_NAME = "grown_sample"
_MIB = 1024 * 1024


def study_file(factor: int, folder: Path) -> Path:
    """Write the study `sample` with ``factor`` times the posts and commits, all labelled; return the file."""
    content: dict[str, Any] = tomllib.loads(shipped_studies()["sample"].read_text(encoding="utf-8"))
    shipped = load_study("sample")
    content["study"]["name"] = _NAME
    content["sources"]["sample_size"] = factor
    content["selection"]["commits_per_library"] = factor * shipped.selection.commits_per_library
    sampled = [posts for each in shipped.dimensions if (posts := posts_per_library(shipped, each)) is not None]
    content["labeling"]["antipattern_posts_per_library"] = factor * max(sampled)
    for library, known in zip(content["libraries"], shipped.libraries, strict=True):
        library["max_repositories"] = factor * known.max_repositories
    path = folder / f"{_NAME}.toml"
    path.write_text(tomli_w.dumps(content), encoding="utf-8")
    return path


def run(factor: int) -> dict[str, Any]:
    """Run `dlbug run` in DLBUG_HOME.

    Returns its steps by start (name, start and end in seconds since 1970), rows by table, and the published database in
    MiB.
    """
    home = Home.of(_NAME, os.environ)
    cli(["run", "--study", str(study_file(factor, home.folder.parent))], standalone_mode=False)
    with dg.DagsterInstance.from_config(str(home.dagster_home)) as instance:
        steps = [
            (str(step.step_key).replace("__", ".", 1), step.start_time, step.end_time)
            for record in instance.get_runs()
            for step in instance.get_run_step_stats(record.run_id)
            if step.start_time is not None and step.end_time is not None
        ]
    with open_published(home) as connection:
        rows = _rows(connection)
    return {
        "steps": sorted(steps, key=lambda step: step[1]),
        "rows": rows,
        "database_mib": home.published.stat().st_size / _MIB,
    }


def _rows(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    tables = connection.execute(
        "select schema_name || '.' || table_name from duckdb_tables() where database_name = current_database()"
    ).fetchall()
    return {table: connection.execute(f"select count(*) from {table}").fetchall()[0][0] for (table,) in tables}


if __name__ == "__main__":
    try:
        reply = run(int(sys.argv[1]))
    except DlbugError as error:
        # The log above has the failed step and the reason: a traceback would hide it.
        sys.exit(f"error: {error}")
    Path(sys.argv[2]).write_text(json.dumps(reply), encoding="utf-8")
