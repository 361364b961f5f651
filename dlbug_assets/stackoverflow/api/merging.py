"""From sightings to rows: one row per library and question, as it was last seen.

The same rows come out whether collections are merged one by one as they arrive or all at once from landing: what is
newest counts, by the moment at which it was received. A question enters a library when it is seen in scope there, and
never leaves: it goes out of scope, or is deleted. What one library's collection sees of a question counts for every
library that has it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from dlbug_assets.stackoverflow.api.paging import Question
from dlbug_assets.stackoverflow.api.replies import Observed
from dlbug_assets.stackoverflow.posts import CONTENT, POST_ANSWERS, POSTS, pseudonymize_owners

_KEY = ["library", "post_id"]

#: The rows of raw_posts with one of these numbers, in whatever library.
Known = Callable[[Sequence[int]], pl.DataFrame]


@dataclass
class Merged:
    """What is to be written: rows of raw_posts and raw_answers, and the questions whose answers these are (all of
    them); and for people how many of the library's questions are new, changed, gone."""

    posts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=POSTS))
    answers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=POST_ANSWERS))
    answered: list[int] = field(default_factory=list)
    new: int = 0
    changed: int = 0
    gone: int = 0


def merge(
    known: Known, sightings: Iterable[Observed], library: str, questions: Mapping[str, Question], key: bytes
) -> Merged:
    """Merge what a library's collections saw, in their order, into the rows that are ``known``.

    ``questions`` says for every library of the study what is in scope there; ``key`` is that of the hashes.
    """
    merged = Merged()
    before = pl.DataFrame(schema=POSTS)
    for seen in sightings:
        ids = {*seen.questions["post_id"], *seen.absences["post_id"]}
        fetched = known(sorted(ids - set(merged.posts["post_id"])))
        before = pl.concat([before, fetched.select(list(POSTS))])
        rows = pl.concat([merged.posts.filter(pl.col("post_id").is_in(list(ids))), fetched.select(list(POSTS))])
        posts = _posts(rows, seen, library, questions, key)
        # A question's answers are those of its newest sighting, unless another library has seen it later.
        current = seen.questions.join(
            posts.select("post_id", "retrieved_at").unique(), on=["post_id", "retrieved_at"]
        ).select("post_id", pl.col("retrieved_at").alias("asked_at"))
        answers = (
            pseudonymize_owners(seen.answers, key)
            .join(current, on="post_id")
            .filter(pl.col("retrieved_at") >= pl.col("asked_at"))
            .sort("retrieved_at", maintain_order=True)
            .unique("answer_id", keep="last", maintain_order=True)
            .select(list(POST_ANSWERS))
        )
        merged.posts = pl.concat([merged.posts.join(posts, on=_KEY, how="anti"), posts])
        replaced = current["post_id"].to_list()
        merged.answers = pl.concat([merged.answers.filter(~pl.col("post_id").is_in(replaced)), answers])
        merged.answered = sorted({*merged.answered, *replaced})
    _count(merged, before, library)
    merged.posts = merged.posts.sort(_KEY)
    merged.answers = merged.answers.sort("answer_id")
    return merged


def in_scope(question: Question) -> pl.Expr:
    """Whether a row with tags, score and created_at is what a library asks for; false where one is missing."""
    conditions = [
        pl.col("score") >= question.min_score,
        pl.col("tags").list.set_intersection(list(question.tags)).list.len() > 0,
        pl.col("created_at").is_not_null(),
    ]
    if question.created_from is not None:
        conditions.append(pl.col("created_at") >= _moment(question.created_from))
    if question.created_until is not None:
        conditions.append(pl.col("created_at") <= _moment(question.created_until))
    return pl.all_horizontal(condition.fill_null(value=False) for condition in conditions)


def _posts(
    known: pl.DataFrame, seen: Observed, library: str, questions: Mapping[str, Question], key: bytes
) -> pl.DataFrame:
    """The rows of every question seen, and looked up in vain, as they are now."""
    sighted = pseudonymize_owners(seen.questions, key).select(list(CONTENT))
    entered = sighted.filter(in_scope(questions[library])).select(pl.lit(library).alias("library"), "post_id")
    members = pl.concat([known.select(_KEY), entered]).unique(maintain_order=True)
    content = (
        pl.concat([known.select(list(CONTENT)), sighted])
        .sort("retrieved_at", maintain_order=True)
        .unique("post_id", keep="last", maintain_order=True)
    )
    absent = pl.concat([seen.absences, known.select("post_id", pl.col("deleted_at").alias("retrieved_at"))]).select(
        "post_id", pl.col("retrieved_at").alias("absent_at")
    )
    deleted = (
        absent.join(content, on="post_id")
        .filter(pl.col("absent_at") > pl.col("retrieved_at"))
        .group_by("post_id")
        .agg(pl.col("absent_at").min().alias("deleted_at"))
    )
    rows = members.join(content, on="post_id").join(deleted, on="post_id", how="left")
    scope = pl.coalesce(
        pl.when(pl.col("library") == name).then(in_scope(question)) for name, question in questions.items()
    )
    return rows.with_columns(in_scope=scope & pl.col("deleted_at").is_null()).select(list(POSTS)).cast(POSTS)


def _count(merged: Merged, before: pl.DataFrame, library: str) -> None:
    told = [pl.col("tags").list.join("|"), *(name for name in POSTS if name not in ("tags", "retrieved_at"))]
    old, now = (rows.filter(pl.col("library") == library).select(told) for rows in (before, merged.posts))
    merged.new = now.join(old, on=_KEY, how="anti").height
    is_gone = pl.col("deleted_at").is_not_null()
    merged.gone = now.filter(is_gone).join(old.filter(is_gone), on=_KEY, how="anti").height
    same = now.join(old, on=now.columns, how="semi", nulls_equal=True).height
    merged.changed = now.height - merged.new - same


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
