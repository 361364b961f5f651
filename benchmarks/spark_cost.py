"""Measure the cost of reading a dump on Spark and on one machine: `python -m benchmarks.spark_cost [FOLDER]`.

Both read a small and a large synthetic dump, alternating, three times each; the minimum counts. A straight line through
the two sizes gives the fixed cost and the cost per gigabyte, in processor seconds, because wall-clock time depends on
other programs. It needs the requirements of `make test-cluster`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.dump_input import TAGS, write_dump

_ROWS = (60_000, 360_000)
_REPEATS = 3
_ADDRESS = "local[2]"
_TICKS = os.sysconf("SC_CLK_TCK")


def main(folder: Path) -> None:
    """Measure both ways and print their costs."""
    sizes, seconds = [], {"one machine": [], "Spark": []}
    for rows in _ROWS:
        path = folder / f"{rows}" / "Posts.xml"
        path.parent.mkdir(exist_ok=True)
        write_dump(path, rows)
        sizes.append(path.stat().st_size / 1e9)
        measured = [{way: _measure(path, way) for way in seconds} for _ in range(_REPEATS)]
        if len({json.dumps(result["counts"]) for pair in measured for result in pair.values()}) > 1:
            sys.exit(f"the results differ: {measured}")
        for way, minima in seconds.items():
            minima.append(min(pair[way]["processor"] for pair in measured))
            clock = min(pair[way]["clock"] for pair in measured)
            print(f"{sizes[-1]:.3f} GB {way}: {minima[-1]:.1f} processor seconds, {clock:.1f} s wall-clock time")  # noqa: T201
    for way, (small, large) in seconds.items():
        slope = (large - small) / (sizes[1] - sizes[0])
        print(f"{way}: {small - slope * sizes[0]:.1f} s + {slope:.1f} s per GB")  # noqa: T201


def _measure(path: Path, way: str) -> dict[str, Any]:
    code = f"from benchmarks.spark_cost import read; read({str(path)!r}, {way!r})"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)  # noqa: S603
    return json.loads(done.stdout.splitlines()[-1])


def read(path: str, way: str) -> None:
    """Read a dump in a process of its own; print processor and wall-clock seconds and the counts as JSON, last."""
    from dlbug_assets.stackoverflow.dump import extraction, on_spark  # noqa: PLC0415 - part of the cost

    extract = extraction.extract if way == "one machine" else partial(on_spark.extract, address=_ADDRESS)
    with tempfile.TemporaryDirectory() as out:
        folders = {tag: Path(out, tag) for tag in TAGS}
        for folder in folders.values():
            folder.mkdir()
        began = time.perf_counter()
        result = extract(
            Path(path),
            {tag: [tag] for tag in TAGS},
            folders,
            min_score=6,
            created_from=date(2010, 1, 1),
            created_until=None,
        )
        clock = time.perf_counter() - began
    counts = [result.rows, *result.questions.values(), *result.answers.values()]
    print(json.dumps({"processor": _processor_seconds(), "clock": clock, "counts": counts}))  # noqa: T201


def _processor_seconds() -> float:
    """Return the processor seconds of this process and its children, including Spark's Java, which still runs."""
    taken = sum(os.times()[:4])
    for status in Path("/proc").glob("[0-9]*/stat"):
        fields = status.read_text(errors="replace").rpartition(")")[2].split()
        if int(fields[1]) == os.getpid():
            taken += sum(map(int, fields[11:15])) / _TICKS
    return taken


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
