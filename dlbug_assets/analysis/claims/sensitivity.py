"""Sensitivity of the findings: which survive when bugs that may be duplicates count once.

The same functions judge the claims as for analysis.findings.
"""

import hashlib

import polars as pl

from dlbug_assets.analysis.claims.cases.case import case
from dlbug_assets.analysis.claims.findings import findings
from dlbug_assets.analysis.claims.readings import Reading
from dlbug_assets.analysis.claims.tally import NotTestable, Tally
from dlbug_assets.protocol.claims import CountedClaim, QueryClaim, parsed_claims
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

AS_LABELLED, REPEATS_ONCE, ONE_VOTE = "as labelled", "repeats counted once", "one vote per commit"

# The outcome of a claim by verdict; other verdicts have none.
_OUTCOMES = {"reproduced": "holds", "reproduced differently": "holds", "not reproduced": "does not hold"}


def variants(labels: pl.DataFrame, bug_labels: pl.DataFrame, study: Study) -> dict[str, pl.DataFrame]:
    """Return the rows of ``labels`` (labeling.labels) that count in each variant, by its name.

    ``bug_labels`` is labeling.bug_labels.

    - as labelled: all rows.
    - repeats counted once: the first of the rows of a library with the same link and the same labels as written in the
      required dimensions (all asked ones if the study requires none; see exact_repeats of analysis.repeats), in the
      order of the sheet.
    - one vote per commit: one bug of each item (commit or post), sampled by the SHA-256 of ``seed|bug_id``, so that it
      does not depend on the order of the bugs.
    """
    dimensions = study.required_names or study.asked_names
    written = (
        bug_labels.filter(pl.col("dimension").is_in(dimensions))
        .sort("dimension", "as_written")
        .group_by("bug_id", maintain_order=True)
        .agg(_answers=pl.struct("dimension", "as_written"))
    )
    ordered = labels.sort("source", "library", "item_id", "bug_index")
    linked = (
        ordered.filter(pl.col("link").is_not_null())
        .join(written, on="bug_id", how="left", maintain_order="left")
        .unique(("source", "library", "link", "_answers"), keep="first", maintain_order=True)
        .drop("_answers")
    )
    shuffled = ordered.with_columns(
        _digest=pl.col("bug_id").map_elements(
            lambda bug_id: hashlib.sha256(f"{study.study.seed}|{bug_id}".encode()).hexdigest(), return_dtype=pl.String
        )
    ).sort("_digest")
    return {
        AS_LABELLED: ordered,
        REPEATS_ONCE: pl.concat([linked, ordered.filter(pl.col("link").is_null())]),
        ONE_VOTE: shuffled.unique("item_id", keep="first", maintain_order=True).drop("_digest"),
    }


def finding_sensitivity(
    stated: pl.DataFrame,
    *,
    labels: pl.DataFrame,
    clusters: pl.DataFrame,
    bug_labels: pl.DataFrame,
    categories: pl.DataFrame,
    taxonomy: pl.DataFrame,
    study: Study,
) -> pl.DataFrame:
    """Return analysis.finding_sensitivity: every row of analysis.findings under each of the :func:`variants`.

    ``stated`` is reference.claims; for the others see :func:`dlbug_assets.analysis.claims.claims.claims`. Claims that a
    query decides are left out: it reads the tables of all bugs.

    Columns: finding, claim, metric, position, variant, bugs (the number that count), computed, verdict and survives
    (whether the claim has the same outcome, that it holds or does not, as with all labels; NULL if it has none there).
    """
    schema = table_schema("analysis.finding_sensitivity")
    numbered = list(enumerate(parsed_claims(stated["definition"]), start=1))
    counted = {position: claim for position, claim in numbered if not isinstance(claim, QueryClaim)}
    places = pl.DataFrame({"_place": range(1, len(counted) + 1), "position": list(counted)}, schema_overrides=_PLACES)
    parts = [pl.DataFrame(schema={**schema, "_outcome": pl.String})]
    for variant, rows in variants(labels, bug_labels, study).items():
        tally = Tally(
            rows,
            clusters=clusters,
            bug_labels=bug_labels,
            categories=categories,
            taxonomy=taxonomy,
            study=study,
            claims=counted.values(),
        )
        judged = findings(list(counted.values()), [_reading(claim, tally) for claim in counted.values()])
        parts.append(
            judged.rename({"position": "_place"})
            .join(places, on="_place", maintain_order="left")
            .with_columns(
                variant=pl.lit(variant),
                bugs=pl.lit(rows.height, dtype=pl.Int64),
                survives=pl.lit(None, dtype=pl.Boolean),
                _outcome=pl.col("verdict").replace_strict(_OUTCOMES, default=None, return_dtype=pl.String),
            )
            .select(*schema, "_outcome")
        )
    # The first row of each position is that with all labels.
    base = pl.col("_outcome").first().over("position")
    return (
        pl.concat(parts)
        .sort("position", maintain_order=True)
        .with_columns(survives=pl.when(base.is_not_null()).then(pl.col("_outcome").eq_missing(base)))
        .drop("_outcome")
    )


_PLACES = {"_place": pl.Int64, "position": pl.Int64}


def _reading(claim: CountedClaim, tally: Tally) -> Reading | NotTestable:
    try:
        return case(claim, tally).reading
    except NotTestable as missing:
        return missing
