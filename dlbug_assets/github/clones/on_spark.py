"""Executors of Spark as the workers that fetch clones and read them.

The clones stay in their folder, which the executors must see at the same path, on a shared file system; each task
checks this. Each repository is a task, with the same time limits and errors as in a thread. When an executor dies,
another one repeats the task and continues with what was fetched. This process keeps all other state: what is known of
the repositories, which commits are sampled, and what is landed.
"""

import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.clones.workers import WorkerMap
from dlbug_assets.ingest.spark import session, spark_map

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def workers(address: str, clones: Path) -> Iterator[WorkerMap]:
    """Start workers at a Spark master or Connect server; Spark decides how many work in parallel.

    Raises :class:`DlbugError` where a worker does not see the folder, and whatever
    :func:`dlbug_assets.ingest.spark.session` raises.
    """
    marker = clones / f".seen-{uuid.uuid4().hex}"
    clones.mkdir(parents=True, exist_ok=True)
    marker.touch()
    try:
        with session(address) as spark:

            def worker_map(function: Callable[[T], R], items: Sequence[T], at_a_time: int) -> Iterator[R]:
                del at_a_time

                def checked(item: T) -> R:
                    _require(marker)
                    return function(item)

                return spark_map(spark, checked, items)

            yield worker_map
    finally:
        marker.unlink(missing_ok=True)


def _require(marker: Path) -> None:
    if not marker.exists():
        raise DlbugError(
            f"the worker {socket.gethostname()} does not see {marker.parent}. Set DLBUG_HOME to a folder that this "
            "machine and all workers have at the same place, on a file system that they share; or unset DLBUG_SPARK."
        )
