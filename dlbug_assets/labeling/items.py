"""The queue of items: which posts and commits raters read, and in which order.

What belongs here: item IDs, dates, the order of the queue and its checkpoints. What doesn't: raters' answers
(rater_labels.py) and the bugs of an item (units.py).
"""

import hashlib
from collections.abc import Callable, Iterable

import polars as pl

from dlbug_assets import releases
from dlbug_assets.protocol.study import GITHUB, STACK_OVERFLOW, Study
from dlbug_assets.warehouse.rows import table_schema

_LOOKED_UP, _ESTIMATED = "looked up", "estimated"

#: The first round of a queue. Items that qualify after it was frozen form the next one.
FIRST_ROUND = 1

ITEMS = table_schema("labeling.items")
_QUALIFYING = table_schema("labeling.items", without=("round", "position", "checkpoint", "raters", "frozen_at"))


def items(
    candidates: pl.DataFrame,
    commits: pl.DataFrame,
    posts: pl.DataFrame,
    fixes: pl.DataFrame,
    *,
    study: Study,
    frozen_rounds: Callable[[], pl.DataFrame],
    release: Callable[[], releases.Released],
) -> pl.DataFrame:
    """Return labeling.items: the queue of the study, or the items of its releases.

    The queue consists of ``candidates`` (stackoverflow.candidate_posts) and ``commits`` (github.sampled_commits).
    ``posts`` (stackoverflow.raw_posts) and ``fixes`` (github.fix_commits) complete the items of a release.
    """
    if study.sources.labels == "release":
        return order_queue(complete_items(releases.items(release()), posts, fixes), study)
    return queue(candidates, commits, study, frozen_rounds())


def queue(
    candidates: pl.DataFrame, commits: pl.DataFrame, study: Study, frozen: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return all items of a study in queue order: ``frozen`` rounds unchanged, then the others as the next round.

    ``candidates`` are rows of stackoverflow.candidate_posts, ``commits`` of github.sampled_commits. Returns
    labeling.items: one row per item. ``item_id`` is ``SO-<library>-<post_id>`` or ``GH-<library>-<sha>``;
    ``created_at`` (UTC) and ``year`` are when the post was created or the commit authored.
    """
    posts = candidates.select(
        item_id=pl.format("SO-{}-{}", "library", "post_id"),
        source=pl.lit(STACK_OVERFLOW),
        library="library",
        title="title",
        link="link",
        created_at="created_at",
        year="year",
        repository=None,
        commit_sha=None,
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
        post_id=None,
    )
    return order_queue(pl.concat([frame.cast(_QUALIFYING) for frame in (posts, changes)]), study, frozen)


def complete_items(items: pl.DataFrame, posts: pl.DataFrame, commits: pl.DataFrame) -> pl.DataFrame:
    """Add title, created_at (UTC) and year from the sites to the items of a release.

    ``posts`` has library, post_id, title and created_at; ``commits`` library, sha, title and authored_at. Items that
    were not collected keep what the release states.
    """
    facts = ("title", "created_at")
    of_posts = posts.select("library", "post_id", pl.col(facts).name.suffix("_post"))
    # A commit that several repositories share is the same one in each.
    of_commits = commits.unique(["library", "sha"]).select(
        "library",
        pl.col("sha").alias("commit_sha"),
        pl.col("title").alias("title_commit"),
        pl.col("authored_at").alias("created_at_commit"),
    )
    return (
        items.join(of_posts, on=["library", "post_id"], how="left", maintain_order="left")
        .join(of_commits, on=["library", "commit_sha"], how="left", maintain_order="left")
        .with_columns(pl.coalesce(f"{name}_post", f"{name}_commit", name).alias(name) for name in facts)
        .with_columns(year=pl.col("created_at").dt.year())
        .select(items.columns)
    )


def add_dates(labels: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Replace created_at (UTC) of released labels by that of their items."""
    return labels.drop("created_at").join(
        items.select("item_id", "created_at"), on="item_id", how="left", maintain_order="left"
    )


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


def order_queue(items: pl.DataFrame, study: Study, frozen: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return labeling.items: assign round, position and checkpoint to all items that are not in a ``frozen`` round.

    ``items`` has the columns of labeling.items except round, position and checkpoint (further columns are dropped);
    ``frozen`` has rows of labeling.items, which stay unchanged. Within a source, items are ordered by
    sha256(``seed|queue|item_id``): randomly, but independently of the order of the input. ``checkpoint`` is the first
    checkpoint p of the study with position <= ceil(p/100 * n), where n is the number of the source's items in the
    round. If the study sets raters_per_item, ``raters`` are those who are asked about the item. Rows are sorted by
    source (in the study's order), round and position.
    """
    frozen = pl.DataFrame(schema=ITEMS) if frozen is None else frozen.select(ITEMS.names())
    items = items.join(frozen, on="item_id", how="anti", maintain_order="left")
    next_round = max(frozen["round"], default=FIRST_ROUND - 1) + 1
    seed = study.study.seed
    ranks = [hashlib.sha256(f"{seed}|queue|{item_id}".encode()).hexdigest() for item_id in items["item_id"]]
    source_rank = (
        pl.col("source")
        .cast(pl.String)
        .replace_strict({name: rank for rank, name in enumerate(study.source_names)}, return_dtype=pl.Int32)
    )
    placed = (
        items.with_columns(pl.Series("_rank", ranks, pl.String))
        .sort(source_rank, "_rank", "item_id")
        .with_columns(
            round=pl.lit(next_round),
            frozen_at=pl.lit(None, pl.Datetime("us")),
            position=pl.int_range(1, pl.len() + 1).over("source"),
            _n=pl.len().cast(pl.Int64).over("source"),
        )
    )
    # ceil(p*n/100) in integers: in floats 0.07 * 100 is 7.000000000000001, and its ceiling 8.
    checkpoint = pl.coalesce(
        pl.when(pl.col("position") <= (percent * pl.col("_n") + 99) // 100).then(percent)
        for percent in study.labeling.checkpoints
    )
    asked = pl.Series("raters", _draw_raters(placed["item_id"], study), pl.List(pl.String))
    following = placed.with_columns(asked, checkpoint=checkpoint).select(ITEMS.names()).cast(ITEMS)
    return pl.concat([frozen, following]).sort(source_rank, "round", "position")


def _draw_raters(item_ids: Iterable[str], study: Study) -> list[list[str] | None]:
    """Return the raters of each item, in the study's order; None where every rater is asked.

    Each item goes to raters who have the fewest items so far, so that their numbers differ by one at most; the seed
    decides between equals.
    """
    raters, number = study.labeling.raters, study.labeling.raters_per_item
    if number is None:
        return [None for _ in item_ids]
    given = dict.fromkeys(raters, 0)
    drawn: list[list[str] | None] = []
    for item_id in item_ids:
        ranks = {
            rater: hashlib.sha256(f"{study.study.seed}|raters|{item_id}|{rater}".encode()).digest() for rater in raters
        }
        chosen = set(sorted(raters, key=lambda rater: (given[rater], ranks[rater]))[:number])
        given |= {rater: given[rater] + 1 for rater in chosen}
        drawn.append([rater for rater in raters if rater in chosen])
    return drawn
