"""The package's setting of the memory allocator."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HOLDS_AND_DROPS = """
import dlbug_assets
import polars as pl

def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) >> 10

before = resident()
frame = pl.DataFrame({"number": range(1000)}).select(pl.col("number").repeat_by(30_000).explode())
held = resident()
del frame
print(before, held, resident())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_freed_by_polars_is_returned_to_the_system_at_once():
    environ = {name: value for name, value in os.environ.items() if name != "_RJEM_MALLOC_CONF"}
    done = subprocess.run(
        [sys.executable, "-c", HOLDS_AND_DROPS], env=environ, capture_output=True, text=True, check=True
    )  # fmt: skip
    before, held, after = map(int, re.findall(r"\d+", done.stdout))
    assert held - before > 200
    assert after - before < 100
