"""The paper's 21 findings, with each of their metrics recomputed and judged.

The metrics are in ``distributions`` and ``relations``, the rules for verdicts in ``verdicts``, and access to the data
in ``evidence``.
"""

from itertools import groupby

import polars as pl

from dlbug_assets.analysis.findings.distributions import DISTRIBUTION_METRICS
from dlbug_assets.analysis.findings.evidence import Evidence, NotTestable
from dlbug_assets.analysis.findings.relations import RELATION_METRICS
from dlbug_assets.analysis.findings.verdicts import Metric, Reading, verdict_of
from dlbug_assets.analysis.statistics.intervals import wilson_interval
from dlbug_assets.errors import DlbugError
from dlbug_assets.warehouse.rows import table_schema

METRICS = {**DISTRIBUTION_METRICS, **RELATION_METRICS}


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
    """Return analysis.findings: one row per row of ``published`` (reference.findings), in its order.

    ``counts``, ``root_cause_by_bug_type``, ``comparison``, ``correlation`` and ``evolution`` are analysis.label_counts,
    root_cause_by_bug_type, source_comparison, library_correlation and yearly_evolution; ``published_correlation`` is
    reference.fig6_correlation.

    Columns: finding, claim, metric, published and computed (in the notation of findings.csv, whole percent unless the
    metric states otherwise; computed is NULL if not testable), verdict, note (reason and estimator in one sentence), n
    (number of bugs in the smallest group whose share is shown), position (1.. in the order of findings.csv), reason
    (one sentence: what decides in the data), estimator (how the paper's words were interpreted), decisive (the share
    that decides whether the claim holds, 0..1), interval_low and interval_high (its Wilson 95% limits) and
    interval_undefined_reason. Raises :class:`DlbugError` if findings.csv and the metrics of the code do not match.
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
        judgement: dict[str, object]
        try:
            reading = metric(evidence)
        except NotTestable as missing:
            reason = f"The data it needs is not there: {missing}."
            judgement = {"verdict": "not testable", "note": reason, "reason": reason,
                     "interval_undefined_reason": reason}  # fmt: skip
        else:
            verdict, reason = verdict_of(reading, row["published_values"])
            judgement = {"computed": reading.computed, "verdict": verdict, "n": reading.n,
                     "note": f"{reason}; estimator: {reading.estimator}.", "reason": f"{reason}.",
                     "estimator": reading.estimator, **_interval(reading)}  # fmt: skip
        rows.append({"finding": row["number"], "claim": row["claim"], "metric": row["metric"],
                     "published": row["published_values"], "position": position, **judgement})  # fmt: skip
    return pl.DataFrame(rows, schema=table_schema("analysis.findings"))


def _interval(reading: Reading) -> dict[str, object]:
    if isinstance(reading.decisive, str):
        return {"interval_undefined_reason": f"no single share decides: {reading.decisive}"}
    low, high = wilson_interval(reading.decisive)
    return {"decisive": float(reading.decisive.exact), "interval_low": low, "interval_high": high}


def _paired(published: pl.DataFrame) -> list[tuple[dict[str, str], Metric]]:
    """Return every row of findings.csv with its metric. The rows of a finding have the order of its metrics."""
    pairs = []
    rows = published.sort("number", maintain_order=True).iter_rows(named=True)
    by_number = {number: list(of_finding) for number, of_finding in groupby(rows, key=lambda row: row["number"])}
    for number in sorted(METRICS.keys() | by_number.keys()):
        written = [row["metric"] for row in by_number.get(number, [])]
        known = [metric for metric, _ in METRICS.get(number, ())]
        if written != known:
            differing = sorted(set(written) ^ set(known)) or written
            raise DlbugError(
                f"findings.csv, finding {number}: it has {len(written)} metrics where the code has {len(known)}; "
                f"see {'; '.join(map(repr, differing))}. Add a function for every metric in "
                "dlbug_assets/analysis/findings/."
            )
        pairs += [(row, function) for row, (_, function) in zip(by_number[number], METRICS[number], strict=True)]
    return pairs
