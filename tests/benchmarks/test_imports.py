"""The benchmarks import each other without a cycle."""

import ast
from graphlib import TopologicalSorter

from dlbug_assets.layout import PROJECT

FILES = {f"benchmarks.{path.stem}": path for path in (PROJECT / "benchmarks").glob("*.py")}


def imports(module: str) -> set[str]:
    """Return the benchmarks' modules that a module imports, at its top level or inside a function."""
    nodes = ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8")))
    return {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)} & set(FILES)


def test_benchmarks_have_no_import_cycle():
    order = list(TopologicalSorter({module: imports(module) for module in FILES}).static_order())
    assert order.index("benchmarks.harness") < order.index("benchmarks.chart") < order.index("benchmarks.growth")
