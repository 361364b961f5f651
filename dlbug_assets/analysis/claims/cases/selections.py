"""The shares that a claim about categories speaks of, and those that they are compared with."""

from typing import Any

from dlbug_assets.analysis.claims.tally import NotTestable, Selection, Tally
from dlbug_assets.protocol.claims import OTHERS, CategoryClaim, MoreClaim


def own_shares(claim: CategoryClaim, tally: Tally) -> Selection:
    """Return the shares of the claim: one in each group. Raises :class:`NotTestable` for missing data."""
    own = tally.select(claim.dimension, [claim.together], over=_grouped(claim.over), **filters(claim))
    require(own, claim, tally)
    return own


def rival_shares(claim: CategoryClaim, tally: Tally) -> Selection:
    """Return the shares that the claim's are compared with: of the other categories, or as ``than`` describes.

    Raises :class:`NotTestable` for missing data.
    """
    if isinstance(claim, MoreClaim):
        rivals = _than(claim, tally)
    else:
        rest = [(name,) for name in tally.categories.get(claim.dimension, ()) if name not in claim.together]
        if not rest:
            raise NotTestable(f"{claim.dimension.replace('_', ' ')} has no other category")
        rivals = tally.select(claim.dimension, rest, over=_grouped(claim.over), **filters(claim))
    require(rivals, claim, tally)
    return rivals


def filters(claim: CategoryClaim) -> dict[str, Any]:
    """Return the arguments of :meth:`Tally.select` that limit the bugs of a claim."""
    within = None if claim.within is None else (claim.within.dimension, claim.within.categories)
    return {"source": claim.source, "libraries": claim.libraries, "within": within, "years": claim.years}


def require(selection: Selection, claim: CategoryClaim, tally: Tally) -> None:
    """Raise :class:`NotTestable` for a group without bugs."""
    for group, total in zip(selection.groups, selection.total(tally.observed)[0], strict=True):
        if total == 0:
            source = f"{claim.source} " if claim.source else ""
            years = f" from {claim.years[0]} to {claim.years[-1]}" if claim.years else ""
            label = claim.dimension.replace("_", " ")
            raise NotTestable(f"no {source}bug{_of(group, claim)}{years} has a label in {label}")


def _of(group: str, claim: CategoryClaim) -> str:
    if claim.within is not None:
        return f" with {group or ' or '.join(claim.within.categories)}"
    if not group and claim.libraries:
        group = " or ".join(claim.libraries)
    return f" of {group}" if group else ""


def _grouped(over: str) -> str:
    return "each" if over == "most" else over


def _than(claim: MoreClaim, tally: Tally) -> Selection:
    than, mine = claim.than, claim.libraries or tally.libraries
    libraries = claim.libraries if than.libraries is None else than.libraries
    if libraries == OTHERS:
        libraries = tuple(name for name in tally.libraries if name not in mine)
        if not libraries:
            raise NotTestable(f"the study has no {tally.group} beside {', '.join(mine)}")
    limited = filters(claim) | {"libraries": libraries, "source": than.source or claim.source}
    together = claim.together if than.category is None else (than.category,)
    return tally.select(claim.dimension, [together], over=_grouped(than.over or claim.over), **limited)
