"""Measure both sides of a comparison in turn, compare their results before any time counts, and print one table.

This module only uses the standard library: a child process inherits its parent's peak memory on Linux, so the parent
has to stay small.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
#: The name of the whole run among its steps.
WHOLE_RUN = "the whole run"
_MIB = 1024 * 1024
_LINES_OF_LOG = 30


class ResultsDifferError(Exception):
    """The two sides of a comparison have different results, so their times cannot be compared."""


class SideFailedError(Exception):
    """A side of a comparison ended with an error."""


@dataclass(frozen=True)
class Step:
    """A step of a run: seconds, processor seconds, and the peak memory of the process during the step in MiB."""

    name: str
    seconds: float
    processor_seconds: float
    peak_mib: float

    @property
    def group(self) -> str:
        """The stage of the step; for the whole run, its name."""
        return self.name.split(".", maxsplit=1)[0]


@dataclass(frozen=True)
class Run:
    """A run of the study at a factor of its size: rows by table, the published database in MiB, and its steps."""

    factor: int
    rows: Mapping[str, int]
    database_mib: float
    whole: Step
    steps: tuple[Step, ...]

    @classmethod
    def read(cls, text: str) -> "Run":
        """Return a run from the JSON of its fields."""
        fields: dict[str, Any] = json.loads(text)
        steps = tuple(Step(**step) for step in fields.pop("steps"))
        return cls(**{**fields, "whole": Step(**fields["whole"])}, steps=steps)


@dataclass(frozen=True)
class Outcome:
    """One run of one side: seconds, peak memory of its largest process in MiB, and the result to compare."""

    seconds: float
    peak_mib: float
    result: Mapping[str, Any]
    file_mib: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Two ways to do one task; each side is a function that does it once, from the same initial state."""

    task: str
    other_description: str
    ours: Callable[[], Outcome]
    other: Callable[[], Outcome]
    rounds: int = 3


@dataclass(frozen=True)
class Row:
    """A row of the table: the outcomes of both sides, round by round."""

    comparison: Comparison
    ours: list[Outcome] = field(default_factory=list)
    other: list[Outcome] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median over the rounds of our seconds divided by the other's: pairs are less affected by drift."""
        return ratio([o.seconds for o in self.ours], [o.seconds for o in self.other])


def median(values: Sequence[float]) -> float:
    """Return the median; raises ValueError if there are no values."""
    if not values:
        raise ValueError("no measurements to take the median of")
    return statistics.median(values)


def ratio(ours: Sequence[float], other: Sequence[float]) -> float:
    """Return the median of the ratios of consecutive runs; below 1, dlbug is faster."""
    return median([a / b for a, b in zip(ours, other, strict=True)])


def compare(comparison: Comparison) -> Row:
    """Run both sides alternately; raises :class:`ResultsDifferError` at the first pair with different results."""
    row = Row(comparison)
    for _ in range(comparison.rounds):
        ours, other = comparison.ours(), comparison.other()
        require_equal(comparison.task, ours.result, other.result)
        row.ours.append(ours)
        row.other.append(other)
    return row


def require_equal(task: str, ours: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Raise :class:`ResultsDifferError` if the sides differ, naming the tables, or if there is nothing to compare."""
    if not ours and not other:
        raise ResultsDifferError(f"{task}: neither side has a result, nothing to compare")
    differing = [
        f"{key}: ours {ours.get(key, 'missing')}, the other {other.get(key, 'missing')}"
        for key in sorted({*ours, *other})
        if ours.get(key) != other.get(key)
    ]
    if differing:
        raise ResultsDifferError(f"{task}: the results differ, so the times cannot be compared. {'; '.join(differing)}")


def table_text(rows: Sequence[Row]) -> str:
    """Format the table, and below it a line per comparison: the other side, the rounds, and the files' sizes."""
    head = ("task", "ours", "the other", "ratio", "peak memory, ours / the other")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", *(_note(row) for row in rows)])


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.comparison.task,
        f"{median([o.seconds for o in row.ours]):.2f} s",
        f"{median([o.seconds for o in row.other]):.2f} s",
        f"{row.ratio:.2f}",
        f"{max(o.peak_mib for o in row.ours):.0f} / {max(o.peak_mib for o in row.other):.0f} MiB",
    )


def _note(row: Row) -> str:
    comparison, rounds = row.comparison, len(row.ours)
    note = f"{comparison.task}: the other is {comparison.other_description}. Rounds: {rounds}, results equal."
    ours, other = row.ours[-1].file_mib, row.other[-1].file_mib
    if ours is not None and other is not None:
        note += f" Files: {ours:.0f} / {other:.0f} MiB."
    return note


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write a line per comparison: medians in seconds, the ratio of ours to the other's, and peaks in MiB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("what", "other", "rounds", "ours_s", "other_s", "ratio", "ours_peak_mib", "other_peak_mib"))
        for row in rows:
            seconds = (f"{median([o.seconds for o in side]):.4f}" for side in (row.ours, row.other))
            peaks = (f"{max(o.peak_mib for o in side):.0f}" for side in (row.ours, row.other))
            task, other = row.comparison.task, row.comparison.other_description
            table.writerow((task, other, len(row.ours), *seconds, f"{row.ratio:.4f}", *peaks))


def run_side(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    watch: Callable[[int], AbstractContextManager[object]] = lambda _: nullcontext(),
) -> tuple[float, float, dict[str, Any]]:
    """Run `python -m <arguments> REPLY`; return wall-clock seconds, peak MiB, and the JSON that it wrote to REPLY.

    It runs within the context that ``watch`` returns for its process ID. The peak is that of the largest process among
    the child and those it waited for, not their sum. Raises :class:`SideFailedError` with the end of its output.
    """
    with tempfile.TemporaryDirectory(prefix="dlbug-bench-") as folder:
        reply, log = Path(folder, "reply.json"), Path(folder, "log")
        with log.open("wb") as sink:
            began = time.perf_counter()
            # A constant command with our own paths.
            child = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", *arguments, str(reply)],
                cwd=PROJECT,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
            try:
                with watch(child.pid):
                    _, status, usage = os.wait4(child.pid, 0)
            except BaseException:
                child.kill()
                child.wait()
                raise
            seconds = time.perf_counter() - began
            # Without its return code, Popen would wait for a process that has ended.
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0 or not reply.is_file():
            tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES_OF_LOG:])
            raise SideFailedError(f"{' '.join(arguments)} exited with {child.returncode}:\n{tail}")
        return seconds, mib_of_maxrss(usage.ru_maxrss), json.loads(reply.read_text(encoding="utf-8"))


def mib_of_maxrss(maxrss: int, platform: str = sys.platform) -> float:
    """Return ru_maxrss in MiB: its unit is KiB on Linux and bytes on macOS."""
    return maxrss / _MIB if platform == "darwin" else maxrss / 1024
