"""What each person is to fill in next: a batch of one pass, a row per item or bug.

What belongs here: who owes what. What doesn't: how a sheet looks in a file (workbooks.py, csv_sheets.py) and what comes
back (handed_in.py).
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from dlbug_assets.labeling.sheets.validation import LIST_BUGS, RATE_BUGS
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import DIMENSIONS, STACK_OVERFLOW

#: The columns of every sheet, in order; the pass says which question it asks.
COLUMNS = (
    "item_id", "rater", "batch", "bug_index", "title", "link", "content", "is_bug", *DIMENSIONS, "place", "comment",
    "pass",
)  # fmt: skip
#: What is to be filled in, by pass.
ANSWERS = {LIST_BUGS: ("is_bug", "place", "comment"), RATE_BUGS: (*DIMENSIONS, "comment")}
_ITEM = ("item_id", "title", "link", "content")


@dataclass(frozen=True)
class Sheet:
    """A sheet for one person: rows with the columns COLUMNS, then ``beside``, which show what the raters said.

    ``unasked`` are (row, column) of cells that need no answer.
    """

    person: str
    round: int
    batch: int
    which: str
    rows: tuple[dict[str, Any], ...]
    beside: tuple[str, ...] = ()
    unasked: frozenset[tuple[int, str]] = frozenset()

    @property
    def name(self) -> str:
        """Its file's name without an ending: `5-ann`, or `5-ann-dimensions`; in later rounds `r2-5-ann`."""
        first = "" if self.round == 1 else f"r{self.round}-"
        return f"{first}{self.batch}-{self.person}" + ("" if self.which == LIST_BUGS else f"-{self.which}")


def due(
    study: Study, items: pl.DataFrame, labels: pl.DataFrame, units: pl.DataFrame, disagreements: pl.DataFrame,
    *, again: Collection[int] = (),
) -> list[Sheet]:  # fmt: skip
    """The sheets that are due: each rater's next batch, the bugs that wait to be rated, and what the adjudicator has to
    decide.

    ``items`` are frozen rounds (columns ROUND), the other frames the tables of their names in labeling. ``again`` are
    checkpoints whose items the next batch asks for once more, after a training.
    """
    given = labels.filter(~pl.col("superseded"))
    sheets = []
    for rater in study.labeling.raters:
        own = given.filter(pl.col("rater") == rater)
        sheets += _next_batch(rater, items, own, set(again))
        sheets += _bugs_to_rate(study, rater, items, own, units)
    who = str(study.labeling.adjudicator)
    sheets += _to_align(study, who, items, given, units)
    sheets += _to_decide(study, who, items, given, disagreements)
    return sheets


def _next_batch(rater: str, items: pl.DataFrame, own: pl.DataFrame, again: Collection[int]) -> Iterator[Sheet]:
    """The first checkpoint with items that the rater has not listed the bugs of."""
    listed = own.filter(pl.col("pass") == LIST_BUGS)
    left = items.join(listed, on="item_id", how="anti")
    if left.is_empty():
        return
    place = left.select("round", "checkpoint").sort("round", "checkpoint").row(0)
    wanted = (pl.col("round") == place[0]) & (
        (pl.col("checkpoint") == place[1])
        | (pl.col("checkpoint").is_in(list(again)) & (pl.col("checkpoint") < place[1]))
    )
    rows = tuple(
        _row(item, rater, place[1], LIST_BUGS, bug_index=1) for item in items.filter(wanted).iter_rows(named=True)
    )
    yield Sheet(rater, place[0], place[1], LIST_BUGS, rows)


def _bugs_to_rate(
    study: Study, rater: str, items: pl.DataFrame, own: pl.DataFrame, units: pl.DataFrame
) -> Iterator[Sheet]:
    """Frozen bugs of items that the rater has listed bugs of since they were rated last, by batch."""
    last = own.group_by("item_id").agg(
        listed=pl.col("batch").filter(pl.col("pass") == LIST_BUGS).max(),
        rated=pl.col("batch").filter(pl.col("pass") == RATE_BUGS).max(),
    )
    waiting = last.filter(pl.col("listed") > pl.col("rated").fill_null(0)).rename({"listed": "batch"})
    bugs = (
        items.join(waiting, on="item_id", maintain_order="left")
        .join(units.select("item_id", "bug_index", "place"), on="item_id", maintain_order="left")
        .sort("round", "batch", maintain_order=True)
    )
    asked = with_antipattern(study, items)
    for (number, batch), rows in bugs.group_by("round", "batch", maintain_order=True):
        filled = tuple(
            _row(bug, rater, batch, RATE_BUGS, bug_index=bug["bug_index"], is_bug=True, place=bug["place"])
            for bug in rows.iter_rows(named=True)
        )
        unasked = frozenset((place, "antipattern") for place, row in enumerate(filled) if row["item_id"] not in asked)
        yield Sheet(rater, number, batch, RATE_BUGS, filled, unasked=unasked)


def _to_align(study: Study, who: str, items: pl.DataFrame, given: pl.DataFrame, units: pl.DataFrame) -> Iterator[Sheet]:
    """Items whose bugs the raters do not list alike, with what each of them listed."""
    raters = study.labeling.raters
    listed = given.filter(pl.col("pass") == LIST_BUGS)
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
            remarks=pl.col("comment").drop_nulls().str.join("\n"),
        )
    )
    decided = pl.concat([units["item_id"], listed.filter(pl.col("rater") == who)["item_id"]]).unique()
    waiting = lists.filter(
        (pl.col("rater").n_unique().over("item_id") == len(raters))
        & (pl.col("bugs").max().over("item_id") > 0)
        & ~pl.col("item_id").is_in(decided.implode())
    )
    beside = tuple(f"{rater}: {what}" for rater in raters for what in ("bugs", "comment"))
    said = {(item_id, rater): (text, remarks) for item_id, rater, _, _, text, remarks in waiting.rows()}
    sizes = waiting.group_by("item_id").agg(pl.col("batch").max(), pl.col("bugs").max())
    asked = items.join(sizes, on="item_id", maintain_order="left").sort("round", "batch", maintain_order=True)
    for (number, batch), of_batch in asked.group_by("round", "batch", maintain_order=True):
        rows = []
        for item in of_batch.iter_rows(named=True):
            shown = [text for rater in raters for text in said[item["item_id"], rater]]
            for index in range(1, item["bugs"] + 1):
                row = _row(item, who, batch, LIST_BUGS, bug_index=index)
                rows.append(row | dict(zip(beside, shown, strict=True)))
        yield Sheet(who, number, batch, LIST_BUGS, tuple(rows), beside)


def _to_decide(
    study: Study, who: str, items: pl.DataFrame, given: pl.DataFrame, disagreements: pl.DataFrame
) -> Iterator[Sheet]:
    """Bugs that the raters label differently, with both labels side by side; where they agree the answer is there."""
    raters = study.labeling.raters
    open_ = disagreements.filter((pl.col("dimension") != "is_bug") & pl.col("adjudicated_label").is_null())
    bugs = open_.select("item_id", "bug_index").unique()
    rated = given.filter((pl.col("pass") == RATE_BUGS) & pl.col("rater").is_in(raters)).join(
        bugs, on=["item_id", "bug_index"]
    )
    rated = rated.filter(pl.col("batch") == pl.col("batch").max().over("item_id", "rater"))
    said = {(row["item_id"], row["bug_index"], row["rater"]): row for row in rated.iter_rows(named=True)}
    sizes = rated.group_by("item_id", "bug_index").agg(pl.col("batch").max())
    asked = items.join(sizes, on="item_id", maintain_order="left").sort("round", "batch", maintain_order=True)
    beside = tuple(f"{rater}: {what}" for rater in raters for what in (*DIMENSIONS, "comment"))
    differing = set(open_.select("item_id", "bug_index", "dimension").rows())
    for (number, batch), of_batch in asked.group_by("round", "batch", maintain_order=True):
        rows, unasked = [], set()
        for bug in of_batch.sort("position", "bug_index", maintain_order=True).iter_rows(named=True):
            answers: list[dict[str, Any]] = [
                said.get((bug["item_id"], bug["bug_index"], rater), {}) for rater in raters
            ]
            shown = [answer.get(what) for answer in answers for what in (*DIMENSIONS, "comment")]
            agreed = {
                dimension: answers[0].get(dimension)
                for dimension in DIMENSIONS
                if (bug["item_id"], bug["bug_index"], dimension) not in differing
            }
            unasked |= {(len(rows), dimension) for dimension in agreed}
            row = _row(bug, who, batch, RATE_BUGS, bug_index=bug["bug_index"], is_bug=True, **agreed)
            rows.append(row | dict(zip(beside, shown, strict=True)))
        yield Sheet(who, number, batch, RATE_BUGS, tuple(rows), beside, frozenset(unasked))


def with_antipattern(study: Study, items: pl.DataFrame) -> set[str]:
    """The posts that are asked for antipatterns: per library a bottom-k hash sample of them."""
    wanted = set()
    posts = items.filter(pl.col("source") == STACK_OVERFLOW)
    for _, of_library in posts.group_by("library"):
        ids = sorted(
            of_library["item_id"],
            key=lambda item_id: hashlib.sha256(f"{study.study.seed}|antipattern|{item_id}".encode()).hexdigest(),
        )
        wanted |= set(ids[: study.labeling.antipattern_posts_per_library])
    return wanted


def _row(item: dict[str, Any], person: str, batch: int, which: str, **values: Any) -> dict[str, Any]:
    known = {name: item[name] for name in _ITEM}
    return {**dict.fromkeys(COLUMNS), **known, "rater": person, "batch": batch, "pass": which, **values}


def columns(sheet: Sheet) -> Sequence[str]:
    """The columns of a sheet's file."""
    return (*COLUMNS, *sheet.beside)
