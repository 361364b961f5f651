"""Orphaned runs: their process was killed, or ended with the machine, before Dagster recorded an outcome.

The next command marks them as failed, and so does the UI while it is open. A run holds a shared lock (flock) on a file
of its own; the kernel releases it when the process ends, however it ends. Process ids would not do: they are reused,
and differ between containers.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg

#: Time between the release of a run's lock and the event that the run has ended.
_GRACE_SECONDS = 2.0
#: A run that the UI launches holds its lock within seconds of its start.
_STARTING_SECONDS = 600.0
_MESSAGE = (
    "The process of this run ended unexpectedly: it was killed, or the machine went down. Completed writes are kept, "
    "and no table is half written. Run it again; it resumes."
)


@contextmanager
def run_lock(folder: Path, run_id: str) -> Iterator[None]:
    """Mark a run as alive while the context is open; raises OSError if the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        with (folder / run_id).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            # Another process may have removed the file between the two calls.
            if os.fstat(file.fileno()).st_nlink:
                yield
                return


def fail_orphaned_runs(instance: dg.DagsterInstance, folder: Path) -> list[str]:
    """Mark orphaned runs as failed and return their ids; raises OSError if the folder cannot be written."""
    orphaned = _orphaned(instance, folder)
    if orphaned:
        time.sleep(_GRACE_SECONDS)
        orphaned &= _orphaned(instance, folder)
    for run_id in sorted(orphaned):
        run = instance.get_run_by_id(run_id)
        if run is not None:
            instance.report_run_failed(run, _MESSAGE)
    _remove_stale_locks(instance, folder)
    return sorted(orphaned)


def _orphaned(instance: dg.DagsterInstance, folder: Path) -> set[str]:
    unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    records = instance.get_run_records(dg.RunsFilter(statuses=unfinished))
    orphaned = set()
    for record in records:
        run_id = record.dagster_run.run_id
        lock = folder / run_id
        if lock.exists():
            if not _is_held(lock):
                orphaned.add(run_id)
        elif record.start_time is not None and record.start_time < time.time() - _STARTING_SECONDS:
            orphaned.add(run_id)
    return orphaned


def _is_held(lock: Path) -> bool:
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _remove_stale_locks(instance: dg.DagsterInstance, folder: Path) -> None:
    """Remove the lock files of finished runs, and of those that died before the instance knew them."""
    for lock in folder.iterdir() if folder.exists() else ():
        run = instance.get_run_by_id(lock.name)
        if run is None or run.is_finished:
            with suppress(FileNotFoundError), lock.open("rb") as file, suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.unlink()
