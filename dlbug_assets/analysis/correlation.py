"""How alike two libraries are in what goes wrong (section 7, Figure 6): three measures on the same share vectors."""

from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np
import polars as pl

from dlbug_assets.analysis.statistics.resampling import (
    bootstrap_counts,
    cluster_table,
    generator,
    in_scope,
    percentile_limits,
)
from dlbug_assets.parallel import parallel_map

_SCHEMA = {
    "source": pl.String,
    "dimension": pl.String,
    "library_a": pl.String,
    "library_b": pl.String,
    "pearson": pl.Float64,
    "spearman": pl.Float64,
    "jensen_shannon": pl.Float64,
    "categories": pl.Int64,
    "left_out": pl.String,
    "undefined_reason": pl.String,
}

_MEASURES = ("pearson", "spearman", "jensen_shannon")

_SENSITIVITY = {
    **{f"{measure}_{limit}": pl.Float64 for measure in _MEASURES for limit in ("low", "high")},
    "interval_undefined_reason": pl.String,
    "pearson_without_largest": pl.Float64,
    "most_influential": pl.String,
}

#: Of two categories any correlation is 1 or -1.
_ENOUGH_CATEGORIES = 3


def library_correlation(counts: pl.DataFrame, clusters: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return analysis.library_correlation: :func:`pairwise_correlation` with its intervals and the most influential
    category of :func:`with_sensitivity`."""
    return with_sensitivity(pairwise_correlation(counts), counts, clusters, seed)


def pairwise_correlation(counts: pl.DataFrame) -> pl.DataFrame:
    """Every pair of libraries compared by their shares, per source (and `both`) and dimension.

    ``counts``: analysis.label_counts. Gives source, dimension, library_a < library_b (alphabetically), pearson and
    spearman (-1..1), jensen_shannon (distance with base 2, 0 alike to 1 disjoint; Lin 1991, Endres and Schindelin
    2003), categories (how many were used), left_out (those that are zero in every library, '; ' between them: they
    would make any two libraries look alike), undefined_reason. What is undefined is NULL.
    """
    rows = []
    per_library = counts.filter(pl.col("library") != "All")
    for (source, dimension), cells in per_library.group_by(["source", "dimension"], maintain_order=True):
        seen = cells.group_by("category", maintain_order=True).agg(pl.col("bugs").sum())
        used = seen.filter(pl.col("bugs") > 0)["category"].to_list()
        left_out = seen.filter(pl.col("bugs") == 0)["category"].to_list()
        bugs = {(library, category): n for library, category, n in cells.select("library", "category", "bugs").rows()}
        totals = dict(cells.select("library", "total").unique().iter_rows())
        for library_a, library_b in combinations(sorted(totals), 2):
            rows.append({
                "source": source, "dimension": dimension, "library_a": library_a, "library_b": library_b,
                "categories": len(used), "left_out": "; ".join(left_out) or None,
                **_likeness(
                    {library: [bugs[library, category] for category in used] for library in (library_a, library_b)},
                    totals,
                ),
            })  # fmt: skip
    return pl.DataFrame(rows, schema=_SCHEMA)


def _likeness(vectors: dict[str, list[int]], totals: dict[str, int]) -> dict[str, object]:
    without = [library for library in vectors if totals[library] == 0]
    if without:
        return {"undefined_reason": f"no bug has a label: {', '.join(without)}"}
    a, b = ([n / totals[library] for n in vector] for library, vector in vectors.items())
    distance = _jensen_shannon(a, b)
    if len(a) < 2:  # noqa: PLR2004
        return {"jensen_shannon": distance, "undefined_reason": "a correlation needs two categories or more"}
    flat = [library for library, shares in zip(vectors, (a, b), strict=True) if len(set(shares)) == 1]
    if flat:
        reason = f"a correlation needs shares that vary: every category has the same in {', '.join(flat)}"
        return {"jensen_shannon": distance, "undefined_reason": reason}
    from scipy.stats import rankdata  # noqa: PLC0415 - slow to import

    pearson, spearman = _row_by_row(np.array([a, rankdata(a)]), np.array([b, rankdata(b)]))
    return {"pearson": float(pearson), "spearman": float(spearman), "jensen_shannon": distance}


def _jensen_shannon(a: Sequence[float], b: Sequence[float]) -> float:
    from scipy.spatial.distance import jensenshannon  # noqa: PLC0415 - slow to import

    # Between equal vectors scipy may take the root of a tiny negative number.
    return 0.0 if list(a) == list(b) else float(jensenshannon(a, b, base=2))


def with_sensitivity(rows: pl.DataFrame, counts: pl.DataFrame, clusters: pl.DataFrame, seed: int) -> pl.DataFrame:
    """How far the measures of :func:`library_correlation` (``rows``) can be trusted.

    ``counts``: analysis.label_counts; ``clusters``: analysis.cluster_counts. Adds _low and _high of each measure
    (percentile bootstrap 95% limits, the clusters of each library drawn with replacement),
    interval_undefined_reason, most_influential (the category without which pearson changes most) and
    pearson_without_largest (pearson without it). NULL where the measure is, or where three categories would not be
    left.
    """

    def sensitivity(part: tuple[tuple[Any, ...], pl.DataFrame]) -> list[dict[str, object]]:
        (source, dimension), pairs = part
        cells = counts.filter(
            (pl.col("source") == source) & (pl.col("dimension") == dimension) & (pl.col("library") != "All")
        )
        used = cells.filter(pl.col("bugs").sum().over("category") > 0)
        shares = {
            str(library): of_library.select("category", share=pl.col("bugs") / pl.col("total"))
            for (library,), of_library in used.group_by(["library"], maintain_order=True)
        }
        drawn = {
            library: _resampled_shares(
                cluster_table(in_scope(clusters, source, library, dimension), of_library["category"]),
                generator(seed, "likeness", source, library, dimension),
            )
            for library, of_library in shares.items()
        }
        return [
            _limits(row, drawn.get(row["library_a"]), drawn.get(row["library_b"]))
            | _influence(row, shares.get(row["library_a"]), shares.get(row["library_b"]))
            for row in pairs.iter_rows(named=True)
        ]

    found = parallel_map(sensitivity, rows.group_by(["source", "dimension"], maintain_order=True))
    return rows.hstack(pl.DataFrame(list(chain(*found)), schema=_SENSITIVITY))


def _resampled_shares(table: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    if len(table) < 2:  # noqa: PLR2004
        return None
    drawn = bootstrap_counts(table, random)
    return drawn / drawn.sum(axis=1, keepdims=True)


def _limits(row: dict[str, object], a: np.ndarray | None, b: np.ndarray | None) -> dict[str, object]:
    if row["jensen_shannon"] is None:
        return {"interval_undefined_reason": row["undefined_reason"]}
    if a is None or b is None:
        lone = row["library_a"] if a is None else row["library_b"]
        return {"interval_undefined_reason": f"the bugs are all of one cluster: {lone}"}
    from scipy.spatial.distance import jensenshannon  # noqa: PLC0415 - slow to import
    from scipy.stats import rankdata  # noqa: PLC0415 - slow to import

    with np.errstate(invalid="ignore"):  # of equal vectors: the root of a tiny negative number
        distance = np.nan_to_num(jensenshannon(a, b, base=2, axis=1))
    values = {"jensen_shannon": distance}
    if row["pearson"] is not None:
        values |= {"pearson": _row_by_row(a, b), "spearman": _row_by_row(rankdata(a, axis=1), rankdata(b, axis=1))}
    limits: dict[str, object] = {"interval_undefined_reason": row["undefined_reason"]}
    for measure, of_resamples in values.items():
        limits[f"{measure}_low"], limits[f"{measure}_high"] = percentile_limits(of_resamples)
    return limits


def _row_by_row(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's correlation (1896) of each row of ``a`` with that of ``b``, NaN where one of them does not vary."""
    a, b = (one - one.mean(axis=1, keepdims=True) for one in (a, b))
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    # What varies by rounding errors only does not vary.
    varies = size > np.finfo(float).eps
    return np.clip(np.divide((a * b).sum(axis=1), size, out=np.full(len(size), np.nan), where=varies), -1, 1)


def _influence(row: dict[str, object], a: pl.DataFrame | None, b: pl.DataFrame | None) -> dict[str, object]:
    if row["pearson"] is None or a is None or b is None or a.height <= _ENOUGH_CATEGORIES:
        return {}
    # Row by row the shares without one category.
    without = _row_by_row(*(_each_left_out(frame["share"].to_numpy()) for frame in (a, b)))
    change = np.abs(without - row["pearson"])
    if np.isnan(change).all():
        return {}
    place = int(np.nanargmax(change))
    return {"most_influential": a["category"][place], "pearson_without_largest": float(without[place])}


def _each_left_out(values: np.ndarray) -> np.ndarray:
    return np.tile(values, (len(values), 1))[~np.eye(len(values), dtype=bool)].reshape(len(values), -1)
