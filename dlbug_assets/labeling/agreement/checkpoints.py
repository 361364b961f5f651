"""Inter-rater agreement at every checkpoint of the queue.

What belongs here: which ratings count at a checkpoint, and kappa and alpha of them. What doesn't: resolving what
raters disagree on (decisions.py).

Sources of the formulas: kappa, Cohen 1960 ("A coefficient of agreement for nominal scales"); its large-sample
interval, Fleiss, Cohen & Everitt 1969; the percentile bootstrap, Efron 1979, drawn by item because the bugs of one
item are not independent; alpha, Krippendorff 2004 ("Content Analysis", chapter 11), nominal.

The coefficients are computed here from whole numbers, so that what is 0, 1 or undefined is exactly that; the tests
hold them against statsmodels, scikit-learn and krippendorff.
"""

import functools
import hashlib
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from dlbug_assets.labeling.agreement.coefficients import (
    MISSING,
    Kappa,
    cohen_kappa,
    has_one_category,
    krippendorff_alpha,
    mean_of_pairs,
    one_against_rest,
)
from dlbug_assets.labeling.agreement.ratings import IS_BUG, label_columns, latest_answers
from dlbug_assets.parallel import parallel_map
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import DIMENSIONS, SOURCES

ALL_SOURCES = "all"

CUMULATIVE = "cumulative"
INCREMENT = "increment"

RESAMPLES = 1000
#: Drawn at a time: with thousands of items all draws together would take up hundreds of megabytes.
_AT_A_TIME = 100
#: How many categories are named where agreement is low.
_LOWEST = 3

NO_UNITS = "no units"
ONE_CATEGORY = "only one category was used"

#: labeling.kappa_checkpoints
KAPPA_CHECKPOINTS = pl.Schema(
    {
        "source": pl.String,
        "dimension": pl.String,
        "checkpoint": pl.Int32,
        "scope": pl.String,
        "round": pl.Int32,
        "units": pl.Int32,
        "observed_agreement": pl.Float64,
        "expected_agreement": pl.Float64,
        "kappa": pl.Float64,
        "undefined_reason": pl.String,
        "kappa_low": pl.Float64,
        "kappa_high": pl.Float64,
        "kappa_boot_low": pl.Float64,
        "kappa_boot_high": pl.Float64,
        "alpha": pl.Float64,
        "reached_target": pl.Boolean,
        "disagree_most": pl.String,
    }
)

#: labeling.category_kappa
CATEGORY_KAPPA = pl.Schema(
    {
        "source": pl.String,
        "dimension": pl.String,
        "checkpoint": pl.Int32,
        "round": pl.Int32,
        "category": pl.String,
        "kappa": pl.Float64,
        "kappa_low": pl.Float64,
        "kappa_high": pl.Float64,
        "units": pl.Int32,
        "undefined_reason": pl.String,
    }
)


class Agreement(NamedTuple):
    """The two tables of how far the raters agree."""

    kappa_checkpoints: pl.DataFrame
    category_kappa: pl.DataFrame


def measure(labels: pl.DataFrame, items: pl.DataFrame, study: Study) -> Agreement:
    """Agreement of the study's raters per round, source, dimension, checkpoint and scope (labeling.kappa_checkpoints),
    and, cumulative, per category (labeling.category_kappa).

    ``labels`` is labeling.rater_labels, ``items`` labeling.items. A round of the queue has checkpoints of its own. A
    checkpoint (percent of the round) appears for a source up to the last batch handed in for its items, and where a
    batch up to it was handed in; ``all`` is the union of the sources' items. ``cumulative`` covers the items up to the
    checkpoint, ``increment`` those new at it. Shares and coefficients are numbers, not percent; what is undefined is
    NULL, with ``undefined_reason`` where kappa is. The analytic interval is not clipped to [-1, 1].

    With more than two raters kappa, observed and expected agreement are means over the pairs, undefined where one
    pair is; the analytic bounds are means too, an interval that is rather too wide than too narrow, because the
    standard error of a mean is at most the mean of the standard errors. Resamples whose kappa is undefined (a
    single category was drawn) are left out of the bootstrap. alpha also takes in the units that only some of the
    raters, at least two, have handed in so far; so it can be there where kappa still waits.

    A category is held against all others (one against the rest, Fleiss 1971), each that a rater used there, ``none``
    included, and true and false for is_bug.
    """
    # Nearly all the time goes into NumPy's draws, which leave Python to others.
    rows = [
        row
        for parts in _parts(labels, items, study)
        for row in parallel_map(functools.partial(_rows, study=study), parts)
    ]
    return Agreement(
        _ordered(pl.DataFrame([row for row, _ in rows], schema=KAPPA_CHECKPOINTS), "scope"),
        _ordered(pl.DataFrame([row for _, more in rows for row in more], schema=CATEGORY_KAPPA)),
    )


def _rows(part: "_Part", study: Study) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of kappa_checkpoints and those of category_kappa."""
    of_categories = list(_of_categories(part))
    row = _kappa_row(part, study) | {"disagree_most": _lowest(part, of_categories)}
    is_cumulative = part.key["scope"] == CUMULATIVE
    return row, _category_rows(part, of_categories) if is_cumulative else []


def _kappa_row(part: "_Part", study: Study) -> dict[str, Any]:
    statistics = _agreement(part, study)
    kappa = statistics.get("kappa")
    return (
        part.key
        | {"units": len(part.codes), "undefined_reason": part.undefined_reason}
        | statistics
        | {"reached_target": None if kappa is None else kappa >= study.labeling.kappa_target}
    )


def _lowest(part: "_Part", of_categories: list[tuple[str, Kappa]]) -> str | None:
    """The categories with the lowest kappa, fewer where fewer have one; NULL for is_bug, whose two have the same."""
    if part.key["dimension"] == IS_BUG:
        return None
    defined = sorted((kappa, category) for category, (kappa, _, _) in of_categories if kappa is not None)
    return ", ".join(f"{category} ({kappa:z.3f})" for kappa, category in defined[:_LOWEST]) or None


def _of_categories(part: "_Part") -> Iterator[tuple[str, Kappa]]:
    """Each category that a rater used, and its kappa against the rest."""
    tables = part.tables()
    for code in np.unique(part.codes):
        yield part.categories[code], mean_of_pairs([cohen_kappa(one_against_rest(table, code)) for table in tables])


def _category_rows(part: "_Part", of_categories: list[tuple[str, Kappa]]) -> list[dict[str, Any]]:
    key = {name: value for name, value in part.key.items() if name != "scope"}
    rows = []
    for category, (kappa, low, high) in of_categories:
        # Undefined for a pair means: each unit or none has the category at both.
        reason = part.undefined_reason or f"a pair of raters never used {category}"
        rows.append(
            key
            | {"category": category, "kappa": kappa, "kappa_low": low, "kappa_high": high}
            | {"units": len(part.codes), "undefined_reason": reason if kappa is None else None}
        )
    return rows


def _ordered(rows: pl.DataFrame, *further: str) -> pl.DataFrame:
    """By round, source, dimension and checkpoint as the study has them, the rest as it came."""
    order = {"source": (*SOURCES, ALL_SOURCES), "dimension": (IS_BUG, *DIMENSIONS), "scope": (CUMULATIVE, INCREMENT)}
    ranks = (
        pl.col(name).replace_strict({value: rank for rank, value in enumerate(order[name])}, return_dtype=pl.Int32)
        if name in order
        else pl.col(name)
        for name in ("round", "source", "dimension", "checkpoint", *further)
    )
    return rows.sort(*ranks, maintain_order=True)


@dataclass(frozen=True)
class _Rated:
    """The ratings in a dimension at a checkpoint, unit by unit."""

    categories: list[str]
    codes: np.ndarray  # unit x rater -> position in categories, or MISSING
    items: np.ndarray  # the unit's item, as a number; units are in the order of their items
    patterns: np.ndarray  # the pattern of the unit's item (see _prepared), as its place among the patterns' texts
    sources: np.ndarray
    rounds: np.ndarray
    starts: np.ndarray  # the first checkpoint that includes the unit's item


@dataclass(frozen=True)
class _Part:
    """The ratings that one row of the table is about: those of ``rated`` that are ``chosen``."""

    key: dict[str, Any]  # source, dimension, checkpoint, scope, round
    rated: _Rated
    chosen: np.ndarray
    raters: tuple[str, ...]

    @property
    def categories(self) -> list[str]:
        return self.rated.categories

    @functools.cached_property
    def whole(self) -> np.ndarray:
        """The chosen units that every rater has handed in."""
        return self.chosen & (self.rated.codes != MISSING).all(axis=1)

    @functools.cached_property
    def codes(self) -> np.ndarray:
        return self.rated.codes[self.whole]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return list(combinations(range(self.codes.shape[1]), 2))

    def tables(self) -> list[np.ndarray]:
        """The square contingency table of each pair of raters."""
        size = len(self.categories)
        return [
            np.bincount(self.codes[:, a] * size + self.codes[:, b], minlength=size * size).reshape(size, size)
            for a, b in self.pairs
        ]

    @property
    def undefined_reason(self) -> str | None:
        if not len(self.codes):
            return NO_UNITS
        for (a, b), table in zip(self.pairs, self.tables(), strict=True):
            if has_one_category(table):
                return f"{ONE_CATEGORY} by {self.raters[a]} and {self.raters[b]}"
        return None


def _parts(labels: pl.DataFrame, items: pl.DataFrame, study: Study) -> Iterator[Iterator[_Part]]:
    """Every row of the table to be. Those of one dimension and checkpoint come together: they share the ratings, and
    the ratings of all at once would not fit into memory."""
    placed = items.select("item_id", "source", "round", _from=pl.col("checkpoint"))
    handed_in = (
        labels.filter(pl.col("rater").is_in(study.labeling.raters) & ~pl.col("superseded"))
        .select("item_id", "batch")
        .unique()
        .join(placed, on="item_id")
    )
    rounds = sorted(handed_in["round"].unique())
    # By round and source, and the checkpoint that an item is of: the first batch and the last one handed in for it.
    batches = {
        (number, source): {
            start: (first, last)
            for start, first, last in handed_in.filter(
                pl.col("round") == number, pl.col("source").eq(source) | (source == ALL_SOURCES)
            )
            .group_by("_from")
            .agg(pl.col("batch").min(), _last=pl.col("batch").max())
            .iter_rows()
        }
        for number, source in product(rounds, (*SOURCES, ALL_SOURCES))
    }
    for dimension, checkpoint in product((IS_BUG, *DIMENSIONS), study.labeling.checkpoints):
        if checkpoint <= (handed_in["batch"].max() or 0):
            rated = _prepared(labels, placed, study, dimension, checkpoint)
            yield _parts_of(rated, batches, {"dimension": dimension, "checkpoint": checkpoint}, study)


def _parts_of(
    rated: _Rated,
    batches: Mapping[tuple[int, str], Mapping[int, tuple[int, int]]],
    key: Mapping[str, Any],
    study: Study,
) -> Iterator[_Part]:
    checkpoint = key["checkpoint"]
    for ((number, source), of_start), scope in product(batches.items(), (CUMULATIVE, INCREMENT)):
        in_scope = operator.eq if scope == INCREMENT else operator.le
        seen = any(in_scope(start, checkpoint) and first <= checkpoint for start, (first, _) in of_start.items())
        if not seen or checkpoint > max(last for _, last in of_start.values()):
            continue
        chosen = in_scope(rated.starts, checkpoint) & (rated.rounds == number)
        if source != ALL_SOURCES:
            chosen = chosen & (rated.sources == source)
        yield _Part({"source": source, **key, "scope": scope, "round": number}, rated, chosen, study.labeling.raters)


def _prepared(labels: pl.DataFrame, placed: pl.DataFrame, study: Study, dimension: str, checkpoint: int) -> _Rated:
    """The ratings at a checkpoint with their items' places, as codes, and the pattern of each item.

    An item's pattern is what was said on all its units. The statistics see nothing else of an item, so a resample
    of items is a multinomial draw over patterns: the same distribution, for a few dozen numbers instead of
    thousands.
    """
    wide = latest_answers(labels, study, dimension, checkpoint).join(placed, on="item_id", how="inner")
    names = label_columns(study)
    categories = sorted(set().union(*(wide[name].drop_nulls().unique().to_list() for name in names)))
    as_codes = pl.col(names).cast(pl.Enum(categories)).to_physical().cast(pl.Int64).fill_null(MISSING)
    frame = wide.sort("item_id", "bug_index").with_columns(
        pl.concat_str(names, separator="\x1f").alias("latest_answers"),
        as_codes,
    )
    pattern = pl.col("latest_answers").sort().str.join("\x1e").over("item_id")
    # In the order of their texts, which must not depend on the order of rows: the seeded draws are dealt out in it.
    frame = frame.with_columns(_pattern=pattern.rank("dense"), _item=pl.col("item_id").rle_id())
    return _Rated(
        categories,
        frame.select(names).to_numpy().reshape(-1, len(names)),
        frame["_item"].to_numpy(),
        frame["_pattern"].to_numpy(),
        frame["source"].to_numpy(),
        frame["round"].to_numpy(),
        frame["_from"].to_numpy(),
    )


def _patterns(part: _Part) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often each pattern occurs among the items; and, of one item for each pattern, its units' patterns (numbered
    from 0) and codes."""
    items, patterns = part.rated.items[part.whole], part.rated.patterns[part.whole]
    numbers, a_unit = np.unique(items, return_index=True)
    seen, example, shown = np.unique(patterns[a_unit], return_index=True, return_counts=True)
    of_examples = np.isin(items, numbers[example])
    return shown, np.searchsorted(seen, patterns[of_examples]), part.codes[of_examples]


def _agreement(part: _Part, study: Study) -> dict[str, float | None]:
    """The statistics of one row; without units that every rater handed in, there is at most alpha."""
    alpha = krippendorff_alpha(part.rated.codes[part.chosen])
    if not len(part.codes):
        return {"alpha": alpha}
    tables = part.tables()
    shares = [table / table.sum() for table in tables]
    kappa, low, high = mean_of_pairs([cohen_kappa(table) for table in tables])
    boot_low, boot_high = (None, None) if kappa is None else _bootstrap(part, study.study.seed)
    return {
        "observed_agreement": float(np.mean([np.trace(share) for share in shares])),
        "expected_agreement": float(np.mean([share.sum(axis=0) @ share.sum(axis=1) for share in shares])),
        "kappa": kappa,
        "kappa_low": low,
        "kappa_high": high,
        "kappa_boot_low": boot_low,
        "kappa_boot_high": boot_high,
        "alpha": alpha,
    }


def _bootstrap(part: _Part, seed: int) -> tuple[float, float] | tuple[None, None]:
    """The 2.5% and 97.5% percentiles of kappa over resamples of items; None where no resample has a kappa."""
    from scipy import sparse  # noqa: PLC0415 (slow to import)

    row = "|".join(str(value) for value in part.key.values())
    # A generator of its own for each row: adding a source or a checkpoint changes no other row.
    entropy = int.from_bytes(hashlib.sha256(f"{seed}|kappa|{row}".encode()).digest())
    generator = np.random.Generator(np.random.PCG64(entropy))
    shown, pattern, codes = _patterns(part)
    items = int(shown.sum())
    raters, size = codes.shape[1], len(part.categories)

    # What a resample is summed up from, for each pattern: its units, the labels of each rater, the agreements of pairs.
    chosen = np.zeros((len(shown), raters, size))
    for rater in range(raters):
        np.add.at(chosen, (pattern, rater, codes[:, rater]), 1)
    agreed = [np.bincount(pattern, codes[:, a] == codes[:, b], minlength=len(shown)) for a, b in part.pairs]
    summands = np.column_stack([np.bincount(pattern, minlength=len(shown)), chosen.reshape(len(shown), -1), *agreed])
    # Sparse: a pattern has few of the labels. And BLAS would start threads of its own within each of ours.
    summing = sparse.csr_array(summands.T)
    portions = [min(_AT_A_TIME, RESAMPLES - drawn) for drawn in range(0, RESAMPLES, _AT_A_TIME)]
    draws = (generator.multinomial(items, shown / items, size=portion) for portion in portions)
    sums = np.ascontiguousarray(np.hstack([summing @ drawn.T for drawn in draws]).T)
    units = sums[:, 0]
    shares = [sums[:, 1 + rater * size : 1 + (rater + 1) * size] / units[:, None] for rater in range(raters)]
    kappas = []
    for number, (a, b) in enumerate(part.pairs, start=1 + raters * size):
        observed = sums[:, number] / units
        # All units in one category at both raters: the products are exact there, so the comparison is too.
        expected = (shares[a] * shares[b]).sum(axis=1)
        undefined = expected == 1
        kappas.append(np.where(undefined, np.nan, (observed - expected) / np.where(undefined, 1, 1 - expected)))
    mean = np.mean(kappas, axis=0)
    mean = mean[~np.isnan(mean)]
    if not len(mean):
        return None, None
    low, high = np.percentile(mean, [2.5, 97.5])
    return float(low), float(high)
