# ruff: noqa: T201 - its purpose is to print a table
"""Measure the steps of the sample study at several times its size: `python -m benchmarks.growth --factors 1,10,100`.

Each factor runs the command's own code in a separate process and home. Results are kept under DLBUG_HOME and not
measured again (unless with `--again`): a run at a thousand times the size takes an hour.

A step lasts from its start to its end in Dagster's run history. Its time is measured in wall-clock seconds and in
processor seconds (of all threads). The latter don't depend on other programs, so growth is computed from them. Memory
is that of the process on Linux: every 20 ms this process reads the other's high-water mark (VmHWM) and resets it (by a
5 in /proc/<pid>/clear_refs), so that no peak is missed. A step's peak is the highest mark from its start to the first
one after its end. It includes memory that earlier steps haven't returned to the system.

The synthetic data grows: posts, repositories with their commits, and the commits, antipatterns and batches that are
labelled. This module only uses the standard library until everything is measured (see harness.py).
"""

import argparse
import csv
import json
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.harness import PROJECT, WHOLE_RUN, Run, SideFailedError, Step, run_side

FACTORS = (1, 10, 100, 1000)
_INTERVAL = 0.02
#: Seconds below which a step's time is mostly its start-up, so it has no exponent.
_SHORT = 0.5


@dataclass(frozen=True)
class Mark:
    """The state of a process at a time (seconds since 1970).

    ``processor_seconds`` count from its start, ``peak_mib`` is the peak memory since the mark before.
    """

    at: float
    processor_seconds: float
    peak_mib: float


def exponent(sizes: tuple[float, float], values: tuple[float, float]) -> float:
    """Return the slope between two measurements with both axes logarithmic: 1 is linear, 2 quadratic."""
    return math.log(values[1] / values[0]) / math.log(sizes[1] / sizes[0])


def exponent_of_n_log_n(sizes: tuple[float, float]) -> float:
    """Return the exponent of n log n: slightly above 1, and closer to it the larger n is."""
    first, second = sizes
    return exponent(sizes, (first * math.log(first), second * math.log(second)))


def step(name: str, start: float, end: float, marks: Sequence[Mark]) -> Step:
    """Return a step from the marks from its start to the first one after its end."""
    before = max((mark.processor_seconds for mark in marks if mark.at < start), default=0.0)
    following = min((mark.at for mark in marks if mark.at >= end), default=math.inf)
    during = [mark for mark in marks if start <= mark.at <= following]
    return Step(name, end - start, during[-1].processor_seconds - before, max(mark.peak_mib for mark in during))


def growth(runs: Sequence[Run]) -> list[list[str]]:
    """Return the table, header first: processor seconds and MiB by step and factor, and exponents between factors."""
    times = [f"{run.factor} x" for run in runs]
    between = [f"{a.factor} to {b.factor} x" for a, b in pairwise(runs)]
    table = [["step", *(f"s, {name}" for name in times), *between, *(f"MiB, {name}" for name in times)]]
    names = [step.name for step in runs[0].steps]
    by_name = [{each.name: each for each in (*run.steps, run.whole)} for run in runs]
    for name in (*names, WHOLE_RUN):
        steps = [steps[name] for steps in by_name]
        exponents = [
            f"{exponent((a.factor, b.factor), (first.processor_seconds, second.processor_seconds)):.2f}"
            if first.processor_seconds >= _SHORT
            else ""
            for (a, b), (first, second) in zip(pairwise(runs), pairwise(steps), strict=True)
        ]
        seconds = [f"{each.processor_seconds:.2f}" for each in steps]
        table.append([name, *seconds, *exponents, *(f"{each.peak_mib:.0f}" for each in steps)])
    return table


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Format the table for the terminal, with names aligned left and numbers right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(line))
        for line in (list(zip(row, widths, strict=True)) for row in table)
    )


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Format the table in Markdown, for the docs."""
    head, *lines = table
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines)) + "\n"


def write_csv(path: Path, runs: Sequence[Run]) -> None:
    """Write a line per factor and step, including the whole run."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("factor", "step", "seconds", "processor_seconds", "peak_mib"))
        for run in runs:
            for each in (*run.steps, run.whole):
                seconds = (f"{value:.2f}" for value in (each.seconds, each.processor_seconds))
                lines.writerow((run.factor, each.name, *seconds, f"{each.peak_mib:.0f}"))


def measure(factor: int, home: Path) -> Run:
    """Run the study at a factor in a folder, which is deleted before and after. Raises :class:`SideFailedError`."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    marks: list[Mark] = []
    environ = {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "DLBUG_STUDY")}
    try:
        seconds, _, reply = run_side(
            ["benchmarks.growth_run", str(factor)],
            environ | {"DLBUG_HOME": str(home)},
            watch=lambda process: watched(process, marks),
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)
    steps = tuple(step(name, start, end, marks) for name, start, end in reply["steps"])
    whole = Step(WHOLE_RUN, seconds, marks[-1].processor_seconds, max(mark.peak_mib for mark in marks))
    return Run(factor, reply["rows"], reply["database_mib"], whole, steps)


@contextmanager
def watched(process: int, marks: list[Mark]) -> Iterator[None]:
    """Add marks of a process to a list while the context is open."""
    folder = Path(f"/proc/{process}")
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_INTERVAL):
            try:
                status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
                (folder / "clear_refs").write_text("5")
                # User and system time follow the name in parentheses and eleven other fields.
                ticks = map(int, (folder / "stat").read_text().rpartition(")")[2].split()[11:13])
            except OSError:  # it has just ended
                return
            if "VmHWM" in status:
                spent = sum(ticks) / os.sysconf("SC_CLK_TCK")
                marks.append(Mark(time.time(), spent, int(status["VmHWM"].split()[0]) / 1024))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def main(arguments: Sequence[str]) -> int:
    """Measure the factors that have not been measured; return the exit code: 1 if a run failed."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description="Measure the growth of a run of the sample study."
    )
    options.add_argument(
        "--factors", default=",".join(map(str, FACTORS)), help="multiples of its size, such as 1,10,100"
    )
    options.add_argument("--again", action="store_true", help="measure factors again that have been measured")
    chosen = options.parse_args(arguments)
    if not Path("/proc/self/clear_refs").exists():
        print("error: peaks are read from /proc, which this system doesn't have: run it on Linux", file=sys.stderr)
        return 1
    folder = Path(os.environ.get("DLBUG_HOME") or PROJECT / "warehouse", "benchmarks", "growth")
    folder.mkdir(parents=True, exist_ok=True)
    runs = []
    for factor in sorted({int(number) for number in chosen.factors.split(",")}):
        kept = folder / f"{factor}.json"
        if chosen.again or not kept.exists():
            print(f"{factor} times the size ...", file=sys.stderr)
            try:
                run = measure(factor, folder / f"home-{factor}")
            except SideFailedError as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
            kept.write_text(json.dumps(asdict(run)), encoding="utf-8")
        runs.append(Run.read(kept.read_text(encoding="utf-8")))
    table = growth(runs)
    print(aligned(table))
    for a, b in pairwise(runs):
        sizes = (a.rows["stackoverflow.raw_posts"], b.rows["stackoverflow.raw_posts"])
        print(f"From {sizes[0]} to {sizes[1]} posts, n log n has the exponent {exponent_of_n_log_n(sizes):.2f}.")
    print(f"Seconds are processor seconds; steps of {_SHORT} or more at the smaller size have exponents.")
    (folder / "growth.md").write_text(markdown(table), encoding="utf-8")
    write_csv(folder / "growth.csv", runs)
    from benchmarks.chart import growth_chart  # noqa: PLC0415 - after all measurements

    (folder / "growth.svg").write_text(growth_chart(runs), encoding="utf-8")
    print(f"Written as growth.csv, growth.md and growth.svg to {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
