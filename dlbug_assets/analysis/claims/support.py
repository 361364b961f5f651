"""Whether the data support claims: the share of resamples of whole clusters in which each of them holds.

Clusters are drawn with replacement within strata of source and exact set of libraries (a post in two libraries belongs
to both), with the same draws for all claims and dimensions.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dlbug_assets.analysis.claims.readings import NOT_TESTABLE, Case
from dlbug_assets.analysis.claims.tally import Selection, Tally
from dlbug_assets.analysis.statistics.clusters import ONE_CLUSTER
from dlbug_assets.analysis.statistics.resampling import generator
from dlbug_assets.analysis.statistics.shares import ENOUGH_BUGS

#: The number of resamples.
DRAWS = 10_000
#: A claim is supported if it holds in at least this share of the resamples, contradicted if in at most that share.
SUPPORTED, CONTRADICTED = 0.95, 0.05
#: Other thresholds, of which analysis.claim_thresholds states what they would decide.
THRESHOLDS = ((0.8, 0.2), (0.9, 0.1), (SUPPORTED, CONTRADICTED), (0.975, 0.025), (0.99, 0.01))
#: Standard errors within which a probability is marked as at the threshold: another seed might decide otherwise.
AT_THRESHOLD = 3

# The number of weights of a batch of draws: 8 MiB, and as much for each step of drawing them.
_BATCH = 1 << 20
_MOST_OF_A_BATCH = 500


class Resamples(NamedTuple):
    """The number of resamples in which a claim holds, or is a tie, and that have bugs in each of its groups."""

    held: int
    ties: int
    defined: int


class Support(NamedTuple):
    """The columns support, probability, ties and at_threshold of analysis.claims, and the reason in words."""

    support: str
    probability: float | None
    ties: float | None
    at_threshold: bool
    reason: str


def resamples(cases: Sequence[Case], tally: Tally, seed: int) -> list[Resamples]:
    """Return the resamples of each case, of the seed of the study."""
    counts = np.zeros((len(cases), len(Resamples._fields)), dtype=np.int64)
    for batch in draws(tally, seed) if cases else ():
        for place, case in enumerate(cases):
            strictly, with_ties = case.held(batch)
            is_defined = case.is_defined(batch)
            held, tied = strictly & is_defined, with_ties & ~strictly & is_defined
            counts[place] += held.sum(), tied.sum(), is_defined.sum()
    return [Resamples(*of_case) for of_case in counts.tolist()]


def draws(tally: Tally, seed: int, number: int = DRAWS) -> Iterator[np.ndarray]:
    """Yield batches of draws, whose counts do not depend on the size of the batches."""
    strata = [(members, generator(seed, "claims", *stratum)) for stratum, members in sorted(tally.strata.items())]
    clusters = sum(len(members) for members in tally.strata.values())
    size = max(1, min(_MOST_OF_A_BATCH, _BATCH // max(clusters, 1)))
    columns = tally.by_cluster.T.tocsr()
    for start in range(0, number, size):
        rows = min(size, number - start)
        weights = np.zeros((rows, clusters))
        for members, random in strata:
            drawn = random.integers(len(members), size=(rows, len(members)))
            places = drawn + len(members) * np.arange(rows)[:, None]
            counted = np.bincount(places.ravel(), minlength=rows * len(members))
            weights[:, members] = counted.reshape(rows, len(members))
        yield (columns @ weights.T).T


def support(
    case: Case, tally: Tally, counts: Resamples, supported: float = SUPPORTED, contradicted: float = CONTRADICTED
) -> Support:
    """Return whether the resamples of a case support its claim, by these thresholds."""
    held, ties, defined = counts
    if lone := _lone(case.groups, tally):
        return Support(NOT_TESTABLE, None, None, False, f"{lone}, so that no draw differs")
    if not defined:
        return Support(NOT_TESTABLE, None, None, False, "no draw has the bugs that it needs")
    probability, tied = held / defined, ties / defined
    reason = f"it holds in {probability:.3f} of {defined} resamples of clusters"
    reason += f", and is a tie in {tied:.3f}" if tied else ""
    outcome = True if probability >= supported else False if probability <= contradicted else None
    if outcome is None:
        doubt = None
    elif case.reading.claim_n < ENOUGH_BUGS:
        doubt = f"the smallest group has fewer than {ENOUGH_BUGS} bugs ({case.reading.claim_n})"
    else:
        doubt = case.objection(outcome)
    if doubt:
        return Support("undecided", probability, tied, False, f"{reason}, but {doubt}")
    near = any(
        abs(probability - threshold) < AT_THRESHOLD * np.sqrt(threshold * (1 - threshold) / defined)
        for threshold in (supported, contradicted)
    )
    found = {True: "supported", False: "contradicted", None: "undecided"}[outcome]
    return Support(found, probability, tied, near, f"{reason} (at the threshold)" if near else reason)


def threshold_rows(
    cases: Sequence[Case], tally: Tally, counts: Sequence[Resamples], claims: int
) -> list[dict[str, object]]:
    """Return analysis.claim_thresholds: the number of claims by support, for each of :data:`THRESHOLDS`.

    ``claims`` is the number of all claims; those without a case are not testable.
    """
    rows: list[dict[str, object]] = []
    for pair in THRESHOLDS:
        found = Counter(support(case, tally, n, *pair).support for case, n in zip(cases, counts, strict=True))
        rows.append({
            "supported_from": pair[0], "contradicted_to": pair[1], "is_used": pair == (SUPPORTED, CONTRADICTED),
            "supported": found["supported"], "contradicted": found["contradicted"], "undecided": found["undecided"],
            "not_testable": found[NOT_TESTABLE] + claims - len(cases),
        })  # fmt: skip
    return rows


def _lone(groups: Sequence[Selection], tally: Tally) -> str | None:
    """Return why no draw can differ: a group's bugs are all of one cluster, or of one in each stratum; else None."""
    is_drawn = np.zeros(sum(map(len, tally.strata.values())), dtype=bool)
    for members in tally.strata.values():
        is_drawn[members] = len(members) > 1
    for selection in groups:
        has_bugs = tally.clusters(selection.totals) > 0
        clusters, drawn = has_bugs.sum(axis=0), (has_bugs & is_drawn[:, None]).sum(axis=0)
        for group, number, varying in zip(selection.groups, clusters, drawn, strict=True):
            if number < 2 or not varying:  # noqa: PLR2004
                of_each = f"the bugs of each source and {tally.group} are all of one cluster"
                reason = ONE_CLUSTER if number < 2 else of_each  # noqa: PLR2004
                return f"{reason}{f': {group}' if group else ''}"
    return None
