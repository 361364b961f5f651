"""What reading a dump on Spark costs beside reading it here: `python -m benchmarks.spark_cost [FOLDER]`.

Both read the same two dumps that were made up, a small and a large one, in turn, three times each; of every pair of
times the least counts. A straight line through them gives what is fixed and what each gigabyte takes, as seconds of
processors: on a machine with other work to do, the clock says little. It needs what `make test-cluster` installs.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.dump_input import TAGS, write_dump

_ROWS = (60_000, 360_000)
_REPEATS = 3
_ADDRESS = "local[2]"
_TICKS = os.sysconf("SC_CLK_TCK")


def main(folder: Path) -> None:
    """Measure, and say the cost model."""
    sizes, seconds = [], {"here": [], "on Spark": []}
    for rows in _ROWS:
        path = folder / f"{rows}" / "Posts.xml"
        path.parent.mkdir(exist_ok=True)
        write_dump(path, rows)
        sizes.append(path.stat().st_size / 1e9)
        measured = [{way: _measured(path, way) for way in seconds} for _ in range(_REPEATS)]
        if len({json.dumps(each["found"]) for pair in measured for each in pair.values()}) > 1:
            sys.exit(f"the two ways do not find the same: {measured}")
        for way, found in seconds.items():
            found.append(min(pair[way]["processor"] for pair in measured))
            clock = min(pair[way]["clock"] for pair in measured)
            print(f"{sizes[-1]:.3f} GB {way}: {found[-1]:.1f} s of processors, {clock:.1f} s by the clock")  # noqa: T201
    for way, (small, large) in seconds.items():
        slope = (large - small) / (sizes[1] - sizes[0])
        print(f"{way}: {small - slope * sizes[0]:.1f} s + {slope:.1f} s per GB")  # noqa: T201


def _measured(path: Path, way: str) -> dict[str, float]:
    code = f"from benchmarks.spark_cost import reading; reading({str(path)!r}, {way!r})"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)  # noqa: S603
    return json.loads(done.stdout.splitlines()[-1])


def reading(path: str, way: str) -> None:
    """Read a dump, in a process that does nothing else; the last line said is what it took."""
    from dlbug_assets.stackoverflow.dump import extraction, on_spark  # noqa: PLC0415 - a part of what it takes

    extract, options = (extraction.extract, {}) if way == "here" else (on_spark.extract, {"address": _ADDRESS})
    scope = {"min_score": 6, "created_from": date(2010, 1, 1), "created_until": None}
    with tempfile.TemporaryDirectory() as out:
        folders = {tag: Path(out, tag) for tag in TAGS}
        for folder in folders.values():
            folder.mkdir()
        began = time.perf_counter()
        found = extract(Path(path), {tag: [tag] for tag in TAGS}, folders, **scope, **options)
        clock = time.perf_counter() - began
    counts = [found.rows, *found.questions.values(), *found.answers.values()]
    print(json.dumps({"processor": _processor(), "clock": clock, "found": counts}))  # noqa: T201


def _processor() -> float:
    """What this process, and those that it started, took of processors; Spark's Java still runs."""
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
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
