"""The sources of a study compared by counts: whether the distributions differ, how much, and in which categories.

One rule decides: the sources differ in a library and dimension if p_holm is below 5%, which is the P value of a
permutation test of whole clusters (``statistics/cluster_tests``), corrected by Holm over all libraries and dimensions.
With fewer than :data:`ENOUGH_CLUSTERS` clusters in a source, nothing is decided. Tests that take bugs as independent
are shown beside it, as papers report them. The test of means (``comparison``) compares shares and ignores the number of
bugs behind them.

p_score is a second opinion: a score test under one intraclass correlation of all clusters, without permutations. It
takes the place of a multilevel logistic model with an intercept per cluster. In such data most clusters have one bug,
which tells nothing about the variance of intercepts; a category that one source lacks makes the model's effect
infinite; and it needs a choice of prior or penalty, and a dependency, for a question that the permutation test answers
without them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from dlbug_assets.analysis.comparison import compared_dimensions
from dlbug_assets.analysis.statistics.cluster_tests import ClusterTest, compare_clusters
from dlbug_assets.analysis.statistics.intervals import ALPHA
from dlbug_assets.analysis.statistics.multiplicity import with_corrections
from dlbug_assets.analysis.statistics.pools import member
from dlbug_assets.analysis.statistics.resampling import (
    cluster_table,
    filter_clusters,
    generator,
    monte_carlo_p,
    shuffled_tables,
)
from dlbug_assets.analysis.statistics.shares import ENOUGH_CLUSTERS
from dlbug_assets.parallel import parallel_map
from dlbug_assets.protocol.names import slug
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

#: The number of random tables with the same margins, and of permutations of clusters, of each test.
RESAMPLES = 9999

#: Why a dimension is not tested in which a bug may have several categories: it would be in several cells of the table.
SEVERAL_CATEGORIES = "bugs have several categories: see source_comparison"

# Statistics of tables that should be equal may differ in the last digits.
_ROUNDING = 1e-9


def source_differences(counts: pl.DataFrame, clusters: pl.DataFrame, study: Study) -> dict[str, pl.DataFrame]:
    """Return the rows of analysis.source_tests and, if two sources are compared, analysis.source_residuals.

    ``counts`` is analysis.label_counts, ``clusters`` analysis.cluster_counts. Both tables use the same permutations.
    """
    parts = _parts(counts, clusters, study)
    tables = {"source_tests": source_tests(parts, study)}
    if len(study.source_names) == 2:  # noqa: PLR2004
        tables["source_residuals"] = source_residuals(parts, study)
    return tables


def source_tests(parts: "Sequence[_Part]", study: Study) -> pl.DataFrame:
    """Return analysis.source_tests: whether bugs are distributed alike in the sources.

    One row per library (and `All`) and dimension. If three sources or more are compared, those without labels are left
    out.

    Columns: library, dimension, bugs_<source> and clusters_<source> of each source (with a label in the dimension),
    categories (the number that occur), chi_square (Pearson), p_permutation (share of the tables with the same margins
    whose chi-square is at least as large), p_fisher (share of those that are at most as likely; Freeman and Halton
    1951), resamples, cramers_v (0..1, with Bergsma's correction), p_clusters and p_score (see
    :func:`~dlbug_assets.analysis.statistics.cluster_tests.compare_clusters`), p_holm and p_benjamini_hochberg over
    every defined p_clusters, family (their number), decision (`differ` if p_holm is below 5%, else
    `no difference shown`, or `undecided`), undecided_reason and undefined_reason.

    p_permutation and p_fisher use the same :data:`RESAMPLES` tables. They estimate what scipy's ``chi2_contingency``
    and ``fisher_exact`` estimate by Monte Carlo, from one random sample of tables instead of two.
    """
    rows = parallel_map(_test_part, parts)
    later = ("p_holm", "p_benjamini_hochberg", "family", "decision")
    tests = pl.DataFrame(rows, schema=table_schema("analysis.source_tests", study, without=later))
    return (
        with_corrections(tests, "p_clusters", study)
        .with_columns(
            decision=pl.when(pl.col("p_clusters").is_null())
            .then(None)
            .when(pl.col("undecided_reason").is_not_null())
            .then(pl.lit("undecided"))
            .when(pl.col("p_holm") < ALPHA)
            .then(pl.lit("differ"))
            .otherwise(pl.lit("no difference shown"))
        )
        .select(*table_schema("analysis.source_tests", study))
    )


def source_residuals(parts: "Sequence[_Part]", study: Study) -> pl.DataFrame:
    """Return analysis.source_residuals: the categories in which the two sources of a study differ.

    One row per library (and `All`), dimension and category.

    Columns: library, dimension, category, bugs_<source> of both sources, expected_<source> of the second (its bugs if
    the category had the same share in both), residual (adjusted standardized residual of its cell, above 0 if it has
    more bugs than expected; Haberman 1973), p_clusters (of the category, corrected for the number of categories; see
    :func:`~dlbug_assets.analysis.statistics.cluster_tests.compare_clusters`), differs (whether it is below 5%),
    undecided_reason and undefined_reason.
    """
    rows = parallel_map(_category_rows, parts)
    return pl.DataFrame([row for part in rows for row in part], schema=table_schema("analysis.source_residuals", study))


def _category_rows(part: "_Part") -> list[dict[str, object]]:
    residuals = {} if part.missing else _residuals(part)
    rows: list[dict[str, object]] = []
    for category, bugs in zip(part.categories, part.table.T.tolist(), strict=True):
        constant = None if category in residuals else f"{'every' if any(bugs) else 'no'} bug has it"
        rows.append({"library": part.library, "dimension": part.dimension, "category": category,
                     **_by_source("bugs", part, bugs), "undefined_reason": part.missing or constant,
                     **residuals.get(category, {})})  # fmt: skip
    return rows


@dataclass(frozen=True)
class _Part:
    """The bugs of a library in one dimension, of which they may have several categories.

    ``table`` has a row per source and a column per category; ``totals`` are the bugs with any label by source,
    ``clusters`` those by cluster, as :func:`~dlbug_assets.analysis.statistics.resampling.cluster_table` returns them.
    ``purpose`` is that of the random numbers.
    """

    library: str
    dimension: str
    is_multiple: bool
    sources: tuple[str, ...]
    categories: pl.Series
    table: np.ndarray
    totals: np.ndarray
    clusters: tuple[np.ndarray, ...]
    purpose: tuple[int, str, str, str]

    @cached_property
    def missing(self) -> str | None:
        """Why the sources cannot be compared, None if they can."""
        label = self.dimension.replace("_", " ")
        without = [source for source, total in zip(self.sources, self.totals, strict=True) if total == 0]
        if len(self.sources) - len(without) < 2:  # noqa: PLR2004
            return f"no bug has a label in {label}: {', '.join(without)}"
        if not self.is_multiple and np.count_nonzero(self.table.sum(axis=0)) < 2:  # noqa: PLR2004
            return "all bugs are of one category"
        return None

    @cached_property
    def undecided(self) -> str | None:
        """Why the clusters decide nothing, None if they do."""
        numbers = {source: len(table) for source, table in zip(self.sources, self.clusters, strict=True) if len(table)}
        alone = [source for source, number in numbers.items() if number == 1]
        few = [source for source, number in numbers.items() if number < ENOUGH_CLUSTERS]
        if alone:
            return f"one cluster in {', '.join(alone)}"
        return f"fewer than {ENOUGH_CLUSTERS} clusters in {', '.join(few)}" if few else None

    @cached_property
    def compared(self) -> ClusterTest | None:
        """The test of clusters, None if a source has only one."""
        tested = [table for table in self.clusters if len(table)]
        return None if min(map(len, tested)) == 1 else compare_clusters(tested, RESAMPLES, generator(*self.purpose))


def _parts(counts: pl.DataFrame, clusters: pl.DataFrame, study: Study) -> list[_Part]:
    """Return the parts of each library (and `All`) and compared dimension."""
    multiple = {dimension.name: dimension.multiple for dimension in study.dimensions}
    compared = counts.filter(
        (pl.col("source") != "both") & pl.col("dimension").is_in(compared_dimensions(counts, study))
    )  # fmt: skip
    parts: list[_Part] = []
    for key, cells in compared.group_by(["library", "dimension"], maintain_order=True):
        library, dimension = map(str, key)
        by_source = dict(cells.group_by(["source"], maintain_order=True))
        rows = [by_source[source,] for source in study.source_names]
        categories = rows[0]["category"]
        parts.append(
            _Part(
                library,
                dimension,
                multiple[dimension],
                study.source_names,
                categories,
                np.array([row["bugs"].to_list() for row in rows]),
                np.array([row["total"][0] for row in rows]),
                tuple(
                    cluster_table(filter_clusters(clusters, source, library, dimension), categories)
                    for source in study.source_names
                ),
                (study.study.seed, "test", member(study, "library", library), dimension),
            )
        )
    return parts


def _by_source(name: str, part: _Part, numbers: Sequence[int]) -> dict[str, object]:
    return {f"{name}_{slug(source)}": n for source, n in zip(part.sources, numbers, strict=True)}


def _test_part(part: _Part) -> dict[str, object]:
    used = part.table.sum(axis=0) > 0
    row: dict[str, object] = {
        "library": part.library, "dimension": part.dimension, **_by_source("bugs", part, part.totals.tolist()),
        **_by_source("clusters", part, [len(table) for table in part.clusters]), "categories": int(used.sum()),
    }  # fmt: skip
    missing = part.missing or (SEVERAL_CATEGORIES if part.is_multiple else None)
    if missing:
        return row | {"undefined_reason": missing}
    tested = part.totals > 0
    row |= _test_bugs(part.table[tested][:, used], generator(*part.purpose)) | {"undecided_reason": part.undecided}
    from scipy.special import chdtrc  # noqa: PLC0415 - slow to import

    found = part.compared
    if found is None:
        return row
    freedom = (int(tested.sum()) - 1) * (int(used.sum()) - 1)
    return row | {"p_clusters": found.p, "p_score": float(chdtrc(freedom, found.score))}


def _test_bugs(table: np.ndarray, random: np.random.Generator) -> dict[str, object]:
    from scipy.special import gammaln  # noqa: PLC0415 - slow to import
    from scipy.stats.contingency import expected_freq  # noqa: PLC0415 - slow to import

    expected = expected_freq(table)
    shuffled = shuffled_tables(table.sum(axis=1), table.sum(axis=0), RESAMPLES, random)

    def chi_square(tables: np.ndarray) -> np.ndarray:
        return ((tables - expected) ** 2 / expected).sum(axis=(-2, -1))

    def improbability(tables: np.ndarray) -> np.ndarray:
        # The probability of a table with these margins is a constant divided by the product of its cells' factorials.
        return gammaln(tables + 1).sum(axis=(-2, -1))

    as_extreme = {
        name: int((statistic(shuffled) >= statistic(table) * (1 - _ROUNDING)).sum())
        for name, statistic in (("p_permutation", chi_square), ("p_fisher", improbability))
    }
    return {
        "chi_square": float(chi_square(table)),
        "cramers_v": cramers_v(float(chi_square(table)), int(table.sum()), *table.shape),
        "resamples": RESAMPLES,
        **{name: monte_carlo_p(extreme, RESAMPLES) for name, extreme in as_extreme.items()},
    }


def cramers_v(chi_square: float, bugs: int, rows: int, columns: int) -> float:
    """Return Cramer's V of a contingency table, 0..1, corrected for its bias upwards in small tables.

    Bergsma 2013, "A bias-correction for Cramer's V and Tschuprow's T". The table has no empty row or column.
    """
    squared = chi_square / bugs - (rows - 1) * (columns - 1) / (bugs - 1)
    if squared <= 0:
        return 0.0
    sides = (side - (side - 1) ** 2 / (bugs - 1) for side in (rows, columns))
    return min((squared / (min(sides) - 1)) ** 0.5, 1.0)


def _residuals(part: _Part) -> dict[str, dict[str, object]]:
    """Return the last columns of source_residuals by category, of those that some bugs have and others have not."""
    of_all = part.table.sum(axis=0)
    tested = (of_all > 0) & (of_all < part.totals.sum())
    expected, residuals = adjusted_residuals(part.table[:, tested], part.totals)
    found = part.compared
    rows: dict[str, dict[str, object]] = {}
    for place, of_second, residual in zip(np.flatnonzero(tested), expected[1], residuals[1], strict=True):
        p = None if found is None else float(found.p_categories[place])
        rows[part.categories[int(place)]] = {
            f"expected_{slug(part.sources[1])}": float(of_second), "residual": float(residual), "p_clusters": p,
            "differs": None if p is None or part.undecided else p < ALPHA, "undecided_reason": part.undecided,
        }  # fmt: skip
    return rows


def adjusted_residuals(table: np.ndarray, totals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected counts and the adjusted standardized residuals of having each category against not having it.

    Both have the shape of ``table``: bugs by group (rows) and category (columns); ``totals`` are the bugs of each
    group. Every group has bugs, and some bugs have a category while others have not. If each bug has one category,
    these are the residuals of ``table`` as a contingency table. Haberman 1973, "The analysis of residuals in
    cross-classified tables": Pearson's residual divided by the square root of
    (1 - share of the group) (1 - share of the category).
    """
    total = totals.sum()
    rows, columns = totals / total, table.sum(axis=0) / total
    expected = total * np.outer(rows, columns)
    return expected, (table - expected) / np.sqrt(expected) / np.sqrt(np.outer(1 - rows, 1 - columns))
