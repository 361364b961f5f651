"""The raters of a release, who may differ from item to item, as the raters of a study.

What belongs here: which raters are compared. What doesn't: how much they agree (checkpoints.py).
"""

from typing import NamedTuple

import polars as pl

from dlbug_assets.protocol.dimensions import NONE
from dlbug_assets.protocol.study import Study


class Compared(NamedTuple):
    """Labels and items of a study whose raters are compared, and names: item_id, compared_as, rater.

    The study has a first, second .. rater where the raters of items differ.
    """

    labels: pl.DataFrame
    items: pl.DataFrame
    study: Study
    names: pl.DataFrame


def compared(labels: pl.DataFrame, items: pl.DataFrame, study: Study) -> Compared:
    """Return the labels that can be compared if a release's raters differ from item to item.

    ``labels`` is labeling.rater_labels, ``items`` labeling.items. An item's raters are compared in alphabetical order;
    where items have different numbers of raters, only those with the most are. Which rater comes first is then
    arbitrary, as in the kappa of Fleiss (1971). ``raters`` of the returned items are those who are compared. A blank
    of a release is final, so it is none. Raters of the study, who submit files, stay as they are.
    """
    rater = pl.col("rater")
    given = labels.select("item_id", "rater").unique()
    if study.sources.labels != "release":
        return Compared(labels, items, study, given.clear().with_columns(compared_as="rater"))
    most = max(given.group_by("item_id").len()["len"], default=0)
    chosen = given.filter(pl.len().over("item_id") == most)
    if chosen["rater"].n_unique() == most:
        names = chosen.with_columns(compared_as="rater")
    else:
        ordinal = rater.rank("ordinal").over("item_id").cast(pl.String).str.zfill(len(str(most)))
        names = chosen.with_columns(compared_as=pl.format("rater {}", ordinal))
    raters = tuple(names["compared_as"].unique().sort())
    blanks = {
        dimension.name: pl.col(dimension.name).fill_null([NONE] if dimension.multiple else NONE)
        for dimension in study.asked
    }
    renamed = labels.join(names, on=["item_id", "rater"], how="inner", maintain_order="left").with_columns(**blanks)
    labeling = study.labeling.model_copy(update={"raters": raters if most > 1 else ()})
    of_item = names.group_by("item_id").agg(raters=pl.col("compared_as").sort())
    asked = items.drop("raters").join(of_item, on="item_id", how="left", maintain_order="left")
    return Compared(
        renamed.with_columns(rater="compared_as").select(labels.columns),
        asked.with_columns(pl.col("raters").fill_null([])).select(items.columns),
        study.model_copy(update={"labeling": labeling}),
        names.select("item_id", "compared_as", "rater"),
    )
