"""Percentile bootstrap of kappa (Efron 1979).

Items are resampled, not bugs, because the bugs of one item are not independent.
"""

import hashlib

import numpy as np

from dlbug_assets.labeling.agreement.coefficients import MISSING
from dlbug_assets.labeling.agreement.subsets import Subset

RESAMPLES = 1000
#: Resamples drawn at a time: with thousands of items, all at once would take hundreds of megabytes.
_CHUNK = 100


def bootstrap_interval(subset: Subset, seed: int) -> tuple[float, float] | tuple[None, None]:
    """Return the 2.5% and 97.5% percentiles of kappa over RESAMPLES resamples of items.

    With more than two raters, kappa is the mean over the pairs that share units. Resamples whose kappa is undefined (a
    pair used a single category) are left out; returns None, None if all are.
    """
    from scipy import sparse  # noqa: PLC0415 (slow to import)

    row = "|".join(str(value) for value in subset.key.values())
    # Each row has its own generator, so that another source or checkpoint does not change it.
    entropy = int.from_bytes(hashlib.sha256(f"{seed}|kappa|{row}".encode()).digest())
    generator = np.random.Generator(np.random.PCG64(entropy))
    counts, pattern, codes = _patterns(subset)
    items, size = int(counts.sum()), len(subset.labels)

    # The summands of a resample, per pattern: of each pair the number of units, the agreements, the labels of both.
    width = 2 + 2 * size
    summands = np.zeros((len(counts), len(subset.pairs) * width))
    for start, (a, b, _) in zip(range(0, summands.shape[1], width), subset.pairs, strict=True):
        shared = (codes[:, [a, b]] != MISSING).all(axis=1)
        of, first, second = pattern[shared], codes[shared, a], codes[shared, b]
        for column, values in ((0, 1), (1, first == second), (2 + first, 1), (2 + size + second, 1)):
            np.add.at(summands.reshape(-1), of * summands.shape[1] + start + column, values)
    # Sparse, because a pattern has few of the labels, and because BLAS would start threads within each of our threads.
    summing = sparse.csr_array(summands.T)
    chunks = [min(_CHUNK, RESAMPLES - start) for start in range(0, RESAMPLES, _CHUNK)]
    draws = (generator.multinomial(items, counts / items, size=chunk) for chunk in chunks)
    sums = np.ascontiguousarray(np.hstack([summing @ draw.T for draw in draws]).T)
    kappas, weights = [], []
    for start in range(0, sums.shape[1], width):
        units = sums[:, start]
        weights.append(units > 0)  # a pair that shares no unit in a resample has no part in its mean
        units = np.where(units > 0, units, 1)
        observed = sums[:, start + 1] / units
        first, second = np.split(sums[:, start + 2 : start + width] / units[:, None], 2, axis=1)
        # If both raters used one category for all units, the products are exact and so is the comparison with 1.
        expected = (first * second).sum(axis=1)
        undefined = expected == 1
        kappas.append(np.where(undefined, np.nan, (observed - expected) / np.where(undefined, 1, 1 - expected)))
    # Without units, observed and expected agreement are 0, and so is kappa.
    mean = np.sum(kappas, axis=0) / np.sum(weights, axis=0)
    mean = mean[~np.isnan(mean)]
    if not len(mean):
        return None, None
    low, high = np.percentile(mean, [2.5, 97.5])
    return float(low), float(high)


def _patterns(subset: Subset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the number of items with each pattern, and the units of one example item per pattern.

    The units are two arrays: their patterns, numbered from 0, and their codes (units x raters).
    """
    items, patterns = subset.ratings.items[subset.complete], subset.ratings.patterns[subset.complete]
    first_unit = np.flatnonzero(np.diff(items, prepend=-1))
    distinct, example, counts = np.unique(patterns[first_unit], return_index=True, return_counts=True)
    is_example = np.zeros(len(first_unit), dtype=bool)
    is_example[example] = True
    of_examples = np.repeat(is_example, np.diff(first_unit, append=len(items)))
    return counts, np.searchsorted(distinct, patterns[of_examples]), subset.codes[of_examples]
