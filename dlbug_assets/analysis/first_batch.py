"""Printed numbers beside those of the first batch: the bugs that a further sheet of the release has labels of.

An earlier state of the labels may be what a number was computed from.
"""

import polars as pl

from dlbug_assets.analysis.replication_cells import is_as_printed
from dlbug_assets.protocol.published_cells import ALL_LIBRARIES, BOTH_SOURCES
from dlbug_assets.warehouse.rows import table_schema

_SCOPE = ["source", "library"]
_LABEL = ["dimension", "category"]
_WITHIN = ["within_dimension", "within_category"]


def in_first_batch(leftovers: pl.DataFrame) -> pl.DataFrame:
    """Return bug_id of the bugs of the first batch, each once; ``leftovers`` is labeling.leftover_labels."""
    return leftovers.select("bug_id").drop_nulls().unique()


def first_batch(
    cells: pl.DataFrame, labels: pl.DataFrame, bug_labels: pl.DataFrame, leftovers: pl.DataFrame
) -> pl.DataFrame:
    """Return analysis.first_batch: printed numbers of bugs with a category beside those of all bugs and of the batch.

    ``cells`` is analysis.replication_cells, the others are the tables of that name in labeling, ``leftovers``
    labeling.leftover_labels. Numbers of libraries, sources or pools of which the batch has no bugs are left out, and
    numbers of years.

    Columns: those of a cell (reference, dimension, category, library, source, within_dimension, within_category, unit,
    reading, published, position); released and released_fits of all bugs; computed, difference (computed - published),
    bugs, total and fits of the batch. Percent are 0..100. A number fits if it is as printed when rounded, or, if it was
    measured from a drawing, within one unit of the last decimal that was read; NULL without a number.
    """
    batch = labels.join(in_first_batch(leftovers), on="bug_id", how="semi").select("bug_id", *_SCOPE)
    for column, pool in (("source", BOTH_SOURCES), ("library", ALL_LIBRARIES)):
        # A pool of some of the sources or libraries is not what was printed.
        if set(batch[column]) == set(labels[column]):
            batch = pl.concat([batch, batch.with_columns(pl.lit(pool).alias(column))])
    labelled = batch.join(bug_labels.select("bug_id", *_LABEL), on="bug_id")
    within = labelled.join(labelled.rename(dict(zip(_LABEL, _WITHIN, strict=True))), on=["bug_id", *_SCOPE])
    # The labels of all bugs have no within_category.
    pairs = pl.concat([labelled, within], how="diagonal")
    bugs = pairs.group_by(*_SCOPE, *_LABEL, *_WITHIN).agg(bugs=pl.len().cast(pl.Int64))
    totals = pairs.group_by(*_SCOPE, "dimension", *_WITHIN).agg(total=pl.col("bug_id").n_unique().cast(pl.Int64))
    everything = batch.group_by(_SCOPE).agg(all_bugs=pl.len().cast(pl.Int64))
    counted = pl.col("unit").is_in(["percent", "bugs"]) & pl.col("category").is_not_null() & pl.col("year").is_null()
    found = (
        cells.filter(counted)
        .rename({"bugs": "released_bugs", "total": "released_total", "computed": "released"})
        .join(everything, on=_SCOPE)
        .join(bugs, on=[*_SCOPE, *_LABEL, *_WITHIN], how="left", nulls_equal=True)
        .join(totals, on=[*_SCOPE, "dimension", *_WITHIN], how="left", nulls_equal=True)
        .with_columns(pl.col("bugs", "total").fill_null(0))
        .with_columns(total=pl.when(denominator="all").then("all_bugs").otherwise("total"))
    )
    share = pl.when(pl.col("total") > 0).then(100 * pl.col("bugs") / pl.col("total"))
    found = found.with_columns(computed=pl.when(unit="percent").then(share).otherwise(pl.col("bugs").cast(pl.Float64)))
    released = found.with_columns(bugs="released_bugs", total="released_total", computed="released")
    return (
        found.with_columns(difference=pl.col("computed") - pl.col("published"))
        .with_columns(fits=_fits(found), released_fits=_fits(released))
        .select(table_schema("analysis.first_batch").names())
        .sort("position")
    )


def _fits(cells: pl.DataFrame) -> pl.Series:
    """Return whether each computed number is the printed one when rounded, or near one that was measured."""
    return pl.Series(
        [
            abs(cell["computed"] - cell["published"]) <= 10.0 ** -cell["decimals"]
            if cell["reading"] == "approximate" and cell["computed"] is not None
            else is_as_printed(cell)
            for cell in cells.iter_rows(named=True)
        ],
        dtype=pl.Boolean,
    )
