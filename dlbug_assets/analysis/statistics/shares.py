"""Shares of bugs: rounding as papers print them, and comparison without rounding errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

#: A group of fewer bugs is too small for a conclusion.
ENOUGH_BUGS = 10

#: With fewer clusters, hardly any permutation of them is more extreme than the others.
ENOUGH_CLUSTERS = 5


def whole_percent(bugs: int, total: int) -> int:
    """Return ``bugs`` of ``total`` in whole percent, halves rounded away from zero.

    Computed with integers, so that a half is exactly a half.
    """
    return (200 * bugs + total) // (2 * total)


@dataclass(frozen=True)
class Share:
    """A share: ``bugs`` of ``total`` bugs, where total is at least 1."""

    bugs: int
    total: int

    @property
    def exact(self) -> Fraction:
        """The share as an exact fraction, 0..1, so that ties are found."""
        return Fraction(self.bugs, self.total)

    @property
    def percent(self) -> float:
        """The share in percent, 0..100, unrounded."""
        return 100 * self.bugs / self.total

    @property
    def printed(self) -> int:
        """The share in whole percent, as papers print it."""
        return whole_percent(self.bugs, self.total)

    def __str__(self) -> str:
        return f"{self.bugs} of {self.total}"


def rank(shares: Mapping[str, Share], name: str) -> int:
    """Return the rank of a share, 1 for the largest; equal shares have the same rank."""
    return 1 + sum(other.exact > shares[name].exact for other in shares.values())


def leads(shares: Mapping[str, Share], name: str) -> tuple[bool, str]:
    """Return whether ``name`` has a larger share than every other, and the comparison in words. A tie is not a lead."""
    others = {other: share for other, share in shares.items() if other != name}
    rival = max(others, key=lambda other: others[other].exact)  # the first of equal ones
    ours, theirs = shares[name], others[rival]
    if ours.exact > theirs.exact:
        return True, f"{name} ({ours}) leads, next is {rival} ({theirs})"
    relation = "ties with" if ours.exact == theirs.exact else "is behind"
    return False, f"{name} ({ours}) {relation} {rival} ({theirs})"
