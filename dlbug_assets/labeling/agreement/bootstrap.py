"""Percentile bootstrap of kappa (Efron 1979).

Items are resampled, not bugs, because the bugs of one item are not independent.
"""

import hashlib

import numpy as np

from dlbug_assets.labeling.agreement.subsets import Subset

RESAMPLES = 1000
#: Resamples drawn at a time: with thousands of items, all at once would take hundreds of megabytes.
_CHUNK = 100


def bootstrap_interval(subset: Subset, seed: int) -> tuple[float, float] | tuple[None, None]:
    """Return the 2.5% and 97.5% percentiles of kappa over RESAMPLES resamples of items.

    With more than two raters, kappa is the mean over the pairs. Resamples whose kappa is undefined (a single category
    was drawn) are left out; returns None, None if all are.
    """
    from scipy import sparse  # noqa: PLC0415 (slow to import)

    row = "|".join(str(value) for value in subset.key.values())
    # Each row has its own generator, so that another source or checkpoint does not change it.
    entropy = int.from_bytes(hashlib.sha256(f"{seed}|kappa|{row}".encode()).digest())
    generator = np.random.Generator(np.random.PCG64(entropy))
    counts, pattern, codes = _patterns(subset)
    items = int(counts.sum())
    raters, size = codes.shape[1], len(subset.labels)

    # The summands of a resample, per pattern: number of units, labels of each rater, agreements of each pair.
    labels = np.zeros((len(counts), raters, size))
    for rater in range(raters):
        np.add.at(labels[:, rater], (pattern, codes[:, rater]), 1)
    agreed = [np.bincount(pattern, codes[:, a] == codes[:, b], minlength=len(counts)) for a, b in subset.pairs]
    summands = np.column_stack([np.bincount(pattern, minlength=len(counts)), labels.reshape(len(counts), -1), *agreed])
    # Sparse, because a pattern has few of the labels, and because BLAS would start threads within each of our threads.
    summing = sparse.csr_array(summands.T)
    chunks = [min(_CHUNK, RESAMPLES - start) for start in range(0, RESAMPLES, _CHUNK)]
    draws = (generator.multinomial(items, counts / items, size=chunk) for chunk in chunks)
    sums = np.ascontiguousarray(np.hstack([summing @ draw.T for draw in draws]).T)
    units = sums[:, 0]
    shares = [sums[:, 1 + rater * size : 1 + (rater + 1) * size] / units[:, None] for rater in range(raters)]
    kappas = []
    for column, (a, b) in enumerate(subset.pairs, start=1 + raters * size):
        observed = sums[:, column] / units
        # If both raters used one category for all units, the products are exact and so is the comparison with 1.
        expected = (shares[a] * shares[b]).sum(axis=1)
        undefined = expected == 1
        kappas.append(np.where(undefined, np.nan, (observed - expected) / np.where(undefined, 1, 1 - expected)))
    mean = np.mean(kappas, axis=0)
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
    numbers, first_unit = np.unique(items, return_index=True)
    distinct, example, counts = np.unique(patterns[first_unit], return_index=True, return_counts=True)
    of_examples = np.isin(items, numbers[example])
    return counts, np.searchsorted(distinct, patterns[of_examples]), subset.codes[of_examples]
