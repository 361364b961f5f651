"""The claims of a study: the number of each beside the printed one, and whether the data support it.

A claim gets two verdicts, which answer different questions: whether its number is reproduced, and whether the bugs
support it, given that others might have been found.
"""

from collections.abc import Mapping

import polars as pl

from dlbug_assets.analysis.claims.cases.case import case
from dlbug_assets.analysis.claims.findings import findings
from dlbug_assets.analysis.claims.leave_one_out import leave_one_out
from dlbug_assets.analysis.claims.queries import query_reading
from dlbug_assets.analysis.claims.readings import NOT_TESTABLE, Case, Reading, capitalized, missing_data
from dlbug_assets.analysis.claims.support import Support, resamples, support, threshold_rows
from dlbug_assets.analysis.claims.tally import NotTestable, Tally
from dlbug_assets.protocol.claims import Claim, QueryClaim, parsed_claims
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema


def claims(
    stated: pl.DataFrame,
    *,
    labels: pl.DataFrame,
    clusters: pl.DataFrame,
    bug_labels: pl.DataFrame,
    categories: pl.DataFrame,
    taxonomy: pl.DataFrame,
    study: Study,
    **queried: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Return analysis.claims and analysis.findings: one row per row of ``stated`` (reference.claims), in its order.

    And analysis.claim_thresholds, what other thresholds would decide, and analysis.leave_one_out, see there.
    ``labels``, ``bug_labels`` and ``categories`` are the tables of labeling, ``clusters`` is analysis.clusters,
    ``taxonomy`` reference.taxonomy, and ``queried`` are the tables (``schema.table``) that queries of claims read. The
    columns are those of schema.yml.
    Raises :class:`DlbugError` that names the claim for a query that does not return one row.
    """
    parsed = parsed_claims(stated["definition"])
    tally = Tally(
        labels,
        clusters=clusters,
        bug_labels=bug_labels,
        categories=categories,
        taxonomy=taxonomy,
        study=study,
        claims=parsed,
    )
    cases = [judged(claim, place, tally, queried) for place, claim in enumerate(parsed)]
    resampled = {place: each for place, each in enumerate(cases) if isinstance(each, Case)}
    counts = resamples(list(resampled.values()), tally, study.study.seed)
    found = {place: support(each, tally, n) for (place, each), n in zip(resampled.items(), counts, strict=True)}
    rows = [
        {"position": place + 1, **_row(claim, each, found.get(place))}
        for place, (claim, each) in enumerate(zip(parsed, cases, strict=True))
    ]
    thresholds = threshold_rows(list(resampled.values()), tally, counts, len(parsed))
    readings = [each.reading if isinstance(each, Case) else each for each in cases]
    return {
        "claims": pl.DataFrame(rows, schema=table_schema("analysis.claims")),
        "findings": findings(parsed, readings),
        "claim_thresholds": pl.DataFrame(thresholds, schema=table_schema("analysis.claim_thresholds")),
        "leave_one_out": leave_one_out(parsed, resampled, tally),
    }


def judged(claim: Claim, place: int, tally: Tally, queried: Mapping[str, pl.DataFrame]) -> Case | Reading | NotTestable:
    """Return what the data say of a claim, with what judges it on draws, or which of them are missing.

    ``place`` is the claim's in claims.toml, from 0. Raises :class:`DlbugError` as :func:`claims` does.
    """
    try:
        return query_reading(claim, place, queried) if isinstance(claim, QueryClaim) else case(claim, tally)
    except NotTestable as missing:
        return missing


def _row(claim: Claim, found: Case | Reading | NotTestable, judged: Support | None) -> dict[str, object]:
    """Return the row of analysis.claims of a claim, without its position."""
    row = {
        "finding": claim.finding,
        "claim": claim.text,
        "metric": claim.metric,
        "role": claim.role,
        "kind": claim.kind,
        "section": claim.section,
        "printed": claim.printed,
    }
    if isinstance(found, NotTestable):
        number = None if claim.printed is None else "not computable"
        return row | {"number_verdict": number, "support": NOT_TESTABLE, "note": missing_data(found)}
    reading = found.reading if isinstance(found, Case) else found
    numbers = {None: None, True: "reproduced", False: "differs"}
    judged = judged or Support(NOT_TESTABLE, None, None, False, "a query is not resampled")
    return row | {
        "computed": reading.computed,
        "number_verdict": numbers[reading.reproduced],
        "holds": reading.holds,
        "support": judged.support,
        "probability": judged.probability,
        "ties": judged.ties,
        "at_threshold": judged.at_threshold,
        "bugs": reading.claim_n,
        "note": f"{capitalized(reading.reason)}; {judged.reason}.",
    }
