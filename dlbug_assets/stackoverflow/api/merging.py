"""Merge replies into rows: one row per library and question, with the values last observed.

The rows are the same whether collections are merged one by one as they arrive or all at once from landing: the latest
observation counts, by the time at which it was received. A question enters a library when it is observed in scope
there, and never leaves: it goes out of scope or is deleted. What one library's collection observes of a question
counts for every library that has the question.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from dlbug_assets.clock import utc_naive
from dlbug_assets.stackoverflow.api.paging import Query
from dlbug_assets.stackoverflow.api.replies import Observations
from dlbug_assets.stackoverflow.posts import CONTENT, RAW_ANSWERS, RAW_POSTS, pseudonymize_owners

_KEY = ["library", "post_id"]

#: Return the current rows of raw_posts with these IDs, in every library.
CurrentRows = Callable[[Sequence[int]], pl.DataFrame]


@dataclass
class Merged:
    """Rows of raw_posts and raw_answers to write, and the irregularities of the replies, a frame per collection.

    ``answers_of`` are the questions whose answers are, all of them, in ``answers``; other questions keep the answers
    that are not in ``answers``. ``new``, ``changed`` and ``deleted`` count the library's questions.
    """

    posts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RAW_POSTS))
    answers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RAW_ANSWERS))
    answers_of: list[int] = field(default_factory=list)
    irregularities: list[pl.DataFrame] = field(default_factory=list)
    new: int = 0
    changed: int = 0
    deleted: int = 0


def merge(
    current_rows: CurrentRows,
    collections: Iterable[Observations],
    library: str,
    queries: Mapping[str, Query],
    key: bytes,
) -> Merged:
    """Merge the observations of a library's collections, oldest first, into the current rows.

    ``collections`` may be lazy: one is in memory at a time. ``queries`` are those of every library of the study;
    ``key`` is the secret key of the hashes.
    """
    merged = Merged()
    before = pl.DataFrame(schema=RAW_POSTS)
    for observed in collections:
        merged.irregularities.append(observed.irregularities)
        post_ids = {*observed.questions["post_id"], *observed.absences["post_id"]}
        fetched = current_rows(sorted(post_ids - set(merged.posts["post_id"]))).select(list(RAW_POSTS))
        before = pl.concat([before, fetched])
        current = pl.concat([merged.posts.filter(pl.col("post_id").is_in(list(post_ids))), fetched])
        posts = _posts(current, observed, library, queries, key)
        # A question's answers are those of its latest observation, unless another library has observed it later.
        latest = observed.questions.join(
            posts.select("post_id", "retrieved_at").unique(), on=["post_id", "retrieved_at"]
        ).select("post_id", "answer_count", pl.col("retrieved_at").alias("question_retrieved_at"))
        answers = (
            pseudonymize_owners(observed.answers, key)
            .join(latest, on="post_id")
            .filter(pl.col("retrieved_at") >= pl.col("question_retrieved_at"))
            .sort("retrieved_at", maintain_order=True)
            .unique("answer_id", keep="last", maintain_order=True)
            .select(list(RAW_ANSWERS))
        )
        merged.posts = pl.concat([merged.posts.join(posts, on=_KEY, how="anti"), posts])
        # If answers are lacking, the others are no reason to remove the known ones.
        counted = latest.join(answers.group_by("post_id").len("came"), on="post_id", how="left")
        lacks = pl.col("came").fill_null(0) < pl.col("answer_count").fill_null(0)
        replaced = counted.filter(~lacks)["post_id"].to_list()
        outdated = pl.col("post_id").is_in(replaced) | pl.col("answer_id").is_in(answers["answer_id"].to_list())
        merged.answers = pl.concat([merged.answers.filter(~outdated), answers])
        merged.answers_of = sorted({*merged.answers_of, *replaced})
    _count(merged, before, library)
    merged.posts = merged.posts.sort(_KEY)
    merged.answers = merged.answers.sort("answer_id")
    return merged


def in_scope(query: Query) -> pl.Expr:
    """Return whether a row with tags, score and created_at is in scope of a query; false if one of them is NULL."""
    conditions = [
        pl.col("score") >= query.min_score,
        pl.col("tags").list.set_intersection(list(query.tags)).list.len() > 0,
        pl.col("created_at").is_not_null(),
    ]
    if query.created_from is not None:
        conditions.append(pl.col("created_at") >= utc_naive(datetime.fromtimestamp(query.created_from, UTC)))
    if query.created_until is not None:
        conditions.append(pl.col("created_at") <= utc_naive(datetime.fromtimestamp(query.created_until, UTC)))
    return pl.all_horizontal(condition.fill_null(value=False) for condition in conditions)


def _posts(
    current: pl.DataFrame, observed: Observations, library: str, queries: Mapping[str, Query], key: bytes
) -> pl.DataFrame:
    """Return the rows of raw_posts of every question that was observed, or requested by ID and absent."""
    questions = pseudonymize_owners(observed.questions, key).select(list(CONTENT))
    entered = questions.filter(in_scope(queries[library])).select(pl.lit(library).alias("library"), "post_id")
    members = pl.concat([current.select(_KEY), entered]).unique(maintain_order=True)
    content = (
        pl.concat([current.select(list(CONTENT)), questions])
        .sort("retrieved_at", maintain_order=True)
        .unique("post_id", keep="last", maintain_order=True)
    )
    absent = pl.concat(
        [observed.absences, current.select("post_id", pl.col("deleted_at").alias("retrieved_at"))]
    ).select("post_id", pl.col("retrieved_at").alias("absent_at"))
    deleted = (
        absent.join(content, on="post_id")
        .filter(pl.col("absent_at") > pl.col("retrieved_at"))
        .group_by("post_id")
        .agg(pl.col("absent_at").min().alias("deleted_at"))
    )
    rows = members.join(content, on="post_id").join(deleted, on="post_id", how="left")
    scope = pl.coalesce(pl.when(pl.col("library") == name).then(in_scope(query)) for name, query in queries.items())
    return rows.with_columns(in_scope=scope & pl.col("deleted_at").is_null()).select(list(RAW_POSTS)).cast(RAW_POSTS)


def _count(merged: Merged, before: pl.DataFrame, library: str) -> None:
    """Set the counts of new, changed and deleted questions."""
    compared = [pl.col("tags").list.join("|"), *(name for name in RAW_POSTS if name not in ("tags", "retrieved_at"))]
    old, now = (rows.filter(pl.col("library") == library).select(compared) for rows in (before, merged.posts))
    merged.new = now.join(old, on=_KEY, how="anti").height
    is_deleted = pl.col("deleted_at").is_not_null()
    merged.deleted = now.filter(is_deleted).join(old.filter(is_deleted), on=_KEY, how="anti").height
    unchanged = now.join(old, on=now.columns, how="semi", nulls_equal=True).height
    merged.changed = now.height - merged.new - unchanged
