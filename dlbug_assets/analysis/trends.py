"""Trends: whether a category becomes more or less frequent over the years.

One rule decides: a category rises or falls if p_holm is below 5%, which is the P value of a permutation test of years
over whole clusters (``statistics/trend_tests``), corrected by Holm over all series. The test that takes bugs as
independent is shown beside it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from dlbug_assets.analysis.statistics.clusters import ONE_CLUSTER
from dlbug_assets.analysis.statistics.multiplicity import with_corrections
from dlbug_assets.analysis.statistics.resampling import generator
from dlbug_assets.analysis.statistics.shares import ENOUGH_BUGS, ENOUGH_CLUSTERS
from dlbug_assets.analysis.statistics.trend_tests import cluster_trends
from dlbug_assets.parallel import parallel_map
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

#: A series has fewer permutations than this number, or than this number for each series: the smallest P value is then
#: at most 2.5% after Holm's correction.
LEAST_DRAWS, DRAWS_PER_SERIES = 10_000, 40

#: With fewer years, their order has little information.
ENOUGH_YEARS = 5

_KEYS = ("source", "library", "dimension")


def trends(
    evolution: pl.DataFrame, labels: pl.DataFrame, bug_labels: pl.DataFrame, clusters: pl.DataFrame, study: Study
) -> pl.DataFrame:
    """Return analysis.trends: a trend test per source, library, dimension and category.

    ``evolution`` is analysis.yearly_evolution, ``labels`` labeling.labels, ``bug_labels`` labeling.bug_labels and
    ``clusters`` analysis.clusters. Years are calendar years, UTC; bugs without one are left out.

    Columns: source, library, dimension, category, years (the number of years with bugs of the source and library),
    first_year, last_year, bugs, clusters (those with a label in the dimension), total, share_first and share_last
    (0..1, of the first and the last year), statistic (z of the linear-by-linear association of the year with the
    category against the rest, above 0 if it rises; Cochran 1954, Armitage 1955), p_asymptotic (two-sided, from the
    normal distribution, as if bugs were independent), cluster_statistic and p_clusters (see
    :func:`~dlbug_assets.analysis.statistics.trend_tests.cluster_trends`), resamples, direction (rising or falling: the
    sign of cluster_statistic, significant or not), underpowered (fewer than :data:`ENOUGH_YEARS` years, than 10 bugs of
    the category or than 5 clusters), underpowered_reason, undefined_reason, p_holm and p_benjamini_hochberg over every
    defined p_clusters, and family (their number).

    A pool whose bugs with a year are all of one source or library repeats its tests, and does not count in the family.
    """
    series = _series(evolution, labels, bug_labels, clusters)
    distinct = [each for each in series if each.keys == each.same]
    most = max(LEAST_DRAWS, DRAWS_PER_SERIES * sum(len(each.tested) for each in distinct))
    rows = parallel_map(partial(_tested, seed=study.study.seed, most=most), distinct)
    schema = table_schema("analysis.trends", without=("p_holm", "p_benjamini_hochberg", "family"))
    found = pl.DataFrame([row for of_series in rows for row in of_series], schema=schema)
    same = [f"_{key}" for key in _KEYS]
    return (
        pl.DataFrame(
            [each.keys + each.same for each in series], schema=dict.fromkeys([*_KEYS, *same], pl.String), orient="row"
        )
        .join(
            with_corrections(found, "p_clusters", study).rename(dict(zip(_KEYS, same, strict=True))),
            on=same,
            maintain_order="left_right",
        )
        .select(table_schema("analysis.trends").names())
    )


@dataclass(frozen=True)
class _Series:
    """The series of the categories of a dimension, in one source and library.

    ``keys`` are source, library and dimension, ``same`` those of the series that it repeats, or its own. ``bugs`` are
    by year and category, ``totals`` the bugs with a label by year. ``table`` has a row per cluster, and a column per
    category and one of all bugs; ``cluster_years`` are the mean years of the clusters' bugs.
    """

    keys: tuple[str, ...]
    same: tuple[str, ...]
    categories: Sequence[str]
    years: np.ndarray
    bugs: np.ndarray
    totals: np.ndarray
    table: np.ndarray
    cluster_years: np.ndarray

    def undefined_reason(self, place: int) -> str | None:
        """Return why a category has no test, None if it has one."""
        bugs, total = self.bugs[:, place].sum(), self.totals.sum()
        if bugs in (0, total):
            return f"{'every' if bugs else 'no'} bug has it"
        if len(self.years) < 2:  # noqa: PLR2004
            return "a trend needs two years or more"
        if len(self.table) < 2:  # noqa: PLR2004
            return ONE_CLUSTER
        return None if np.ptp(self.cluster_years) else "the mean year of the bugs is the same in all clusters"

    @property
    def tested(self) -> list[int]:
        """The places of the categories that have a test."""
        return [place for place in range(len(self.categories)) if self.undefined_reason(place) is None]


def _series(
    evolution: pl.DataFrame, labels: pl.DataFrame, bug_labels: pl.DataFrame, clusters: pl.DataFrame
) -> list[_Series]:
    dated = clusters.join(labels.filter(pl.col("year").is_not_null()).select("bug_id", "year"), on="bug_id").join(
        bug_labels.select("bug_id", "dimension", "category"), on="bug_id"
    )
    dated = dated.with_columns(
        _cluster=pl.struct("source", "cluster").rank("dense"),
        # A bug with several categories counts once.
        _is_first=pl.struct("dimension", "bug_id").is_first_distinct(),
    )
    by_dimension = {dimension: rows for (dimension,), rows in dated.group_by("dimension")}
    found: list[_Series] = []
    for keys, cells in evolution.group_by(_KEYS, maintain_order=True):
        source, library, dimension = map(str, keys)
        categories = cells["category"].unique(maintain_order=True)
        shape = (-1, len(categories))
        rows = by_dimension[dimension].filter(
            pl.lit(source == "both") | (pl.col("source") == source),
            pl.lit(library == "All") | (pl.col("library") == library),
        )
        sources, libraries = rows["source"].unique().to_list(), rows["library"].unique().to_list()
        found.append(
            _Series(
                (source, library, dimension),
                (
                    sources[0] if len(sources) == 1 else source,
                    libraries[0] if len(libraries) == 1 else library,
                    dimension,
                ),
                categories.to_list(),
                cells["year"].to_numpy().reshape(shape)[:, 0],
                cells["bugs"].to_numpy().reshape(shape),
                cells["total"].to_numpy().reshape(shape)[:, 0],
                *_by_cluster(rows, categories),
            )
        )
    return found


def _by_cluster(rows: pl.DataFrame, categories: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the table and mean years of the clusters of labels (_cluster, _is_first of the bug, year, category)."""
    places = {category: place for place, category in enumerate(categories)}
    rows = rows.with_columns(_row=pl.col("_cluster").rank("dense").cast(pl.Int64) - 1)
    bugs = rows.filter("_is_first").group_by("_row").agg(pl.len(), pl.col("year").mean()).sort("_row")
    table = np.zeros((bugs.height, len(places) + 1), dtype=np.int64)
    columns = rows["category"].replace_strict(places, return_dtype=pl.Int64)
    np.add.at(table, (rows["_row"].to_numpy(), columns.to_numpy()), 1)
    table[:, -1] = bugs["len"]
    return table, bugs["year"].to_numpy()


def _tested(series: _Series, seed: int, most: int) -> list[dict[str, object]]:
    """Return the rows of the categories of a series."""
    rows = [_described(series, place) for place in range(len(series.categories))]
    tested = series.tested
    if tested:
        random = generator(seed, "trend", *series.keys)
        found = cluster_trends(series.table[:, [*tested, -1]], series.cluster_years, random, most)
        for place, statistic, p, draws in zip(tested, *map(np.ndarray.tolist, found), strict=True):
            rows[place] |= {"cluster_statistic": statistic, "p_clusters": p, "resamples": draws,
                            "direction": {1: "rising", -1: "falling"}.get(np.sign(round(statistic, 9))),
                            **_as_independent(series, place)}  # fmt: skip
    return rows


def _described(series: _Series, place: int) -> dict[str, object]:
    """Return the columns of a category without those of tests."""
    bugs, totals = series.bugs[:, place], series.totals
    return {
        **dict(zip(_KEYS, series.keys, strict=True)), "category": series.categories[place],
        "years": len(bugs), "first_year": series.years[0], "last_year": series.years[-1],
        "bugs": bugs.sum(), "total": totals.sum(), "clusters": len(series.table),
        "share_first": bugs[0] / totals[0], "share_last": bugs[-1] / totals[-1],
        **_power(len(bugs), int(bugs.sum()), len(series.table)),
        "undefined_reason": series.undefined_reason(place),
    }  # fmt: skip


def _power(years: int, bugs: int, clusters: int) -> dict[str, object]:
    needed = (("year", years, ENOUGH_YEARS), ("bug", bugs, ENOUGH_BUGS), ("cluster", clusters, ENOUGH_CLUSTERS))
    few = [f"{n} {noun if n == 1 else f'{noun}s'}, under {least}" for noun, n, least in needed if n < least]
    return {"underpowered": bool(few), "underpowered_reason": "; ".join(few) or None}


def _as_independent(series: _Series, place: int) -> dict[str, object]:
    """Return the test that takes bugs as independent."""
    from scipy.special import ndtr  # noqa: PLC0415 - slow to import  # pyright: ignore[reportMissingTypeStubs]

    z = trend_z(series.bugs[:, place], series.totals, series.years)
    return {"statistic": z, "p_asymptotic": float(2 * ndtr(-abs(z)))}


def trend_z(bugs: np.ndarray, totals: np.ndarray, years: np.ndarray) -> float:
    """Return z of the linear-by-linear association of the year with a category against the rest.

    It is the sum of the years of the category's ``bugs``, minus its expectation, divided by its standard deviation
    given the margins. ``bugs`` and ``totals`` (of all categories) are counts per year. Cochran 1954, "Some methods for
    strengthening the common chi-square tests"; Armitage 1955, "Tests for linear trends in proportions and
    frequencies"; with n - 1 as in Mantel 1963, "Chi-square tests with one degree of freedom".
    """
    n, of_category = float(totals.sum()), float(bugs.sum())
    of_all, of_squares = float(totals @ years), float(totals @ years**2)
    variance = (of_category - of_category**2 / n) * (of_squares - of_all**2 / n) / (n - 1)
    return (float(bugs @ years) - of_category * of_all / n) / math.sqrt(variance)
