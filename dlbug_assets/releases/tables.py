"""The release's rows as tables of the pipeline. Repeated rows are counted, not removed."""

import polars as pl

from dlbug_assets.protocol.taxonomy import GITHUB, REQUIRED_DIMENSIONS, STACK_OVERFLOW
from dlbug_assets.warehouse.rows import table_schema

_ITEMS = table_schema("labeling.items", without=("round", "position", "checkpoint", "frozen_at"))
_UNITS = table_schema("labeling.units")
_POSTS = table_schema("stackoverflow.raw_posts", without=("retrieved_at",))


def _with_item_ids(rows: pl.DataFrame) -> pl.DataFrame:
    is_post = pl.col("source") == STACK_OVERFLOW
    return rows.with_columns(
        item_id=pl.when(is_post)
        .then(pl.format("SO-{}-{}", "library", pl.col("post_id").cast(pl.String)))
        .otherwise(pl.format("GH-{}-{}", "library", "commit_sha"))
    )


def _with_schema(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Return the columns of a schema; those that the rows do not have are NULL."""
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None).alias(name)).cast(dtype)
        for name, dtype in schema.items()
    )


def items(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the distinct posts and commits of the release, once per library, without a place in the queue.

    Columns: those of labeling.items except round, position, checkpoint and frozen_at. Title, created_at and year are
    NULL; link and repository are the first ones.
    """
    return _with_schema(_with_item_ids(rows).unique("item_id", keep="first", maintain_order=True), _ITEMS)


def labels(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the agreed bugs: a row per label row of the release; bugs are numbered per item in the order of files."""
    numbered = _with_item_ids(rows).with_columns(bug_index=pl.int_range(1, pl.len() + 1).over("item_id"))
    return numbered.with_columns(
        pl.format("{}#{}", "item_id", "bug_index").alias("bug_id"),
        pl.lit("artifact").alias("decided_by"),
        pl.format("{}, sheet {}, row {}", "file", "sheet", "row").alias("provenance"),
    )


def units(released: pl.DataFrame) -> pl.DataFrame:
    """Return labeling.units of the release, from the result of :func:`labels`: the place of a unit is its link."""
    return _with_schema(released.with_columns(place="link", frozen_by=pl.lit("artifact")), _UNITS)


def posts(rows: pl.DataFrame, library: str) -> pl.DataFrame:
    """Return the posts of one library: stackoverflow.raw_posts without retrieved_at.

    All columns except library, post_id, link and in_scope are NULL.
    """
    known = rows.filter((pl.col("source") == STACK_OVERFLOW) & (pl.col("library") == library))
    distinct = known.unique("post_id", keep="first", maintain_order=True)
    return _with_schema(distinct.select("library", "post_id", "link", in_scope=pl.lit(value=True)), _POSTS)


def commits(rows: pl.DataFrame, library: str) -> pl.DataFrame:
    """Return the commits of one library, once per repository: library, full_name, sha, url."""
    known = rows.filter((pl.col("source") == GITHUB) & (pl.col("library") == library))
    return known.unique(["repository", "commit_sha"], keep="first", maintain_order=True).select(
        "library",
        pl.col("repository").alias("full_name"),
        pl.col("commit_sha").alias("sha"),
        pl.format("https://github.com/{}/commit/{}", "repository", "commit_sha").alias("url"),
    )


def data_quality(rows: pl.DataFrame) -> dict[str, int]:
    """Return the number of rows, and of irregularities in them by kind, as metadata of the labels."""
    written = [f"{dimension}_as_written" for dimension in REQUIRED_DIMENSIONS]
    spelled_otherwise = sum(
        rows.filter((pl.col(column) != pl.col(dimension)) & pl.col(column).is_not_null()).height
        for dimension, column in zip(REQUIRED_DIMENSIONS, written, strict=True)
    )
    links = ["source", "library", "link"]
    return {
        "label_rows": rows.height,
        "rows_with_swapped_columns": rows.filter("swapped").height,
        "empty_cells": sum(rows[column].null_count() for column in written),
        "labels_spelled_otherwise": spelled_otherwise,
        "labels_mapped": len(rows["mapped"].drop_nulls().str.split("; ").explode()),
        "distinct_items": _with_item_ids(rows)["item_id"].n_unique(),
        "rows_that_repeat_a_link": rows.height - rows.select(links).n_unique(),
        "rows_that_repeat_link_and_labels": rows.height - rows.select(*links, *written).n_unique(),
    }
