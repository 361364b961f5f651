"""Sensitivity of the findings: which survive when bugs that may be duplicates count once, or only a first batch counts.

The same functions judge the claims as for analysis.findings.
"""

import polars as pl

from dlbug_assets.analysis.claims.cases.case import case
from dlbug_assets.analysis.claims.readings import Reading, verdict_of
from dlbug_assets.analysis.claims.tally import VOTES, NotTestable, Tally
from dlbug_assets.analysis.first_batch import in_first_batch
from dlbug_assets.analysis.statistics.shares import ENOUGH_BUGS
from dlbug_assets.protocol.claims import CountedClaim, QueryClaim, parsed_claims
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

AS_LABELLED, REPEATS_ONCE, ONE_VOTE = "as labelled", "repeats counted once", "one vote per commit"
FIRST_BATCH = "first batch"

#: Votes of an item, which its bugs share: divisible by each number up to 16, so that equal shares are equal numbers.
_WHOLE_VOTE = 720_720


def variants(
    labels: pl.DataFrame, bug_labels: pl.DataFrame, leftovers: pl.DataFrame, study: Study
) -> dict[str, pl.DataFrame]:
    """Return the rows of ``labels`` (labeling.labels) that count in each variant, by its name.

    ``bug_labels`` is labeling.bug_labels, ``leftovers`` labeling.leftover_labels.

    - as labelled: all rows.
    - repeats counted once: the first of the rows of a library with the same link and the same labels as written in the
      required dimensions (all asked ones if the study requires none; see exact_repeats of analysis.repeats), in the
      order of the sheet.
    - one vote per commit: all rows, each with the votes of its item (commit or post) divided by its number of bugs, in
      a column ``votes``.
    - first batch: the bugs that a further sheet of the release has labels of, if there are any.
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
    counted = {
        AS_LABELLED: ordered,
        REPEATS_ONCE: pl.concat([linked, ordered.filter(pl.col("link").is_null())]),
        ONE_VOTE: ordered.with_columns((_WHOLE_VOTE // pl.len().over("item_id")).alias(VOTES)),
    }
    batch = ordered.join(in_first_batch(leftovers), on="bug_id", how="semi", maintain_order="left")
    return counted if batch.is_empty() else counted | {FIRST_BATCH: batch}


def finding_sensitivity(
    stated: pl.DataFrame,
    *,
    labels: pl.DataFrame,
    clusters: pl.DataFrame,
    bug_labels: pl.DataFrame,
    leftovers: pl.DataFrame,
    categories: pl.DataFrame,
    taxonomy: pl.DataFrame,
    study: Study,
) -> pl.DataFrame:
    """Return analysis.finding_sensitivity: every row of analysis.findings under each of the :func:`variants`.

    ``stated`` is reference.claims, ``leftovers`` labeling.leftover_labels; for the others see
    :func:`dlbug_assets.analysis.claims.claims.claims`. Claims that a query decides are left out: it reads the tables of
    all bugs.

    Columns: finding, claim, metric, role, position, variant, bugs (the number that count), computed, verdict, holds and
    survives (whether the claim has the same outcome, that it holds or does not, as with all labels; NULL if it has none
    there, or if the bugs of the variant lack the data). A claim has an outcome if it rests on enough bugs.
    """
    numbered = list(enumerate(parsed_claims(stated["definition"]), start=1))
    counted = {position: claim for position, claim in numbered if not isinstance(claim, QueryClaim)}
    found: list[dict[str, object]] = []
    as_labelled: dict[int, bool | None] = {}
    for variant, rows in variants(labels, bug_labels, leftovers, study).items():
        is_vote = variant == ONE_VOTE
        tally = Tally(
            rows,
            clusters=clusters,
            bug_labels=bug_labels,
            categories=categories,
            taxonomy=taxonomy,
            study=study,
            claims=counted.values(),
        )
        for position, claim in counted.items():
            reading = _reading(claim, tally)
            outcome = _outcome(reading, _WHOLE_VOTE if is_vote else 1)
            base = as_labelled.setdefault(position, outcome)
            found.append({
                "finding": claim.finding, "claim": claim.text, "metric": claim.metric or claim.text, "role": claim.role,
                "position": position, "variant": variant,
                "bugs": rows["item_id"].n_unique() if is_vote else rows.height,
                "computed": None if isinstance(reading, NotTestable) else reading.computed,
                "verdict": verdict_of(claim, reading),
                "holds": None if isinstance(reading, NotTestable) else reading.holds,
                "survives": None if base is None or isinstance(reading, NotTestable) else outcome is base,
            })  # fmt: skip
    return pl.DataFrame(found, schema=table_schema("analysis.finding_sensitivity")).sort(
        "position", maintain_order=True
    )


def _reading(claim: CountedClaim, tally: Tally) -> Reading | NotTestable:
    try:
        return case(claim, tally).reading
    except NotTestable as missing:
        return missing


def _outcome(reading: Reading | NotTestable, whole: int) -> bool | None:
    """Return whether a claim holds; None without data, or on few bugs, each of ``whole`` votes."""
    return None if isinstance(reading, NotTestable) or reading.claim_n < ENOUGH_BUGS * whole else reading.holds
