"""The P values that a paper prints for claims that sources are alike: a number to reproduce, never the support."""

from collections.abc import Sequence

from dlbug_assets.analysis.claims.notation import Notation
from dlbug_assets.analysis.claims.readings import Reading, smallest
from dlbug_assets.analysis.claims.tally import NotTestable, Selection, Tally
from dlbug_assets.analysis.comparison import SIGNIFICANCE, student_t_test
from dlbug_assets.analysis.statistics.shares import whole_percent
from dlbug_assets.protocol.claims import AlikeClaim

_TWO = 2


def p_reading(claim: AlikeClaim, tally: Tally) -> Reading:
    """Return what Student's t-test on one share per library says: no category except those named differs.

    Raises :class:`NotTestable` for other than two sources, or missing data.
    """
    chosen = claim.printed_values or claim.categories
    names = [name for name in tally.categories.get(claim.dimension, ()) if chosen is None or name in chosen]
    exact, rounded = _p_values(claim, names, tally)
    for name in (*claim.other_than, *(claim.categories or ())):
        if exact.get(name) is None:
            raise NotTestable(f"there is no P value for {name}")
    tested = {name: p for name, p in exact.items() if p is not None}
    different = [name for name, p in tested.items() if p < SIGNIFICANCE]
    reason = (
        f"of {len(tested)} P values {', '.join(different) or 'none'} {'are' if len(different) > 1 else 'is'} below "
        f"{SIGNIFICANCE}"
    )
    if claim.shows == "p_percent":
        texts = {name: f"{100 * p:.0f}" for name, p in tested.items()}
        how = "exact shares"
    else:
        texts = {name: f"{p:.4f}" for name, p in rounded.items() if p is not None}
        how = "decided with exact shares, shown with shares rounded to whole percent, as those printed are"
    computed = "; ".join(f"{name}={text}" for name, text in texts.items())
    reproduced = Notation(claim).as_printed(computed)
    if claim.printed_values is not None:
        equal = [name for name, p in claim.printed_values.items() if texts.get(name) == f"{p:.4f}"]
        reproduced = len(equal) == len(claim.printed_values)
        reason += f", and {len(equal)} of {len(claim.printed_values)} are as printed"
    n = smallest(*(row for sample in _samples(claim, names, tally) for row in tally.shares(sample)))
    return Reading(
        computed, reproduced, (set(different) == set(claim.other_than)) == (claim.kind == "alike"), reason, n, n,
        f"Student's t-test on one share per {tally.group} and source, {how}", "P values are compared",
    )  # fmt: skip


def _samples(claim: AlikeClaim, names: Sequence[str], tally: Tally) -> list[Selection]:
    """Return the shares of each library, by source."""
    categories = [(name,) for name in names]
    return [
        tally.select(claim.dimension, categories, source=source, libraries=claim.libraries, over="each")
        for source in tally.sources
    ]


def _p_values(
    claim: AlikeClaim, names: Sequence[str], tally: Tally
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Return the P values by category from exact shares, and from shares rounded to whole percent."""
    if len(tally.sources) != _TWO:
        raise NotTestable("a t-test compares two sources")
    samples = _samples(claim, names, tally)
    _require(samples, claim, tally)
    first, second = (tally.shares(sample) for sample in samples)
    exact: dict[str, float | None] = {}
    rounded: dict[str, float | None] = {}
    for place, name in enumerate(names):
        sides = [[row[place] for row in rows] for rows in (first, second)]
        exact[name] = student_t_test(*([share.bugs / share.total for share in side] for side in sides))
        rounded[name] = student_t_test(*([whole_percent(share.bugs, share.total) for share in side] for side in sides))
    return exact, rounded


def _require(samples: Sequence[Selection], claim: AlikeClaim, tally: Tally) -> None:
    label = claim.dimension.replace("_", " ")
    cells = [
        (f"{library} ({source})", total)
        for source, sample in zip(tally.sources, samples, strict=True)
        for library, total in zip(sample.groups, sample.total(tally.observed)[0], strict=True)
    ]
    without = [cell for cell, total in cells if total == 0]
    if without:
        where = "" if len(without) == len(cells) else f": {', '.join(without)}"
        raise NotTestable(f"no bug has a label in {label}{where}")
    if len(samples[0].groups) < _TWO:
        raise NotTestable(f"a t-test needs two {tally.groups} or more")
