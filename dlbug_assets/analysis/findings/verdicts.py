"""Verdicts on the values of metrics, and the notation of computed and printed values (that of findings.csv)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dlbug_assets.analysis.findings.evidence import Evidence
from dlbug_assets.analysis.statistics.shares import ENOUGH_BUGS, Share

#: Percentage points within which "close to", "more than" and "at least" count as printed.
CLOSE = 5


@dataclass(frozen=True)
class Reading:
    """The value of one metric in this study, and whether it supports the claim.

    - ``computed``: the value in the notation of the printed values.
    - ``holds``: whether the data support the claim.
    - ``reason``: the same in words.
    - ``n``: the number of bugs in the smallest group whose share is printed.
    - ``estimator``: how the paper's words were interpreted, with the value of the other interpretation if there is one.
    - ``decisive``: the share that decides whether the claim holds (the smallest of several that have to be large), or
      why there is none.
    - ``as_printed``: whether the value is as printed, for words such as "more than" that do not require equal text.
    - ``claim_n``: the number of bugs in the smallest group that the claim rests on, if it is not ``n``.
    """

    computed: str
    holds: bool
    reason: str
    n: int
    estimator: str
    decisive: Share | str
    as_printed: bool | None = None
    claim_n: int | None = None


Metric = Callable[[Evidence], Reading]


def verdict_of(reading: Reading, published: str) -> tuple[str, str]:
    """Return the verdict and its reason, a sentence without a full stop."""
    claim_n = reading.n if reading.claim_n is None else reading.claim_n
    reason = f"{reading.reason[0].upper()}{reading.reason[1:]}"
    if claim_n < ENOUGH_BUGS:
        return "underpowered", f"{reason}; {_too_few(claim_n)}"
    # If enough bugs contradict a claim, a small group among those printed does not make it underpowered.
    if not reading.holds:
        return "not reproduced", reason
    if reading.n < ENOUGH_BUGS:
        return "underpowered", f"{reason}; {_too_few(reading.n)}"
    same = reading.computed == published if reading.as_printed is None else reading.as_printed
    return ("reproduced" if same else "reproduced differently"), reason


def _too_few(n: int) -> str:
    return f"the smallest group has {n} {'bug' if n == 1 else 'bugs'}, under {ENOUGH_BUGS}"


def listed(shares: Iterable[Share]) -> str:
    """Return whole percents as in ``31; 3; 10``."""
    return "; ".join(str(share.printed) for share in shares)


def named(shares: Mapping[str, Share]) -> str:
    """Return whole percents by name as in ``Torch=16; Keras=11``."""
    return "; ".join(f"{name}={share.printed}" for name, share in shares.items())


def spread(shares: Iterable[Share]) -> str:
    """Return the smallest and the largest share in whole percent as in ``40; 77``."""
    ordered = sorted(shares, key=lambda share: share.exact)
    return listed((ordered[0], ordered[-1]))


def lowest(shares: Iterable[Share]) -> Share:
    """Return the smallest share, the first of equal ones."""
    return min(shares, key=lambda share: share.exact)


def smallest(*groups: Iterable[Share]) -> int:
    """Return the number of bugs in the smallest group of all shares."""
    return min(share.total for group in groups for share in group)


def just_above(share: Share, bound: int) -> bool:
    """Return whether "more than" or "at least" holds as printed: not below after rounding, and not far above."""
    return bound <= share.printed <= bound + CLOSE


def close_to(percent: float, value: float) -> bool:
    """Return whether "close to" holds."""
    return abs(percent - value) <= CLOSE
