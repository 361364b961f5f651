"""Dagster's `dg` command in a copy of the checkout."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dlbug_assets.layout import PROJECT


@pytest.fixture
def project(tmp_path):
    """Return a copy of the project."""
    copy = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("dlbug_assets", "dbt_like_sql"):
        shutil.copytree(PROJECT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "workspace.yaml"):
        shutil.copy(PROJECT / name, copy / name)
    return copy


@pytest.fixture
def dg(project, tmp_path):
    """Return a function that runs `dg` in the copy, whose code is imported in place of the checkout's."""
    environ = os.environ | {"PYTHONPATH": str(project), "DLBUG_HOME": str(tmp_path / "home"), "NO_COLOR": "1"}

    def run(*arguments: str) -> str:
        result = subprocess.run(
            [Path(sys.executable).with_name("dg"), *arguments],
            cwd=project,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return run


def test_a_scaffolded_definition_is_loaded_with_the_study(dg, project):
    assert dg("list", "component-tree").strip()
    dg("scaffold", "defs", "dagster.asset", "notes.py")
    assert (project / "dlbug_assets" / "defs" / "notes.py").is_file()
    assets = {asset["asset_key"] for asset in json.loads(dg("list", "defs", "--json"))["assets"]}
    assert {"notes", "analysis/findings", "publishing/database"} <= assets
