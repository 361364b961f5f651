"""Executors of Spark as the workers that look at repositories, fetch them and mine them.

The clones stay what they are: the landing of histories, in the folder of clones. So that nothing else has to change,
the workers must see that folder where this machine sees it, on a file system that they share; each task asks whether it
does. Each repository is a task with the limits and errors that it has here. A task whose executor dies is done again by
another one, which takes up what was fetched. What is known, drawn and landed stays with this process.
"""

import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.clones.histories import Each
from dlbug_assets.ingest.spark import each as each_on_spark
from dlbug_assets.ingest.spark import session

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def workers(address: str, clones: Path) -> Iterator[Each]:
    """Workers at a Spark master or Connect server; how many work at a time is up to Spark.

    Raises :class:`DlbugError` where one of them does not see the folder, and for what
    :func:`dlbug_assets.ingest.spark.session` does.
    """
    mark = clones / f".seen-{uuid.uuid4().hex}"
    clones.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        with session(address) as spark:

            def each(function: Callable[[T], R], items: Sequence[T], at_a_time: int) -> Iterator[R]:
                del at_a_time

                def seeing(item: T) -> R:
                    _insist_on(mark)
                    return function(item)

                return each_on_spark(spark, seeing, items)

            yield each
    finally:
        mark.unlink(missing_ok=True)


def _insist_on(mark: Path) -> None:
    if not mark.exists():
        raise DlbugError(
            f"the worker {socket.gethostname()} does not see {mark.parent}. Set DLBUG_HOME to a folder that this "
            "machine and all workers have at the same place, on a file system that they share; or unset DLBUG_SPARK."
        )
