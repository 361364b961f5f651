"""The queue of items: which posts and commits raters read, and in which order.

What belongs here: item ids, the order of the queue and its checkpoints. What doesn't: what raters say of an item
(rater_labels.py) and which bugs it holds (units.py).
"""

import hashlib
from collections.abc import Callable

import polars as pl

from dlbug_assets import releases
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import GITHUB, SOURCES, STACK_OVERFLOW

#: The first round of a queue; what qualifies after it was frozen forms the next one.
FIRST_ROUND = 1

#: labeling.items
ITEMS = pl.Schema(
    {
        "item_id": pl.String,
        "source": pl.String,
        "library": pl.String,
        "title": pl.String,
        "link": pl.String,
        "round": pl.Int32,
        "position": pl.Int32,
        "checkpoint": pl.Int32,
        "created_at": pl.Datetime("us"),
        "year": pl.Int32,
        "repository": pl.String,
        "commit_sha": pl.String,
        "post_id": pl.Int64,
        "frozen_at": pl.Datetime("us"),
    }
)
_PLACED = ("round", "position", "checkpoint", "frozen_at")


def items(
    candidates: pl.DataFrame,
    commits: pl.DataFrame,
    posts: pl.DataFrame,
    fixes: pl.DataFrame,
    *,
    study: Study,
    frozen_rounds: Callable[[], pl.DataFrame],
    release: Callable[[], pl.DataFrame],
) -> pl.DataFrame:
    """Return labeling.items: the queue of the study, or the items of the authors' release.

    ``candidates`` is stackoverflow.candidate_posts and ``commits`` github.sampled_commits, which the queue is made of;
    ``posts`` (stackoverflow.raw_posts) and ``fixes`` (github.fix_commits) complete the items of a release.
    """
    if study.sources.labels == "artifact":
        return order_queue(completed(releases.items(release()), posts, fixes), study)
    return queue(candidates, commits, study, frozen_rounds())


def queue(
    candidates: pl.DataFrame, commits: pl.DataFrame, study: Study, frozen: pl.DataFrame | None = None
) -> pl.DataFrame:
    """All items of a study, in queue order: those of ``frozen`` rounds as they are, the others as the next round.

    ``candidates`` are rows of stackoverflow.candidate_posts, ``commits`` of github.sampled_commits. Returns
    labeling.items: one row per item, ``item_id`` being ``SO-<library>-<post_id>`` or ``GH-<library>-<sha>``;
    ``created_at`` (UTC) and ``year`` are those of the post's creation and the commit's authoring.
    """
    missing = {"text": pl.lit(None, pl.String), "number": pl.lit(None, pl.Int64)}
    posts = candidates.select(
        item_id=pl.format("SO-{}-{}", "library", "post_id"),
        source=pl.lit(STACK_OVERFLOW),
        library="library",
        title="title",
        link="link",
        created_at="created_at",
        year="year",
        repository=missing["text"],
        commit_sha=missing["text"],
        post_id="post_id",
    )
    changes = commits.select(
        item_id=pl.format("GH-{}-{}", "library", "sha"),
        source=pl.lit(GITHUB),
        library="library",
        title="title",
        link="url",
        created_at="authored_at",
        year="year",
        repository="full_name",
        commit_sha="sha",
        post_id=missing["number"],
    )
    unplaced = {name: dtype for name, dtype in ITEMS.items() if name not in _PLACED}
    qualifying = pl.concat([frame.cast(unplaced) for frame in (posts, changes)])
    return order_queue(qualifying, study, frozen)


def completed(items: pl.DataFrame, posts: pl.DataFrame, commits: pl.DataFrame) -> pl.DataFrame:
    """Items of the authors' release with what the sites say of them: title, created_at and year.

    ``posts`` has library, post_id, title and created_at; ``commits`` library, sha, title and authored_at; NULL where
    nobody could be asked.
    """
    facts = ("title", "created_at", "year")
    of_posts = posts.select("library", "post_id", "title", "created_at", pl.col("created_at").dt.year().alias("year"))
    # A commit that several repositories share is the same one in each.
    of_commits = commits.unique(["library", "sha"]).select(
        "library",
        pl.col("sha").alias("commit_sha"),
        pl.col("title").alias("title_"),
        pl.col("authored_at").alias("created_at_"),
        pl.col("authored_at").dt.year().alias("year_"),
    )
    return (
        items.drop(facts)
        .join(of_posts, on=["library", "post_id"], how="left", maintain_order="left")
        .join(of_commits, on=["library", "commit_sha"], how="left", maintain_order="left")
        .with_columns(pl.coalesce(name, f"{name}_").alias(name) for name in facts)
        .with_columns(pl.col("year").cast(pl.Int32))
        .drop(f"{name}_" for name in facts)
    )


def dated(labels: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Labels of the authors' release with the dates (UTC) of their items."""
    return labels.drop("created_at", "year").join(
        items.select("item_id", "created_at", "year"), on="item_id", how="left", maintain_order="left"
    )


def order_queue(items: pl.DataFrame, study: Study, frozen: pl.DataFrame | None = None) -> pl.DataFrame:
    """Give items their round, position and checkpoint; what is in a ``frozen`` round (rows of labeling.items) stays.

    ``items`` has the columns of labeling.items but round, position and checkpoint (further columns are dropped).
    Within a source the order is that of sha256(``seed|queue|item_id``): random, yet the same for every order of
    arrival. ``checkpoint`` is the first percentage p of the study's with position <= ceil(p/100 * n), n being the
    number of the source's items in the round. Returns labeling.items, sorted by source (as the paper names them), round
    and position.
    """
    frozen = pl.DataFrame(schema=ITEMS) if frozen is None else frozen.select(ITEMS.names())
    items = items.join(frozen, on="item_id", how="anti", maintain_order="left")
    last_round = frozen["round"].max()
    seed = study.study.seed
    ranks = [hashlib.sha256(f"{seed}|queue|{item_id}".encode()).hexdigest() for item_id in items["item_id"]]
    source = pl.col("source").cast(pl.String)
    placed = (
        items.with_columns(
            pl.Series("_rank", ranks, pl.String),
            _source=source.replace_strict({name: i for i, name in enumerate(SOURCES)}, return_dtype=pl.Int32),
        )
        .sort("_source", "_rank", "item_id")
        .with_columns(
            round=pl.lit(FIRST_ROUND if last_round is None else last_round + 1),
            frozen_at=pl.lit(None, pl.Datetime("us")),
            position=pl.int_range(1, pl.len() + 1).over("source"),
            _n=pl.len().cast(pl.Int64).over("source"),
        )
    )
    # ceil(p*n/100) in integers: 0.07 * 100 is 7.000000000000001 in floats, and its ceiling 8.
    checkpoint = pl.coalesce(
        pl.when(pl.col("position") <= (percent * pl.col("_n") + 99) // 100).then(percent)
        for percent in study.labeling.checkpoints
    )
    following = placed.with_columns(checkpoint=checkpoint).select(ITEMS.names()).cast(dict(ITEMS))
    rank = pl.col("source").replace_strict({name: i for i, name in enumerate(SOURCES)}, return_dtype=pl.Int32)
    return pl.concat([frozen, following]).sort(rank, "round", "position")
