"""The raters' labels per unit of agreement, up to a checkpoint."""

import polars as pl

from dlbug_assets.labeling.label_texts import IS_BUG, as_text
from dlbug_assets.labeling.sheets.formats import LIST_BUGS, RATE_BUGS
from dlbug_assets.protocol.dimensions import NONE
from dlbug_assets.protocol.study import Study


def rated_bugs(labels: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return item_id and bug_index of the bugs that a rater rated and no rater has yet to rate."""
    rated = _complete(_latest_labels(labels, study, RATE_BUGS, pl.lit(IS_BUG), checkpoint=100), study)
    return rated.select("item_id", "bug_index")


def ratings(labels: pl.DataFrame, study: Study, dimension: str, checkpoint: int = 100) -> pl.DataFrame:
    """Return the label of each of the study's raters for each unit, as far as submitted up to a checkpoint.

    ``labels`` is labeling.rater_labels. Returns item_id, bug_index (0 for is_bug) and one column per rater,
    ``label_1``, ``label_2`` .. in the order of ``study.labeling.raters``, never NULL, sorted by item and bug_index.

    For every item, the latest batch up to ``checkpoint`` in which a rater labelled it counts as a whole; superseded
    rows and the adjudicator's do not. is_bug: the items that every rater labelled in the units pass; true if the
    rater lists a bug. Other dimensions: the bugs that a rater rated in the dimensions pass; the label is ``none`` for
    a rater who submitted the sheet without the bug. An item is left out until every rater submitted a sheet (same
    pass, round and batch) in which it was rated. Optional dimensions: only bugs with a label by at least one rater, a
    blank being ``none``. Several categories are one label, see :func:`~dlbug_assets.labeling.label_texts.as_text`.
    """
    return _complete(latest_labels(labels, study, dimension, checkpoint), study)


def _complete(ratings: pl.DataFrame, study: Study) -> pl.DataFrame:
    return ratings.filter(pl.all_horizontal(pl.col(label_columns(study)).is_not_null()))


def label_columns(study: Study) -> list[str]:
    """Return the names of the columns of :func:`ratings` that contain labels."""
    return [f"label_{number}" for number in range(1, len(study.labeling.raters) + 1)]


def latest_labels(labels: pl.DataFrame, study: Study, dimension: str, checkpoint: int) -> pl.DataFrame:
    """Return what :func:`ratings` does, including units that not all raters submitted, with NULL for those raters."""
    if dimension == IS_BUG:
        return _latest_labels(labels, study, LIST_BUGS, pl.col(IS_BUG), checkpoint)
    asked = {each.name: each for each in study.asked}[dimension]
    wide = _latest_labels(labels, study, RATE_BUGS, as_text(asked), checkpoint)
    return wide if asked.required else wide.filter(pl.any_horizontal(pl.col(label_columns(study)) != NONE))


def _latest_labels(labels: pl.DataFrame, study: Study, pass_name: str, label: pl.Expr, checkpoint: int) -> pl.DataFrame:
    raters = study.labeling.raters
    given = labels.filter(
        pl.col("rater").is_in(raters)
        & ~pl.col("superseded")
        & (pl.col("pass") == pass_name)
        & (pl.col("batch") <= checkpoint)
    )
    latest = given.filter(pl.col("batch") == pl.col("batch").max().over("item_id", "rater"))
    if pass_name == LIST_BUGS:
        labelled = latest.group_by("item_id", "rater").agg(bug_index=pl.lit(0, pl.Int32), label=label.any())
        labelled = labelled.with_columns(label=pl.col("label").cast(pl.String))
        submitted = labelled.select("item_id", "rater")
    else:
        labelled = latest.filter(IS_BUG).select("item_id", "rater", "bug_index", label=label)
        rated = given.select("item_id", "round", "batch").unique()
        sheets = given.select("rater", "round", "batch").unique()
        submitted = rated.join(sheets, on=["round", "batch"]).select("item_id", "rater").unique()

    wide = labelled.select("item_id", "bug_index").unique()
    names = label_columns(study)
    for name, rater in zip(names, raters, strict=True):
        is_theirs = pl.col("rater") == rater
        theirs = labelled.filter(is_theirs).select("item_id", "bug_index", pl.col("label").alias(name))
        default = submitted.filter(is_theirs).select("item_id", pl.lit(NONE).alias(f"_{name}"))
        wide = wide.join(theirs, on=["item_id", "bug_index"], how="left").join(default, on="item_id", how="left")
    filled = [pl.col(name).fill_null(pl.col(f"_{name}")) for name in names]
    return wide.select("item_id", "bug_index", *filled).sort("item_id", "bug_index")
