"""Why a claim about categories holds or not, in words, and how its wording was interpreted."""

from functools import partial

import numpy as np

from dlbug_assets.analysis.claims import kinds
from dlbug_assets.analysis.claims.cases.selections import filters
from dlbug_assets.analysis.claims.tally import Selection, Tally
from dlbug_assets.analysis.statistics.shares import leads, rank
from dlbug_assets.protocol.claims import CategoryClaim, LeadsClaim, RankClaim, ShareClaim

# Leaders of more groups are counted instead of described.
_MOST_DESCRIBED = 2


def reason(claim: CategoryClaim, tally: Tally, own: Selection, rivals: Selection | None) -> str:
    """Return what decides in the data: a sentence without capital and full stop."""
    if isinstance(claim, ShareClaim) or rivals is None:
        return _of_share(claim, tally, own)  # pyright: ignore[reportArgumentType] - only a share has no rivals
    if own.is_mean or rivals.is_mean:
        return _of_means(tally, own, rivals)
    if isinstance(claim, LeadsClaim):
        return _of_leader(claim, tally, own, rivals)
    return _of_rank(tally, own, rivals) if isinstance(claim, RankClaim) else _of_more(tally, own, rivals)


def estimator(claim: CategoryClaim, tally: Tally) -> str:
    """Return how the claim's words were interpreted, with the value of the other interpretation if there is one."""
    bugs = f"{claim.source} bugs" if claim.source else "bugs of all sources"
    if claim.within is not None:
        how = {"pooled": "pooled", "mean": "their mean", "each": "each", "most": "most of them"}[claim.over]
        other, number = claim.within.dimension.replace("_", " "), len(claim.within.categories)
        names = f"{other} {claim.within.categories[0]}" if number == 1 else f"{number} categories of {other} ({how})"
        return f"share within the {bugs} with {names}, all {tally.groups} pooled"
    if claim.over in ("each", "most") or (claim.libraries is not None and len(claim.libraries) == 1):
        return f"share of the {tally.group}'s {bugs}"
    which = f"all {tally.groups}" if claim.libraries is None else " and ".join(claim.libraries)
    select = partial(tally.select, claim.dimension, [claim.together], **filters(claim))
    pooled, mean = (float(select(over=over).percent(tally.observed)[0, 0, 0]) for over in ("pooled", "mean"))
    if claim.over == "mean":
        return f"mean of the shares of {bugs} of {which} (pooled: {pooled:.1f})"
    beside = "" if np.isnan(mean) else f" (mean of the {tally.groups}' shares: {mean:.1f})"
    return f"{bugs} of {which} pooled{beside}"


def _of_share(claim: ShareClaim, tally: Tally, own: Selection) -> str:
    percents, label, bound = own.percent(tally.observed)[:, :, 0], own.names[0], _bound(claim)
    kept = kinds.share(percents, claim).strictly[0]
    if len(kept) > 1:
        groups = ", ".join(f"{group}: {row[0]}" for group, row in zip(own.groups, tally.shares(own), strict=True))
        return f"{label}: {bound} in {kept.sum()} of {len(kept)} ({groups})"
    bugs = "" if own.is_mean else f"{tally.shares(own)[0][0]} bugs, "
    return f"{label}: {bugs}{percents[0, 0]:.1f}%, {'' if kept[0] else 'not '}{bound}"


def _bound(claim: ShareClaim) -> str:
    if claim.above is not None:
        return f"above {claim.above:g}%"
    if claim.at_least is not None:
        return f"{claim.at_least:g}% or more"
    if claim.below is not None:
        return f"below {claim.below:g}%"
    if claim.between is not None:
        return f"between {claim.between[0]:g} and {claim.between[1]:g}%"
    return f"within {kinds.CLOSE} points of {claim.close_to:g}%"


def _of_means(tally: Tally, own: Selection, rivals: Selection) -> str:
    ours, theirs = own.percent(tally.observed)[0], rivals.percent(tally.observed)[0]
    place = int(theirs.max(axis=0).argmax())
    larger = int((theirs > ours.min()).sum())
    return (
        f"{own.names[0]} has {ours.min():.1f}%, the largest of the others is {rivals.names[place]} with "
        f"{theirs.max():.1f}%; {larger} are larger"
    )


def _of_leader(claim: LeadsClaim, tally: Tally, own: Selection, rivals: Selection) -> str:
    label = own.names[0]
    words: list[str] = []
    leading: list[str] = []
    for group, (share,), others in zip(own.groups, tally.shares(own), tally.shares(rivals), strict=True):
        is_leading, text = leads({label: share, **dict(zip(rivals.names, others, strict=True))}, label)
        words.append(f"in {group} {text}" if group else f"with {share.percent:.1f}% {text}")
        leading += [group] if is_leading else []
    if claim.over == "most" or len(words) > _MOST_DESCRIBED:
        return f"{label} leads in {len(leading)} of {len(words)} ({', '.join(leading) or 'none'})"
    return " and ".join(words)


def _of_rank(tally: Tally, own: Selection, rivals: Selection) -> str:
    label = own.names[0]
    parts: list[str] = []
    for group, (share,), others in zip(own.groups, tally.shares(own), tally.shares(rivals), strict=True):
        place = rank({label: share, **dict(zip(rivals.names, others, strict=True))}, label)
        tied = ", with another" if any(other.exact == share.exact for other in others) else ""
        parts.append(f"number {place}{f' in {group}' if group else ''} ({share}{tied})")
    return f"{label} is {' and '.join(parts)}"


def _of_more(tally: Tally, own: Selection, rivals: Selection) -> str:
    ours, theirs = ([row[0] for row in tally.shares(side)] for side in (own, rivals))
    low, high = min(ours, key=lambda share: share.exact), max(theirs, key=lambda share: share.exact)
    first = f"{own.names[0]} has {low} bugs{_in(own, ours.index(low), 'lowest')}"
    name = "" if rivals.names == own.names else f"{rivals.names[0]} "
    return f"{first} and {name}{high}{_in(rivals, theirs.index(high), 'highest')}"


def _in(side: Selection, place: int, extreme: str) -> str:
    group = side.groups[place]
    return f" in {group}{f' (the {extreme})' if len(side.groups) > 1 else ''}" if group else ""
