"""The case of a claim, whatever its kind."""

from dlbug_assets.analysis.claims.cases.categories import category_case
from dlbug_assets.analysis.claims.cases.relations import alike_case, correlated_case
from dlbug_assets.analysis.claims.cases.years import trend_case
from dlbug_assets.analysis.claims.readings import Case
from dlbug_assets.analysis.claims.tally import Tally
from dlbug_assets.protocol.claims import AlikeClaim, CorrelatedClaim, CountedClaim, TrendClaim


def case(claim: CountedClaim, tally: Tally) -> Case:
    """Return the case of a claim that counts decide. Raises :class:`NotTestable` for missing data."""
    if isinstance(claim, AlikeClaim):
        return alike_case(claim, tally)
    if isinstance(claim, CorrelatedClaim):
        return correlated_case(claim, tally)
    return trend_case(claim, tally) if isinstance(claim, TrendClaim) else category_case(claim, tally)
