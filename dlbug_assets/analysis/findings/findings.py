"""The paper's 21 findings, each metric of them recomputed and judged.

Here: the table. What a metric shows is in ``distribution_findings`` and ``relation_findings``, how that becomes a
verdict in ``verdicts``, what is asked of the data in ``evidence``.
"""

from itertools import groupby

import polars as pl

from dlbug_assets.analysis.findings.distributions import DISTRIBUTION_METRICS
from dlbug_assets.analysis.findings.evidence import Evidence, NotTestable
from dlbug_assets.analysis.findings.relations import RELATION_METRICS
from dlbug_assets.analysis.findings.verdicts import Metric, Reading, verdict_of
from dlbug_assets.analysis.statistics.intervals import wilson
from dlbug_assets.errors import DlbugError

METRICS = {**DISTRIBUTION_METRICS, **RELATION_METRICS}

_SCHEMA = {
    "finding": pl.Int64,
    "claim": pl.String,
    "metric": pl.String,
    "published": pl.String,
    "computed": pl.String,
    "verdict": pl.String,
    "note": pl.String,
    "n": pl.Int64,
    "position": pl.Int64,
    "reason": pl.String,
    "estimator": pl.String,
    "decisive": pl.Float64,
    "interval_low": pl.Float64,
    "interval_high": pl.Float64,
    "interval_undefined_reason": pl.String,
}


def findings(
    published: pl.DataFrame,
    *,
    counts: pl.DataFrame,
    root_cause_by_bug_type: pl.DataFrame,
    comparison: pl.DataFrame,
    correlation: pl.DataFrame,
    evolution: pl.DataFrame,
    published_correlation: pl.DataFrame,
) -> pl.DataFrame:
    """One row per row of ``published`` (reference.findings), in its order.

    ``counts``, ``root_cause_by_bug_type``, ``comparison``, ``correlation``, ``evolution``: analysis.label_counts,
    root_cause_by_bug_type, source_comparison, library_correlation, yearly_evolution; ``published_correlation``:
    reference.fig6_correlation.

    Gives finding, claim, metric, published and computed (in the notation of findings.csv: whole percent unless the
    metric says otherwise; computed is NULL where not testable), verdict, note (reason and estimator in one sentence), n
    (bugs of the smallest group whose share is shown), position (1.. in the order of findings.csv), reason (one
    sentence: what in the data decides), estimator (how the paper's words were read), decisive (the share on which it
    hangs whether the claim holds, 0..1), interval_low and interval_high (its Wilson 95% limits) and
    interval_undefined_reason. Raises :class:`DlbugError` where
    findings.csv and the metrics here do not fit.
    """
    evidence = Evidence(
        counts=counts,
        root_causes=root_cause_by_bug_type,
        comparison=comparison,
        correlation=correlation,
        evolution=evolution,
        published_correlation=published_correlation,
    )
    rows = []
    for position, (row, metric) in enumerate(_paired(published), start=1):
        shown: dict[str, object]
        try:
            reading = metric(evidence)
        except NotTestable as missing:
            reason = f"The data it needs is not there: {missing}."
            shown = {"verdict": "not testable", "note": reason, "reason": reason,
                     "interval_undefined_reason": reason}  # fmt: skip
        else:
            verdict, reason = verdict_of(reading, row["published_values"])
            shown = {"computed": reading.computed, "verdict": verdict, "n": reading.n,
                     "note": f"{reason}; estimator: {reading.estimator}.", "reason": f"{reason}.",
                     "estimator": reading.estimator, **_interval(reading)}  # fmt: skip
        rows.append({"finding": row["number"], "claim": row["claim"], "metric": row["metric"],
                     "published": row["published_values"], "position": position, **shown})  # fmt: skip
    return pl.DataFrame(rows, schema=_SCHEMA)


def _interval(reading: Reading) -> dict[str, object]:
    if isinstance(reading.decisive, str):
        return {"interval_undefined_reason": f"no single share decides: {reading.decisive}"}
    low, high = wilson(reading.decisive)
    return {"decisive": float(reading.decisive.exact), "interval_low": low, "interval_high": high}


def _paired(published: pl.DataFrame) -> list[tuple[dict[str, str], Metric]]:
    """Every row of findings.csv with its metric: the rows of a finding are in the order of its metrics here."""
    pairs = []
    rows = published.sort("number", maintain_order=True).iter_rows(named=True)
    seen = {number: list(of_finding) for number, of_finding in groupby(rows, key=lambda row: row["number"])}
    for number in sorted(METRICS.keys() | seen.keys()):
        written = [row["metric"] for row in seen.get(number, [])]
        known = [metric for metric, _ in METRICS.get(number, ())]
        if written != known:
            differing = sorted(set(written) ^ set(known)) or written
            raise DlbugError(
                f"findings.csv, finding {number}: it has {len(written)} metrics where the code has {len(known)}; "
                f"see {'; '.join(map(repr, differing))}. Give every metric its function in dlbug_assets/analysis/."
            )
        pairs += [(row, function) for row, (_, function) in zip(seen[number], METRICS[number], strict=True)]
    return pairs
