"""Claims about distributions (alike, differ, correlated), made ready to be judged on the data and on draws."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations

import numpy as np

from dlbug_assets.analysis.claims import kinds
from dlbug_assets.analysis.claims.cases.p_values import p_reading
from dlbug_assets.analysis.claims.kinds import Held
from dlbug_assets.analysis.claims.notation import Notation
from dlbug_assets.analysis.claims.readings import Case, Reading, smallest
from dlbug_assets.analysis.claims.tally import NotTestable, Selection, Tally
from dlbug_assets.analysis.correlation import rowwise_pearson
from dlbug_assets.analysis.statistics.effective import Limits, difference
from dlbug_assets.protocol.claims import AlikeClaim, CorrelatedClaim

# Two one-sided tests at 5% are one interval of 90%.
_CONFIDENCE = 0.9


def alike_case(claim: AlikeClaim, tally: Tally) -> Case:
    """Return the case of a claim that distributions are alike, or differ. Raises :class:`NotTestable`."""
    if claim.unlike is not None:
        return _closer_case(claim, claim.unlike, tally)
    groups = _compared(claim, tally)
    is_alike = claim.kind == "alike"
    if claim.shows == "difference":
        for group in groups.values():
            _require(group, claim, tally)
        reading = _difference_reading(claim, groups, tally)
    else:
        reading = p_reading(claim, tally)

    def held(batch: np.ndarray) -> Held:
        distributions = np.concatenate([group.percent(batch) for group in groups.values()], axis=1)
        return (kinds.alike if is_alike else kinds.differ)(distributions, claim.margin)

    def objection(holds: bool) -> str | None:
        equivalent = _are_equivalent([tally.limits(group, _CONFIDENCE) for group in groups.values()], claim.margin)
        if equivalent == (holds == is_alike):
            return None
        return f"a 90% interval of a difference reaches across {claim.margin:g} points (two one-sided tests)"

    return Case(reading, held, tuple(groups.values()), objection)


def _compared(claim: AlikeClaim, tally: Tally) -> dict[str, Selection]:
    """Return the distributions that are compared: of sources or, within a source, of libraries."""
    known = claim.categories or tally.categories.get(claim.dimension, ())
    select = partial(tally.select, claim.dimension, [(name,) for name in known if name not in claim.other_than])
    if claim.source is None:
        groups = {name: select(source=name, libraries=claim.libraries, over=claim.over) for name in tally.sources}
    else:
        chosen = claim.libraries or tally.libraries
        groups = {name: select(source=claim.source, libraries=[name]) for name in chosen}
    if len(groups) < 2:  # noqa: PLR2004
        raise NotTestable(f"there are fewer than two {'sources' if claim.source is None else tally.groups} to compare")
    return groups


def _require(selection: Selection, claim: AlikeClaim | CorrelatedClaim, tally: Tally) -> None:
    """Raise :class:`NotTestable` for a group without bugs."""
    for group, total in zip(selection.groups, selection.total(tally.observed)[0], strict=True):
        if total == 0:
            source = f"{claim.source} " if claim.source else ""
            of = f" of {group}" if group else ""
            raise NotTestable(f"no {source}bug{of} has a label in {claim.dimension.replace('_', ' ')}")


def _difference_reading(claim: AlikeClaim, groups: Mapping[str, Selection], tally: Tally) -> Reading:
    percents = {name: group.percent(tally.observed)[0, 0] for name, group in groups.items()}
    apart = np.ptp(np.array(list(percents.values())), axis=0)
    place = int(apart.argmax())
    category = next(iter(groups.values())).names[place]
    high, low = (pick(percents, key=lambda name: percents[name][place]) for pick in (max, min))
    notation = Notation(claim)
    computed = f"{category}={apart[place]:.{notation.decimals}f}"
    reproduced = notation.as_printed(computed)
    n = int(min(group.total(tally.observed).min() for group in groups.values()))
    pooled = f"shares of the bugs of all {tally.groups} pooled"
    how = f"mean of the {tally.groups}' shares" if claim.over == "mean" else pooled
    return Reading(
        computed, reproduced, bool(apart[place] < claim.margin) == (claim.kind == "alike"),
        f"the largest difference is {apart[place]:.1f} points, of {category}: {percents[high][place]:.1f}% ({high}) "
        f"and {percents[low][place]:.1f}% ({low})",
        n, n, f"{how}, alike if no category differs by {claim.margin:g} points", "differences are compared",
    )  # fmt: skip


def _are_equivalent(limits: Sequence[list[Limits]], margin: float) -> bool | None:
    """Return whether all differences are within the margin, False if one is outside, None if it is undecided."""
    intervals = [difference(first, second) for first, second in combinations(limits, 2)]
    if any(((100 * low >= margin) | (100 * high <= -margin)).any() for low, high in intervals):
        return False
    return True if all(((100 * low > -margin) & (100 * high < margin)).all() for low, high in intervals) else None


def _closer_case(claim: AlikeClaim, unlike: tuple[str, ...], tally: Tally) -> Case:
    libraries = claim.libraries or ()
    select = partial(tally.select, claim.dimension, source=claim.source, over="each")
    own, others = select(libraries=libraries), select(libraries=unlike)
    for group in (own, others):
        _require(group, claim, tally)

    def held(batch: np.ndarray) -> Held:
        return kinds.closer(own.percent(batch), others.percent(batch))

    apart = _pairs(select(libraries=(*libraries, *unlike)), tally, kinds.jensen_shannon)
    distances = [f"{a} and {b} {value:.2f}" for (a, b), value in apart.items() if not {a, b} <= set(unlike)]
    shares = [row[0] for row in tally.shares(select([(str(claim.category),)], libraries=libraries))]
    notation = Notation(claim)
    computed = notation.named(dict(zip(libraries, shares, strict=True)))
    reproduced = notation.as_printed(computed, shares)
    reading = Reading(
        computed, reproduced, bool(held(tally.observed).strictly[0]),
        f"the distributions are apart: {', '.join(distances)}", smallest(shares),
        int(min(group.total(tally.observed).min() for group in (own, others))),
        f"share of the {tally.group}'s {claim.source} bugs with a label; Jensen-Shannon distance, base 2",
        "distances are compared",
    )  # fmt: skip
    return Case(reading, held, (own, others), lambda _: None)


def _pairs(
    selection: Selection, tally: Tally, measure: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> dict[tuple[str, str], float]:
    """Return a measure of each pair of groups in the data."""
    percents = dict(zip(selection.groups, selection.percent(tally.observed)[0], strict=True))
    return {(a, b): float(measure(percents[a][None], percents[b][None])[0]) for a, b in combinations(percents, 2)}


def correlated_case(claim: CorrelatedClaim, tally: Tally) -> Case:
    """Return the case of a claim that libraries correlate. Raises :class:`NotTestable`."""
    libraries = claim.libraries or tally.libraries
    strong = [name for name in libraries if name not in claim.other_than]
    if len(strong) < 2:  # noqa: PLR2004
        raise NotTestable(f"it needs {', '.join([*claim.other_than, f'two other {tally.groups}'])}")
    every = tally.select(claim.dimension, source=claim.source, over="each")
    _require(every, claim, tally)
    # Categories without bugs in any library would make any two libraries similar.
    used = [(name,) for name, n in zip(every.names, every.bugs(tally.observed)[0].sum(axis=0), strict=True) if n]
    select = partial(tally.select, claim.dimension, used, source=claim.source, over="each")
    own, rest = select(libraries=strong), select(libraries=claim.other_than)
    both = select(libraries=sorted((*strong, *claim.other_than)))
    shares = both.percent(tally.observed)[0]
    if flat := [name for name, of_library in zip(both.groups, shares, strict=True) if np.ptp(of_library) == 0]:
        raise NotTestable(f"a correlation needs shares that vary: every category has the same in {', '.join(flat)}")

    def held(batch: np.ndarray) -> Held:
        return kinds.correlated(own.percent(batch), rest.percent(batch), at_least=claim.at_least, below=claim.below)

    reading = _correlated_reading(claim, both, tally, holds=bool(held(tally.observed).strictly[0]))
    return Case(reading, held, (both,), lambda _: None)


def _correlated_reading(claim: CorrelatedClaim, both: Selection, tally: Tally, *, holds: bool) -> Reading:
    r = _pairs(both, tally, rowwise_pearson)
    others = [value for pair, value in r.items() if not set(pair) & set(claim.other_than)]
    reason = f"the {tally.groups} correlate by {min(others):.2f} to {max(others):.2f}"
    if claim.other_than:
        rest = [value for pair, value in r.items() if set(pair) & set(claim.other_than)]
        reason += f", {', '.join(claim.other_than)} with them by {min(rest):.2f} to {max(rest):.2f}"
    texts = {f"{a}-{b}": f"{value:.2f}" for (a, b), value in r.items()}
    computed = "; ".join(f"{pair}={text}" for pair, text in texts.items())
    reproduced = Notation(claim).as_printed(computed)
    if claim.printed_values is not None:
        equal = [pair for pair, value in claim.printed_values.items() if texts.get(pair) == f"{value:.2f}"]
        reproduced = len(equal) == len(claim.printed_values)
        reason += f", and {len(equal)} of {len(claim.printed_values)} are as printed"
    n = int(both.total(tally.observed).min())
    weak = "" if claim.below is None else f", weak under {claim.below:g}"
    bugs = f"{claim.source} bugs" if claim.source else "bugs of all sources"
    return Reading(
        computed, reproduced, holds, reason, n, n,
        f"Pearson over the shares of {claim.dimension.replace('_', ' ')}, {bugs}, strong from {claim.at_least:g}{weak}",
        "correlations are compared",
    )  # fmt: skip
