"""Runs whose process is gone: killed, or ended with the machine. Nobody is left to say that they failed, so that the
next command, or the UI while it is open, does.

A run shows that it is alive by a shared lock (flock) on a file of its own, which the kernel gives back when its process
ends, however it ends. Numbers of processes would not do: they are given out again, and differ between containers.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg

#: Between the end of a run's resources and the word that it is done.
_GRACE_SECONDS = 2.0
#: A run that the UI launches has its sign within seconds of its start.
_STARTING_SECONDS = 600.0
_MESSAGE = (
    "The process of this run is gone: it was killed, or the machine went down. What it had written stays, and nothing "
    "is half written. Run it again: it goes on from there."
)


@contextmanager
def run_lock(folder: Path, run_id: str) -> Iterator[None]:
    """While it is open, the run counts as alive. Raises OSError where the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        with (folder / run_id).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            # Somebody may have tidied it away between the two.
            if os.fstat(file.fileno()).st_nlink:
                yield
                return


def fail_orphaned_runs(instance: dg.DagsterInstance, folder: Path) -> list[str]:
    """Mark the runs whose process is gone as failed; returns their ids. Raises OSError as above."""
    lost = _lost(instance, folder)
    if lost:
        time.sleep(_GRACE_SECONDS)
        lost &= _lost(instance, folder)
    for run_id in sorted(lost):
        run = instance.get_run_by_id(run_id)
        if run is not None:
            instance.report_run_failed(run, _MESSAGE)
    _tidy(instance, folder)
    return sorted(lost)


def _lost(instance: dg.DagsterInstance, folder: Path) -> set[str]:
    begun = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    records = instance.get_run_records(dg.RunsFilter(statuses=begun))
    lost = set()
    for record in records:
        run_id = record.dagster_run.run_id
        sign = folder / run_id
        if sign.exists():
            if not _is_held(sign):
                lost.add(run_id)
        elif record.start_time is not None and record.start_time < time.time() - _STARTING_SECONDS:
            lost.add(run_id)
    return lost


def _is_held(sign: Path) -> bool:
    with sign.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _tidy(instance: dg.DagsterInstance, folder: Path) -> None:
    """Remove the signs of runs that are over, and of those that died before anybody knew of them."""
    for sign in folder.iterdir() if folder.exists() else ():
        run = instance.get_run_by_id(sign.name)
        if run is None or run.is_finished:
            with suppress(FileNotFoundError), sign.open("rb") as file, suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                sign.unlink()
