"""The notation of printed numbers: shares in percent, by name or listed, and whether they are as printed."""

from collections.abc import Iterable, Mapping, Sequence

from dlbug_assets.analysis.claims.kinds import CLOSE
from dlbug_assets.analysis.statistics.shares import Share
from dlbug_assets.protocol.claims import Claim, numbers, printed_decimals


class Notation:
    """The notation of a claim's printed numbers: with as many decimals as they have at most, none without any."""

    def __init__(self, claim: Claim) -> None:
        self._printed = claim.printed
        self._sense = claim.sense
        self.decimals = printed_decimals(claim.printed or "")

    def percent(self, share: Share) -> str:
        """Return a share in percent, halves rounded away from zero."""
        scale = 10**self.decimals
        # With integers, so that a half is exactly a half.
        scaled = (200 * scale * share.bugs + share.total) // (2 * share.total)
        return f"{scaled // scale}.{scaled % scale:0{self.decimals}d}" if self.decimals else str(scaled)

    def listed(self, shares: Iterable[Share]) -> str:
        """Return percents as in ``31; 3; 10``."""
        return "; ".join(map(self.percent, shares))

    def named(self, shares: Mapping[str, Share]) -> str:
        """Return percents by name as in ``Torch=16; Keras=11``."""
        return "; ".join(f"{name}={self.percent(share)}" for name, share in shares.items())

    def spread(self, shares: Iterable[Share]) -> str:
        """Return the smallest and the largest share as in ``40; 77``."""
        ordered = sorted(shares, key=lambda share: share.exact)
        return self.listed((ordered[0], ordered[-1]))

    def as_printed(self, computed: str, shares: Sequence[Share] = ()) -> bool | None:
        """Return whether a number is as printed, in the sense of the paper's words; None if nothing is printed.

        ``shares`` are those that words such as "more than" concern: of these, the exact ones have to be in the bound as
        well as the rounded ones. Names may be left out of printed numbers, and zeros at the end of decimals.
        """
        if self._printed is None:
            return None
        if self._sense == "equal":
            return _entries(self._printed) in (_entries(computed), [("", value) for _, value in _entries(computed)])
        printed = numbers(self._printed)
        targets = printed * len(shares) if len(printed) == 1 else printed
        if len(targets) != len(shares):
            return False
        pairs = list(zip(shares, targets, strict=True))
        if self._sense == "about":
            return all(abs(share.percent - target) <= CLOSE for share, target in pairs)
        strict = self._sense == "more than"
        return all(
            target <= float(self.percent(share)) <= target + CLOSE
            and (share.percent > target or (share.percent == target and not strict))
            for share, target in pairs
        )


def _entries(text: str) -> list[tuple[str, float | str]]:
    """Return the names and values of a text such as ``Keras=25; Caffe=37``."""
    entries: list[tuple[str, float | str]] = []
    for part in text.replace("|", ";").split(";"):
        name, _, value = part.strip().rpartition("=")
        found = numbers(value)
        entries.append((name.strip(), found[0] if found else value.strip()))
    return entries
