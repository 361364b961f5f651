"""The measuring: both sides of a comparison in turn, their results compared before any time counts, one table.

Standard library only: a child process inherits its parent's peak memory on Linux, so the parent has to stay small.
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
_MIB = 1024 * 1024
_LINES_OF_LOG = 30


class ResultsDifferError(Exception):
    """The two sides of a comparison did not come to the same result: their times mean nothing."""


class SideFailedError(Exception):
    """A side of a comparison ended with an error."""


@dataclass(frozen=True)
class Outcome:
    """One side, run once: seconds, peak memory of its largest process in MiB, result (table -> rows and hash)."""

    seconds: float
    peak_mib: float
    result: Mapping[str, Any]
    file_mib: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Two ways to do one thing. Each side is a function that does it once, from the same start."""

    what: str
    other_is: str
    ours: Callable[[], Outcome]
    other: Callable[[], Outcome]
    rounds: int = 3


@dataclass(frozen=True)
class Row:
    """A line of the table: the outcomes of both sides, round by round."""

    comparison: Comparison
    ours: list[Outcome] = field(default_factory=list)
    other: list[Outcome] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Median of (our seconds / the other's) over the rounds: machines drift, pairs run in turn less so."""
        return ratio([o.seconds for o in self.ours], [o.seconds for o in self.other])


def median(values: Sequence[float]) -> float:
    """The median; raises ValueError where there are no values."""
    if not values:
        raise ValueError("no measurement, no median")
    return statistics.median(values)


def ratio(ours: Sequence[float], other: Sequence[float]) -> float:
    """Median of the ratios of pairs that ran one after the other; below 1 we are faster."""
    return median([a / b for a, b in zip(ours, other, strict=True)])


def compare(comparison: Comparison) -> Row:
    """Run ours, other, ours, other, ...; raises :class:`ResultsDifferError` at the first pair with unequal results."""
    row = Row(comparison)
    for _ in range(comparison.rounds):
        ours, other = comparison.ours(), comparison.other()
        require_equal(comparison.what, ours.result, other.result)
        row.ours.append(ours)
        row.other.append(other)
    return row


def require_equal(what: str, ours: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Raises :class:`ResultsDifferError` naming the tables where the sides differ, or saying that there are none."""
    if not ours and not other:
        raise ResultsDifferError(f"{what}: neither side has a result, so there is nothing to compare")
    differing = [
        f"{key}: ours {ours.get(key, 'missing')}, the other {other.get(key, 'missing')}"
        for key in sorted({*ours, *other})
        if ours.get(key) != other.get(key)
    ]
    if differing:
        raise ResultsDifferError(f"{what}: the results differ, so the times mean nothing. {'; '.join(differing)}")


def table_text(rows: Sequence[Row]) -> str:
    """The table, then a line on each comparison: what the other side is, rounds, and the files' sizes."""
    head = ("what", "ours", "the other", "ratio", "peak memory, ours / the other")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", *(_note(row) for row in rows)])


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.comparison.what,
        f"{median([o.seconds for o in row.ours]):.2f} s",
        f"{median([o.seconds for o in row.other]):.2f} s",
        f"{row.ratio:.2f}",
        f"{max(o.peak_mib for o in row.ours):.0f} / {max(o.peak_mib for o in row.other):.0f} MiB",
    )


def _note(row: Row) -> str:
    note = f"{row.comparison.what}: the other is {row.comparison.other_is}. Rounds: {len(row.ours)}, results equal."
    sizes = [outcomes[-1].file_mib for outcomes in (row.ours, row.other)]
    if None not in sizes:
        note += f" Files: {sizes[0]:.0f} / {sizes[1]:.0f} MiB."
    return note


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """The table with a line per comparison: seconds are medians, ratio that of ours to the other's, peaks in MiB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("what", "other", "rounds", "ours_s", "other_s", "ratio", "ours_peak_mib", "other_peak_mib"))
        for row in rows:
            seconds = (f"{median([o.seconds for o in side]):.4f}" for side in (row.ours, row.other))
            peaks = (f"{max(o.peak_mib for o in side):.0f}" for side in (row.ours, row.other))
            what, other = row.comparison.what, row.comparison.other_is
            table.writerow((what, other, len(row.ours), *seconds, f"{row.ratio:.4f}", *peaks))


def run_side(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    watch: Callable[[int], AbstractContextManager[object]] = lambda _: nullcontext(),
) -> tuple[float, float, dict[str, Any]]:
    """Run `python -m <arguments> REPLY` to its end; returns wall seconds, peak MiB, and the JSON it left in REPLY.
    Meanwhile it is within what ``watch`` makes of its process id.

    The peak is of the largest process among the child and those it waited for, not their sum. Raises
    :class:`SideFailedError` with the end of what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="dlbug-bench-") as folder:
        reply, log = Path(folder, "reply.json"), Path(folder, "log")
        with log.open("wb") as sink:
            began = time.perf_counter()
            # A constant command with paths of our own.
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
            # Popen is told, or it would wait for a process that is gone.
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0 or not reply.is_file():
            tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES_OF_LOG:])
            raise SideFailedError(f"{' '.join(arguments)} ended with {child.returncode}:\n{tail}")
        return seconds, mib_of_maxrss(usage.ru_maxrss), json.loads(reply.read_text(encoding="utf-8"))


def mib_of_maxrss(maxrss: int, platform: str = sys.platform) -> float:
    """ru_maxrss in MiB: Linux counts KiB, macOS bytes."""
    return maxrss / _MIB if platform == "darwin" else maxrss / 1024
