"""The findings of a study: the number of each claim beside the printed one, with the share that decides it."""

from collections.abc import Sequence

import polars as pl

from dlbug_assets.analysis.claims.readings import Reading, capitalized, missing_data, verdict_of
from dlbug_assets.analysis.claims.tally import NotTestable
from dlbug_assets.analysis.statistics.intervals import wilson_interval
from dlbug_assets.protocol.claims import Claim
from dlbug_assets.warehouse.rows import table_schema


def findings(stated: Sequence[Claim], readings: Sequence[Reading | NotTestable]) -> pl.DataFrame:
    """Return analysis.findings: one row per claim, in the order of ``stated``, of what the data say of each.

    Columns: finding, claim, metric, published and computed (in the notation of the printed values, whole percent unless
    the metric states otherwise; computed is NULL if not testable), verdict (on the number; NULL where nothing is
    printed), note (reason and estimator in one sentence), n (number of bugs in the smallest group whose share is
    shown), position (1..), reason (one sentence: what decides in the data), estimator (how the paper's words were
    interpreted), decisive (the share that decides whether the claim holds, 0..1), interval_low and interval_high (its
    Wilson 95% limits) and interval_undefined_reason.
    """
    rows = [
        {
            "finding": claim.finding,
            "claim": claim.text,
            "metric": claim.metric or claim.text,
            "published": claim.printed,
            "position": position,
            **_judgement(claim, reading),
        }
        for position, (claim, reading) in enumerate(zip(stated, readings, strict=True), start=1)
    ]
    return pl.DataFrame(rows, schema=table_schema("analysis.findings"))


def _judgement(claim: Claim, reading: Reading | NotTestable) -> dict[str, object]:
    verdict: dict[str, object] = {"verdict": verdict_of(claim, reading)}
    if isinstance(reading, NotTestable):
        reason = missing_data(reading)
        return verdict | {"note": reason, "reason": reason, "interval_undefined_reason": reason}
    reason = capitalized(reading.reason)
    return verdict | {
        "computed": reading.computed,
        "n": reading.n,
        "note": f"{reason}; estimator: {reading.estimator}.",
        "reason": f"{reason}.",
        "estimator": reading.estimator,
        **_interval(reading),
    }


def _interval(reading: Reading) -> dict[str, object]:
    if isinstance(reading.decisive, str):
        return {"interval_undefined_reason": f"no single share decides: {reading.decisive}"}
    low, high = wilson_interval(reading.decisive)
    return {"decisive": float(reading.decisive.exact), "interval_low": low, "interval_high": high}
