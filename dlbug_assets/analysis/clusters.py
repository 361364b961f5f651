"""The clusters of a study's bugs: bugs that resemble each other and are not independent observations."""

import numpy as np
import polars as pl

from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema


def clusters(labels: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return analysis.clusters: the cluster of every bug of the study's libraries, in the order of ``labels``.

    ``labels`` is labeling.labels. Bugs of one source are in one cluster if they are of one repository, or of
    repositories that have a commit in common (forks; also through others); without a repository, if they have the same
    link (a post in two libraries); without a link, if they are of the same item. Without an item a bug is alone.

    Columns: bug_id, source, library, cluster (the alphabetically first repository, link or item in it).
    """
    from scipy.sparse import coo_array  # noqa: PLC0415 - slow to import
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - slow to import

    bugs = labels.filter(
        pl.col("library").is_in(study.library_names) & pl.col("source").is_in(study.source_names)
    ).with_columns(_name=pl.coalesce("repository", "link", "item_id", "bug_id"))
    names = bugs.select("source", "_name").unique().sort("source", "_name").with_row_index("_node")
    nodes = bugs.select("source", "_name", "commit_sha").join(names, on=["source", "_name"], maintain_order="left")
    # Repositories with the same commit are joined to the first of them.
    shared = nodes.filter(pl.col("commit_sha").is_not_null()).select(
        "_node", _first=pl.col("_node").min().over("source", "commit_sha")
    )
    edges = np.ones(shared.height), (shared["_node"].to_numpy(), shared["_first"].to_numpy())
    _, components = connected_components(coo_array(edges, shape=(names.height, names.height)), directed=False)
    first = names.with_columns(_component=pl.Series(components)).select(
        "_node", cluster=pl.col("_name").first().over("_component")
    )
    found = nodes.join(first, on="_node", maintain_order="left")["cluster"]
    return bugs.select("bug_id", "source", "library", cluster=found).select(table_schema("analysis.clusters").names())
