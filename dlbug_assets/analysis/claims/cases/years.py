"""Claims about years (trend), made ready to be judged on the data and on draws."""

from collections.abc import Mapping, Sequence

import numpy as np

from dlbug_assets.analysis.claims import kinds
from dlbug_assets.analysis.claims.kinds import Held
from dlbug_assets.analysis.claims.notation import Notation
from dlbug_assets.analysis.claims.readings import Case, Reading, smallest
from dlbug_assets.analysis.claims.tally import NotTestable, Selection, Tally
from dlbug_assets.analysis.statistics.shares import Share
from dlbug_assets.protocol.claims import TrendClaim

_Dated = Mapping[tuple[str, int], Share]


def trend_case(claim: TrendClaim, tally: Tally) -> Case:
    """Return the case of a claim about years: first and last on the data, as the paper compares, a slope on draws.

    Raises :class:`NotTestable` for missing data.
    """
    libraries = claim.libraries or tally.libraries
    dated = _dated(claim, tally, (*libraries, *(claim.shown or ())))
    needed = claim.years if claim.direction == "steady" else (claim.years[0], claim.years[-1])
    shares = {name: [dated[name, year] for year in needed] for name in libraries}
    columns = [_in_year(claim, tally, libraries, year) for year in claim.years]
    years = np.array(claim.years, dtype=float)

    def held(batch: np.ndarray) -> Held:
        bugs = np.stack([column.bugs(batch)[:, :, 0] for column in columns], axis=-1)
        totals = np.stack([column.total(batch) for column in columns], axis=-1)
        return kinds.trend(bugs, totals, years, claim.direction).over("each")

    pooled = tally.select(
        claim.dimension, [(claim.category,)], source=claim.source, libraries=libraries, years=claim.years, over="each"
    )
    constant = [name for name, (share,) in zip(libraries, tally.shares(pooled), strict=True)
                if share.bugs in (0, share.total)]  # fmt: skip
    objection = f"the share is 0 or 100% in all years of {', '.join(constant)}, in every draw" if constant else None
    return Case(_reading(claim, dated, tally, shares), held, (pooled,), lambda _: objection)


class _Years(dict[tuple[str, int], Share]):
    """Shares by library and year; looking up a year without bugs raises :class:`NotTestable`."""

    def __init__(self, source: str | None) -> None:
        super().__init__()
        self.source = f"{source} " if source else ""

    def __missing__(self, key: tuple[str, int]) -> Share:
        raise NotTestable(f"there is no {self.source}bug of {key[0]} from {key[1]}")


def _dated(claim: TrendClaim, tally: Tally, libraries: Sequence[str]) -> _Years:
    found = _Years(claim.source)
    names = tuple(dict.fromkeys(libraries))
    for year in claim.years:
        for name, (share,) in zip(names, tally.shares(_in_year(claim, tally, names, year)), strict=True):
            if share.total:
                found[name, year] = share
    if not found:
        raise NotTestable(f"no {found.source}label has a year")
    return found


def _in_year(claim: TrendClaim, tally: Tally, libraries: Sequence[str], year: int) -> Selection:
    return tally.select(
        claim.dimension, [(claim.category,)], source=claim.source, libraries=libraries, years=[year], over="each"
    )


def _reading(claim: TrendClaim, dated: _Years, tally: Tally, shares: Mapping[str, Sequence[Share]]) -> Reading:
    """Return what the data say; ``shares`` are by library: first and last year, or all if they are to be steady."""
    notation = Notation(claim)
    computed, shown = _shown(claim, dated, tuple(shares))
    reproduced = notation.as_printed(computed, shown)
    first, last = claim.years[0], claim.years[-1]
    decisive: Share | str = "years are compared"
    if claim.direction == "steady":
        pooled = {name: _pooled(of_years) for name, of_years in shares.items()}
        holds = all(
            abs(share.percent - pooled[name].percent) <= kinds.CLOSE
            for name, of_years in shares.items()
            for share in of_years
        )
        decisive = next(iter(pooled.values())) if len(pooled) == 1 else decisive
        courses = ", ".join(f"{name} has {notation.listed(of_years)} percent" for name, of_years in shares.items())
        reason = f"{courses} from {first} to {last}, {'' if holds else 'not '}within {kinds.CLOSE} points of all years"
    else:
        changes = [of_years[-1].exact - of_years[0].exact for of_years in shares.values()]
        holds = all(change > 0 if claim.direction == "rising" else change < 0 for change in changes)
        reason = ", ".join(
            f"{name} goes from {of_years[0]} in {first} to {of_years[-1]} in {last}"
            for name, of_years in shares.items()
        )
    return Reading(
        computed, reproduced, holds, reason, smallest(shown, *shares.values()), smallest(*shares.values()),
        f"share of the {tally.group}'s {dated.source}bugs of the year", decisive,
    )  # fmt: skip


def _shown(claim: TrendClaim, dated: _Dated, libraries: Sequence[str]) -> tuple[str, list[Share]]:
    """Return what is set beside the printed numbers, and the shares that they concern."""
    notation, shown = Notation(claim), claim.shown or libraries
    if claim.shows == "last":
        last = {name: dated[name, claim.years[-1]] for name in shown}
        return notation.named(last), list(last.values())
    years = (claim.years[0], claim.years[-1]) if claim.shows == "first and last" else claim.years
    rows = {name: {str(year): dated[name, year] for year in years} for name in shown}
    shares = [share for row in rows.values() for share in row.values()]
    if claim.shows == "pooled":
        return notation.listed([_pooled(shares)]), shares
    texts = {
        name: notation.named(row) if claim.shows == "shares" else notation.listed(row.values())
        for name, row in rows.items()
    }
    if len(texts) == 1:
        return next(iter(texts.values())), shares
    return " | ".join(f"{name}: {text}" for name, text in texts.items()), shares


def _pooled(shares: Sequence[Share]) -> Share:
    return Share(sum(share.bugs for share in shares), sum(share.total for share in shares))
