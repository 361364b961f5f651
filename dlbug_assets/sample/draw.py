"""Drawing at random, the same on every machine."""

import bisect
import hashlib
import itertools
import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Draws that depend on nothing but the texts and numbers they are begun with.

    Only ``Random.random()`` is used: its sequence for a seed is the same in every version of Python.
    """

    def __init__(self, *key: object) -> None:
        self._random = random.Random("|".join(map(str, key)))  # noqa: S311 - a sample, not a secret

    def share(self) -> float:
        """A number from 0 up to 1."""
        return self._random.random()

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def between(self, lowest: int, highest: int) -> int:
        """A whole number, both ends included."""
        return lowest + int(self._random.random() * (highest - lowest + 1))

    def one(self, choices: Sequence[T]) -> T:
        return choices[int(self._random.random() * len(choices))]

    def some(self, choices: Sequence[T], count: int) -> list[T]:
        """``count`` different ones, in the order drawn."""
        left = list(choices)
        return [left.pop(int(self._random.random() * len(left))) for _ in range(min(count, len(left)))]

    def weighted(self, weights: Mapping[str, float]) -> str:
        """A key, with a chance in proportion to its weight (the weights must not all be zero)."""
        steps = list(itertools.accumulate(weights.values()))
        return list(weights)[bisect.bisect_right(steps, self._random.random() * steps[-1])]


def digest(*key: object) -> str:
    """A sha256 in hexadecimal of the texts and numbers given: an order, or a made-up hash."""
    return hashlib.sha256("|".join(map(str, key)).encode()).hexdigest()
