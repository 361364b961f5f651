"""What the data of a study say of a claim: the number that is set beside the printed one, and the reason in words."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from dlbug_assets.analysis.claims.kinds import Held
from dlbug_assets.analysis.claims.tally import NotTestable, Selection
from dlbug_assets.analysis.statistics.shares import Share
from dlbug_assets.protocol.claims import Claim

NOT_TESTABLE = "not testable"


@dataclass(frozen=True)
class Reading:
    """The number of a claim in this study, and whether the data agree with it, leaving chance aside.

    - ``computed``: the number in the notation of the printed one.
    - ``reproduced``: whether it is as printed, in the sense of the paper's words; None where nothing is printed.
    - ``holds``: whether the claim holds; of a tie, it does not.
    - ``reason``: the same in words.
    - ``n``: the number of bugs in the smallest group whose share is shown, ``claim_n``: that the claim rests on.
    - ``estimator``: how the paper's words were interpreted, with the value of the other interpretation if there is one.
    - ``decisive``: the share that decides whether the claim holds (the smallest of several that have to be large), or
      why there is none.
    """

    computed: str
    reproduced: bool | None
    holds: bool
    reason: str
    n: int
    claim_n: int
    estimator: str
    decisive: Share | str


@dataclass(frozen=True)
class Case:
    """A claim with what judges it.

    - ``reading``: what the data say.
    - ``held``: whether the claim holds in each draw of a batch.
    - ``groups``: the groups of bugs that it rests on; draws without bugs in one of them are left out.
    - ``objection``: why draws cannot decide it although they agree that it holds (True) or does not, or None.
    """

    reading: Reading
    held: Callable[[np.ndarray], Held]
    groups: tuple[Selection, ...]
    objection: Callable[[bool], str | None]

    def is_defined(self, batch: np.ndarray) -> np.ndarray:
        """Return whether each draw has bugs in each group."""
        return np.all([(group.total(batch) > 0).all(axis=1) for group in self.groups], axis=0)


def verdict_of(claim: Claim, found: Reading | NotTestable) -> str | None:
    """Return the verdict on the number of a claim, of analysis.findings; None where nothing is printed."""
    if claim.printed is None:
        return None
    if isinstance(found, NotTestable):
        return NOT_TESTABLE
    if found.reproduced:
        return "reproduced"
    return "reproduced differently" if found.holds else "not reproduced"


def capitalized(reason: str) -> str:
    """Return a reason as the beginning of a sentence."""
    return f"{reason[0].upper()}{reason[1:]}"


def missing_data(missing: NotTestable) -> str:
    """Return the reason why a claim is not testable, as a sentence."""
    return f"The data it needs is not there: {missing}."


def smallest(*groups: Iterable[Share]) -> int:
    """Return the number of bugs in the smallest group of all shares."""
    return min(share.total for group in groups for share in group)
