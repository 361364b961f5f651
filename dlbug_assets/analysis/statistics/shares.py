"""A share of bugs: how it is printed, and which of several is the largest."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction


def whole_percent(bugs: int, total: int) -> int:
    """``bugs`` of ``total`` in whole percent, halves away from zero, in whole numbers so that a half is a half."""
    return (200 * bugs + total) // (2 * total)


@dataclass(frozen=True)
class Share:
    """``bugs`` of ``total`` bugs; total is at least 1."""

    bugs: int
    total: int

    @property
    def exact(self) -> Fraction:
        """0..1 without rounding, so that a tie is a tie."""
        return Fraction(self.bugs, self.total)

    @property
    def percent(self) -> float:
        """0..100, unrounded."""
        return 100 * self.bugs / self.total

    @property
    def printed(self) -> int:
        """Whole percent, as the paper prints shares."""
        return whole_percent(self.bugs, self.total)

    def __str__(self) -> str:
        return f"{self.bugs} of {self.total}"


def rank(shares: Mapping[str, Share], name: str) -> int:
    """1 for the largest share; those that tie have the same rank."""
    return 1 + sum(other.exact > shares[name].exact for other in shares.values())


def leads(shares: Mapping[str, Share], name: str) -> tuple[bool, str]:
    """Whether ``name`` has a larger share than every other (a tie is no lead), and that in words."""
    others = {other: share for other, share in shares.items() if other != name}
    rival = max(others, key=lambda other: others[other].exact)  # the first of those that tie
    ours, theirs = shares[name], others[rival]
    if ours.exact > theirs.exact:
        return True, f"{name} ({ours}) leads, next is {rival} ({theirs})"
    how = "ties with" if ours.exact == theirs.exact else "is behind"
    return False, f"{name} ({ours}) {how} {rival} ({theirs})"
