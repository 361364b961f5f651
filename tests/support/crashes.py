"""`make crash`: kill runs of the sample study, and test that the next run completes it without losses.

Runs are killed (SIGKILL) after each step and at random moments. Each time the tables of the next run are compared with
those of an undisturbed run.

    PYTHONPATH=tests .venv/bin/python -m support.crashes --kills 200 --output .artifacts/crashes.csv
"""
# ruff: noqa: T201 - it prints a table

import argparse
import csv
import dataclasses
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from dlbug_assets.layout import Home
from support.commands import DLBUG, Ran, environment, fingerprints, ran

STUDY = "sample"
#: The start of the line that the command prints for a step that has ended.
DONE = "  done "
Fingerprints = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Kill:
    """When to kill a run, and its initial state: empty, or published by an earlier run.

    The moment is given in seconds after the end of a step, so that it is the same part of a run on a slow machine.
    """

    begins: str
    steps: int
    seconds: float = 0

    @property
    def moment(self) -> str:
        return f"{self.seconds:.2f} s after step {self.steps}" if self.seconds else f"after step {self.steps}"


@dataclass(frozen=True)
class Outcome:
    """The state after one kill, and after the run that followed it."""

    kill: int
    begins: str
    moment: str
    was_running: bool
    steps_done: int
    published_after: str
    runs_left_unfinished: int
    next_exit: int
    tables_that_differ: int
    runs_failed: int
    runs_unfinished: int
    seconds: float

    @property
    def is_loss(self) -> bool:
        return (
            self.published_after == "damaged"
            or bool(self.next_exit or self.tables_that_differ or self.runs_unfinished)
            or self.runs_failed != self.runs_left_unfinished
        )


def _start(root: Path) -> subprocess.Popen[str]:
    """Start the study's run, with its progress in a pipe."""
    return subprocess.Popen(
        [DLBUG, "run", "--study", STUDY],
        env=environment(root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed_run(root: Path, kill: Kill) -> tuple[bool, int]:
    """Run the study and kill it; return whether it was still running then, and how many steps had ended."""
    process = _start(root)
    assert process.stderr
    timer = threading.Timer(kill.seconds, process.kill)
    if kill.seconds and not kill.steps:
        timer.start()
    done = 0
    for line in process.stderr:
        done += line.startswith(DONE)
        if done == kill.steps and not kill.seconds:
            process.kill()
            break
        if done == kill.steps and line.startswith(DONE):
            timer.start()
    process.stderr.close()
    process.wait()
    timer.cancel()
    return process.returncode == -signal.SIGKILL, done


def statuses(home: Home) -> dict[str, str]:
    """Return the status of each run of the instance, by run id."""
    if not (home.dagster_home / "dagster.yaml").exists():
        return {}
    with dg.DagsterInstance.from_config(str(home.dagster_home)) as instance:
        return {run.run_id: run.status.value for run in instance.get_runs()}


def publication(home: Home, expected: Fingerprints) -> str:
    """Return whether the published database is missing (none), complete (whole) or damaged."""
    if not home.published.exists():
        return "none"
    return "whole" if fingerprints(home) == expected else "damaged"


def attempt(number: int, kill: Kill, root: Path, reference: Ran, expected: Fingerprints) -> Outcome:
    """Kill a run and run the study again, in a home of its own."""
    began = time.monotonic()
    home = Home(root, STUDY)
    if kill.begins == "published":
        shutil.copytree(reference.home.root, root)
    was_running, steps_done = killed_run(root, kill)
    published_after = publication(home, expected)
    if kill.begins == "published" and published_after == "none":
        published_after = "damaged"
    left = [run_id for run_id, status in statuses(home).items() if status not in ("SUCCESS", "FAILURE")]
    after = ran(STUDY, root)
    now = statuses(home)
    found = fingerprints(home) if after.result.returncode == 0 else {}
    shutil.rmtree(root)
    return Outcome(
        kill=number,
        begins=kill.begins,
        moment=kill.moment,
        was_running=was_running,
        steps_done=steps_done,
        published_after=published_after,
        runs_left_unfinished=len(left),
        next_exit=after.result.returncode,
        tables_that_differ=sum(found.get(table) != rows for table, rows in expected.items()),
        runs_failed=sum(now[run_id] == "FAILURE" for run_id in left),
        runs_unfinished=sum(status not in ("SUCCESS", "FAILURE") for status in now.values()),
        seconds=round(time.monotonic() - began, 1),
    )


def kills(number: int, pauses: Sequence[float], seed: int = 2019) -> Iterator[Kill]:
    """Yield kills: after each step (0: before the first) of an empty home, then at random moments.

    Random moments are distributed uniformly over the seconds of a run, alternating between published and empty homes.
    ``pauses`` are the seconds from the end of each step to the end of the next.
    """
    generator = random.Random(seed)  # noqa: S311 - the same moments every time
    for position in range(number):
        if position <= len(pauses):
            yield Kill("empty", steps=position)
        else:
            step = generator.choices(range(len(pauses)), weights=pauses)[0]
            yield Kill(("published", "empty")[position % 2], step, generator.uniform(0, pauses[step]))


def timed(root: Path) -> tuple[Ran, list[float]]:
    """Run the study undisturbed; return the run, and the seconds from the end of each step to the end of the next."""
    began = time.monotonic()
    process = _start(root)
    assert process.stderr
    lines, moments = [], [began]
    for line in process.stderr:
        lines.append(line)
        if line.startswith(DONE):
            moments.append(time.monotonic())
    process.stderr.close()
    result = subprocess.CompletedProcess(process.args, process.wait(), "", "".join(lines))
    assert result.returncode == 0, result.stderr
    return Ran(Home(root, STUDY), result), [after - before for before, after in itertools.pairwise(moments)]


def summary(outcomes: list[Outcome]) -> list[list[object]]:
    """Return the rows of the printed table: one per kind of kill, and one for all."""
    kinds = {
        "after each step, empty": lambda outcome: " s " not in outcome.moment,
        "at random, empty": lambda outcome: " s " in outcome.moment and outcome.begins == "empty",
        "at random, published": lambda outcome: outcome.begins == "published",
        "all": lambda _: True,
    }
    rows: list[list[object]] = []
    for kind, belongs in kinds.items():
        chosen = [outcome for outcome in outcomes if belongs(outcome)]
        rows.append(
            [
                kind,
                len(chosen),
                sum(outcome.was_running for outcome in chosen),
                sum(outcome.published_after == "damaged" for outcome in chosen),
                sum(outcome.runs_left_unfinished for outcome in chosen),
                sum(outcome.runs_failed for outcome in chosen),
                sum(outcome.runs_unfinished for outcome in chosen),
                sum(outcome.next_exit != 0 for outcome in chosen),
                sum(outcome.tables_that_differ for outcome in chosen),
                sum(outcome.is_loss for outcome in chosen),
            ]
        )
    return rows


HEADINGS = (
    "kills", "number", "killed while running", "publications damaged", "runs left unfinished",
    "marked failed by the next", "still unfinished after it", "next runs that failed", "tables that differ", "losses",
)  # fmt: skip


def main() -> int:
    """Run all kills; return the exit code: 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, default=Path(".artifacts/crashes.csv"))
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="dlbug-crash-") as folder, arguments.output.open("w", newline="") as file:
        reference, pauses = timed(Path(folder) / "reference")
        expected = fingerprints(reference.home)
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Outcome)])
        writer.writeheader()
        pool = ThreadPoolExecutor(arguments.workers)
        chosen = enumerate(kills(arguments.kills, pauses), start=1)
        attempts = [
            pool.submit(attempt, number, kill, Path(folder) / f"attempt{number}", reference, expected)
            for number, kill in chosen
        ]
        try:
            for done in as_completed(attempts):
                outcome = done.result()
                outcomes.append(outcome)
                writer.writerow(dataclasses.asdict(outcome))
                file.flush()
                result = "LOSS" if outcome.is_loss else "no loss"
                print(f"{outcome.kill}: {outcome.begins}, {outcome.moment}: {result}", file=sys.stderr)
        except KeyboardInterrupt:
            print(f"stopped after {len(outcomes)} kills", file=sys.stderr)
        pool.shutdown(cancel_futures=True)
    rows = summary(outcomes)
    for position, heading in enumerate(HEADINGS):
        print(f"{heading:28}", *(f"{row[position]!s:>32}" for row in rows))
    print(f"A run has {len(pauses)} steps and took {sum(pauses):.0f} s; each outcome is in {arguments.output}.")
    return int(any(outcome.is_loss for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
