"""Progress of a run on a terminal: the step, the time so far, and what is left according to an earlier run.

It is one line below the log. Nothing is drawn into files and pipes.
"""

import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterInstance

from dlbug_assets.automation.terminal_line import ERASE_LINE, can_redraw

_EARLIER_RUNS = 5


class RunProgress:
    """A line on a terminal that follows the steps of the runs of an instance, one run after the other.

    It doesn't hide the cursor, so that a process that is killed leaves a terminal that works.
    """

    def __init__(self, instance: DagsterInstance, descriptor: int) -> None:
        self._instance = instance
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._begin("")

    def _begin(self, run_id: str) -> None:
        self._run_id = run_id
        self._started = self._step_started = time.monotonic()
        self._finished: set[str] = set()
        self._step: str | None = None
        self._steps: tuple[str, ...] = ()
        self._expected: Mapping[str, float] | None = None

    def follow(self, event: dg.DagsterEvent, run_id: str) -> None:
        """Take note of a step's begin or end."""
        key = event.step_key
        if key is None:
            return
        with self._lock:
            if run_id != self._run_id:
                self._begin(run_id)
                self._steps, self._expected = _plan(self._instance, run_id)
            if event.event_type == dg.DagsterEventType.STEP_START:
                self._step, self._step_started = key, time.monotonic()
            elif event.is_step_success or event.is_step_failure or event.is_step_skipped:
                self._finished.add(key)
                self._step = None
            self._write(self._line())

    def print(self, line: str) -> None:
        """Print a line above the progress."""
        with self._lock:
            self._write(f"{line}\n{self._line()}")

    def draw_until_ended(self) -> None:
        """Draw the line again every second, for the time in it."""
        while not self._ended.wait(1):
            with self._lock:
                self._write(self._line())

    def end(self) -> None:
        """Erase the line."""
        self._ended.set()
        with self._lock:
            self._begin("")
            self._write("")

    def _line(self) -> str:
        if not self._steps:
            return ""
        now = time.monotonic()
        number = min(len(self._finished) + (self._step is not None), len(self._steps))
        parts = [f"step {number} of {len(self._steps)}", f"{duration(now - self._started)} so far"]
        if self._expected is not None:
            left = sum(seconds for step, seconds in self._expected.items() if step not in self._finished)
            if self._step is not None:
                left -= min(now - self._step_started, self._expected[self._step])
            parts.append(f"about {duration(left)} left")
        if self._step is not None:
            parts.append(self._step.replace("__", ".", 1))
        columns = os.get_terminal_size(self._descriptor).columns or shutil.get_terminal_size().columns
        return f"  {', '.join(parts)}"[: columns - 1]

    def _write(self, text: str) -> None:
        os.write(self._descriptor, f"{ERASE_LINE}{text}".encode(errors="backslashreplace"))


def duration(seconds: float) -> str:
    """Return a duration as people read it: 7 s, 1 min 5 s, 2 h 3 min."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if whole < 60:  # noqa: PLR2004
        return f"{whole} s"
    if whole < 3600:  # noqa: PLR2004
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _plan(instance: DagsterInstance, run_id: str) -> tuple[tuple[str, ...], Mapping[str, float] | None]:
    """Return the steps of a run, and the seconds of each in the last successful run of its job that had all of them.

    There are none for the first such run: another job's steps would be a guess.
    """
    run = instance.get_run_by_id(run_id)
    if run is None or run.execution_plan_snapshot_id is None:
        return (), None
    steps = tuple(instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).step_keys_to_execute)
    earlier = dg.RunsFilter(job_name=run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS])
    for previous in instance.get_runs(earlier, limit=_EARLIER_RUNS):
        seconds = {
            stats.step_key: stats.end_time - stats.start_time
            for stats in instance.get_run_step_stats(previous.run_id)
            if stats.end_time is not None and stats.start_time is not None
        }
        if seconds.keys() >= set(steps):
            return steps, {step: seconds[step] for step in steps}
    return steps, None


_current: RunProgress | None = None


def current_progress() -> RunProgress | None:
    """Return the progress that is drawn at the moment."""
    return _current


@contextmanager
def drawn_progress(instance: DagsterInstance, descriptor: int, environ: Mapping[str, str]) -> Iterator[None]:
    """Draw the progress of runs on a terminal while the context is open; do nothing if it isn't one."""
    global _current  # noqa: PLW0603 - Dagster creates the handler that reports the steps
    if not can_redraw(descriptor, environ):
        yield
        return
    progress = _current = RunProgress(instance, descriptor)
    thread = threading.Thread(target=progress.draw_until_ended, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        _current = None
        progress.end()
        thread.join()
