"""What each rater answered per unit, up to a checkpoint."""

import polars as pl

from dlbug_assets.labeling.sheets.validation import LIST_BUGS, RATE_BUGS
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import REQUIRED_DIMENSIONS

IS_BUG = "is_bug"
#: What a rater who does not list a bug, or leaves stage or antipattern blank, is counted as saying.
NONE = "none"


def ratings(labels: pl.DataFrame, study: Study, dimension: str, checkpoint: int = 100) -> pl.DataFrame:
    """What the study's raters say on each unit of agreement, as far as it was handed in up to a checkpoint.

    ``labels`` is labeling.rater_labels. Returns item_id, bug_index (0 for is_bug) and one column per rater,
    ``label_1``, ``label_2`` .. in the order of ``study.labeling.raters``, never NULL, sorted by item and bug_index.

    For every item the latest batch up to ``checkpoint`` in which a rater labelled it counts, as a whole; superseded
    rows and the adjudicator's do not. is_bug: the items that every rater labelled in the units pass; true where
    the rater lists a bug. Other dimensions: the bugs that a rater filled in the dimensions pass; a rater who
    handed in the sheet without the bug says ``none``. An item waits, and is left out, until every rater handed in
    a sheet (same pass, round and batch) that it was rated in. stage and antipattern: only bugs with a label of at
    least one rater, a blank being ``none``.
    """
    said = latest_answers(labels, study, dimension, checkpoint)
    return said.filter(pl.all_horizontal(pl.col(label_columns(study)).is_not_null()))


def label_columns(study: Study) -> list[str]:
    return [f"label_{number}" for number in range(1, len(study.labeling.raters) + 1)]


def latest_answers(labels: pl.DataFrame, study: Study, dimension: str, checkpoint: int) -> pl.DataFrame:
    """As :func:`ratings`, with the units that still wait for a rater: NULL for who has not handed them in."""
    raters = study.labeling.raters
    which = LIST_BUGS if dimension == IS_BUG else RATE_BUGS
    given = labels.filter(
        pl.col("rater").is_in(raters)
        & ~pl.col("superseded")
        & (pl.col("pass") == which)
        & (pl.col("batch") <= checkpoint)
    )
    latest = given.filter(pl.col("batch") == pl.col("batch").max().over("item_id", "rater"))
    if dimension == IS_BUG:
        said = latest.group_by("item_id", "rater").agg(bug_index=pl.lit(0, pl.Int32), label=pl.col("is_bug").any())
        said = said.with_columns(label=pl.col("label").cast(pl.String))
        handed_in = said.select("item_id", "rater")
    else:
        said = latest.filter("is_bug").select("item_id", "rater", "bug_index", label=dimension)
        asked = given.select("item_id", "round", "batch").unique()
        sheets = given.select("rater", "round", "batch").unique()
        handed_in = asked.join(sheets, on=["round", "batch"]).select("item_id", "rater").unique()

    wide = said.select("item_id", "bug_index").unique()
    names = label_columns(study)
    for name, rater in zip(names, raters, strict=True):
        is_theirs = pl.col("rater") == rater
        theirs = said.filter(is_theirs).select("item_id", "bug_index", pl.col("label").alias(name))
        answered = handed_in.filter(is_theirs).select("item_id", pl.lit(NONE).alias(f"_{name}"))
        wide = wide.join(theirs, on=["item_id", "bug_index"], how="left").join(answered, on="item_id", how="left")
    if dimension not in (IS_BUG, *REQUIRED_DIMENSIONS):
        wide = wide.filter(pl.any_horizontal(pl.col(names).is_not_null()))
    filled = [pl.col(name).fill_null(pl.col(f"_{name}")) for name in names]
    return wide.select("item_id", "bug_index", *filled).sort("item_id", "bug_index")
