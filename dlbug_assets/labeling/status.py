"""Progress of labelling, per rater and source."""

from collections.abc import Callable

import polars as pl

from dlbug_assets.labeling.sheets.formats import LIST_BUGS, RATE_BUGS
from dlbug_assets.protocol.study import Study

#: One row per rater and source.
STATUS = pl.Schema(
    {
        "rater": pl.String,
        "source": pl.String,
        "items": pl.Int64,
        "listed": pl.Int64,
        "bugs_rated": pl.Int64,
        "bugs_left": pl.Int64,
        "rejected": pl.Int64,
    }
)


def labeling_status(study: Study, query: Callable[[str], pl.DataFrame]) -> pl.DataFrame:
    """Return the progress of each rater and source, with the columns of STATUS.

    ``query`` runs SQL on the published database. Columns: items (in the queue), listed (items whose bugs the rater
    listed), bugs_rated and bugs_left (frozen bugs), rejected (rejected rows that name the rater and an item).
    """
    items, units = query("from labeling.items"), query("from labeling.units")
    labels = query("from labeling.rater_labels").filter(~pl.col("superseded"))
    rejected = query("from labeling.rejected_labels").with_columns(
        rater=pl.col("content").str.json_path_match("$.rater"),
        item_id=pl.col("content").str.json_path_match("$.item_id"),
    )
    rows = []
    for rater in study.labeling.raters:
        own = labels.filter(pl.col("rater") == rater)
        for source in study.source_names:
            of_source = items.filter(pl.col("source") == source).select("item_id")
            listed = own.filter(pl.col("pass") == LIST_BUGS).join(of_source, on="item_id", how="semi")
            rated = own.filter(pl.col("pass") == RATE_BUGS).select("item_id", "bug_index").unique()
            bugs = units.join(of_source, on="item_id", how="semi").select("item_id", "bug_index")
            rows.append(
                {
                    "rater": rater,
                    "source": source,
                    "items": of_source.height,
                    "listed": listed["item_id"].n_unique(),
                    "bugs_rated": bugs.join(rated, on=["item_id", "bug_index"], how="semi").height,
                    "bugs_left": bugs.join(rated, on=["item_id", "bug_index"], how="anti").height,
                    "rejected": rejected.filter(pl.col("rater") == rater)
                    .join(of_source, on="item_id", how="semi")
                    .height,
                }
            )
    return pl.DataFrame(rows, schema=STATUS)
