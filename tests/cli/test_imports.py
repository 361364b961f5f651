"""Help is printed without importing slow packages."""

import subprocess
import sys

import pytest

_SLOW = ("dagster", "duckdb", "mcp", "polars", "requests", "scipy")


@pytest.mark.parametrize("command", [(), ("run",), ("labels", "export"), ("doctor",), ("sql",), ("mcp",)])
def test_help_imports_nothing_slow(command):
    code = f"""
import sys
from dlbug_assets.cli import main
main()
print([name for name in {_SLOW} if name in sys.modules], file=sys.stderr)
"""
    result = subprocess.run(
        [sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True, check=False
    )

    assert result.stdout.startswith("Usage: ")
    assert (result.returncode, result.stderr) == (0, "[]\n")
