"""The raters' labels per unit of agreement, up to a checkpoint."""

import polars as pl

from dlbug_assets.labeling.label_texts import IS_BUG
from dlbug_assets.labeling.questions import LEFT
from dlbug_assets.protocol.dimensions import NONE
from dlbug_assets.protocol.study import Study

_UNIT = ["item_id", "bug_index"]


def ratings(questions: pl.DataFrame, study: Study, dimension: str) -> pl.DataFrame:
    """Return the label of each of the study's raters for each unit, as far as submitted up to a checkpoint.

    ``questions`` are those of the dimension, which :func:`~dlbug_assets.labeling.questions.states` returns for the
    checkpoint. Returns item_id, bug_index (0 for is_bug), one column per rater, ``label_1``, ``label_2`` .. in the
    order of ``study.labeling.raters``, and ``waits``: whether a rater who is asked has yet to answer. A label is NULL
    if its rater has not answered or is not asked; several categories are one label, see
    :func:`~dlbug_assets.labeling.label_texts.as_text`.

    Units are those with at least two labels, and those that wait. Optional dimensions have no unit where all labels
    are ``none``; the labels of a unit that waits are NULL as long as they all are.
    """
    names = label_columns(study)
    answers = {
        name: pl.col("answer").filter(pl.col("rater") == rater).first()
        for name, rater in zip(names, study.labeling.raters, strict=True)
    }
    wide = questions.group_by(_UNIT).agg(**answers, waits=pl.col("state").is_in(LEFT).any())
    if dimension not in {IS_BUG, *study.required_names}:
        is_labelled = pl.any_horizontal((pl.col(name) != NONE).fill_null(value=False) for name in names)
        wide = wide.with_columns(pl.when(is_labelled).then(name).alias(name) for name in names)
    is_compared = pl.sum_horizontal(pl.col(name).is_not_null() for name in names) > 1
    return wide.filter(is_compared | pl.col("waits"))


def label_columns(study: Study) -> list[str]:
    """Return the names of the columns of :func:`ratings` that contain labels."""
    return [f"label_{number}" for number in range(1, len(study.labeling.raters) + 1)]
