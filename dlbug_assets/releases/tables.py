"""The release's rows as the tables of the pipeline. Nothing is deduplicated: repeats are counted, not removed."""

import polars as pl

from dlbug_assets.protocol.taxonomy import GITHUB, REQUIRED_DIMENSIONS, STACK_OVERFLOW

_UNKNOWN_TIME = pl.lit(None, pl.Datetime("us")).alias("created_at")
_UNKNOWN_YEAR = pl.lit(None, pl.Int32).alias("year")


def _with_item_ids(rows: pl.DataFrame) -> pl.DataFrame:
    is_post = pl.col("source") == STACK_OVERFLOW
    return rows.with_columns(
        item_id=pl.when(is_post)
        .then(pl.format("SO-{}-{}", "library", pl.col("post_id").cast(pl.String)))
        .otherwise(pl.format("GH-{}-{}", "library", "commit_sha"))
    )


def items(rows: pl.DataFrame) -> pl.DataFrame:
    """The distinct posts and commits of the release, each once per library, without a place in the queue.

    Columns: item_id, source, library, title (NULL), link (the first one), created_at and year (NULL), repository
    (the first one; NULL for posts), commit_sha, post_id.
    """
    return (
        _with_item_ids(rows)
        .unique("item_id", keep="first", maintain_order=True)
        .select(
            "item_id",
            "source",
            "library",
            pl.lit(None, pl.String).alias("title"),
            "link",
            _UNKNOWN_TIME,
            _UNKNOWN_YEAR,
            "repository",
            "commit_sha",
            "post_id",
        )
    )


def labels(rows: pl.DataFrame) -> pl.DataFrame:
    """labeling.labels: one row per label row of the release; bugs are numbered per item in the order of the files."""
    return (
        _with_item_ids(rows)
        .with_columns(bug_index=pl.int_range(1, pl.len() + 1).over("item_id").cast(pl.Int32))
        .select(
            pl.format("{}#{}", "item_id", "bug_index").alias("bug_id"),
            "item_id",
            "source",
            "library",
            "bug_index",
            *REQUIRED_DIMENSIONS,
            pl.lit(None, pl.String).alias("stage"),
            pl.lit(None, pl.String).alias("antipattern"),
            _UNKNOWN_TIME,
            _UNKNOWN_YEAR,
            "repository",
            "commit_sha",
            pl.lit("artifact").alias("decided_by"),
            *(f"{dimension}_as_written" for dimension in REQUIRED_DIMENSIONS),
            "link",
            pl.format("{}, sheet {}, row {}", "file", "sheet", "row").alias("provenance"),
        )
    )


def units(released: pl.DataFrame) -> pl.DataFrame:
    """labeling.units of the release, from :func:`labels`: a unit's place is its link."""
    return released.select(
        "item_id",
        "bug_index",
        pl.col("link").alias("place"),
        pl.lit("artifact").alias("frozen_by"),
        pl.lit(None, pl.Int32).alias("frozen_in"),
    )


def posts(rows: pl.DataFrame, library: str) -> pl.DataFrame:
    """The posts of one library with the columns of stackoverflow.raw_posts (without retrieved_at): number and link
    are known, everything else is NULL."""
    known = rows.filter((pl.col("source") == STACK_OVERFLOW) & (pl.col("library") == library))
    texts = ("title", "body_html", "owner_hash", "content_license")
    numbers = ("score", "view_count", "answer_count", "accepted_answer_id")
    return known.unique("post_id", keep="first", maintain_order=True).select(
        "library",
        "post_id",
        "link",
        *(pl.lit(None, pl.String).alias(column) for column in texts),
        *(pl.lit(None, pl.Int64).alias(column) for column in numbers),
        *(pl.lit(None, pl.Datetime("us")).alias(column) for column in ("created_at", "last_activity_at", "deleted_at")),
        pl.lit(None, pl.List(pl.String)).alias("tags"),
        pl.lit(value=True).alias("in_scope"),
    )


def commits(rows: pl.DataFrame, library: str) -> pl.DataFrame:
    """The commits of one library, once per repository: library, full_name, sha, url."""
    known = rows.filter((pl.col("source") == GITHUB) & (pl.col("library") == library))
    return known.unique(["repository", "commit_sha"], keep="first", maintain_order=True).select(
        "library",
        pl.col("repository").alias("full_name"),
        pl.col("commit_sha").alias("sha"),
        pl.format("https://github.com/{}/commit/{}", "repository", "commit_sha").alias("url"),
    )


def dirt(rows: pl.DataFrame) -> dict[str, int]:
    """How much of the release needed attention, for people who want to know: counts by kind."""
    written = [f"{dimension}_as_written" for dimension in REQUIRED_DIMENSIONS]
    spelled_otherwise = sum(
        rows.filter((pl.col(column) != pl.col(dimension)) & pl.col(column).is_not_null()).height
        for dimension, column in zip(REQUIRED_DIMENSIONS, written, strict=True)
    )
    links = ["source", "library", "link"]
    return {
        "label_rows": rows.height,
        "rows_with_swapped_columns": rows["swapped"].sum(),
        "empty_cells": sum(rows[column].null_count() for column in written),
        "labels_spelled_otherwise": spelled_otherwise,
        "labels_mapped": rows["mapped"].drop_nulls().str.split("; ").list.len().sum(),
        "distinct_items": _with_item_ids(rows)["item_id"].n_unique(),
        "rows_that_repeat_a_link": rows.height - rows.select(links).n_unique(),
        "rows_that_repeat_link_and_labels": rows.height - rows.select(*links, *written).n_unique(),
    }
