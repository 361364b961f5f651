"""Units: the bugs of an item, frozen so that all raters rate the same ones.

What belongs here: when a bug is frozen. What doesn't: its categories (adjudication.py).
"""

from collections.abc import Callable

import polars as pl

from dlbug_assets import releases
from dlbug_assets.labeling.sheets.formats import LIST_BUGS
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

AGREEMENT = "agreement"
ADJUDICATION = "adjudication"

UNITS = table_schema("labeling.units")


def units(
    labels: pl.DataFrame, items: pl.DataFrame, study: Study, release: Callable[[], releases.Released]
) -> pl.DataFrame:
    """Return labeling.units: the bugs that :func:`freeze` returns, or those of its releases."""
    if study.sources.labels == "release":
        return releases.units(release())
    return freeze(labels, items, study)


def freeze(labels: pl.DataFrame, items: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return the frozen bugs of every item, one row per (item_id, bug_index), in the order of ``items``.

    ``labels`` is labeling.rater_labels, of which the rows of the units pass count that are not superseded. Columns:
    item_id, bug_index (1..), place (the location of the bug; NULL if nobody gave one), frozen_by (agreement,
    adjudication), frozen_in (the batch, percent).

    An item's bugs are frozen in the first batch in which either all raters of the study list exactly one bug, at the
    same place (which all may leave blank: the item as a whole), or the adjudicator lists its bugs; if both happen in
    the same batch, the raters' agreement counts. Later batches change nothing. An adjudicator's row with bug_index 0
    freezes the item without units. If no rater lists a bug, there are no units, but nothing is frozen: after a
    training the raters may find one.
    """
    counted = labels.filter((pl.col("pass") == LIST_BUGS) & ~pl.col("superseded")).with_columns(
        # Two raters who copy the same line may differ in white space.
        place=pl.col("place").str.strip_chars().str.replace_all(r"\s+", " ").replace("", None)
    )
    agreed = _agreed(counted.filter(pl.col("rater").is_in(study.labeling.raters)), len(study.labeling.raters))
    adjudicated = _adjudicated(counted.filter(pl.col("rater") == pl.lit(study.labeling.adjudicator, pl.String)))
    frozen = (
        pl.concat([agreed, adjudicated])
        .sort("item_id", "frozen_in", "_rank")
        .filter(
            (pl.col("frozen_in") == pl.col("frozen_in").first().over("item_id"))
            & (pl.col("frozen_by") == pl.col("frozen_by").first().over("item_id"))
            & (pl.col("bug_index") > 0)
        )
    )
    order = items.select("item_id", _order=pl.int_range(pl.len()))
    return frozen.join(order, on="item_id", how="inner").sort("_order", "bug_index").select(UNITS.names()).cast(UNITS)


def _agreed(counted: pl.DataFrame, raters: int) -> pl.DataFrame:
    """Return the items and batches in which every rater lists one bug, at the same place."""
    return (
        counted.group_by("item_id", "batch")
        .agg(
            place=pl.col("place").first(),
            _places=pl.col("place").n_unique(),
            _raters=pl.col("rater").n_unique(),
            _rows=pl.len(),
            _all_bugs=pl.col("is_bug").all(),
        )
        .filter((pl.col("_raters") == raters) & (pl.col("_rows") == raters) & (pl.col("_places") == 1), "_all_bugs")
        .select(
            "item_id",
            bug_index=pl.lit(1, pl.Int32),
            place="place",
            frozen_by=pl.lit(AGREEMENT),
            frozen_in=pl.col("batch").cast(pl.Int32),
            _rank=pl.lit(0),
        )
    )


def _adjudicated(counted: pl.DataFrame) -> pl.DataFrame:
    """Return the bugs that the adjudicator lists, including "no bug" (bug_index 0)."""
    return counted.select(
        "item_id",
        pl.col("bug_index").cast(pl.Int32),
        "place",
        frozen_by=pl.lit(ADJUDICATION),
        frozen_in=pl.col("batch").cast(pl.Int32),
        _rank=pl.lit(1),
    )
