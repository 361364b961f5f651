"""Workers that read clones: what they offer, and threads of this process that offer it."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from dlbug_assets.github.clones.git_process import kill_all

T = TypeVar("T")
R = TypeVar("R")


class WorkerMap(Protocol):
    """Apply a function to items in parallel.

    The function and the items can be pickled, so that they may be sent to another machine.
    """

    def __call__(self, function: Callable[[T], R], items: Sequence[T], at_a_time: int) -> Iterator[R]:
        """Yield the results in the order of the items, ``at_a_time`` of which are computed in parallel.

        An error of the function is raised where its result would be yielded.
        """
        ...


#: Start workers that see a folder of clones; they stop with the context.
Workers = Callable[[Path], AbstractContextManager[WorkerMap]]


@contextmanager
def in_threads(_clones: Path) -> Iterator[WorkerMap]:
    """Start workers that are threads of this process, which mostly waits for git.

    Where the context ends by an exception, the running git processes are killed.
    """
    pools: list[ThreadPoolExecutor] = []
    pending: set[Future[Any]] = set()

    def submit(function: Callable[[T], R], item: T) -> Future[R]:
        future = pools[-1].submit(function, item)
        pending.add(future)
        future.add_done_callback(pending.discard)
        return future

    def worker_map(function: Callable[[T], R], items: Sequence[T], at_a_time: int) -> Iterator[R]:
        pools.append(ThreadPoolExecutor(at_a_time))
        futures = deque(submit(function, item) for item in items)
        return (futures.popleft().result() for _ in items)

    try:
        yield worker_map
    except BaseException:  # an interruption, too: waiting for a pool means waiting for git
        for future in tuple(pending):
            future.cancel()
        while pending:
            kill_all()  # repeatedly: a worker may be about to start its git
            wait(tuple(pending), timeout=0.05)
        raise
    finally:
        for pool in pools:
            pool.shutdown()
