"""Which commits are read: a bottom-k hash sample per library."""

import hashlib

import polars as pl


def bottom_k_sample(commits: pl.DataFrame, library: str, seed: int, k: int) -> pl.DataFrame:
    """The first ``k`` commits of one library in the order of sha256("seed|library|sha"), with ``sample_rank`` 1..k.

    ``commits`` has the columns of github.fix_commits; a sha counts once, in the repository with the lowest
    repository_id (then name), and not at all where nothing reaches it any more. The sample does not depend on the
    order of the rows, each commit's chance is equal, and rows that come later displace only the last ranks (bottom-k
    sampling: Cohen and Kaplan, 2007).
    """
    shas = (
        commits.filter((pl.col("library") == library) & pl.col("is_reachable").ne_missing(other=False))
        .sort("sha", "repository_id", "full_name", nulls_last=True)
        .unique("sha", keep="first", maintain_order=True)
    )
    digests = [hashlib.sha256(f"{seed}|{library}|{sha}".encode()).hexdigest() for sha in shas["sha"]]
    return (
        shas.with_columns(pl.Series("digest", digests, pl.String))
        .sort("digest")
        .head(k)
        .with_row_index("sample_rank", offset=1)
        .drop("digest")
    )
