"""From what a metric shows to a verdict, and the notation both sides are written in (that of findings.csv)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dlbug_assets.analysis.findings.evidence import Evidence
from dlbug_assets.analysis.statistics.shares import Share

#: Under this many bugs a group says too little about a share.
ENOUGH_BUGS = 10

#: Percentage points within which "close to", "more than" and "at least" count as printed.
CLOSE = 5


@dataclass(frozen=True)
class Reading:
    """What one metric shows in this study.

    ``computed``: in the notation of the printed values; ``holds``: whether the data supports the claim; ``because``:
    that in words; ``n``: bugs in the smallest group whose share is printed; ``estimator``: how the paper's words were
    read, with the other reading's value where there is one; ``decisive``: the share on which it hangs whether the claim
    holds (of several that have to be large, the smallest), or why there is none; ``as_printed``: for words such as
    "more than", where equal text is not what counts; ``claim_n``: bugs in the smallest group the claim rests on, where
    not n.
    """

    computed: str
    holds: bool
    because: str
    n: int
    estimator: str
    decisive: Share | str
    as_printed: bool | None = None
    claim_n: int | None = None


Metric = Callable[[Evidence], Reading]


def verdict_of(reading: Reading, published: str) -> tuple[str, str]:
    """The verdict, and in words what it rests on, without a full stop."""
    claim_n = reading.n if reading.claim_n is None else reading.claim_n
    reason = f"{reading.because[0].upper()}{reading.because[1:]}"
    if claim_n < ENOUGH_BUGS:
        return "underpowered", f"{reason}; {_too_few(claim_n)}"
    # A claim that enough bugs speak against is not saved by a small group beside it.
    if not reading.holds:
        return "not reproduced", reason
    if reading.n < ENOUGH_BUGS:
        return "underpowered", f"{reason}; {_too_few(reading.n)}"
    same = reading.computed == published if reading.as_printed is None else reading.as_printed
    return ("reproduced" if same else "reproduced differently"), reason


def _too_few(n: int) -> str:
    return f"the smallest group has {n} {'bug' if n == 1 else 'bugs'}, under {ENOUGH_BUGS}"


def listed(shares: Iterable[Share]) -> str:
    """``31; 3; 10``: whole percents."""
    return "; ".join(str(share.printed) for share in shares)


def named(shares: Mapping[str, Share]) -> str:
    """``Torch=16; Keras=11``: whole percents by name."""
    return "; ".join(f"{name}={share.printed}" for name, share in shares.items())


def spread(shares: Iterable[Share]) -> str:
    """``40; 77``: the smallest and the largest, in whole percent."""
    ordered = sorted(shares, key=lambda share: share.exact)
    return listed((ordered[0], ordered[-1]))


def lowest(shares: Iterable[Share]) -> Share:
    """The smallest share, of those that tie the first."""
    return min(shares, key=lambda share: share.exact)


def smallest(*groups: Iterable[Share]) -> int:
    """The bugs of the smallest group among all shares."""
    return min(share.total for group in groups for share in group)


def just_above(share: Share, bound: int) -> bool:
    """Whether "more than" or "at least" is met as printed: within rounding not below, and not far above."""
    return bound <= share.printed <= bound + CLOSE


def close_to(percent: float, value: float) -> bool:
    """Whether "close to" is met."""
    return abs(percent - value) <= CLOSE
