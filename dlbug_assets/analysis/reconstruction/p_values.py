"""Whether Student's t-test on working shares has the printed P value, for many tables at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlbug_assets.analysis.comparison import student_t_test
from dlbug_assets.analysis.reconstruction.printed_tables import Floats, Ints, PrintedP

#: A printed digit is exact to half of it; numbers of shares are whole, so that more would be rounding.
_ROUNDING = 1e-9
#: A t statistic squared that no shares have; infinity times no variance would be undefined.
_ANY = 1e100


@dataclass(frozen=True)
class PrintedTest:
    """A printed P value of Student's t-test with pooled variance, as the interval of its t statistic squared.

    ``is_first`` states which of the columns are those of the first source.
    """

    printed: PrintedP
    is_first: NDArray[np.bool_]
    lowest: float
    highest: float

    @classmethod
    def of(cls, printed: PrintedP, is_first: NDArray[np.bool_]) -> "PrintedTest":
        """Return the test whose P value is printed."""
        from scipy.special import stdtrit  # noqa: PLC0415 - slow to import

        half = 0.5 / 10**printed.decimals + _ROUNDING
        degrees = len(is_first) - 2

        def squared(p: float) -> float:
            return float(stdtrit(degrees, p / 2)) ** 2 if p > 0 else _ANY

        return cls(printed, is_first, squared(min(printed.value + half, 1.0)), squared(printed.value - half))

    @property
    def bits(self) -> float:
        """The bits that the printed digits take if the shares do not give them."""
        return self.printed.decimals * float(np.log2(10))

    def is_reached(self, shares: Ints) -> NDArray[np.bool_]:
        """Return whether each row of shares, one per column of the table, has the printed P value."""
        first, second = shares[:, self.is_first], shares[:, ~self.is_first]
        sizes = first.shape[1], second.shape[1]
        squares = _squares(first) + _squares(second)
        variance = squares / (sum(sizes) - 2) * sum(1 / size for size in sizes)
        distance = (first.mean(axis=1) - second.mean(axis=1)) ** 2
        # Where nothing varies, there is no P value, and no division.
        return (variance > 0) & (self.lowest * variance <= distance) & (distance <= self.highest * variance)


def _squares(shares: Ints) -> Floats:
    return ((shares - shares.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)


def p_value(shares: Ints, is_first: NDArray[np.bool_]) -> float | None:
    """Return the P value of the shares of one row, None if they do not vary."""
    return student_t_test(shares[is_first].tolist(), shares[~is_first].tolist())
