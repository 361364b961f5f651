"""Who is asked what: the raters of each item, and the items of sampled dimensions."""

import polars as pl

from dlbug_assets.labeling.imported.tables import IMPORTED
from dlbug_assets.protocol.study import STACK_OVERFLOW, Study, posts_per_library, sample_rank


def asked_raters(items: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return item_id and rater: who is asked about each of ``items`` (labeling.items), in the order of both.

    Raters who were drawn for an item and have left the study since are not asked.
    """
    everyone = pl.lit(list(study.labeling.raters), pl.List(pl.String))
    return (
        items.select("item_id", rater=pl.coalesce("raters", everyone))
        .explode("rater", empty_as_null=False)
        .cast(pl.String)
        .filter(pl.col("rater").is_in(study.labeling.raters))
    )


def sampled_items(items: pl.DataFrame, units: pl.DataFrame, study: Study) -> dict[str, set[str]]:
    """Return the posts that raters label in each dimension that is asked of a sample of posts.

    ``items`` and ``units`` are the tables in labeling. Per library, these are the posts whose bugs were frozen in the
    earliest batches, those of one batch in a seeded order: bugs that are frozen in later batches displace none.
    """
    # Raters are not asked about bugs whose labels were imported.
    rated = units.filter(pl.col("frozen_by") != IMPORTED)
    first = rated.group_by("item_id").agg(pl.col("frozen_in").min())
    posts = items.filter(pl.col("source") == STACK_OVERFLOW).join(first, on="item_id", maintain_order="left")
    sampled: dict[str, set[str]] = {}
    for dimension in study.asked:
        size = posts_per_library(study, dimension)
        if size is not None:
            ranks = [sample_rank(study, dimension, item_id) for item_id in posts["item_id"]]
            ranked = posts.select("item_id", "library", "round", "frozen_in", _rank=pl.Series(ranks, dtype=pl.String))
            chosen = ranked.sort("round", "frozen_in", "_rank").group_by("library").head(size)
            sampled[dimension.name] = set(chosen["item_id"])
    return sampled
