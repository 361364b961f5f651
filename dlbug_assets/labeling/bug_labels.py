"""The labels of the agreed bugs, long: one row per bug, dimension and category, roll-ups included."""

from typing import Any

import polars as pl

from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Category, Taxonomy, parent_of
from dlbug_assets.warehouse.rows import table_schema

BUG_LABELS = table_schema("labeling.bug_labels")


def bug_labels(labels: pl.DataFrame, study: Study, taxonomy: Taxonomy) -> pl.DataFrame:
    """Return labeling.bug_labels, in the order of ``labels``, of the study's dimensions and of its taxonomy.

    ``labels`` has bug_id and, for each asked dimension, its name (a text, or a list of texts if it has several
    categories) and ``<dimension>_as_written`` of the same type. Blank labels have no row. A roll-up has one row per
    category that the bug's labels count as.
    """
    order = {name: position for position, name in enumerate(study.dimension_names)}
    asked = {dimension.name: _of_dimension(labels, dimension) for dimension in study.asked}
    derived = [
        _rolled_up(asked[dimension.rolls_up], dimension, taxonomy)
        for dimension in study.dimensions
        if dimension.rolls_up
    ]
    rows = labels.select("bug_id").with_row_index("_bug")
    return (
        pl.concat([pl.DataFrame(schema=BUG_LABELS), *asked.values(), *derived])
        .join(rows, on="bug_id", how="left", maintain_order="left")
        .sort("_bug", pl.col("dimension").replace_strict(order, return_dtype=pl.Int32), "position")
        .select(BUG_LABELS.names())
    )


def _of_dimension(labels: pl.DataFrame, dimension: Dimension) -> pl.DataFrame:
    """Return the rows of an asked dimension."""
    name, written = dimension.name, f"{dimension.name}_as_written"
    rows = labels.select("bug_id", category=name, as_written=written)
    if dimension.multiple:
        rows = rows.explode("category", "as_written").unique(["bug_id", "category"], keep="first", maintain_order=True)
    rows = rows.filter(pl.col("category").is_not_null())
    return rows.with_columns(
        dimension=pl.lit(name), position=pl.int_range(1, pl.len() + 1).over("bug_id")
    ).select(pl.col(column).cast(kind) for column, kind in BUG_LABELS.items())  # fmt: skip


def _rolled_up(base: pl.DataFrame, dimension: Dimension, taxonomy: Taxonomy) -> pl.DataFrame:
    """Return the rows of a roll-up, from those of the dimension that it rolls up."""
    rolled_up = str(dimension.rolls_up)
    # Of open dimensions, labels also have categories that are not in the taxonomy.
    found = {name: Category(rolled_up, "", name) for name in base["category"].unique()}
    found |= {category.name: category for category in taxonomy.of(rolled_up)}
    parents = {name: parent_of(category, dimension) for name, category in found.items()}
    rows = base.with_columns(
        dimension=pl.lit(dimension.name), category=pl.col("category").replace_strict(parents, return_dtype=pl.String)
    ).unique(["bug_id", "category"], keep="first", maintain_order=True)
    return rows.with_columns(position=pl.int_range(1, pl.len() + 1).over("bug_id")).cast(BUG_LABELS)


def wide(labels: pl.DataFrame, long: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return labeling.labels: ``labels`` with a column for each roll-up of ``long``, labeling.bug_labels."""
    schema = table_schema("labeling.labels", study)
    for dimension in study.dimensions:
        if dimension.rolls_up:
            labels = labels.join(_column(long, dimension), on="bug_id", how="left", maintain_order="left")
    return labels.select(pl.col(name).cast(kind) for name, kind in schema.items())


def _column(long: pl.DataFrame, dimension: Dimension) -> pl.DataFrame:
    categories = long.filter(pl.col("dimension") == dimension.name).group_by("bug_id", maintain_order=True)
    column = pl.col("category") if dimension.multiple else pl.col("category").first()
    return categories.agg(column.alias(dimension.name))


def full_schema(study: Study) -> pl.Schema:
    """Return the columns of labeling.labels without roll-ups, and ``<dimension>_as_written`` for every asked one."""
    derived = [dimension.name for dimension in study.dimensions if dimension.rolls_up]
    types: dict[str, Any] = {each.name: pl.List(pl.String) if each.multiple else pl.String for each in study.asked}
    written: dict[str, Any] = {f"{name}_as_written": kind for name, kind in types.items()}
    return table_schema("labeling.labels", study, without=derived, **written)
