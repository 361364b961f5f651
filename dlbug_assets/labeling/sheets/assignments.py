"""Assignments: which sheets each person has to fill in next. A sheet is a batch of one pass, a row per item or bug.

What belongs here: who has to label what. What doesn't: file formats (xlsx_format.py, csv_format.py, label_studio.py)
and submitted files (submissions.py).
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from dlbug_assets.labeling.label_texts import IS_BUG, as_text
from dlbug_assets.labeling.sheets.formats import LIST_BUGS, RATE_BUGS
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.study import STACK_OVERFLOW, Study, posts_per_library

_ITEM = ("item_id", "title", "link", "content", "accepted_answer")


@dataclass(frozen=True)
class Sheet:
    """A sheet for one person, of a study with these ``dimensions``.

    ``rows`` have the columns of :func:`columns`, then ``rater_columns``, which show the adjudicator the raters'
    answers. ``fixed`` contains (row, column) of answer cells that are not to be filled in.
    """

    person: str
    round: int
    batch: int
    pass_name: str
    dimensions: tuple[Dimension, ...]
    rows: tuple[dict[str, Any], ...]
    rater_columns: tuple[str, ...] = ()
    fixed: frozenset[tuple[int, str]] = frozenset()

    @property
    def name(self) -> str:
        """The name of its file without suffix: `5-ann`, or `5-ann-dimensions`; in later rounds `r2-5-ann`."""
        prefix = "" if self.round == 1 else f"r{self.round}-"
        return f"{prefix}{self.batch}-{self.person}" + ("" if self.pass_name == LIST_BUGS else f"-{self.pass_name}")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its file."""
        return (*columns(self.dimensions), *self.rater_columns)

    @property
    def asked(self) -> tuple[Dimension, ...]:
        """The dimensions to fill in, in at least one row."""
        if self.pass_name == LIST_BUGS:
            return ()
        rows = range(len(self.rows))
        return tuple(
            dimension for dimension in self.dimensions if any((row, dimension.name) not in self.fixed for row in rows)
        )

    @property
    def answers(self) -> tuple[str, ...]:
        """The columns to fill in, in at least one row."""
        before = ("is_bug", "place") if self.pass_name == LIST_BUGS else ()
        return (*before, *(dimension.name for dimension in self.asked), "comment")


def columns(dimensions: Iterable[Dimension]) -> tuple[str, ...]:
    """Return the columns of every sheet of a study, in order; ``pass`` determines which questions it asks."""
    names = (dimension.name for dimension in dimensions)
    before = ("item_id", "rater", "batch", "bug_index", "title", "link", "content", "accepted_answer", "is_bug")
    return (*before, *names, "place", "comment", "pass")


def due_sheets(
    study: Study, items: pl.DataFrame, labels: pl.DataFrame, units: pl.DataFrame, disagreements: pl.DataFrame,
    *, again: Collection[int] = (),
) -> list[Sheet]:  # fmt: skip
    """Return the sheets that are due.

    These are each rater's next batch, the frozen bugs that each rater has yet to rate, and what the adjudicator has to
    decide. ``items`` are frozen rounds (columns of ROUND), the other frames the tables of the same name in labeling.
    The items of the checkpoints in ``again`` are included in the next batch once more, after a training.
    """
    current = labels.filter(~pl.col("superseded"))
    sheets = []
    for rater in study.labeling.raters:
        own = current.filter(pl.col("rater") == rater)
        sheets += _next_batch(study, rater, items, own, set(again))
        sheets += _bugs_to_rate(study, rater, items, own, units)
    adjudicator = str(study.labeling.adjudicator)
    sheets += _lists_to_align(study, adjudicator, items, current, units)
    sheets += _labels_to_decide(study, adjudicator, items, current, disagreements)
    return sheets


def _next_batch(
    study: Study, rater: str, items: pl.DataFrame, own: pl.DataFrame, again: Collection[int]
) -> Iterator[Sheet]:
    """Yield the first checkpoint with items whose bugs the rater has not listed."""
    listed = own.filter(pl.col("pass") == LIST_BUGS)
    left = items.join(listed, on="item_id", how="anti")
    if left.is_empty():
        return
    number, checkpoint = left.select("round", "checkpoint").sort("round", "checkpoint").row(0)
    is_due = (pl.col("round") == number) & (
        (pl.col("checkpoint") == checkpoint)
        | (pl.col("checkpoint").is_in(list(again)) & (pl.col("checkpoint") < checkpoint))
    )
    rows = tuple(
        _row(study, item, rater, checkpoint, LIST_BUGS, bug_index=1)
        for item in items.filter(is_due).iter_rows(named=True)
    )
    yield Sheet(rater, number, checkpoint, LIST_BUGS, study.asked, rows)


def _bugs_to_rate(
    study: Study, rater: str, items: pl.DataFrame, own: pl.DataFrame, units: pl.DataFrame
) -> Iterator[Sheet]:
    """Yield, by batch, the frozen bugs of items whose bugs the rater listed in a later batch than they were rated."""
    last = own.group_by("item_id").agg(
        listed=pl.col("batch").filter(pl.col("pass") == LIST_BUGS).max(),
        rated=pl.col("batch").filter(pl.col("pass") == RATE_BUGS).max(),
    )
    pending = last.filter(pl.col("listed") > pl.col("rated").fill_null(0)).rename({"listed": "batch"})
    bugs = (
        items.join(pending, on="item_id", maintain_order="left")
        .join(units.select("item_id", "bug_index", "place"), on="item_id", maintain_order="left")
        .sort("round", "batch", maintain_order=True)
    )
    sampled = sampled_items(study, items)
    for (number, batch), of_batch in bugs.group_by("round", "batch", maintain_order=True):
        rows = tuple(
            _row(study, bug, rater, batch, RATE_BUGS, bug_index=bug["bug_index"], is_bug=True, place=bug["place"])
            for bug in of_batch.iter_rows(named=True)
        )
        fixed = frozenset(
            (index, name)
            for index, row in enumerate(rows)
            for name, ids in sampled.items()
            if row["item_id"] not in ids
        )
        yield Sheet(rater, number, batch, RATE_BUGS, study.asked, rows, fixed=fixed)


def _lists_to_align(
    study: Study, adjudicator: str, items: pl.DataFrame, current: pl.DataFrame, units: pl.DataFrame
) -> Iterator[Sheet]:
    """Yield the items whose bugs the raters list differently, with the lists of all raters."""
    raters = study.labeling.raters
    listed = current.filter(pl.col("pass") == LIST_BUGS)
    lists = (
        listed.filter(pl.col("rater").is_in(raters))
        .filter(pl.col("batch") == pl.col("batch").max().over("item_id", "rater"))
        .sort("bug_index")
        .group_by("item_id", "rater", maintain_order=True)
        .agg(
            batch=pl.col("batch").max(),
            bugs=pl.col("is_bug").sum(),
            text=pl.when("is_bug")
            .then(pl.format("{}. {}", "bug_index", pl.col("place").fill_null("the whole item")))
            .otherwise(pl.lit("no bug"))
            .str.join("\n"),
            comments=pl.col("comment").drop_nulls().str.join("\n"),
        )
    )
    decided = pl.concat([units["item_id"], listed.filter(pl.col("rater") == adjudicator)["item_id"]]).unique()
    pending = lists.filter(
        (pl.col("rater").n_unique().over("item_id") == len(raters))
        & (pl.col("bugs").max().over("item_id") > 0)
        & ~pl.col("item_id").is_in(decided.implode())
    )
    rater_columns = tuple(f"{rater}: {name}" for rater in raters for name in ("bugs", "comment"))
    answers = {(item_id, rater): (text, comments) for item_id, rater, _, _, text, comments in pending.rows()}
    sizes = pending.group_by("item_id").agg(pl.col("batch").max(), pl.col("bugs").max())
    bugs = items.join(sizes, on="item_id", maintain_order="left").sort("round", "batch", maintain_order=True)
    for (number, batch), of_batch in bugs.group_by("round", "batch", maintain_order=True):
        rows = []
        for item in of_batch.iter_rows(named=True):
            shown = [text for rater in raters for text in answers[item["item_id"], rater]]
            for index in range(1, item["bugs"] + 1):
                row = _row(study, item, adjudicator, batch, LIST_BUGS, bug_index=index)
                rows.append(row | dict(zip(rater_columns, shown, strict=True)))
        yield Sheet(adjudicator, number, batch, LIST_BUGS, study.asked, tuple(rows), rater_columns)


def _labels_to_decide(
    study: Study, adjudicator: str, items: pl.DataFrame, current: pl.DataFrame, disagreements: pl.DataFrame
) -> Iterator[Sheet]:
    """Yield the bugs that the raters label differently, with all labels; dimensions in which they agree are filled."""
    raters = study.labeling.raters
    undecided = disagreements.filter((pl.col("dimension") != IS_BUG) & pl.col("adjudicated_label").is_null())
    pending = undecided.select("item_id", "bug_index").unique()
    rated = current.filter((pl.col("pass") == RATE_BUGS) & pl.col("rater").is_in(raters)).join(
        pending, on=["item_id", "bug_index"]
    )
    rated = rated.filter(pl.col("batch") == pl.col("batch").max().over("item_id", "rater"))
    rated = rated.with_columns(as_text(dimension) for dimension in study.asked)
    labels = {(row["item_id"], row["bug_index"], row["rater"]): row for row in rated.iter_rows(named=True)}
    sizes = rated.group_by("item_id", "bug_index").agg(pl.col("batch").max())
    bugs = items.join(sizes, on="item_id", maintain_order="left").sort("round", "batch", maintain_order=True)
    rater_columns = tuple(f"{rater}: {name}" for rater in raters for name in (*study.asked_names, "comment"))
    differing = set(undecided.select("item_id", "bug_index", "dimension").rows())
    for (number, batch), of_batch in bugs.group_by("round", "batch", maintain_order=True):
        rows, fixed = [], set()
        for bug in of_batch.sort("position", "bug_index", maintain_order=True).iter_rows(named=True):
            answers: list[dict[str, Any]] = [
                labels.get((bug["item_id"], bug["bug_index"], rater), {}) for rater in raters
            ]
            shown = [answer.get(name) for answer in answers for name in (*study.asked_names, "comment")]
            agreed = {
                dimension: answers[0].get(dimension)
                for dimension in study.asked_names
                if (bug["item_id"], bug["bug_index"], dimension) not in differing
            }
            fixed |= {(len(rows), dimension) for dimension in agreed}
            row = _row(study, bug, adjudicator, batch, RATE_BUGS, bug_index=bug["bug_index"], is_bug=True, **agreed)
            rows.append(row | dict(zip(rater_columns, shown, strict=True)))
        yield Sheet(adjudicator, number, batch, RATE_BUGS, study.asked, tuple(rows), rater_columns, frozenset(fixed))


def sampled_items(study: Study, items: pl.DataFrame) -> dict[str, set[str]]:
    """Return the posts that raters label in each dimension that is asked of a sample of posts.

    Per library it is a bottom-k hash sample.
    """
    sampled: dict[str, set[str]] = {}
    posts = items.filter(pl.col("source") == STACK_OVERFLOW)
    for dimension in study.asked:
        size = posts_per_library(study, dimension)
        if size is None:
            continue
        ranks = [_rank(study.study.seed, dimension.name, item_id) for item_id in posts["item_id"]]
        ranked = posts.select("item_id", "library", _rank=pl.Series(ranks, dtype=pl.String)).sort("_rank")
        sampled[dimension.name] = set(ranked.group_by("library").head(size)["item_id"])
    return sampled


def _rank(seed: int, name: str, item_id: str) -> str:
    return hashlib.sha256(f"{seed}|{name}|{item_id}".encode()).hexdigest()


def _row(study: Study, item: dict[str, Any], person: str, batch: int, pass_name: str, **values: Any) -> dict[str, Any]:
    known = {name: item[name] for name in _ITEM} | {"rater": person, "batch": batch, "pass": pass_name}
    return {**dict.fromkeys(columns(study.asked)), **known, **values}
