"""Run a function on several items at a time, in threads: for work that mostly runs outside of Python's lock."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def parallel_map(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return the function's result for each item, in their order, with one thread per processor.

    If a call raises, items that were not started are skipped, and the exception is raised when the others have ended.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))
