"""Claims about shares of categories (share, leads, rank, more), made ready to be judged on the data and on draws."""

import numpy as np

from dlbug_assets.analysis.claims import kinds
from dlbug_assets.analysis.claims.cases.reasons import estimator, reason
from dlbug_assets.analysis.claims.cases.selections import own_shares, rival_shares
from dlbug_assets.analysis.claims.cases.shown import shown_shares
from dlbug_assets.analysis.claims.kinds import Held
from dlbug_assets.analysis.claims.notation import Notation
from dlbug_assets.analysis.claims.readings import Case, Reading, smallest
from dlbug_assets.analysis.claims.tally import Selection, Tally
from dlbug_assets.analysis.statistics.shares import Share
from dlbug_assets.protocol.claims import CategoryClaim, MoreClaim, RankClaim, ShareClaim

#: Confidence of the limits that replace a share of 0 or 1, which no draw changes.
_CONFIDENCE = 0.95
_ALL = 100


def category_case(claim: CategoryClaim, tally: Tally) -> Case:
    """Return the case of a claim about categories. Raises :class:`NotTestable` for missing data."""
    own = own_shares(claim, tally)
    rivals = None if isinstance(claim, ShareClaim) else rival_shares(claim, tally)
    sides = [side for side in (own, rivals) if side is not None]

    def held(batch: np.ndarray) -> Held:
        return decide(claim, *(side.percent(batch) for side in sides))

    def objection(holds: bool) -> str | None:
        percents = [side.percent(tally.observed) for side in sides]
        for place, side in enumerate(sides):
            moved = [*percents]
            moved[place] = _at_limits(side, tally)
            if bool(decide(claim, *moved).strictly[0]) != holds:
                return "it rests on a share of 0 or 100%, whose 95% interval contains another outcome"
        return None

    return Case(
        _reading(claim, tally, own, rivals, holds=bool(held(tally.observed).strictly[0])),
        held,
        tuple(sides),
        objection,
    )


def decide(claim: CategoryClaim, own: np.ndarray, rivals: np.ndarray | None = None) -> Held:
    """Return whether the claim holds, for shares in percent by draw, group and name; ``own`` have one name."""
    own = own[:, :, 0]
    if isinstance(claim, ShareClaim):
        return kinds.share(own, claim).over(claim.over)
    assert rivals is not None  # noqa: S101 - only a share is not compared
    if isinstance(claim, RankClaim):
        return kinds.rank(own, rivals, at_most=claim.at_most, exactly=claim.exactly).over(claim.over)
    # The rivals of `more` are the same for each of the claim's groups.
    rivals = rivals.reshape(len(rivals), 1, -1) if isinstance(claim, MoreClaim) else rivals
    return kinds.more(own, rivals).over(claim.over)


def _at_limits(side: Selection, tally: Tally) -> np.ndarray:
    """Return the shares in the data, with 0 and 100% replaced by the other end of their interval.

    No draw has a category that the data do not have, but other bugs might.
    """
    percent = 100 * side.bugs(tally.observed) / side.total(tally.observed)[..., None]
    limits = tally.limits(side, _CONFIDENCE)
    moved = np.where(percent == 0, [100 * limit.high for limit in limits], percent)
    moved = np.where(percent == _ALL, [100 * limit.low for limit in limits], moved)
    if not side.is_mean:
        return moved
    mean = percent.mean(axis=1, keepdims=True)
    return np.where((mean == 0) | (mean == _ALL), moved.mean(axis=1, keepdims=True), mean)


def _reading(claim: CategoryClaim, tally: Tally, own: Selection, rivals: Selection | None, *, holds: bool) -> Reading:
    computed, shown = shown_shares(claim, tally)
    of_claim = [row[0] for row in tally.shares(own)]
    others = tally.shares(rivals) if rivals else []
    reproduced = Notation(claim).as_printed(computed, shown)
    return Reading(
        computed, reproduced, holds, reason(claim, tally, own, rivals),
        smallest(of_claim if claim.over == "mean" else shown), smallest(of_claim, *others), estimator(claim, tally),
        _decisive(claim, of_claim, tally),
    )  # fmt: skip


def _decisive(claim: CategoryClaim, shares: list[Share], tally: Tally) -> Share | str:
    if claim.over == "most":
        return f"{'categories' if claim.within else tally.groups} are counted"
    if claim.over == "mean":
        return "a mean of shares decides"
    extreme = max if isinstance(claim, ShareClaim) and claim.below is not None else min
    return extreme(shares, key=lambda share: share.exact)
