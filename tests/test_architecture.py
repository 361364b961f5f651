"""The arrows of the house: data flows one way, and so do imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dlbug_assets

PACKAGE = Path(dlbug_assets.__file__).parent

GROUND_FLOOR = {
    "errors", "clock", "durable", "study", "taxonomy", "table_specs", "lease", "privacy", "quota", "wire", "landing",
    "warehouse", "table_assets", "collecting", "sql_models", "artifact", "sample", "drawing", "spark", "side_by_side",
    "layout", "code_identity",
}  # fmt: skip
ROOMS = ["stackoverflow", "github", "labeling", "analysis", "publishing"]
#: Assembles and launches; no room may know it.
FRONT = {
    "definitions", "automation", "cli", "runs", "summary", "progress", "queries", "doctor", "lost_runs", "event_log",
    "settled", "installation", "__main__",
}  # fmt: skip

#: The modules that know Dagster; everything else is plain functions on frames.
DAGSTER = {
    "table_assets", "collecting", "sql_models", "automation", "definitions", "progress", "runs", "lost_runs",
    "event_log", "settled",
}  # fmt: skip

#: The storage of Dagster that dagster.yaml may name has no public name to derive from, and is half a run's time.
WITH_PRIVATE_PARTS = ("event_log",)


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).with_suffix("").parts, path


def imports(path: Path) -> set[str]:
    """Full names of what a module imports, whether at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def inner(path: Path) -> set[str]:
    """The rooms and ground floor modules that a module imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("dlbug_assets.")}


def test_every_module_has_its_place():
    places = {parts[0] for parts, _ in modules()} - {"__init__"}
    assert places == GROUND_FLOOR | set(ROOMS) | FRONT


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_earlier_rooms_and_the_ground_floor(room):
    allowed = GROUND_FLOOR | set(ROOMS[: ROOMS.index(room) + 1])
    wrong = {str(path): inner(path) - allowed for parts, path in modules() if parts[0] == room}
    assert {path: names for path, names in wrong.items() if names} == {}


def test_the_ground_floor_imports_no_room():
    wrong = {str(path): inner(path) - GROUND_FLOOR for parts, path in modules() if parts[0] in GROUND_FLOOR}
    assert {path: names for path, names in wrong.items() if names} == {}


def test_only_doormen_know_dagster():
    knowing = {
        "/".join(parts) for parts, path in modules() if any(name.split(".")[0] == "dagster" for name in imports(path))
    }
    assert knowing == DAGSTER | {f"{room}/assets" for room in ROOMS}


def test_no_private_part_of_dagster_is_used():
    private = {
        name
        for parts, path in modules()
        if parts != WITH_PRIVATE_PARTS
        for name in imports(path)
        if name.startswith(("dagster._", "dagster_shared._"))
    }
    assert private == set()


def test_only_the_warehouse_opens_databases():
    opening = {"/".join(parts) for parts, path in modules() if "duckdb.connect" in path.read_text(encoding="utf-8")}
    assert opening == {"warehouse"}


@pytest.mark.slow
def test_bandit_finds_no_weak_spot_that_is_not_argued():
    command = ["-m", "bandit", "-q", "-c", "pyproject.toml", "-r", "dlbug_assets", "benchmarks"]
    found = subprocess.run([sys.executable, *command], cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")
