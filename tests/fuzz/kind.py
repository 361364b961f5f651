"""What the fuzzer knows of a kind of input."""

import random
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from fuzz.mutations import mutate_bytes


class Kind(ABC):
    """A kind of input: valid examples, how they are mutated, and how the project reads them.

    ``seconds`` is the time limit for reading one input.
    """

    name: ClassVar[str]
    seconds: ClassVar[float] = 10

    @abstractmethod
    def examples(self) -> list[bytes]:
        """Return valid inputs; the first time may take long."""

    @abstractmethod
    def read(self, content: bytes, folder: Path) -> None:
        """Read an input as the project does, in an empty folder.

        Raises :class:`DlbugError` if it is refused, and AssertionError if a row is lost that no mutation has changed.
        """

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        """Return a mutated input."""
        return mutate_bytes(choose, content)
