"""The layers of the package: data flows one way, and so do imports."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

from dlbug_assets.layout import PACKAGE, PROJECT

#: Modules at the root of the package, which import from no package.
GROUND = {
    "errors",
    "clock",
    "layout",
    "kappa",
    "privacy",
    "atomic_files",
    "parallel",
    "chart_style",
    "code_identity",
    "installation",
}
#: Packages from bottom to top, with the definitions and the entry point: each imports from those before it.
LAYERS = [
    "defs",
    "protocol",
    "warehouse",
    "ingest",
    "asset_factories",
    "sample",
    "releases",
    "stackoverflow",
    "github",
    "labeling",
    "analysis",
    "publishing",
    "automation",
    "definitions",
    "cli",
    "__main__",
]
#: Neither of these imports from the other.
SIDE_BY_SIDE = [{"stackoverflow", "github"}]
STAGES = ["stackoverflow", "github", "labeling", "analysis", "publishing"]

#: What imports Dagster; everything else is plain functions on frames.
WITH_DAGSTER = (
    "definitions",
    "asset_factories/code_references",
    "asset_factories/landings",
    "asset_factories/metadata",
    "asset_factories/seeds",
    "asset_factories/sql_models",
    "asset_factories/tables",
    "automation/event_log",
    "automation/failures",
    "automation/instance",
    "automation/jobs",
    "automation/orphaned_runs",
    "automation/run_progress",
    "automation/schedules",
    "automation/sensors",
    "automation/step_log",
    "automation/step_output",
    "cli/instance",
    "cli/runs",
    "cli/staleness",
    "cli/ui/server",
    *(f"{stage}/assets" for stage in STAGES),
)

#: Dagster offers no public base class for the event log that dagster.yaml may name, nor for the output of steps; ours
#: halves the time of a run, and lets Ctrl+C end it without tracebacks. It offers no public way to put anything in front
#: of its web server either, nor to give a run that is executed in process the code location by which the UI lists runs.
WITH_PRIVATE_PARTS = (
    "dlbug_assets.automation.event_log",
    "dlbug_assets.automation.instance",
    "dlbug_assets.automation.step_output",
    "dlbug_assets.cli.ui.server",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if "_project" not in path.parts}


def layer(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@functools.cache
def imports(module: str) -> frozenset[str]:
    """Return the full names that a module imports, at its top level or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return frozenset(names)


def loaded_with(module: str) -> set[str]:
    """Return everything that is loaded with a module: what it imports at its top level, directly or through others."""
    reached, pending = set(), [module]
    while pending:
        name = pending.pop()
        if name in reached:
            continue
        reached.add(name)
        if name in MODULES:
            tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
            for node in tree.body:
                if isinstance(node, ast.Import):
                    pending += [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    pending += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return reached


def test_every_module_belongs_to_a_layer():
    assert {layer(module) for module in MODULES} - {""} == {*GROUND, *LAYERS}


def test_ground_modules_import_no_package():
    wrong = {
        module: sorted({layer(name) for name in imports(module) if name.startswith("dlbug_assets.")} - GROUND)
        for module in MODULES
        if layer(module) in GROUND
    }
    assert {module: names for module, names in wrong.items() if names} == {}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_imports_only_from_layers_below(name):
    allowed = GROUND | set(LAYERS[: LAYERS.index(name) + 1])
    for neighbours in SIDE_BY_SIDE:
        if name in neighbours:
            allowed -= neighbours - {name}
    wrong = {
        module: sorted({layer(found) for found in imports(module) if found.startswith("dlbug_assets.")} - allowed)
        for module in MODULES
        if layer(module) == name
    }
    assert {module: names for module, names in wrong.items() if names} == {}


def test_no_folder_is_a_heap():
    folders = {path.parent for path in MODULES.values()}
    sizes = {
        folder.relative_to(PACKAGE.parent).as_posix(): sum(1 for path in folder.glob("*.py")) for folder in folders
    }
    assert {folder: size for folder, size in sizes.items() if size > 13} == {}


def test_only_assets_factories_and_the_command_line_import_dagster():
    found = {
        module.removeprefix("dlbug_assets.").replace(".", "/")
        for module in MODULES
        if any(name.split(".")[0] == "dagster" for name in imports(module))
    }
    assert found == set(WITH_DAGSTER)


@pytest.mark.parametrize("corpus", ["sample", "releases", "stackoverflow", "github"])
def test_sources_load_neither_dagster_nor_duckdb(corpus):
    loaded = {
        module: sorted({name.split(".")[0] for name in loaded_with(module)} & {"dagster", "duckdb"})
        for module in MODULES
        if layer(module) == corpus and not module.endswith(".assets")
    }
    assert {module: names for module, names in loaded.items() if names} == {}


def test_no_private_part_of_dagster_is_used():
    private = {
        name
        for module in MODULES
        if module not in WITH_PRIVATE_PARTS
        for name in imports(module)
        if name.startswith(("dagster._", "dagster_shared._"))
    }
    assert private == set()


def test_only_the_warehouse_opens_databases():
    opening = {module for module, path in MODULES.items() if "duckdb.connect" in path.read_text(encoding="utf-8")}
    assert {layer(module) for module in opening} == {"warehouse"}


@pytest.mark.slow
def test_bandit_finds_no_weak_spot_that_is_not_justified():
    command = ["-m", "bandit", "-q", "-c", "pyproject.toml", "-r", "dlbug_assets", "benchmarks"]
    found = subprocess.run([sys.executable, *command], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")
