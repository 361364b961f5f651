"""Ratings as codes, and their subsets: one per round, source, dimension, checkpoint and scope.

What belongs here: which ratings count at a checkpoint. What doesn't: the statistics of a subset (checkpoints.py,
bootstrap.py).
"""

import functools
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import polars as pl

from dlbug_assets.labeling.agreement.coefficients import MISSING, has_one_category
from dlbug_assets.labeling.agreement.ratings import label_columns, ratings
from dlbug_assets.labeling.label_texts import IS_BUG
from dlbug_assets.labeling.questions import states
from dlbug_assets.labeling.sheets.formats import LIST_BUGS
from dlbug_assets.protocol.study import Study

ALL_SOURCES = "all"

CUMULATIVE = "cumulative"
INCREMENT = "increment"

ALL_WAIT = "no unit has the answers of all its raters yet"
ONE_CATEGORY = "only one category was used"


@dataclass(frozen=True)
class CodedRatings:
    """The ratings in one dimension at one checkpoint. Arrays have one element or row per unit."""

    labels: list[str]
    members: dict[str, np.ndarray]  # category -> mask of the labels that contain it
    codes: np.ndarray  # units x raters: index of the label, or MISSING
    waiting: np.ndarray  # mask of the units that wait for a rater's answer
    items: np.ndarray  # number of the unit's item; units are sorted by item
    patterns: np.ndarray  # number of the item's pattern: the ratings of all its units that do not wait
    sources: np.ndarray
    rounds: np.ndarray
    starts: np.ndarray  # the checkpoint from which the item counts


@dataclass(frozen=True)
class Subset:
    """The ratings that one row of kappa_checkpoints is computed from."""

    key: dict[str, Any]  # source, dimension, checkpoint, scope, round
    ratings: CodedRatings
    selected: np.ndarray  # mask of the units
    raters: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of their codes: categories, or sets of them."""
        return self.ratings.labels

    @property
    def categories(self) -> dict[str, np.ndarray]:
        """The categories that a rater used, each with the mask of the labels that contain it."""
        used = np.unique(self.codes[self.codes != MISSING])
        return {name: mask for name, mask in self.ratings.members.items() if mask[used].any()}

    @functools.cached_property
    def complete(self) -> np.ndarray:
        """Mask of the selected units that all raters have answered who are asked about them."""
        return self.selected & ~self.ratings.waiting

    @property
    def waiting(self) -> int:
        """The number of units that wait for an answer."""
        return int((self.selected & self.ratings.waiting).sum())

    @functools.cached_property
    def codes(self) -> np.ndarray:
        """The codes of the complete units, units x raters."""
        return self.ratings.codes[self.complete]

    @functools.cached_property
    def pairs(self) -> list[tuple[int, int, np.ndarray]]:
        """The pairs of raters who share complete units: their columns of the codes, and the mask of these units."""
        given = self.codes != MISSING
        pairs = ((a, b, given[:, a] & given[:, b]) for a, b in combinations(range(given.shape[1]), 2))
        return [(a, b, shared) for a, b, shared in pairs if shared.any()]

    @functools.cached_property
    def tables(self) -> list[np.ndarray]:
        """The square contingency table of each pair of raters."""
        size = len(self.labels)
        return [
            np.bincount(self.codes[shared, a] * size + self.codes[shared, b], minlength=size * size).reshape(size, size)
            for a, b, shared in self.pairs
        ]

    @property
    def undefined_reason(self) -> str | None:
        """The reason why kappa is undefined, or None."""
        if not len(self.codes):
            return ALL_WAIT
        for (a, b, _), table in zip(self.pairs, self.tables, strict=True):
            if has_one_category(table):
                return f"{ONE_CATEGORY} by {self.raters[a]} and {self.raters[b]}"
        return None


def subsets(
    labels: pl.DataFrame, units: pl.DataFrame, items: pl.DataFrame, study: Study, *, imported: pl.DataFrame
) -> Iterator[Iterator[Subset]]:
    """Yield the subsets of all rows of kappa_checkpoints, grouped by dimension and checkpoint.

    ``labels`` is labeling.rater_labels, ``imported`` labeling.imported_labels, the others are the tables of that name.
    The subsets of a group share their ratings; those of all groups at once would not fit into memory.
    """
    placed = items.select("item_id", "source", "round", _start=pl.col("checkpoint"))
    submitted = (
        labels.filter(pl.col("rater").is_in(study.labeling.raters) & ~pl.col("superseded"))
        .select("item_id", "batch")
        .unique()
        .join(placed, on="item_id")
    )
    rounds = sorted(submitted["round"].unique())
    # By round and source, and by the checkpoint of an item: the first and the last batch submitted for such items.
    batches = {
        (number, source): {
            start: (first, last)
            for start, first, last in submitted.filter(
                pl.col("round") == number, pl.col("source").eq(source) | (source == ALL_SOURCES)
            )
            .group_by("_start")
            .agg(pl.col("batch").min(), _last=pl.col("batch").max())
            .iter_rows()
        }
        for number, source in product(rounds, (*study.source_names, ALL_SOURCES))
    }
    last_batch = max(submitted["batch"].unique(), default=0)
    # The raters of a release label bugs that are listed already.
    lists = () if labels.filter(pl.col("pass") == LIST_BUGS).is_empty() else (IS_BUG,)
    for dimension, checkpoint in product((*lists, *study.asked_names), study.labeling.checkpoints):
        if checkpoint <= last_batch:
            answers = states(labels, units, items, study, dimension, imported=imported, checkpoint=checkpoint)
            wide = ratings(answers, study, dimension)
            wide = wide.join(placed.filter(pl.col("_start") <= checkpoint), on="item_id", how="inner")
            coded = _coded_ratings(wide, study, dimension)
            yield _subsets_of(coded, batches, {"dimension": dimension, "checkpoint": checkpoint}, study)


def _subsets_of(
    ratings: CodedRatings,
    batches: Mapping[tuple[int, str], Mapping[int, tuple[int, int]]],
    key: Mapping[str, Any],
    study: Study,
) -> Iterator[Subset]:
    checkpoint = key["checkpoint"]
    for ((number, source), of_start), scope in product(batches.items(), (CUMULATIVE, INCREMENT)):
        in_scope = operator.eq if scope == INCREMENT else operator.le
        seen = any(in_scope(start, checkpoint) and first <= checkpoint for start, (first, _) in of_start.items())
        if not seen or checkpoint > max(last for _, last in of_start.values()):
            continue
        selected = in_scope(ratings.starts, checkpoint) & (ratings.rounds == number)
        if source != ALL_SOURCES:
            selected = selected & (ratings.sources == source)
        if not selected.any():
            continue
        row_key = {"source": source, **key, "scope": scope, "round": number}
        yield Subset(row_key, ratings, selected, study.labeling.raters)


def _coded_ratings(wide: pl.DataFrame, study: Study, dimension: str) -> CodedRatings:
    """Return ratings as codes, with the positions of their items and the pattern of each item.

    ``wide`` is what :func:`~dlbug_assets.labeling.agreement.ratings.ratings` returns, with source, round and _start.
    An item's pattern is the ratings of all its units. The statistics depend on nothing else of an item, so a resample
    of items is a multinomial draw over patterns: the same distribution, for a few dozen numbers instead of thousands.
    """
    names = label_columns(study)
    given = sorted(set().union(*(wide[name].drop_nulls().unique().to_list() for name in names)))
    as_codes = pl.col(names).cast(pl.Enum(given)).to_physical().cast(pl.Int64).fill_null(MISSING)
    in_pattern = [pl.col(name).fill_null("") for name in names]
    frame = wide.sort("item_id", "bug_index").with_columns(
        pl.when(~pl.col("waits")).then(pl.concat_str(in_pattern, separator="\x1f")).alias("_labels"),
        as_codes,
    )
    pattern = pl.col("_labels").sort().str.join("\x1e").over("item_id")
    # Patterns are numbered in the order of their texts, which does not depend on the order of rows: the seeded draws
    # depend on the numbers.
    frame = frame.with_columns(_pattern=pattern.rank("dense"), _item=pl.col("item_id").rle_id())
    joiners = [each.joiner for each in study.asked if each.name == dimension and each.multiple]
    sets = [set(label.split(joiners[0])) if joiners else {label} for label in given]
    members = {
        category: np.array([category in of_label for of_label in sets]) for category in sorted(set().union(*sets))
    }
    return CodedRatings(
        given,
        members,
        frame.select(names).to_numpy().reshape(-1, len(names)),
        frame["waits"].to_numpy(),
        frame["_item"].to_numpy(),
        frame["_pattern"].to_numpy(),
        frame["source"].to_numpy(),
        frame["round"].to_numpy(),
        frame["_start"].to_numpy(),
    )
