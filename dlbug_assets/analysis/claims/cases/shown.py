"""What is set beside the printed numbers of a claim about categories."""

from collections.abc import Sequence

from dlbug_assets.analysis.claims.cases.selections import filters, own_shares, require, rival_shares
from dlbug_assets.analysis.claims.notation import Notation
from dlbug_assets.analysis.claims.tally import NotTestable, Selection, Tally
from dlbug_assets.analysis.statistics.shares import Share
from dlbug_assets.protocol.claims import OTHERS, CategoryClaim, MoreClaim


def shown_shares(claim: CategoryClaim, tally: Tally) -> tuple[str, list[Share]]:
    """Return what is set beside the printed numbers, and the shares in it.

    Shares of libraries have their names, as in ``Torch=16; Keras=11``; those of categories of ``within`` have the order
    of the claim, as in ``31; 3; 10``; a range is ``40; 77``. Raises :class:`NotTestable` for missing data.
    """
    if isinstance(claim, MoreClaim) and claim.shows == "comparison":
        return _comparison(claim, tally)
    names, limited = claim.shown or (), filters(claim)
    over = "each" if claim.over == "most" or claim.shows == "range" else claim.over
    categories = [claim.together]
    beside: Sequence[str] = ()
    if names and claim.within is not None and set(names) <= set(claim.within.categories):
        beside = names
    elif names and set(names) <= set(tally.categories.get(claim.dimension, ())):
        categories = [(name,) for name in names]
    elif names:
        limited["libraries"], over = names, "each"
    if claim.shows == "range" and len(categories) == 1:
        categories = [(name,) for name in claim.together]
    selection = tally.select(claim.dimension, categories, over=over, **limited)
    if claim.shows == "range":
        return _ranges(claim, tally, selection, beside)
    require(selection, claim, tally)
    return _listed(claim, tally, selection)


def _listed(claim: CategoryClaim, tally: Tally, selection: Selection) -> tuple[str, list[Share]]:
    rows, notation = tally.shares(selection), Notation(claim)
    if selection.is_mean:
        rows = [[_mean([row[place] for row in rows]) for place in range(len(selection.names))]]
    shown = [share for row in rows for share in row]
    if len(selection.names) > 1:
        by_name = {name: [row[place] for row in rows] for place, name in enumerate(selection.names)}
        separator = "; " if len(rows) == 1 else " | "
        return separator.join(f"{name}={notation.listed(shares)}" for name, shares in by_name.items()), shown
    if len(rows) == len(selection.groups) and selection.groups != ("",) and claim.within is None:
        return notation.named(dict(zip(selection.groups, shown, strict=True))), shown
    return notation.listed(shown), shown


def _mean(shares: Sequence[Share]) -> Share:
    mean = sum((share.exact for share in shares[1:]), shares[0].exact) / len(shares)
    return Share(mean.numerator, mean.denominator)


def _comparison(claim: MoreClaim, tally: Tally) -> tuple[str, list[Share]]:
    than = claim.than
    own, rivals = (
        [row[0] for row in tally.shares(side)] for side in (own_shares(claim, tally), rival_shares(claim, tally))
    )
    ours, theirs = min(own, key=lambda share: share.exact), max(rivals, key=lambda share: share.exact)
    sign = ">" if ours.exact > theirs.exact else "=" if ours.exact == theirs.exact else "<"
    if than.category is not None:
        names = " and ".join(claim.together), than.category
    elif than.libraries is not None:
        names = (
            ", ".join(claim.libraries or ()),
            than.libraries if than.libraries == OTHERS else ", ".join(than.libraries),
        )
    else:
        names = str(claim.source), str(than.source)
    return f"{names[0]} {sign} {names[1]}", [ours]


def _ranges(claim: CategoryClaim, tally: Tally, selection: Selection, beside: Sequence[str]) -> tuple[str, list[Share]]:
    """Return the smallest and largest share of each category, then those of the groups in ``beside``.

    Groups without bugs have no share, and count only if they are named.
    """
    totals, notation = selection.total(tally.observed)[0], Notation(claim)
    rows = zip(selection.groups, tally.shares(selection), totals, strict=True)
    found = {group: row for group, row, total in rows if total}
    for group in beside:
        if group not in found:
            raise NotTestable(f"no bug with {group} has a label in {claim.dimension.replace('_', ' ')}")
    shown = [share for row in found.values() for share in row]
    if len(selection.names) > 1:
        codes = [tally.codes.get((claim.dimension, name), name) for name in selection.names]
        spreads = [notation.spread(row[place] for row in found.values()) for place in range(len(codes))]
        return " | ".join(f"{code}={text}" for code, text in zip(codes, spreads, strict=True)), shown
    text = notation.spread(shown)
    return (f"{text} | {notation.listed(found[group][0] for group in beside)}" if beside else text), shown
