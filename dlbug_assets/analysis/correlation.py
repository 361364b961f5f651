"""Similarity of two libraries' bugs: measures of the same vectors of shares."""

from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np
import polars as pl

from dlbug_assets.analysis.statistics.pools import member
from dlbug_assets.analysis.statistics.resampling import (
    bootstrap_counts,
    cluster_table,
    filter_clusters,
    generator,
    percentile_limits,
)
from dlbug_assets.parallel import parallel_map
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

_MEASURES = ("pearson", "spearman", "jensen_shannon")

_SENSITIVITY = table_schema(
    "analysis.library_correlation",
    only=(
        *(f"{measure}_{limit}" for measure in _MEASURES for limit in ("low", "high")),
        "pearson_median",
        "interval_undefined_reason",
        "pearson_without_largest",
        "most_influential",
    ),
)
_PAIRS = table_schema("analysis.library_correlation", without=_SENSITIVITY)

_ONE_CLUSTER = "the bugs are all of one cluster, or of one in each source and set of libraries"

# Bugs added to each category, so that shares of 0 have a logarithm: half a bug (Jeffreys' prior).
_ADDED = 0.5

# With two categories every correlation is 1 or -1.
_ENOUGH_CATEGORIES = 3


def library_correlation(counts: pl.DataFrame, clusters: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return analysis.library_correlation: the columns of :func:`pairwise_correlation` and :func:`with_sensitivity`.

    ``counts`` is analysis.label_counts, ``clusters`` analysis.cluster_counts.
    """
    return with_sensitivity(pairwise_correlation(counts), counts, clusters, study)


def pairwise_correlation(counts: pl.DataFrame) -> pl.DataFrame:
    """Return the similarity of every pair of libraries, per source (and `both`) and dimension.

    ``counts`` is analysis.label_counts.

    Columns: source, dimension, library_a < library_b (alphabetically), pearson and spearman (-1..1), pearson_clr
    (Pearson's correlation of the centered log-ratios of the shares, with half a bug added to each category: shares add
    up to 1, so that they are correlated whatever the bugs; Aitchison 1986), jensen_shannon
    (distance with base 2, from 0 for equal to 1 for disjoint distributions; Lin 1991, Endres and Schindelin 2003; where
    bugs have several categories, of the shares divided by their sum),
    categories (the number of categories used), left_out (categories without bugs in any library, separated by '; ':
    they would make any two libraries similar) and undefined_reason. Undefined values are NULL.
    """
    rows = []
    per_library = counts.filter(pl.col("library") != "All")
    for (source, dimension), cells in per_library.group_by(["source", "dimension"], maintain_order=True):
        totals_by_category = cells.group_by("category", maintain_order=True).agg(pl.col("bugs").sum())
        used = totals_by_category.filter(pl.col("bugs") > 0)["category"].to_list()
        left_out = totals_by_category.filter(pl.col("bugs") == 0)["category"].to_list()
        bugs = {(library, category): n for library, category, n in cells.select("library", "category", "bugs").rows()}
        totals = dict(cells.select("library", "total").unique().iter_rows())
        for library_a, library_b in combinations(sorted(totals), 2):
            rows.append({
                "source": source, "dimension": dimension, "library_a": library_a, "library_b": library_b,
                "categories": len(used), "left_out": "; ".join(left_out) or None,
                **_similarity(
                    {library: [bugs[library, category] for category in used] for library in (library_a, library_b)},
                    totals,
                ),
            })  # fmt: skip
    return pl.DataFrame(rows, schema=_PAIRS)


def _similarity(vectors: dict[str, list[int]], totals: dict[str, int]) -> dict[str, object]:
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

    pearson, spearman = rowwise_pearson(np.array([a, rankdata(a)]), np.array([b, rankdata(b)]))
    # Centering subtracts the same number from each logarithm, as dividing by the total does, so that r is the same.
    logarithms = (np.log([np.array(vector) + _ADDED]) for vector in vectors.values())
    return {
        "pearson": float(pearson),
        "spearman": float(spearman),
        "pearson_clr": float(rowwise_pearson(*logarithms)[0]),
        "jensen_shannon": distance,
    }


def _jensen_shannon(a: Sequence[float], b: Sequence[float]) -> float:
    from scipy.spatial.distance import jensenshannon  # noqa: PLC0415 - slow to import

    # For equal vectors scipy may take the square root of a tiny negative number.
    return 0.0 if list(a) == list(b) else float(jensenshannon(a, b, base=2))


def with_sensitivity(rows: pl.DataFrame, counts: pl.DataFrame, clusters: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return ``rows`` of :func:`pairwise_correlation` with confidence intervals and the most influential category.

    ``counts`` is analysis.label_counts, ``clusters`` analysis.cluster_counts. Adds _low and _high of pearson, spearman
    and jensen_shannon (percentile bootstrap 95% limits, with clusters sampled with replacement within each source and
    set of libraries, so that a post in two libraries is in both or in neither), pearson_median (of the resamples, which
    are less alike than the data), interval_undefined_reason, most_influential (the category without which pearson
    changes most) and pearson_without_largest (pearson without that category). They are NULL where the measure is; the
    last two also where fewer than three categories would be left.
    """

    def sensitivity(group: tuple[tuple[Any, ...], pl.DataFrame]) -> list[dict[str, object]]:
        (source, dimension), pairs = group
        cells = counts.filter(
            (pl.col("source") == source) & (pl.col("dimension") == dimension) & (pl.col("library") != "All")
        )
        used = cells.filter(pl.col("bugs").sum().over("category") > 0)
        shares = {
            str(library): of_library.select("category", share=pl.col("bugs") / pl.col("total"))
            for (library,), of_library in used.group_by(["library"], maintain_order=True)
        }
        resampled = _resampled_shares(
            clusters, str(source), str(dimension), used["category"].unique(maintain_order=True), study
        )
        return [
            _limits(row, resampled) | _influence(row, shares.get(row["library_a"]), shares.get(row["library_b"]))
            for row in pairs.iter_rows(named=True)
        ]

    found = parallel_map(sensitivity, rows.group_by(["source", "dimension"], maintain_order=True))
    return rows.hstack(pl.DataFrame(list(chain(*found)), schema=_SENSITIVITY))


def _resampled_shares(
    clusters: pl.DataFrame, source: str, dimension: str, categories: pl.Series, study: Study
) -> dict[str, np.ndarray]:
    """Return the shares of the categories by resample, for each library whose bugs are not the same in all of them."""
    counts: dict[str, np.ndarray] = {}
    varying: set[str] = set()
    strata = filter_clusters(clusters, source, "All", dimension).with_columns(
        _libraries=pl.col("library").unique().sort().str.join("\n").over("source", "cluster")
    )
    for (of_source, names), rows in strata.group_by(["source", "_libraries"]):
        purpose = member(study, "source", source), str(of_source), str(names), dimension
        libraries = rows["library"].unique().sort().to_list()
        # Each cluster of the stratum has a row in the table of each of its libraries.
        tables = [cluster_table(rows.filter(library=library), categories) for library in libraries]
        drawn = bootstrap_counts(np.hstack(tables), generator(study.study.seed, "likeness", *purpose))
        for library, of_library in zip(libraries, np.split(drawn, len(libraries), axis=1), strict=True):
            counts[library] = counts.get(library, 0) + of_library
        varying.update(libraries if len(tables[0]) > 1 else ())
    return {library: counts[library][:, :-1] / counts[library][:, -1:] for library in varying}


def _limits(row: dict[str, object], shares: dict[str, np.ndarray]) -> dict[str, object]:
    if row["jensen_shannon"] is None:
        return {"interval_undefined_reason": row["undefined_reason"]}
    libraries = str(row["library_a"]), str(row["library_b"])
    if constant := [library for library in libraries if library not in shares]:
        return {"interval_undefined_reason": f"{_ONE_CLUSTER}: {constant[0]}"}
    a, b = (shares[library] for library in libraries)
    from scipy.spatial.distance import jensenshannon  # noqa: PLC0415 - slow to import
    from scipy.stats import rankdata  # noqa: PLC0415 - slow to import

    with np.errstate(invalid="ignore"):  # for equal vectors, the square root of a tiny negative number
        # scipy's stub of the function lacks `axis`.
        distance = np.nan_to_num(jensenshannon(a, b, base=2, axis=1))  # pyright: ignore[reportCallIssue]
    values = {"jensen_shannon": distance}
    if row["pearson"] is not None:
        values["pearson"] = rowwise_pearson(a, b)
        values["spearman"] = rowwise_pearson(rankdata(a, axis=1), rankdata(b, axis=1))
    limits: dict[str, object] = {"interval_undefined_reason": row["undefined_reason"]}
    for measure, of_resamples in values.items():
        limits[f"{measure}_low"], limits[f"{measure}_high"] = percentile_limits(of_resamples)
    if "pearson" in values and limits["pearson_low"] is not None:
        limits["pearson_median"] = float(np.nanmedian(values["pearson"]))
    return limits


def rowwise_pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation (1896) of each row of ``a`` with that of ``b``, NaN where one does not vary."""
    a, b = (one - one.mean(axis=1, keepdims=True) for one in (a, b))
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    # Variation by rounding errors is not variation.
    varies = scale > np.finfo(float).eps
    return np.clip(np.divide((a * b).sum(axis=1), scale, out=np.full(len(scale), np.nan), where=varies), -1, 1)


def _influence(row: dict[str, object], a: pl.DataFrame | None, b: pl.DataFrame | None) -> dict[str, object]:
    if row["pearson"] is None or a is None or b is None or a.height <= _ENOUGH_CATEGORIES:
        return {}
    without = rowwise_pearson(*(_leave_one_out(frame["share"].to_numpy()) for frame in (a, b)))
    change = np.abs(without - row["pearson"])
    if np.isnan(change).all():
        return {}
    place = int(np.nanargmax(change))
    return {"most_influential": a["category"][place], "pearson_without_largest": float(without[place])}


def _leave_one_out(values: np.ndarray) -> np.ndarray:
    """Return an array of shape (n, n - 1) whose row i is ``values`` without element i."""
    return np.tile(values, (len(values), 1))[~np.eye(len(values), dtype=bool)].reshape(len(values), -1)
