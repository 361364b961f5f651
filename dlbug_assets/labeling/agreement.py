"""Inter-rater agreement at every checkpoint of the queue.

What belongs here: which ratings count at a checkpoint, and kappa and alpha of them. What doesn't: resolving what
raters disagree on (decisions.py).

Sources of the formulas: kappa, Cohen 1960 ("A coefficient of agreement for nominal scales"); its large-sample
interval, Fleiss, Cohen & Everitt 1969; the percentile bootstrap, Efron 1979, drawn by item because the bugs of one
item are not independent; alpha, Krippendorff 2004 ("Content Analysis", chapter 11), nominal.
"""

import functools
import hashlib
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from dlbug_assets.labeling.rater_labels import LIST_BUGS, RATE_BUGS
from dlbug_assets.study import Study
from dlbug_assets.taxonomy import DIMENSIONS, REQUIRED_DIMENSIONS, SOURCES

ALL_SOURCES = "all"
IS_BUG = "is_bug"
#: What a rater who does not list a bug, or leaves stage or antipattern blank, is counted as saying.
NONE = "none"

CUMULATIVE = "cumulative"
INCREMENT = "increment"

RESAMPLES = 1000
NO_UNITS = "no units"
ONE_CATEGORY = "only one category was used"

#: labeling.kappa_checkpoints
KAPPA_CHECKPOINTS = pl.Schema(
    {
        "source": pl.String,
        "dimension": pl.String,
        "checkpoint": pl.Int32,
        "scope": pl.String,
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
    }
)

#: labeling.category_kappa
CATEGORY_KAPPA = pl.Schema(
    {
        "source": pl.String,
        "dimension": pl.String,
        "checkpoint": pl.Int32,
        "category": pl.String,
        "kappa": pl.Float64,
        "kappa_low": pl.Float64,
        "kappa_high": pl.Float64,
        "units": pl.Int32,
        "undefined_reason": pl.String,
    }
)


def kappa_checkpoints(labels: pl.DataFrame, items: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Agreement of the study's raters per source, dimension, checkpoint and scope: labeling.kappa_checkpoints.

    ``labels`` is labeling.rater_labels, ``items`` labeling.items. A checkpoint (percent of the queue) appears for a
    source up to the last batch handed in for its items, and where a batch up to it was handed in; ``all`` is the
    union of the sources' items. ``cumulative`` covers the items up to the checkpoint, ``increment`` those new at
    it. Shares and coefficients are numbers, not percent; what is undefined is NULL, with ``undefined_reason``
    where kappa is. The analytic interval is not clipped to [-1, 1].

    With more than two raters kappa, observed and expected agreement are means over the pairs, undefined where one
    pair is; the analytic bounds are means too, an interval that is rather too wide than too narrow, because the
    standard error of a mean is at most the mean of the standard errors. Resamples whose kappa is undefined (a
    single category was drawn) are left out of the bootstrap.
    """
    rows = []
    for part in _parts(labels, items, study, (CUMULATIVE, INCREMENT)):
        statistics = _agreement(part, study)
        kappa = statistics.get("kappa")
        rows.append(
            part.key
            | {"units": len(part.codes), "undefined_reason": part.undefined_reason}
            | statistics
            | {"reached_target": None if kappa is None else kappa >= study.labeling.kappa_target}
        )
    return pl.DataFrame(rows, schema=KAPPA_CHECKPOINTS)


def category_kappa(labels: pl.DataFrame, items: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Kappa of each category against all others, cumulative: labeling.category_kappa.

    One row per source, dimension, checkpoint and category that a rater used there (``none`` included, and
    true and false for is_bug); ``units`` as in kappa_checkpoints. Sources as there; one against the rest after
    Fleiss 1971. NULL with ``undefined_reason`` where a pair of raters used a single category, or never this one.
    """
    rows = []
    for part in _parts(labels, items, study, (CUMULATIVE,)):
        key = {name: value for name, value in part.key.items() if name != "scope"}
        tables = part.tables()
        for code in np.unique(part.codes):
            kappas = [_kappa(_one_against_rest(table, code)) for table in tables]
            kappa, low, high = _mean_of_pairs(kappas)
            # Undefined for a pair means: each unit or none has the category at both.
            reason = part.undefined_reason or f"a pair of raters never used {part.categories[code]}"
            rows.append(
                key
                | {"category": part.categories[code], "kappa": kappa, "kappa_low": low, "kappa_high": high}
                | {"units": len(part.codes), "undefined_reason": reason if kappa is None else None}
            )
    return pl.DataFrame(rows, schema=CATEGORY_KAPPA)


def ratings(labels: pl.DataFrame, study: Study, dimension: str, checkpoint: int = 100) -> pl.DataFrame:
    """What the study's raters say on each unit of agreement, as far as it was handed in up to a checkpoint.

    ``labels`` is labeling.rater_labels. Returns item_id, bug_index (0 for is_bug) and one column per rater,
    ``label_1``, ``label_2`` .. in the order of ``study.labeling.raters``, never NULL, sorted by item and bug_index.

    For every item the latest batch up to ``checkpoint`` in which a rater labelled it counts, as a whole; superseded
    rows and the adjudicator's do not. is_bug: the items that every rater labelled in the units pass; true where
    the rater lists a bug. Other dimensions: the bugs that a rater filled in the dimensions pass; a rater who
    handed in the sheet without the bug says ``none``. An item waits, and is left out, until every rater handed in
    a sheet (same pass, same batch) that it was rated in. stage and antipattern: only bugs with a label of at
    least one rater, a blank being ``none``.
    """
    raters = study.labeling.raters
    which = LIST_BUGS if dimension == IS_BUG else RATE_BUGS
    given = labels.filter(
        pl.col("rater").is_in(raters)
        & ~pl.col("superseded")
        & (pl.col("pass") == which)
        & (pl.col("batch") <= checkpoint)
    )
    latest = given.filter(pl.col("batch") == pl.col("batch").max().over("item_id", "rater"))
    if dimension == IS_BUG:
        said = latest.group_by("item_id", "rater").agg(bug_index=pl.lit(0, pl.Int32), label=pl.col("is_bug").any())
        said = said.with_columns(label=pl.col("label").cast(pl.String))
        complete = said.group_by("item_id").agg(raters=pl.len())
    else:
        said = latest.filter("is_bug").select("item_id", "rater", "bug_index", label=dimension)
        asked = given.select("item_id", "batch").unique()
        sheets = given.select("rater", "batch").unique()
        complete = asked.join(sheets, on="batch").group_by("item_id").agg(raters=pl.col("rater").n_unique())

    whole = complete.filter(pl.col("raters") == len(raters)).select("item_id")
    wide = said.select("item_id", "bug_index").unique().join(whole, on="item_id", how="semi")
    names = [f"label_{number}" for number in range(1, len(raters) + 1)]
    for name, rater in zip(names, raters, strict=True):
        theirs = said.filter(pl.col("rater") == rater).select("item_id", "bug_index", pl.col("label").alias(name))
        wide = wide.join(theirs, on=["item_id", "bug_index"], how="left")
    if dimension not in (IS_BUG, *REQUIRED_DIMENSIONS):
        wide = wide.filter(pl.any_horizontal(pl.col(names).is_not_null()))
    return wide.with_columns(pl.col(names).fill_null(NONE)).sort("item_id", "bug_index")


@dataclass(frozen=True)
class _Rated:
    """The ratings in a dimension at a checkpoint, unit by unit."""

    frame: pl.DataFrame  # item_id and _pattern (see _prepared)
    categories: list[str]
    codes: np.ndarray  # unit x rater -> position in categories
    sources: np.ndarray
    starts: np.ndarray  # the first checkpoint that includes the unit's item


@dataclass(frozen=True)
class _Part:
    """The ratings that one row of the table is about: those of ``rated`` that are ``chosen``."""

    key: dict[str, Any]  # source, dimension, checkpoint, scope
    rated: _Rated
    chosen: np.ndarray
    raters: tuple[str, ...]

    @property
    def categories(self) -> list[str]:
        return self.rated.categories

    @functools.cached_property
    def codes(self) -> np.ndarray:
        return self.rated.codes[self.chosen]

    @functools.cached_property
    def _patterns(self) -> tuple[np.ndarray, list[np.ndarray]]:
        return _patterns(self.rated.frame.filter(self.chosen), self.codes)

    @property
    def patterns(self) -> np.ndarray:
        """Pattern -> number of items that show it (see _prepared)."""
        return self._patterns[0]

    @property
    def pattern_units(self) -> list[np.ndarray]:
        """Pattern -> codes of its units."""
        return self._patterns[1]

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
            if _has_one_category(table):
                return f"{ONE_CATEGORY} by {self.raters[a]} and {self.raters[b]}"
        return None


def _parts(labels: pl.DataFrame, items: pl.DataFrame, study: Study, scopes: tuple[str, ...]) -> Iterator[_Part]:
    """Every row of the table to be, in its order."""
    placed = items.select("item_id", "source", _from=pl.col("checkpoint"))
    handed_in = (
        labels.filter(pl.col("rater").is_in(study.labeling.raters) & ~pl.col("superseded"))
        .select("item_id", "batch")
        .unique()
        .join(placed, on="item_id")
    )
    prepared = {
        (dimension, checkpoint): _prepared(labels, placed, study, dimension, checkpoint)
        for dimension in (IS_BUG, *DIMENSIONS)
        for checkpoint in study.labeling.checkpoints
        if checkpoint <= (handed_in["batch"].max() or 0)
    }
    for source in (*SOURCES, ALL_SOURCES):
        batches = handed_in if source == ALL_SOURCES else handed_in.filter(pl.col("source") == source)
        last = batches["batch"].max() or 0
        first_of = dict(batches.group_by("_from").agg(pl.col("batch").min()).iter_rows())
        for dimension in (IS_BUG, *DIMENSIONS):
            for checkpoint in study.labeling.checkpoints:
                for scope in scopes:
                    in_scope = operator.eq if scope == INCREMENT else operator.le
                    seen = any(in_scope(start, checkpoint) and batch <= checkpoint for start, batch in first_of.items())
                    if checkpoint > last or not seen:
                        continue
                    rated = prepared[dimension, checkpoint]
                    chosen = in_scope(rated.starts, checkpoint)
                    if source != ALL_SOURCES:
                        chosen = chosen & (rated.sources == source)
                    key = {"source": source, "dimension": dimension, "checkpoint": checkpoint, "scope": scope}
                    yield _Part(key, rated, chosen, study.labeling.raters)


def _prepared(
    labels: pl.DataFrame, placed: pl.DataFrame, study: Study, dimension: str, checkpoint: int
) -> _Rated:
    """The ratings at a checkpoint with their items' places, as codes, and the pattern of each item.

    An item's pattern is what was said on all its units. The statistics see nothing else of an item, so a resample
    of items is a multinomial draw over patterns: the same distribution, for a few dozen numbers instead of
    thousands.
    """
    wide = ratings(labels, study, dimension, checkpoint).join(placed, on="item_id", how="inner")
    names = [f"label_{number}" for number in range(1, len(study.labeling.raters) + 1)]
    categories = sorted(set().union(*(wide[name].unique().to_list() for name in names)))
    codes = {category: code for code, category in enumerate(categories)}
    frame = wide.sort("item_id", "bug_index").with_columns(
        pl.concat_str(names, separator="\x1f").alias("_said"),
        *(pl.col(name).replace_strict(codes, return_dtype=pl.Int64) for name in names),
    )
    frame = frame.with_columns(_pattern=pl.col("_said").sort().str.join("\x1e").over("item_id"))
    codes_of = frame.select(names).to_numpy().astype(np.int64).reshape(-1, len(names))
    return _Rated(
        frame.select("item_id", "_pattern"),
        categories,
        codes_of,
        frame["source"].to_numpy(),
        frame["_from"].to_numpy(),
    )


def _patterns(frame: pl.DataFrame, codes: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """How often each pattern occurs among the items, and the codes of its units, in the order of their texts.

    The order must not depend on other sources or on the order of rows: the seeded draws are dealt out in it.
    """
    example = (
        frame.with_row_index("_unit")
        .group_by("_pattern")
        .agg(
            _items=pl.col("item_id").n_unique(),
            _units=pl.col("_unit").filter(pl.col("item_id") == pl.col("item_id").min()),
        )
        .sort("_pattern")
    )
    return example["_items"].to_numpy(), [codes[units.to_numpy()] for units in example["_units"]]


def _agreement(part: _Part, study: Study) -> dict[str, float | None]:
    """The statistics of one row; none where there are no units."""
    if not len(part.codes):
        return {}
    tables = part.tables()
    shares = [table / table.sum() for table in tables]
    kappa, low, high = _mean_of_pairs([_kappa(table) for table in tables])
    boot_low, boot_high = (None, None) if kappa is None else _bootstrap(part, study.study.seed)
    return {
        "observed_agreement": float(np.mean([np.trace(share) for share in shares])),
        "expected_agreement": float(np.mean([share.sum(axis=0) @ share.sum(axis=1) for share in shares])),
        "kappa": kappa,
        "kappa_low": low,
        "kappa_high": high,
        "kappa_boot_low": boot_low,
        "kappa_boot_high": boot_high,
        "alpha": _alpha(part),
    }


def _has_one_category(table: np.ndarray) -> bool:
    """Whether chance alone makes the raters agree everywhere, which leaves kappa 0/0."""
    return bool(table.max() == table.sum() and table.max() == np.diag(table).max())


def _one_against_rest(table: np.ndarray, code: int) -> np.ndarray:
    both = table[code, code]
    first, second = table[code].sum() - both, table[:, code].sum() - both
    return np.array([[both, first], [second, table.sum() - both - first - second]])


def _kappa(table: np.ndarray) -> tuple[float, float, float] | None:
    """Kappa with its analytic 95% bounds (Fleiss, Cohen & Everitt 1969); None where it is undefined."""
    from statsmodels.stats.inter_rater import cohens_kappa  # noqa: PLC0415 (slow to import)

    if _has_one_category(table):
        return None
    if np.trace(table) == table.sum():  # raters who agree throughout: the variance is 0, but for rounding
        return 1.0, 1.0, 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        result = cohens_kappa(table)
    kappa = float(result.kappa)
    if not result.var_kappa > 0:
        return kappa, kappa, kappa
    return kappa, float(result.kappa_low), float(result.kappa_upp)


def _mean_of_pairs(
    kappas: list[tuple[float, float, float] | None],
) -> tuple[float, float, float] | tuple[None, None, None]:
    defined = [kappa for kappa in kappas if kappa is not None]
    if not defined or len(defined) < len(kappas):
        return None, None, None
    kappa, low, high = np.mean(defined, axis=0)
    return float(kappa), float(low), float(high)


def _alpha(part: _Part) -> float | None:
    """Krippendorff's alpha, nominal; None where only one category was used."""
    import krippendorff  # noqa: PLC0415 (slow to import)

    used, codes = np.unique(part.codes, return_inverse=True)
    if len(used) < 2:  # noqa: PLR2004
        return None
    codes = codes.reshape(part.codes.shape)
    counts = np.zeros((len(codes), len(used)), dtype=np.int64)
    for column in codes.T:
        counts[np.arange(len(codes)), column] += 1
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def _bootstrap(part: _Part, seed: int) -> tuple[float, float] | tuple[None, None]:
    """The 2.5% and 97.5% percentiles of kappa over resamples of items; None where no resample has a kappa."""
    row = "|".join(str(value) for value in part.key.values())
    # A generator of its own for each row: adding a source or a checkpoint changes no other row.
    entropy = int.from_bytes(hashlib.sha256(f"{seed}|kappa|{row}".encode()).digest())
    generator = np.random.Generator(np.random.PCG64(entropy))
    items = int(part.patterns.sum())
    draws = generator.multinomial(items, part.patterns / items, size=RESAMPLES).astype(np.float64)

    raters, size = part.codes.shape[1], len(part.categories)
    units = draws @ np.array([len(codes) for codes in part.pattern_units], dtype=np.float64)
    chosen = np.array(
        [[np.bincount(codes[:, rater], minlength=size) for rater in range(raters)] for codes in part.pattern_units],
        dtype=np.float64,
    )
    shares = [draws @ chosen[:, rater] / units[:, None] for rater in range(raters)]
    kappas = []
    for a, b in part.pairs:
        agreed = np.array([np.sum(codes[:, a] == codes[:, b]) for codes in part.pattern_units], dtype=np.float64)
        observed = draws @ agreed / units
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
