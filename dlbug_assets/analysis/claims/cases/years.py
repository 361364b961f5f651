"""Claims about years (trend), made ready to be judged on the data and on draws."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dlbug_assets.analysis.claims import kinds
from dlbug_assets.analysis.claims.kinds import Held
from dlbug_assets.analysis.claims.notation import Notation
from dlbug_assets.analysis.claims.readings import Case, Reading, smallest
from dlbug_assets.analysis.claims.tally import NotTestable, Selection, Span, Tally
from dlbug_assets.analysis.statistics.shares import Share
from dlbug_assets.protocol.claims import TrendClaim


def trend_case(claim: TrendClaim, tally: Tally) -> Case:
    """Return the case of a claim about years: the slope, or the distances from all years, on the data and on draws.

    Raises :class:`NotTestable` for missing data.
    """
    libraries = claim.libraries or tally.libraries
    dated = {name: _Dated(claim, tally, name) for name in dict.fromkeys((*libraries, *(claim.shown or ())))}
    if not any(each.shares for each in dated.values()):
        raise NotTestable(f"no {_source(claim)}label has a year")
    for each in dated.values():
        each.require_two_years()
    columns = [_in_year(claim, tally, libraries, year) for year in claim.years]

    def held(batch: np.ndarray) -> Held:
        bugs = np.stack([column.bugs(batch)[:, :, 0] for column in columns], axis=-1)
        totals = np.stack([column.total(batch) for column in columns], axis=-1)
        return kinds.trend(bugs, totals, np.array(claim.years, dtype=float), claim.direction).over("each")

    judged = [dated[name] for name in libraries]
    pooled = tally.select(
        claim.dimension, [(claim.category,)], source=claim.source, libraries=libraries, years=claim.years, over="each"
    )
    objection = _objection(judged)
    return Case(_reading(claim, dated, judged, tally), held, (pooled,), lambda _: objection)


class _Dated:
    """The bugs of a library by year.

    ``shares`` are those of the claim's years that have bugs. ``possible`` are the bugs whose year is not certain, with
    the years of the claim that they may be of.
    """

    def __init__(self, claim: TrendClaim, tally: Tally, library: str) -> None:
        def share(year: int | Span) -> Share:
            [[found]] = tally.shares(_in_year(claim, tally, [library], year))
            return found

        self._claim = claim
        self.library = library
        found = {year: share(year) for year in claim.years}
        self.shares = {year: of_year for year, of_year in found.items() if of_year.total}
        spans = {span: share(span) for span in tally.spans(claim.dimension)}
        self.possible = [(years, bugs) for span, bugs in spans.items()
                         if bugs.total and (years := _within(claim.years, span))]  # fmt: skip

    def require_two_years(self) -> None:
        """Raise :class:`NotTestable` for bugs of less than two of the years."""
        if len(self.shares) < 2:  # noqa: PLR2004
            years = f"two years from {self._claim.years[0]} to {self._claim.years[-1]}"
            raise NotTestable(f"there are no {_source(self._claim)}bugs of {self.library} from {years}")

    @property
    def ends(self) -> dict[int, Share]:
        """The shares of the first and the last year."""
        first, *_, last = self.shares
        return {first: self.shares[first], last: self.shares[last]}

    @property
    def pooled(self) -> Share:
        """The share in all years."""
        return pooled_share(self.shares.values())

    def described(self, year: int) -> str:
        """Return the share of a year in words, with its range over the bugs that may be of the year."""
        share = self.shares[year]
        more = [bugs for years, bugs in self.possible if year in years]
        if not more:
            return f"{share} in {year}"
        with_it = sum(bugs.bugs for bugs in more)
        others = sum(bugs.total for bugs in more) - with_it
        low, high = Share(share.bugs, share.total + others), Share(share.bugs + with_it, share.total + with_it)
        return f"{share} in {year} ({low.printed} to {high.printed} percent with all that may be of {year})"

    def counts(self, *, rising: bool | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return bugs and totals by year, as :func:`kinds.trend` takes them for one library.

        Bugs of uncertain years are added in the years that make the share rise, or fall, most; None leaves them out.
        """
        years = self._claim.years
        bugs, totals = np.zeros((2, len(years)))
        for year, share in self.shares.items():
            bugs[years.index(year)], totals[years.index(year)] = share.bugs, share.total
        for possible, share in self.possible if rising is not None else ():
            with_it, others = (possible[-1], possible[0]) if rising else (possible[0], possible[-1])
            bugs[years.index(with_it)] += share.bugs
            totals[years.index(with_it)] += share.bugs
            totals[years.index(others)] += share.total - share.bugs
        return bugs[None, None], totals[None, None]

    def slope(self, *, rising: bool | None = None) -> float:
        """Return the slope in percentage points per year; see :meth:`counts`."""
        return 100 * kinds.slope(*self.counts(rising=rising), np.array(self._claim.years, dtype=float)).item()

    def holds(self, *, rising: bool | None = None) -> bool:
        """Return whether the claim holds for the library; see :meth:`counts`."""
        years = np.array(self._claim.years, dtype=float)
        return bool(kinds.trend(*self.counts(rising=rising), years, self._claim.direction).strictly.item())

    @property
    def course(self) -> str:
        """The change from the first to the last year, in words."""
        first, last = self.ends
        change = f"{self.library} goes from {self.described(first)} to {self.described(last)}, "
        change += f"{self.slope():+.1f} points a year"
        if not self.possible:
            return change
        number = sum(bugs.total for _, bugs in self.possible)
        further = f"{number} bugs of uncertain years" if number > 1 else "a bug of an uncertain year"
        return f"{change} ({self.slope(rising=False):+.1f} to {self.slope(rising=True):+.1f} with {further})"


def _within(years: Sequence[int], span: Span) -> list[int]:
    low, high = span
    return [year for year in years if (low is None or year >= low) and (high is None or year <= high)]


def pooled_share(shares: Iterable[Share]) -> Share:
    """Return the share of all bugs together."""
    counted = list(shares)
    return Share(sum(share.bugs for share in counted), sum(share.total for share in counted))


def _source(claim: TrendClaim) -> str:
    return f"{claim.source} " if claim.source else ""


def _in_year(claim: TrendClaim, tally: Tally, libraries: Sequence[str], year: int | Span) -> Selection:
    return tally.select(
        claim.dimension, [(claim.category,)], source=claim.source, libraries=libraries, years=[year], over="each"
    )


def _objection(judged: Sequence[_Dated]) -> str | None:
    """Return why draws cannot decide the claim, None if they can."""
    constant = [each.library for each in judged if each.pooled.bugs in (0, each.pooled.total)]
    if constant:
        return f"the share is 0 or 100% in all years of {', '.join(constant)}, in every draw"
    open_to = {all(each.holds(rising=rising) for each in judged) for rising in (None, False, True)}
    return "it depends on the years of bugs whose year is not certain" if len(open_to) > 1 else None


def _reading(claim: TrendClaim, dated: Mapping[str, _Dated], judged: Sequence[_Dated], tally: Tally) -> Reading:
    """Return what the data say; of ``dated``, by library, the claim is about those ``judged``."""
    computed, shown = _shown(claim, [dated[name] for name in claim.shown] if claim.shown else judged)
    holds = all(each.holds() for each in judged)
    decisive: Share | str = "years are compared"
    if claim.direction == "steady":
        decisive = judged[0].pooled if len(judged) == 1 else decisive
        courses = ", ".join(
            f"{each.library} has {', '.join(map(each.described, each.shares))}" for each in judged
        )  # fmt: skip
        reason = f"{courses}, {'' if holds else 'not '}within {kinds.CLOSE} points of all years"
        rests_on = [share for each in judged for share in each.shares.values()]
    else:
        reason = ", ".join(each.course for each in judged)
        rests_on = [each.pooled for each in judged]
    return Reading(
        computed, Notation(claim).as_printed(computed, shown), holds, reason,
        smallest(shown, rests_on), smallest(rests_on),
        f"share of the {tally.group}'s {_source(claim)}bugs of the year", decisive,
    )  # fmt: skip


def _shown(claim: TrendClaim, shown: Sequence[_Dated]) -> tuple[str, list[Share]]:
    """Return what is set beside the printed numbers, and the shares that they concern."""
    notation = Notation(claim)
    if claim.shows == "last":
        last = {each.library: each.shares[max(each.shares)] for each in shown}
        return notation.named(last), list(last.values())
    rows = {each.library: each.ends if claim.shows == "first and last" else each.shares for each in shown}
    shares = [share for row in rows.values() for share in row.values()]
    if claim.shows == "pooled":
        return notation.listed([pooled_share(shares)]), shares
    texts = {
        name: notation.named({str(year): share for year, share in row.items()})
        if claim.shows == "shares"
        else notation.listed(row.values())
        for name, row in rows.items()
    }
    if len(texts) == 1:
        return next(iter(texts.values())), shares
    return " | ".join(f"{name}: {text}" for name, text in texts.items()), shares
