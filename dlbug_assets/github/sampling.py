"""The commits that raters read: a bottom-k hash sample per library."""

import hashlib
import logging
from collections.abc import Callable, Sequence

import polars as pl

from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent, table_schema

logger = logging.getLogger(__name__)


def sampled_commits(
    library: str,
    read_current: ReadCurrent,
    commits: pl.DataFrame,
    repositories: pl.DataFrame,
    *,
    study: Study,
    details: Callable[[str, Sequence[str]], pl.DataFrame],
    incomplete: bool = False,
) -> PartitionRows:
    """Return the rows of github.sampled_commits of one library.

    ``commits`` is github.fix_commits, ``repositories`` github.repositories; ``details`` returns what the source knows
    of commits beyond fix_commits (:meth:`~dlbug_assets.github.sources.CommitSource.details`). While a repository of the
    library is unread, an earlier sample stays as it is and no commit is sampled, unless ``incomplete``: the sample
    would not represent the library.
    """
    unread = repositories.filter(library=library, state="unread")["full_name"].sort()
    if len(unread) and not incomplete:
        logger.warning(
            "%s: no commit is sampled, because these repositories are unread: %s. Fix them, or run with --incomplete.",
            library,
            ", ".join(unread),
        )
        earlier = read_current("github.sampled_commits", "library = ?", [library])
        return PartitionRows.replacing(earlier.join(commits, on=["library", "sha"], how="semi"), library)
    sample = bottom_k_sample(commits, library, study.study.seed, study.selection.commits_per_library)
    known = details(library, sample["sha"].to_list())
    rows = sample.join(known, on=["library", "sha"], how="left").with_columns(is_from_complete_corpus=unread.is_empty())
    return PartitionRows.replacing(rows.select(table_schema("github.sampled_commits").names()), library)


def bottom_k_sample(commits: pl.DataFrame, library: str, seed: int, k: int) -> pl.DataFrame:
    """Return the first ``k`` commits of one library in the order of sha256("seed|library|sha").

    ``commits`` has the columns of github.fix_commits; ``sample_rank``, 1 to k, is added in front. A hash counts once,
    in the repository with the lowest repository_id (then name). Commits that are not reachable do not count.

    This is bottom-k sampling (Cohen and Kaplan, 2007): the sample does not depend on the order of the rows, every
    commit has the same chance, and rows added later displace only the last ranks.
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
