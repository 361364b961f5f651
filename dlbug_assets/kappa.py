"""Cohen's kappa in whole numbers, for the agreement of raters and for the sample's simulated raters."""

from collections.abc import Sequence


def kappa_ratio(agreed: int, first: Sequence[int], second: Sequence[int]) -> tuple[int, int]:
    """Return Cohen's kappa (1960) of two raters as numerator and denominator, exact for numbers of any size.

    ``first`` and ``second`` count how often either rater used each category, in the same order; ``agreed`` of the items
    have the same category from both. The denominator is 0 where kappa is undefined: both used the same single category,
    or there are no items.
    """
    n = sum(first)
    chance = sum(a * b for a, b in zip(first, second, strict=True))  # expected agreement, times n squared
    return n * agreed - chance, n * n - chance
