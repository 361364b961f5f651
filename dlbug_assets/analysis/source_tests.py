"""The sources of a study compared by counts: whether the distributions differ, how much, and in which categories.

The test of means (``comparison``) compares shares and ignores the number of bugs behind them; these tests do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np
import polars as pl

from dlbug_assets.analysis.comparison import compared_dimensions
from dlbug_assets.analysis.statistics.intervals import ALPHA
from dlbug_assets.analysis.statistics.multiplicity import with_corrections
from dlbug_assets.analysis.statistics.pools import member
from dlbug_assets.analysis.statistics.resampling import (
    cluster_table,
    filter_clusters,
    generator,
    monte_carlo_p,
    shuffled_clusters,
    shuffled_tables,
)
from dlbug_assets.parallel import parallel_map
from dlbug_assets.protocol.names import slug
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

#: The number of random tables with the same margins, and of shuffles of clusters, of each test.
RESAMPLES, CLUSTER_RESAMPLES = 9999, 1999

#: Why a dimension is not tested in which a bug may have several categories: it would be in several cells of the table.
SEVERAL_CATEGORIES = "bugs have several categories: see source_comparison"

# Statistics of tables that should be equal may differ in the last digits.
_ROUNDING = 1e-9


def source_tests(counts: pl.DataFrame, clusters: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return analysis.source_tests: whether bugs are distributed alike in the sources.

    One row per library (and `All`) and dimension. ``counts`` is analysis.label_counts, ``clusters``
    analysis.cluster_counts. If three sources or more are compared, those without labels are left out.

    Columns: library, dimension, bugs_<source> of each source (with a label in the dimension), categories (the number
    that occur), chi_square (Pearson), p_permutation (share of the tables with the same margins whose chi-square is at
    least as large), p_fisher (share of those that are at most as likely; Freeman and Halton 1951), resamples, cramers_v
    (0..1; Cramer 1946), p_clusters (like p_permutation, but with whole clusters shuffled among the sources), p_holm and
    p_benjamini_hochberg over every defined p_permutation, family (their number) and undefined_reason.

    p_permutation and p_fisher use the same :data:`RESAMPLES` tables. They estimate what scipy's ``chi2_contingency``
    and ``fisher_exact`` estimate by Monte Carlo, from one random sample of tables instead of two.
    """
    rows = parallel_map(partial(_test_part, clusters=clusters, study=study), _parts(counts, study))
    corrections = ("p_holm", "p_benjamini_hochberg", "family")
    tests = pl.DataFrame(rows, schema=table_schema("analysis.source_tests", study, without=corrections))
    return with_corrections(tests, "p_permutation", study).select(*table_schema("analysis.source_tests", study))


def source_residuals(counts: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return analysis.source_residuals: the categories in which the two sources of a study differ.

    One row per library (and `All`), dimension and category. ``counts`` is analysis.label_counts.

    Columns: library, dimension, category, bugs_<source> of both sources, expected_<source> of the second (its bugs if
    the category had the same share in both), residual (adjusted standardized residual of its cell, above 0 if it has
    more bugs than expected; Haberman 1973), bound (two-sided 95% quantile of the normal distribution with Bonferroni's
    correction for the number of categories), differs (whether the residual exceeds the bound) and undefined_reason.
    """
    rows: list[dict[str, object]] = []
    for part in _parts(counts, study):
        missing = _missing(part)
        residuals = {} if missing else _residuals(part)
        for category, bugs in zip(part.categories, part.table.T.tolist(), strict=True):
            constant = None if category in residuals else f"{'every' if any(bugs) else 'no'} bug has it"
            rows.append({"library": part.library, "dimension": part.dimension, "category": category,
                         **_by_source(part, bugs), "undefined_reason": missing or constant,
                         **residuals.get(category, {})})  # fmt: skip
    return pl.DataFrame(rows, schema=table_schema("analysis.source_residuals", study))


@dataclass(frozen=True)
class _Part:
    """The bugs of a library in one dimension, of which they may have several categories.

    ``table`` has a row per source and a column per category; ``totals`` are the bugs with any label by source.
    """

    library: str
    dimension: str
    is_multiple: bool
    sources: tuple[str, ...]
    categories: pl.Series
    table: np.ndarray
    totals: np.ndarray


def _parts(counts: pl.DataFrame, study: Study) -> list[_Part]:
    """Return the parts of each library (and `All`) and compared dimension."""
    multiple = {dimension.name: dimension.multiple for dimension in study.dimensions}
    compared = counts.filter(
        (pl.col("source") != "both") & pl.col("dimension").is_in(compared_dimensions(counts, study))
    )  # fmt: skip
    parts: list[_Part] = []
    for (library, dimension), cells in compared.group_by(["library", "dimension"], maintain_order=True):
        by_source = dict(cells.group_by(["source"], maintain_order=True))
        rows = [by_source[source,] for source in study.source_names]
        parts.append(
            _Part(
                str(library),
                str(dimension),
                multiple[str(dimension)],
                study.source_names,
                rows[0]["category"],
                np.array([row["bugs"].to_list() for row in rows]),
                np.array([row["total"][0] for row in rows]),
            )
        )
    return parts


def _by_source(part: _Part, bugs: list[int]) -> dict[str, object]:
    return {f"bugs_{slug(source)}": n for source, n in zip(part.sources, bugs, strict=True)}


def _missing(part: _Part) -> str | None:
    """Return why the sources cannot be compared, None if they can."""
    label = part.dimension.replace("_", " ")
    without = [source for source, total in zip(part.sources, part.totals, strict=True) if total == 0]
    if len(part.sources) - len(without) < 2:  # noqa: PLR2004
        return f"no bug has a label in {label}: {', '.join(without)}"
    if not part.is_multiple and np.count_nonzero(part.table.sum(axis=0)) < 2:  # noqa: PLR2004
        return "all bugs are of one category"
    return None


def _test_part(part: _Part, clusters: pl.DataFrame, study: Study) -> dict[str, object]:
    used = part.table.sum(axis=0) > 0
    row: dict[str, object] = {
        "library": part.library, "dimension": part.dimension, **_by_source(part, part.totals.tolist()),
        "categories": int(used.sum()),
    }  # fmt: skip
    missing = _missing(part) or (SEVERAL_CATEGORIES if part.is_multiple else None)
    if missing:
        return row | {"undefined_reason": missing}
    tested = part.totals > 0
    groups = [
        # Without the number of all bugs of a cluster, which is the sum of the others.
        cluster_table(filter_clusters(clusters, source, part.library, part.dimension), part.categories)[:, :-1]
        for source, is_tested in zip(part.sources, tested, strict=True)
        if is_tested
    ]
    random = generator(study.study.seed, "test", member(study, "library", part.library), part.dimension)
    return row | _test_bugs(part.table[tested][:, used], random) | {"p_clusters": _test_clusters(groups, random)}


def _test_bugs(table: np.ndarray, random: np.random.Generator) -> dict[str, object]:
    from scipy.special import gammaln  # noqa: PLC0415 - slow to import
    from scipy.stats.contingency import association, expected_freq  # noqa: PLC0415 - slow to import

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
        "cramers_v": float(association(table, method="cramer")),
        "resamples": RESAMPLES,
        **{name: monte_carlo_p(extreme, RESAMPLES) for name, extreme in as_extreme.items()},
    }


def _test_clusters(groups: Sequence[np.ndarray], random: np.random.Generator) -> float:
    """Return the P value of chi-square with whole clusters (rows of bugs by category) shuffled among the sources."""
    of_all = np.sum([group.sum(axis=0) for group in groups], axis=0)
    used = of_all > 0

    def chi_square(tables: np.ndarray) -> np.ndarray:
        # The sizes of the sources differ between shuffles, those of the categories do not.
        expected = tables.sum(axis=-1, keepdims=True) * (of_all[used] / of_all.sum())
        return ((tables[..., used] - expected) ** 2 / expected).sum(axis=(-2, -1))

    observed = chi_square(np.stack([group.sum(axis=0) for group in groups]))
    shuffled = chi_square(shuffled_clusters(groups, CLUSTER_RESAMPLES, random))
    return monte_carlo_p(int((shuffled >= observed * (1 - _ROUNDING)).sum()), CLUSTER_RESAMPLES)


def _residuals(part: _Part) -> dict[str, dict[str, object]]:
    """Return the last columns of source_residuals by category, of those that some bugs have and others have not."""
    of_all = part.table.sum(axis=0)
    tested = (of_all > 0) & (of_all < part.totals.sum())
    expected, residuals = adjusted_residuals(part.table[:, tested], part.totals)
    bound = NormalDist().inv_cdf(1 - ALPHA / (2 * tested.sum()))
    categories = [category for category, is_tested in zip(part.categories, tested, strict=True) if is_tested]
    return {
        category: {f"expected_{slug(part.sources[1])}": float(of_second), "residual": float(residual), "bound": bound,
                   "differs": bool(abs(residual) > bound)}
        for category, of_second, residual in zip(categories, expected[1], residuals[1], strict=True)
    }  # fmt: skip


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
