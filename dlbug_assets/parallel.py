"""The same work on several things at a time, in threads: for work that leaves Python to others most of the time."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def parallel_map(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """What the function gives for each item, in their order; as many at a time as there are processors. Raises what the
    function raises, when the others that were begun have ended."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))
