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
from dlbug_assets.labeling.agreement.ratings import label_columns, latest_labels
from dlbug_assets.labeling.label_texts import IS_BUG
from dlbug_assets.protocol.study import Study

ALL_SOURCES = "all"

CUMULATIVE = "cumulative"
INCREMENT = "increment"

NO_UNITS = "no units"
ONE_CATEGORY = "only one category was used"


@dataclass(frozen=True)
class CodedRatings:
    """The ratings in one dimension at one checkpoint. Arrays have one element or row per unit."""

    labels: list[str]
    members: dict[str, np.ndarray]  # category -> mask of the labels that contain it
    codes: np.ndarray  # units x raters: index of the label, or MISSING
    items: np.ndarray  # number of the unit's item; units are sorted by item
    patterns: np.ndarray  # number of the item's pattern: the ratings of all its units
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
        used = np.unique(self.codes)
        return {name: mask for name, mask in self.ratings.members.items() if mask[used].any()}

    @functools.cached_property
    def complete(self) -> np.ndarray:
        """Mask of the selected units that every rater has submitted."""
        return self.selected & (self.ratings.codes != MISSING).all(axis=1)

    @functools.cached_property
    def codes(self) -> np.ndarray:
        """The codes of the complete units, units x raters."""
        return self.ratings.codes[self.complete]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of raters, as columns of the codes."""
        return list(combinations(range(self.codes.shape[1]), 2))

    def tables(self) -> list[np.ndarray]:
        """Return the square contingency table of each pair of raters."""
        size = len(self.labels)
        return [
            np.bincount(self.codes[:, a] * size + self.codes[:, b], minlength=size * size).reshape(size, size)
            for a, b in self.pairs
        ]

    @property
    def undefined_reason(self) -> str | None:
        """The reason why kappa is undefined, or None."""
        if not len(self.codes):
            return NO_UNITS
        for (a, b), table in zip(self.pairs, self.tables(), strict=True):
            if has_one_category(table):
                return f"{ONE_CATEGORY} by {self.raters[a]} and {self.raters[b]}"
        return None


def subsets(labels: pl.DataFrame, items: pl.DataFrame, study: Study) -> Iterator[Iterator[Subset]]:
    """Yield the subsets of all rows of kappa_checkpoints, grouped by dimension and checkpoint.

    ``labels`` is labeling.rater_labels, ``items`` labeling.items. The subsets of a group share their ratings; those
    of all groups at once would not fit into memory.
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
    for dimension, checkpoint in product((IS_BUG, *study.asked_names), study.labeling.checkpoints):
        if checkpoint <= last_batch:
            ratings = _coded_ratings(labels, placed, study, dimension, checkpoint)
            yield _subsets_of(ratings, batches, {"dimension": dimension, "checkpoint": checkpoint}, study)


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
        row_key = {"source": source, **key, "scope": scope, "round": number}
        yield Subset(row_key, ratings, selected, study.labeling.raters)


def _coded_ratings(
    labels: pl.DataFrame, placed: pl.DataFrame, study: Study, dimension: str, checkpoint: int
) -> CodedRatings:
    """Return the ratings at a checkpoint as codes, with the positions of their items and the pattern of each item.

    An item's pattern is the ratings of all its units. The statistics depend on nothing else of an item, so a resample
    of items is a multinomial draw over patterns: the same distribution, for a few dozen numbers instead of thousands.
    """
    wide = latest_labels(labels, study, dimension, checkpoint).join(placed, on="item_id", how="inner")
    names = label_columns(study)
    given = sorted(set().union(*(wide[name].drop_nulls().unique().to_list() for name in names)))
    as_codes = pl.col(names).cast(pl.Enum(given)).to_physical().cast(pl.Int64).fill_null(MISSING)
    frame = wide.sort("item_id", "bug_index").with_columns(
        pl.concat_str(names, separator="\x1f").alias("_labels"),
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
        frame["_item"].to_numpy(),
        frame["_pattern"].to_numpy(),
        frame["source"].to_numpy(),
        frame["round"].to_numpy(),
        frame["_start"].to_numpy(),
    )
