"""Agreement of the two labels of links that the release labels twice, which was not planned."""

import numpy as np
import polars as pl

from dlbug_assets.analysis.statistics.shares import ENOUGH_BUGS
from dlbug_assets.labeling.agreement.coefficients import cohen_kappa
from dlbug_assets.labeling.agreement.subsets import ONE_CATEGORY
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

# Between the categories of one bug: no name contains it.
_SEPARATOR = "\n"


def repeat_agreement(labels: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return analysis.repeat_agreement: the agreement of repeated labels per source (and `both`) and asked dimension.

    ``labels`` is labeling.labels. A pair consists of the two rows of a link (within a library) that has exactly two
    rows in the release, in the order of the sheet, if both have a label in the dimension. Labels of raters have no
    pairs: there, a second row is a second bug. Labels of several categories agree if these are the same, in any order.

    Columns: source, dimension, pairs, agreements, observed_agreement (0..1), kappa (Cohen 1960, first against second
    row), kappa_low and kappa_high (analytic 95% limits; Fleiss, Cohen and Everitt 1969), underpowered (fewer than 10
    pairs) and undefined_reason.
    """
    released = labels.filter((pl.col("decided_by") == "artifact") & pl.col("link").is_not_null())
    answers = [
        pl.col(each.name).list.unique().list.sort().list.join(_SEPARATOR).replace("", None)
        if each.multiple
        else pl.col(each.name)
        for each in study.asked
    ]
    twice = (
        released.sort("source", "library", "item_id", "bug_index")
        .group_by("source", "library", "link", maintain_order=True)
        .agg(pl.len(), *answers)
        .filter(pl.col("len") == 2)  # noqa: PLR2004
    )
    rows = []
    for source in (*study.source_names, "both"):
        of_source = twice.filter(pl.lit(value=True) if source == "both" else pl.col("source") == source)
        for dimension in study.asked_names:
            pairs = of_source.select(
                first=pl.col(dimension).list.get(0), second=pl.col(dimension).list.get(1)
            ).drop_nulls()  # fmt: skip
            missing = "no label is from the authors' release" if released.is_empty() else "no link has two rows"
            rows.append({"source": source, "dimension": dimension, **_agreement(pairs, missing)})
    return pl.DataFrame(rows, schema=table_schema("analysis.repeat_agreement"))


def _agreement(pairs: pl.DataFrame, missing: str) -> dict[str, object]:
    agreements = pairs.filter(pl.col("first") == pl.col("second")).height
    row: dict[str, object] = {
        "pairs": pairs.height, "agreements": agreements, "underpowered": pairs.height < ENOUGH_BUGS,
    }  # fmt: skip
    if not pairs.height:
        return row | {"undefined_reason": missing}
    row["observed_agreement"] = agreements / pairs.height
    categories = sorted(set(pairs["first"]) | set(pairs["second"]))
    counts = {(first, second): number for first, second, number in pairs.group_by("first", "second").len().iter_rows()}
    table = np.array([[counts.get((first, second), 0) for second in categories] for first in categories])
    kappa = cohen_kappa(table)
    if kappa is None:
        return row | {"undefined_reason": ONE_CATEGORY}
    return row | dict(zip(("kappa", "kappa_low", "kappa_high"), kappa, strict=True))
