"""Which findings survive when bugs that may be one another's copies count once.

The findings are judged by the very functions, and the labels counted by the very models, that make the tables.
"""

import hashlib

import polars as pl

from dlbug_assets.analysis.comparison import source_comparison
from dlbug_assets.analysis.correlation import pairwise_correlation
from dlbug_assets.analysis.findings.findings import findings
from dlbug_assets.layout import MODELS
from dlbug_assets.warehouse.frames import query_frames

AS_LABELLED, REPEATS_ONCE, ONE_VOTE = "as labelled", "repeats counted once", "one vote per commit"

_COLUMNS = ("finding", "claim", "metric", "position", "variant", "bugs", "computed", "verdict")

_COUNTED = ("label_counts", "root_cause_by_bug_type", "yearly_counts")

#: The side that a verdict is on; the others say neither yes nor no.
_SIDES = {"reproduced": "holds", "reproduced differently": "holds", "not reproduced": "does not hold"}


def variants(labels: pl.DataFrame, seed: int) -> dict[str, pl.DataFrame]:
    """Name -> the rows of labeling.labels that count in it.

    - as labelled: all of them.
    - repeats counted once: of the rows of a library that repeat each other in link, bug type, root cause and effect as
      written (exact_repeats of analysis.repeats), the first of the sheet.
    - one vote per commit: of the bugs of an item (commit or post) one, drawn by sha256 of ``seed|bug_id``: which one
      does not depend on the order in which they were listed.
    """
    written = ("bug_type_as_written", "root_cause_as_written", "effect_as_written")
    ordered = labels.sort("source", "library", "item_id", "bug_index")
    linked = ordered.filter(pl.col("link").is_not_null()).unique(
        ("source", "library", "link", *written), keep="first", maintain_order=True
    )
    drawn = ordered.with_columns(
        _draw=pl.col("bug_id").map_elements(
            lambda bug_id: hashlib.sha256(f"{seed}|{bug_id}".encode()).hexdigest(), return_dtype=pl.String
        )
    ).sort("_draw")
    return {
        AS_LABELLED: ordered,
        REPEATS_ONCE: pl.concat([linked, ordered.filter(pl.col("link").is_null())]),
        ONE_VOTE: drawn.unique("item_id", keep="first", maintain_order=True).drop("_draw"),
    }


def finding_sensitivity(
    labels: pl.DataFrame,
    *,
    libraries: pl.DataFrame,
    taxonomy: pl.DataFrame,
    published: pl.DataFrame,
    published_correlation: pl.DataFrame,
    seed: int,
    **published_p: pl.DataFrame,
) -> pl.DataFrame:
    """Every row of analysis.findings under each of the :func:`variants`.

    ``labels``: labeling.labels; ``libraries``, ``taxonomy``, ``published``, ``published_correlation``:
    reference.libraries, taxonomy, findings and fig6_correlation; ``published_p`` as in :func:`source_comparison`.
    Gives finding, claim, metric, position, variant, bugs (that count), computed, verdict and survives: whether the
    verdict is on the same side (the claim holds, does not hold) as with all labels, NULL where those say neither.
    """
    parts = []
    for variant, counted in variants(labels, seed).items():
        tables = {"labeling.labels": counted, "reference.libraries": libraries, "reference.taxonomy": taxonomy}
        counts, causes, years = (
            query_frames((MODELS / "analysis" / f"{model}.sql").read_text(encoding="utf-8"), tables)
            for model in _COUNTED
        )
        judged = findings(
            published,
            counts=counts,
            root_cause_by_bug_type=causes,
            comparison=source_comparison(counts, **published_p),
            correlation=pairwise_correlation(counts),
            evolution=years,
            published_correlation=published_correlation,
        )
        sided = judged.with_columns(
            variant=pl.lit(variant),
            bugs=pl.lit(counted.height, dtype=pl.Int64),
            _side=pl.col("verdict").replace_strict(_SIDES, default=None, return_dtype=pl.String),
        )
        parts.append(sided.select(*_COLUMNS, "_side"))
    return (
        pl.concat(parts)
        .sort("position", maintain_order=True)
        # The first of each position is the one with all labels.
        .with_columns(_base=pl.col("_side").first().over("position"))
        .with_columns(survives=pl.when(pl.col("_base").is_not_null()).then(pl.col("_side").eq_missing(pl.col("_base"))))
        .drop("_side", "_base")
    )
