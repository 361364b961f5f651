"""The rows of a study's releases as tables of the pipeline. Repeated rows are counted, not removed."""

from datetime import UTC, datetime

import polars as pl

from dlbug_assets.clock import utc_naive
from dlbug_assets.protocol.study import Study
from dlbug_assets.releases.label_rows import Released
from dlbug_assets.warehouse.rows import conform, table_schema

_ITEMS = table_schema("labeling.items", without=("round", "position", "checkpoint", "raters", "frozen_at"))
_UNITS = table_schema("labeling.units")
_POSTS = table_schema("stackoverflow.raw_posts", without=("retrieved_at",))

_BUG = ("item_id", "bug_index")
_DECIDED_BY_RATERS, _DECIDED_BY_RELEASE = "agreement", "artifact"


def _numbered(released: Released) -> pl.DataFrame:
    """Return the rows with item_id, and bug_index: the number of the row about its item, of each rater by itself."""
    item_id = (
        pl.when(pl.col("post_id").is_not_null())
        .then(pl.format("SO-{}-{}", "library", pl.col("post_id").cast(pl.String)))
        .when(pl.col("commit_sha").is_not_null())
        .then(pl.format("GH-{}-{}", "library", "commit_sha"))
        .otherwise(pl.format("{}-{}", "library", pl.coalesce("key", "link")))
    )
    rows = released.rows.with_columns(item_id=item_id, year=pl.col("created_at").dt.year())
    return rows.with_columns(bug_index=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("item_id", "rater"))


def _labels(study: Study, suffix: str = "") -> dict[str, pl.Expr]:
    """Return the label of each asked dimension, a list if it has several."""
    names = {dimension.name: f"{dimension.name}{suffix}" for dimension in study.asked}
    return {
        names[dimension.name]: pl.col(names[dimension.name])
        if dimension.multiple
        else pl.col(names[dimension.name]).list.first()
        for dimension in study.asked
    }


def items(released: Released) -> pl.DataFrame:
    """Return the distinct items of the releases, once per library, without a place in the queue.

    Columns: those of labeling.items except round, position, checkpoint and frozen_at. Link, repository, title and
    created_at are the first ones; item_id is ``SO-<library>-<post_id>`` of a link to a post,
    ``GH-<library>-<sha>`` of one to a commit, else ``<library>-<key>``.
    """
    return conform(_numbered(released).unique("item_id", keep="first", maintain_order=True), _ITEMS)


def labels(released: Released, study: Study) -> pl.DataFrame:
    """Return the agreed bugs in the order of the files; bugs are numbered per item.

    Columns: those of labeling.labels without roll-ups, and ``<dimension>_as_written`` of every asked dimension. A bug
    that raters labelled is decided by agreement if all of them give the same labels; else by the row without a rater
    about it, if there is one. Bugs that nobody decided are left out.
    """
    rows = _numbered(released).with_columns(**_labels(study), **_labels(study, "_as_written"))
    places = (pl.format("sheet {}", "sheet"), pl.format("row {}", "row"))
    rows = rows.with_columns(
        pl.format("{}#{}", "item_id", "bug_index").alias("bug_id"),
        pl.when(pl.col("rater").is_null())
        .then(pl.lit(_DECIDED_BY_RELEASE))
        .otherwise(pl.lit(_DECIDED_BY_RATERS))
        .alias("decided_by"),
        pl.concat_str("file", *places, separator=", ", ignore_nulls=True).alias("provenance"),
    )
    is_rated = pl.col("rater").is_not_null()
    same = pl.struct(study.asked_names).filter(is_rated).n_unique() == 1
    # The provenance of an agreed bug is every rater's row.
    sources = pl.col("provenance").filter(is_rated).str.join("; ")
    rows = rows.with_columns(
        provenance=pl.when(is_rated).then(sources.over(_BUG)).otherwise("provenance"), _same=same.over(_BUG)
    )
    decided = rows.filter(pl.col("_same") == is_rated)
    return decided.unique("bug_id", keep="first", maintain_order=True).drop("rater", "_same")


def units(released: Released) -> pl.DataFrame:
    """Return labeling.units of the releases: every bug that has a row. The place of a unit is its link."""
    rows = _numbered(released).unique(_BUG, keep="first", maintain_order=True)
    return conform(rows.with_columns(place="link", frozen_by=pl.lit(_DECIDED_BY_RELEASE)), _UNITS)


def rater_labels(released: Released, study: Study) -> pl.DataFrame:
    """Return labeling.rater_labels: the rows that name a rater, as submitted at once, for all items."""
    rows = _numbered(released).filter(pl.col("rater").is_not_null())
    rows = rows.with_columns(
        **_labels(study),
        batch=pl.lit(100),
        **{"pass": pl.lit("dimensions")},
        revision=pl.lit(1),
        is_bug=pl.lit(value=True),
        received_at=pl.lit(utc_naive(datetime.now(UTC))),
        line="row",
        superseded=pl.lit(value=False),
        withdrawn=pl.lit(value=False),
        round=pl.lit(1),
    )
    return conform(rows, table_schema("labeling.rater_labels", study))


def posts(released: Released, library: str) -> pl.DataFrame:
    """Return the posts of one library: stackoverflow.raw_posts without retrieved_at.

    All columns except library, post_id, link and in_scope are NULL.
    """
    known = released.rows.filter(pl.col("post_id").is_not_null() & (pl.col("library") == library))
    distinct = known.unique("post_id", keep="first", maintain_order=True)
    return conform(distinct.select("library", "post_id", "link", in_scope=pl.lit(value=True)), _POSTS)


def commits(released: Released, library: str) -> pl.DataFrame:
    """Return the commits of one library, once per repository: library, full_name, sha, url."""
    known = released.rows.filter(pl.col("commit_sha").is_not_null() & (pl.col("library") == library))
    return known.unique(["repository", "commit_sha"], keep="first", maintain_order=True).select(
        "library",
        pl.col("repository").alias("full_name"),
        pl.col("commit_sha").alias("sha"),
        pl.format("https://github.com/{}/commit/{}", "repository", "commit_sha").alias("url"),
    )


def data_quality(released: Released, study: Study) -> dict[str, int]:
    """Return the number of rows, and of irregularities in them by kind, as metadata of the labels."""
    rows = released.rows
    written = [f"{dimension}_as_written" for dimension in study.required_names]
    spelled_otherwise = sum(
        rows.filter((pl.col(column) != pl.col(dimension)) & pl.col(column).is_not_null()).height
        for dimension, column in zip(study.required_names, written, strict=True)
    )
    item = ["source", "library", "key", "link"]
    return {
        "label_rows": rows.height,
        "rows_set_aside": released.rejected.height,
        "rows_with_swapped_columns": rows.filter("swapped").height,
        "empty_cells": sum(rows[column].null_count() for column in written),
        "labels_spelled_otherwise": spelled_otherwise,
        "labels_mapped": len(rows["mapped"].drop_nulls().str.split("; ").explode()),
        "keys_that_a_joined_release_lacks": released.unmatched,
        "distinct_items": _numbered(released)["item_id"].n_unique(),
        "rows_that_repeat_a_link": rows.height - rows.select(item).n_unique(),
        "rows_that_repeat_link_and_labels": rows.height - rows.select(*item, *written).n_unique(),
    }
