"""Reproducible random draws: the same on every machine."""

import bisect
import hashlib
import itertools
import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Random draws that depend only on the key (texts and numbers) they are seeded with.

    Only ``Random.random()`` is used: its sequence for a seed is the same in every version of Python.
    """

    def __init__(self, *key: object) -> None:
        self._random = random.Random("|".join(map(str, key)))  # noqa: S311 - a sample, not a secret

    def share(self) -> float:
        """Return a number from 0 (included) to 1 (excluded)."""
        return self._random.random()

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self._random.random() < probability

    def between(self, lowest: int, highest: int) -> int:
        """Return a whole number within both limits, which are included."""
        return lowest + int(self._random.random() * (highest - lowest + 1))

    def one(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return choices[int(self._random.random() * len(choices))]

    def some(self, choices: Sequence[T], count: int) -> list[T]:
        """Return ``count`` different choices, or all where there are fewer, in random order."""
        left = list(choices)
        return [left.pop(int(self._random.random() * len(left))) for _ in range(min(count, len(left)))]

    def weighted(self, weights: Mapping[str, float]) -> str:
        """Return a key with a probability proportional to its weight; at least one weight is above zero."""
        steps = list(itertools.accumulate(weights.values()))
        return list(weights)[bisect.bisect_right(steps, self._random.random() * steps[-1])]


def digest(*key: object) -> str:
    """Return the sha256 (64 hexadecimal digits) of a key: to sort by, or as an invented hash."""
    return hashlib.sha256("|".join(map(str, key)).encode()).hexdigest()
