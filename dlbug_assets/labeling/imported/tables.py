"""Bugs and agreed labels of the tables of these names, from labeling.imported_labels."""

import polars as pl

from dlbug_assets.labeling.bug_labels import full_schema
from dlbug_assets.labeling.label_texts import IS_BUG, as_text
from dlbug_assets.protocol.dimensions import NONE
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import conform, table_schema

#: What froze and decided imported bugs.
IMPORTED = "imported"


#: labeling.imported_labels, where nothing was imported, without the columns of a study.
NOTHING_IMPORTED = pl.DataFrame(schema={"item_id": pl.String, "bug_index": pl.Int32, "received_at": pl.Datetime("us")})


def imported_units(imported: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of labeling.units; frozen_in is NULL."""
    bugs = imported.filter(pl.col("bug_index") > 0)
    return conform(bugs.with_columns(frozen_by=pl.lit(IMPORTED)), table_schema("labeling.units"))


def imported_decisions(imported: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return what the labels decide where raters differ, for labeling.disagreements.

    Columns: item_id, bug_index, dimension, adjudicated_label, adjudicated_by and adjudicated_at (UTC).
    """
    of_items = imported.group_by("item_id", maintain_order=True).agg(
        pl.col("received_at").first(), label=(pl.col("bug_index") > 0).any().cast(pl.String)
    )
    frames = [of_items.with_columns(bug_index=pl.lit(0, pl.Int32), dimension=pl.lit(IS_BUG))]
    bugs = conform(imported, table_schema("labeling.imported_labels", study)).filter(pl.col("bug_index") > 0)
    frames += [
        bugs.with_columns(dimension=pl.lit(dimension.name), label=as_text(dimension).fill_null(NONE))
        for dimension in study.asked
    ]
    return pl.concat(
        frame.select(
            "item_id", "bug_index", "dimension", adjudicated_label="label", adjudicated_by=pl.lit(IMPORTED),
            adjudicated_at="received_at",
        )
        for frame in frames
    )  # fmt: skip


def imported_bugs(imported: pl.DataFrame, items: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return the agreed bugs with the columns of ``full_schema``; ``items`` is labeling.items.

    ``provenance`` is file, sheet and row; the columns about years are NULL.
    """
    places = (pl.format("sheet {}", "sheet"), pl.format("row {}", "line"))
    bugs = conform(imported, table_schema("labeling.imported_labels", study)).filter(pl.col("bug_index") > 0)
    bugs = bugs.with_columns(
        bug_id=pl.format("{}#{}", "item_id", "bug_index"),
        decided_by=pl.lit(IMPORTED),
        provenance=pl.concat_str("file", *places, separator=", ", ignore_nulls=True),
    )
    facts = items.select("item_id", "source", "library", "created_at", "repository", "commit_sha", "link")
    return conform(bugs.join(facts, on="item_id", how="inner", maintain_order="left"), full_schema(study))
