"""Assignments: which sheets each person has to fill in next. A sheet is a batch of one pass, a row per item or bug.

What belongs here: who has to label what. What doesn't: file formats (writing/)
and submitted files (submissions.py).
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

import polars as pl

from dlbug_assets.labeling.label_texts import IS_BUG, as_text
from dlbug_assets.labeling.questions import LEFT, NOT_ASKED
from dlbug_assets.labeling.sheets.formats import LIST_BUGS, RATE_BUGS
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.study import Study

_BUG = ["item_id", "bug_index"]
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
    study: Study, items: pl.DataFrame, labels: pl.DataFrame, units: pl.DataFrame, questions: pl.DataFrame,
    *, again: Collection[int] = (),
) -> list[Sheet]:  # fmt: skip
    """Return the sheets that are due: the questions that wait for an answer.

    These are each rater's next batch, the frozen bugs that each rater has yet to rate, and what the adjudicator has to
    decide. ``items`` are frozen rounds (columns of ROUND), the other frames the tables of the same name in labeling.
    The items of the checkpoints in ``again`` are included in the next batch once more, after a training.
    """
    current = labels.filter(~pl.col("superseded"))
    left = questions.filter(pl.col("state").is_in(LEFT))
    bugs = items.join(units.select(*_BUG, "place"), on="item_id", maintain_order="left")
    sheets = []
    for rater in study.labeling.raters:
        own = questions.filter(pl.col("rater") == rater)
        sheets += _next_batch(study, rater, items, own, set(again))
        sheets += _bugs_to_rate(study, rater, bugs, current.filter(pl.col("rater") == rater), own)
    adjudicator = str(study.labeling.adjudicator)
    to_decide = left.filter(pl.col("rater") == adjudicator)
    sheets += _lists_to_align(study, adjudicator, items, current, to_decide)
    sheets += _labels_to_decide(study, adjudicator, items, current, questions)
    return sheets


def _next_batch(
    study: Study, rater: str, items: pl.DataFrame, questions: pl.DataFrame, again: Collection[int]
) -> Iterator[Sheet]:
    """Yield the items of the first checkpoint whose bugs the rater has yet to list."""
    lists = questions.filter(pl.col("dimension") == IS_BUG)
    waiting = items.join(lists.filter(pl.col("state").is_in(LEFT)), on="item_id", how="semi")
    if waiting.is_empty():
        return
    number, checkpoint = waiting.select("round", "checkpoint").sort("round", "checkpoint").row(0)
    asked = items.join(lists.filter(pl.col("state") != NOT_ASKED), on="item_id", how="semi", maintain_order="left")
    is_due = (pl.col("round") == number) & (
        ((pl.col("checkpoint") == checkpoint) & pl.col("item_id").is_in(waiting["item_id"].implode()))
        | (pl.col("checkpoint").is_in(list(again)) & (pl.col("checkpoint") < checkpoint))
    )
    rows = tuple(
        _row(study, item, rater, checkpoint, LIST_BUGS, bug_index=1)
        for item in asked.filter(is_due).iter_rows(named=True)
    )
    yield Sheet(rater, number, checkpoint, LIST_BUGS, study.asked, rows)


def _bugs_to_rate(
    study: Study, rater: str, bugs: pl.DataFrame, current: pl.DataFrame, questions: pl.DataFrame
) -> Iterator[Sheet]:
    """Yield, by batch, the frozen bugs about which a question waits for the rater, with the rater's answers so far."""
    asked = questions.filter(pl.col("dimension") != IS_BUG)
    pending = asked.filter(pl.col("state").is_in(LEFT)).group_by(_BUG).agg(pl.col("batch").max())
    unasked = set(asked.filter(pl.col("state") == NOT_ASKED).select(*_BUG, "dimension").rows())
    rated = current.filter(pl.col("pass") == RATE_BUGS)
    given = _by_bug(rated.join(pending, on=[*_BUG, "batch"], how="semi"), study)
    bugs = bugs.join(pending, on=_BUG, maintain_order="left").sort(
        "round", "batch", "position", "bug_index", maintain_order=True
    )
    for (number, batch), of_batch in bugs.group_by("round", "batch", maintain_order=True):
        rows, fixed = [], set()
        for bug in of_batch.iter_rows(named=True):
            key = (bug["item_id"], bug["bug_index"])
            so_far = {name: given.get(key, {}).get(name) for name in (*study.asked_names, "comment")}
            fixed |= {(len(rows), name) for name in study.asked_names if (*key, name) in unasked}
            known = {"bug_index": key[1], "is_bug": True, "place": bug["place"]}
            rows.append(_row(study, bug, rater, batch, RATE_BUGS, **known, **so_far))
        yield Sheet(rater, number, batch, RATE_BUGS, study.asked, tuple(rows), fixed=frozenset(fixed))


def _lists_to_align(
    study: Study, adjudicator: str, items: pl.DataFrame, current: pl.DataFrame, to_decide: pl.DataFrame
) -> Iterator[Sheet]:
    """Yield the items whose bugs the raters list differently, with the lists of all of their raters."""
    pending = to_decide.filter(pl.col("dimension") == IS_BUG).select("item_id", "batch")
    lists = (
        current.filter((pl.col("pass") == LIST_BUGS) & pl.col("rater").is_in(study.labeling.raters))
        .filter(pl.col("batch") == pl.col("batch").max().over("item_id", "rater"))
        .sort("bug_index")
        .group_by("item_id", "rater", maintain_order=True)
        .agg(
            bugs=pl.col("is_bug").sum(),
            text=pl.when("is_bug")
            .then(pl.format("{}. {}", "bug_index", pl.col("place").fill_null("the whole item")))
            .otherwise(pl.lit("no bug"))
            .str.join("\n"),
            comments=pl.col("comment").drop_nulls().str.join("\n"),
        )
        .join(pending, on="item_id", how="semi")
    )
    answers = {(item_id, rater): (bugs, text, comment) for item_id, rater, bugs, text, comment in lists.rows()}
    bugs = items.join(pending, on="item_id", maintain_order="left").sort("round", "batch", maintain_order=True)
    for (number, batch), of_batch in bugs.group_by("round", "batch", maintain_order=True):
        rows = []
        letters = _letters(study, of_batch)
        for item in of_batch.iter_rows(named=True):
            of_raters = [answers.get((item["item_id"], rater)) for rater in _shuffled(study, item)]
            shown: dict[str, Any] = {}
            for letter, answer in zip(letters, of_raters, strict=False):
                if answer:
                    shown |= {f"bugs {letter}": answer[1], f"comment {letter}": answer[2]}
            # At least one row: the adjudicator may find a bug where no rater still does.
            for index in range(1, max([1, *(answer[0] for answer in of_raters if answer)]) + 1):
                row = _row(study, item, adjudicator, batch, LIST_BUGS, bug_index=index)
                rows.append(row | shown)
        yield Sheet(
            adjudicator, number, batch, LIST_BUGS, study.asked, tuple(rows), _beside(("bugs", "comment"), letters)
        )


def _labels_to_decide(
    study: Study, adjudicator: str, items: pl.DataFrame, current: pl.DataFrame, questions: pl.DataFrame
) -> Iterator[Sheet]:
    """Yield the bugs that the raters label differently, with the labels of all of their raters, and the decisions."""
    rated = questions.filter(pl.col("dimension") != IS_BUG)
    to_decide = rated.filter(pl.col("rater") == adjudicator)
    pending = to_decide.filter(pl.col("state").is_in(LEFT)).group_by(_BUG).agg(pl.col("batch").max())
    differing = set(to_decide.select(*_BUG, "dimension").rows())
    of_bugs = rated.join(pending, on=_BUG, how="semi")
    answers = {tuple(key): answer for *key, answer in of_bugs.select(*_BUG, "dimension", "rater", "answer").rows()}
    comments = _by_bug(current.filter(pl.col("pass") == RATE_BUGS).join(pending, on=_BUG, how="semi"), study, "rater")
    bugs = items.join(pending, on="item_id", maintain_order="left").sort(
        "round", "batch", "position", "bug_index", maintain_order=True
    )
    for (number, batch), of_batch in bugs.group_by("round", "batch", maintain_order=True):
        rows, fixed = [], set()
        letters = _letters(study, of_batch)
        for bug in of_batch.iter_rows(named=True):
            key = (bug["item_id"], bug["bug_index"])
            shown: dict[str, Any] = {}
            for letter, rater in zip(letters, _shuffled(study, bug), strict=False):
                shown |= {f"{name} {letter}": answers.get((*key, name, rater)) for name in study.asked_names}
                shown[f"comment {letter}"] = comments.get((*key, rater), {}).get("comment")
            decided = {name: answers.get((*key, name, adjudicator)) for name in study.asked_names}
            fixed |= {(len(rows), name) for name in study.asked_names if (*key, name) not in differing}
            row = _row(study, bug, adjudicator, batch, RATE_BUGS, bug_index=key[1], is_bug=True, **decided)
            rows.append(row | shown)
        beside = _beside((*study.asked_names, "comment"), letters)
        yield Sheet(adjudicator, number, batch, RATE_BUGS, study.asked, tuple(rows), beside, frozenset(fixed))


def _by_bug(rows: pl.DataFrame, study: Study, *further: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the rows of the dimensions pass by bug, labels as texts; of several batches, those of the last one."""
    texts = rows.sort("batch", maintain_order=True).with_columns(as_text(dimension) for dimension in study.asked)
    return {tuple(row[name] for name in (*_BUG, *further)): row for row in texts.iter_rows(named=True)}


def _letters(study: Study, items: pl.DataFrame) -> list[str]:
    """Return the letters that stand for the raters: as many as an item has at most."""
    most = max(len(raters or study.labeling.raters) for raters in items["raters"].to_list())
    return [_letter(number) for number in range(most)]


def _letter(number: int) -> str:
    """Return A, B, .. Z, AA, AB .. for 0, 1, .."""
    first, last = divmod(number, len(ascii_uppercase))
    return (_letter(first - 1) if first else "") + ascii_uppercase[last]


def _beside(names: Iterable[str], letters: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that show the raters' answers, those of one question side by side."""
    return tuple(f"{name} {letter}" for name in names for letter in letters)


def _shuffled(study: Study, item: Mapping[str, Any]) -> list[str]:
    """Return an item's raters in a seeded order, by which the adjudicator does not recognize them."""
    key = f"{study.study.seed}|order|{item['item_id']}"
    return sorted(
        item["raters"] or study.labeling.raters, key=lambda rater: hashlib.sha256(f"{key}|{rater}".encode()).digest()
    )


def _row(study: Study, item: dict[str, Any], person: str, batch: int, pass_name: str, **values: Any) -> dict[str, Any]:
    known = {name: item[name] for name in _ITEM} | {"rater": person, "batch": batch, "pass": pass_name}
    return {**dict.fromkeys(columns(study.asked)), **known, **values}
