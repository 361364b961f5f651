"""The year of a bug: from the date of its post or commit, else from the number of the post."""

import polars as pl

_LOOKED_UP, _ESTIMATED = "looked up", "estimated"


def add_years(labels: pl.DataFrame, items: pl.DataFrame, brackets: pl.DataFrame) -> pl.DataFrame:
    """Return ``labels`` (item_id, created_at) with the columns of labeling.labels about years (UTC).

    Numbers of posts ascend with time. Where a post's date is not known, the years that its number fits are those that
    ``brackets`` (reference.post_id_years) leave; ``items`` is labeling.items, with post_id.

    Adds year_low and year_high (the first and the last possible year; NULL if unknown), year (NULL unless they are the
    same: no year is guessed), year_source (``looked up``, ``estimated``, or NULL if nothing is known about the year)
    and year_undefined_reason (NULL where year is not).
    """
    starts = brackets.select("year", "last_before", "first_since").sort("year")
    fitting = (
        items.select("item_id", "post_id")
        .filter(pl.col("post_id").is_not_null())
        .sort("post_id")
        .join_asof(starts.select("first_since", _low="year"), left_on="post_id", right_on="first_since")
        .join_asof(
            starts.select("last_before", _high=pl.col("year") - 1),
            left_on="post_id", right_on="last_before", strategy="forward",
        )
    )  # fmt: skip
    of_date = pl.col("created_at").dt.year()
    low, high = pl.col("year_low"), pl.col("year_high")
    return (
        labels.join(fitting.select("item_id", "_low", "_high"), on="item_id", how="left", maintain_order="left")
        .with_columns(year_low=pl.coalesce(of_date, "_low"), year_high=pl.coalesce(of_date, "_high"))
        .with_columns(
            year=pl.when(low == high).then(low),
            year_source=pl.when(of_date.is_not_null())
            .then(pl.lit(_LOOKED_UP))
            .when(low.is_not_null() | high.is_not_null())
            .then(pl.lit(_ESTIMATED)),
            year_undefined_reason=pl.when(low == high)
            .then(None)
            .when(low.is_null() & high.is_null())
            .then(pl.lit("its date is not known"))
            .when(low.is_null())
            .then(pl.format("the number of the post fits {} and earlier years", high))
            .when(high.is_null())
            .then(pl.format("the number of the post fits {} and later years", low))
            .otherwise(pl.format("the number of the post fits {} to {}", low, high)),
        )
        .drop("_low", "_high")
    )
