# ruff: noqa: T201 - the table it prints is what it is for
"""`python -m benchmarks.growth`: the sample study at several times its size, step by step; `--factors 1,10,100`.

Each factor is a run of the command's own code in a process and a home of its own. What a factor came to is kept under
DLBUG_HOME and not measured again (`--again` does): a run of a thousand times the size takes an hour.

A step lasts from its start to its end in Dagster's history of the run. Its time is given in seconds, and in processor
seconds (of all threads), which other programs on the machine do not lengthen: growth is read off the latter. Memory is
the process's, as Linux counts it: every 20 ms this process reads the high-water mark of the one that runs (VmHWM) and
sets it back (a 5 into /proc/<pid>/clear_refs), so that no peak in between is missed; a step's peak is the highest mark
read from its start to the first one after its end. What an earlier step has not given back to the system counts for
the later ones, too.

The sizes are those of what is made up: posts, repositories with their commits, and the commits, antipatterns and
batches that are labelled of them. Standard library only until everything is measured (see harness.py).
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.harness import PROJECT, SideFailedError, run_side

FACTORS = (1, 10, 100, 1000)
WHOLE_RUN = "the whole run"
_EVERY_SECONDS = 0.02
#: Seconds below which a step is mostly what it costs to start one: its growth is not looked at.
_SHORT = 0.5


@dataclass(frozen=True)
class Step:
    """A step of a run: seconds, processor seconds, and the peak memory of the process meanwhile in MiB."""

    name: str
    seconds: float
    processor_seconds: float
    peak_mib: float

    @property
    def group(self) -> str:
        """The stage that the step belongs to; of the whole run its name."""
        return self.name.split(".", maxsplit=1)[0]


@dataclass(frozen=True)
class Mark:
    """What a process has come to at a moment (seconds since 1970): processor seconds since it began, and the highest
    memory since the mark before, in MiB."""

    at: float
    processor_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Run:
    """The study at so many times its size: rows by table, the published database in MiB, the whole run, its steps."""

    factor: int
    rows: Mapping[str, int]
    database_mib: float
    whole: Step
    steps: tuple[Step, ...]

    @classmethod
    def read(cls, text: str) -> "Run":
        """What :func:`json.dumps` of its fields wrote."""
        kept: dict[str, Any] = json.loads(text)
        steps = tuple(Step(**step) for step in kept.pop("steps"))
        return cls(**{**kept, "whole": Step(**kept["whole"])}, steps=steps)


def exponent(sizes: tuple[float, float], values: tuple[float, float]) -> float:
    """The slope between two measurements where both axes are logarithmic: 1 is linear, 2 quadratic."""
    return math.log(values[1] / values[0]) / math.log(sizes[1] / sizes[0])


def exponent_of_n_log_n(sizes: tuple[float, float]) -> float:
    """The same of n log n: a little above 1, less so the larger n is."""
    first, second = sizes
    return exponent(sizes, (first * math.log(first), second * math.log(second)))


def step(name: str, start: float, end: float, marks: Sequence[Mark]) -> Step:
    """A step from the marks that tell of it: those from its start to the first one after its end."""
    before = max((mark.processor_seconds for mark in marks if mark.at < start), default=0.0)
    following = min((mark.at for mark in marks if mark.at >= end), default=math.inf)
    told = [mark for mark in marks if start <= mark.at <= following]
    return Step(name, end - start, told[-1].processor_seconds - before, max(mark.peak_mib for mark in told))


def growth(runs: Sequence[Run]) -> list[list[str]]:
    """The table, its header first: each step's processor seconds and MiB by factor, and the exponents between
    neighbouring factors."""
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
    """The table for the terminal: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(line))
        for line in (list(zip(row, widths, strict=True)) for row in table)
    )


def markdown(table: Sequence[Sequence[str]]) -> str:
    """The table for the docs."""
    head, *lines = table
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines)) + "\n"


def write_csv(path: Path, runs: Sequence[Run]) -> None:
    """A line per factor and step, the whole run included."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("factor", "step", "seconds", "processor_seconds", "peak_mib"))
        for run in runs:
            for each in (*run.steps, run.whole):
                seconds = (f"{value:.2f}" for value in (each.seconds, each.processor_seconds))
                lines.writerow((run.factor, each.name, *seconds, f"{each.peak_mib:.0f}"))


def measured(factor: int, home: Path) -> Run:
    """Run the study at a factor in this folder, which is deleted before and after. Raises :class:`SideFailedError`."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    marks: list[Mark] = []
    environ = {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "DLBUG_STUDY")}
    try:
        seconds, _, reply = run_side(
            ["benchmarks.growth_run", str(factor)],
            environ | {"DLBUG_HOME": str(home)},
            watch=lambda process: _watched(process, marks),
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)
    steps = tuple(step(name, start, end, marks) for name, start, end in reply["steps"])
    whole = Step(WHOLE_RUN, seconds, marks[-1].processor_seconds, max(mark.peak_mib for mark in marks))
    return Run(factor, reply["rows"], reply["database_mib"], whole, steps)


@contextmanager
def _watched(process: int, marks: list[Mark]) -> Iterator[None]:
    """Within, marks of a process are taken."""
    of = Path(f"/proc/{process}")
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_EVERY_SECONDS):
            try:
                status = dict(line.split(":", 1) for line in (of / "status").read_text().splitlines())
                (of / "clear_refs").write_text("5")
                # Its times in user mode and in the kernel, after the name in brackets and eleven other fields.
                ticks = map(int, (of / "stat").read_text().rpartition(")")[2].split()[11:13])
            except OSError:  # it has just ended
                return
            if "VmHWM" in status:
                spent = sum(ticks) / os.sysconf("SC_CLK_TCK")
                marks.append(Mark(time.time(), spent, int(status["VmHWM"].split()[0]) / 1024))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()


def main(arguments: Sequence[str]) -> int:
    """Measure what is asked for and has not been measured; returns the exit code: 1 where a run failed."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.growth", description="How a run of the sample grows.")
    options.add_argument("--factors", default=",".join(map(str, FACTORS)), help="times its size, as in 1,10,100")
    options.add_argument("--again", action="store_true", help="measure also what has been measured")
    asked = options.parse_args(arguments)
    if not Path("/proc/self/clear_refs").exists():
        print("error: peaks are read from /proc, which this system does not have: run it on Linux", file=sys.stderr)
        return 1
    folder = Path(os.environ.get("DLBUG_HOME") or PROJECT / "warehouse", "benchmarks", "growth")
    folder.mkdir(parents=True, exist_ok=True)
    runs = []
    for factor in sorted({int(number) for number in asked.factors.split(",")}):
        kept = folder / f"{factor}.json"
        if asked.again or not kept.exists():
            print(f"{factor} times the size ...", file=sys.stderr)
            try:
                run = measured(factor, folder / f"home-{factor}")
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
    print(f"Seconds are a processor's; exponents are of steps that take {_SHORT} or more of them at the smaller size.")
    (folder / "growth.md").write_text(markdown(table), encoding="utf-8")
    write_csv(folder / "growth.csv", runs)
    from benchmarks.chart import growth_chart  # noqa: PLC0415 - everything is measured

    (folder / "growth.svg").write_text(growth_chart(runs), encoding="utf-8")
    print(f"The same as growth.csv, growth.md and growth.svg: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
