"""Sensitivity of the findings: which survive when bugs that may be duplicates count once.

The same functions judge the findings, and the same models count the labels, as for the tables.
"""

import hashlib

import polars as pl

from dlbug_assets.analysis.comparison import source_comparison
from dlbug_assets.analysis.correlation import pairwise_correlation
from dlbug_assets.analysis.findings.findings import findings
from dlbug_assets.layout import MODELS
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.frames import query_frames
from dlbug_assets.warehouse.rows import table_schema

AS_LABELLED, REPEATS_ONCE, ONE_VOTE = "as labelled", "repeats counted once", "one vote per commit"

_JUDGED = tuple(table_schema("analysis.finding_sensitivity", without=["survives"]))

_COUNTED = ("label_counts", "crosstab", "root_cause_by_bug_type", "yearly_counts")

# The outcome of a claim by verdict; other verdicts have none.
_OUTCOMES = {"reproduced": "holds", "reproduced differently": "holds", "not reproduced": "does not hold"}


def variants(labels: pl.DataFrame, seed: int) -> dict[str, pl.DataFrame]:
    """Return the rows of ``labels`` (labeling.labels) that count in each variant, by its name.

    - as labelled: all rows.
    - repeats counted once: the first of the rows of a library with the same link, bug type, root cause and effect as
      written (see exact_repeats of analysis.repeats), in the order of the sheet.
    - one vote per commit: one bug of each item (commit or post), sampled by the SHA-256 of ``seed|bug_id``, so that it
      does not depend on the order of the bugs.
    """
    written = ("bug_type_as_written", "root_cause_as_written", "effect_as_written")
    ordered = labels.sort("source", "library", "item_id", "bug_index")
    linked = ordered.filter(pl.col("link").is_not_null()).unique(
        ("source", "library", "link", *written), keep="first", maintain_order=True
    )
    shuffled = ordered.with_columns(
        _digest=pl.col("bug_id").map_elements(
            lambda bug_id: hashlib.sha256(f"{seed}|{bug_id}".encode()).hexdigest(), return_dtype=pl.String
        )
    ).sort("_digest")
    return {
        AS_LABELLED: ordered,
        REPEATS_ONCE: pl.concat([linked, ordered.filter(pl.col("link").is_null())]),
        ONE_VOTE: shuffled.unique("item_id", keep="first", maintain_order=True).drop("_digest"),
    }


def finding_sensitivity(
    labels: pl.DataFrame,
    *,
    bug_labels: pl.DataFrame,
    categories: pl.DataFrame,
    dimensions: pl.DataFrame,
    libraries: pl.DataFrame,
    sources: pl.DataFrame,
    published: pl.DataFrame,
    published_correlation: pl.DataFrame,
    published_cells: pl.DataFrame,
    study: Study,
) -> pl.DataFrame:
    """Return analysis.finding_sensitivity: every row of analysis.findings under each of the :func:`variants`.

    ``labels`` is labeling.labels; ``libraries``, ``taxonomy``, ``published`` and ``published_correlation`` are
    reference.libraries, taxonomy, findings and fig6_correlation, ``published_cells`` is reference.published_cells.

    Columns: finding, claim, metric, position, variant, bugs (the number that count), computed, verdict and survives
    (whether the claim has the same outcome, that it holds or does not, as with all labels; NULL if it has none there).
    """
    parts = []
    for variant, counted in variants(labels, study.study.seed).items():
        tables = {
            "labeling.labels": counted,
            "labeling.bug_labels": bug_labels.join(counted, on="bug_id", how="semi"),
            "labeling.categories": categories,
            "reference.dimensions": dimensions,
            "reference.libraries": libraries,
            "reference.sources": sources,
        }
        for model in _COUNTED:
            query = (MODELS / "analysis" / f"{model}.sql").read_text(encoding="utf-8")
            tables[f"analysis.{model}"] = query_frames(query, tables)
        counts, _, causes, years = (tables[f"analysis.{model}"] for model in _COUNTED)
        judged = findings(
            published,
            counts=counts,
            root_cause_by_bug_type=causes,
            comparison=source_comparison(counts, published_cells, study),
            correlation=pairwise_correlation(counts),
            evolution=years,
            published_correlation=published_correlation,
        )
        rows = judged.with_columns(
            variant=pl.lit(variant),
            bugs=pl.lit(counted.height, dtype=pl.Int64),
            _outcome=pl.col("verdict").replace_strict(_OUTCOMES, default=None, return_dtype=pl.String),
        )
        parts.append(rows.select(*_JUDGED, "_outcome"))
    return (
        pl.concat(parts)
        .sort("position", maintain_order=True)
        # The first row of each position is that with all labels.
        .with_columns(_base=pl.col("_outcome").first().over("position"))
        .with_columns(
            survives=pl.when(pl.col("_base").is_not_null()).then(pl.col("_outcome").eq_missing(pl.col("_base")))
        )
        .drop("_outcome", "_base")
    )
