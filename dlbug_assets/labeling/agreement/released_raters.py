"""The raters of a release, who may differ from item to item, as the raters of a study.

What belongs here: which raters are compared. What doesn't: how much they agree (checkpoints.py).
"""

from typing import NamedTuple

import polars as pl

from dlbug_assets.protocol.dimensions import NONE
from dlbug_assets.protocol.study import Study

_BUG = ["item_id", "bug_index"]


class Compared(NamedTuple):
    """Labels, items and a study with the raters who are compared, and their names: item_id, compared_as, rater.

    The study has a first, second .. rater where the raters of items differ.
    """

    labels: pl.DataFrame
    items: pl.DataFrame
    study: Study
    names: pl.DataFrame

    def asked_units(self, units: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of labeling.units that raters are asked about: of a release, what one of them labelled."""
        return units if self.names.is_empty() else units.join(self.labels, on=_BUG, how="semi")


def compared(labels: pl.DataFrame, items: pl.DataFrame, study: Study) -> Compared:
    """Return the labels that can be compared if a release's raters differ from item to item.

    ``labels`` is labeling.rater_labels, ``items`` labeling.items. An item's raters are compared in alphabetical order;
    where items have different numbers of raters, only those with the most are. Which rater comes first is then
    arbitrary, as in the kappa of Fleiss (1971). In the returned items, ``raters`` are those who are compared, nobody
    for the others. Nobody can be asked any more: where a rater gave no label, or did not list a bug, the label is
    ``none``, and every dimension counts wherever it was labelled.

    Raters who submit files stay as they are, with their labels and items.
    """
    rater = pl.col("rater")
    given = labels.select("item_id", "rater").unique()
    if study.sources.labels != "release":
        return Compared(labels, items, study, given.clear().with_columns(compared_as="rater"))
    most = max(given.group_by("item_id").len()["len"], default=0)
    chosen = given.filter((pl.len().over("item_id") == most) & (most > 1))
    if chosen["rater"].n_unique() == most:
        names = chosen.with_columns(compared_as="rater")
    else:
        ordinal = rater.rank("ordinal").over("item_id").cast(pl.String).str.zfill(len(str(most)))
        names = chosen.with_columns(compared_as=pl.format("rater {}", ordinal))
    everywhere = tuple(dimension.model_copy(update={"asked_of": "all"}) for dimension in study.dimensions)
    labeling = study.labeling.model_copy(update={"raters": tuple(names["compared_as"].unique().sort())})
    asked = names.group_by("item_id").agg(raters=pl.col("compared_as").sort())
    return Compared(
        _completed(labels, names, study).with_columns(rater="compared_as").select(labels.columns),
        items.drop("raters")
        .join(asked, on="item_id", how="left", maintain_order="left")
        .with_columns(pl.col("raters").fill_null([]))
        .select(items.columns),
        study.model_copy(update={"labeling": labeling, "dimensions": everywhere}),
        names.select("item_id", "compared_as", "rater"),
    )


def _completed(labels: pl.DataFrame, names: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return the labels of the raters in ``names``, with compared_as, and with ``none`` where they gave none."""
    known = labels.join(names, on=["item_id", "rater"], maintain_order="left")
    # A bug that a rater did not list has that rater's row, too.
    bugs = known.unique(_BUG, keep="first", maintain_order=True).drop("rater", "compared_as", "file", "line")
    unlisted = (
        bugs.join(names, on="item_id", maintain_order="left")
        .join(known, on=[*_BUG, "rater"], how="anti", maintain_order="left")
        .with_columns(pl.lit(None).alias(name) for name in study.asked_names)
    )
    none = {
        dimension.name: pl.col(dimension.name).fill_null([NONE] if dimension.multiple else NONE)
        for dimension in study.asked
    }
    return pl.concat([known, unlisted], how="diagonal_relaxed").with_columns(**none)
