"""Stack Overflow against GitHub on counts: whether the distributions differ, how much, and in which categories.

The paper's own test (``comparison``) compares shares and ignores the number of bugs behind them; these tests do not.
"""

from functools import partial
from statistics import NormalDist

import numpy as np
import polars as pl

from dlbug_assets.analysis.comparison import compared_dimensions
from dlbug_assets.analysis.statistics.intervals import ALPHA
from dlbug_assets.analysis.statistics.multiplicity import with_corrections
from dlbug_assets.analysis.statistics.resampling import (
    cluster_table,
    filter_clusters,
    generator,
    monte_carlo_p,
    shuffled_bugs,
    shuffled_clusters,
)
from dlbug_assets.parallel import parallel_map
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import GITHUB, STACK_OVERFLOW
from dlbug_assets.warehouse.rows import table_schema

#: The number of random tables with the same margins, and of shuffles of clusters, of each test.
RESAMPLES, CLUSTER_RESAMPLES = 9999, 1999

# Statistics of tables that should be equal may differ in the last digits.
_ROUNDING = 1e-9


def source_tests(counts: pl.DataFrame, clusters: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return analysis.source_tests: whether bugs are distributed alike on Stack Overflow and GitHub.

    One row per library (and `All`) and dimension. ``counts`` is analysis.label_counts, ``clusters``
    analysis.cluster_counts.

    Columns: library, dimension, bugs_stack_overflow, bugs_github, categories (the number that occur), chi_square
    (Pearson), p_permutation (share of the tables with the same margins whose chi-square is at least as large), p_fisher
    (share of those that are at most as likely; Freeman and Halton 1951), resamples, cramers_v (0..1; Cramer 1946),
    p_clusters (like p_permutation, but with whole clusters shuffled between the sources), p_holm and
    p_benjamini_hochberg over every defined p_permutation, family (their number) and undefined_reason.

    p_permutation and p_fisher use the same :data:`RESAMPLES` tables. They estimate what scipy's ``chi2_contingency``
    and ``fisher_exact`` estimate by Monte Carlo, from one random sample of tables instead of two.
    """
    rows = parallel_map(partial(_test_part, clusters=clusters, seed=study.study.seed), _parts(counts))
    corrections = ("p_holm", "p_benjamini_hochberg", "family")
    tests = pl.DataFrame(rows, schema=table_schema("analysis.source_tests", study, without=corrections))
    return with_corrections(tests, "p_permutation").select(*table_schema("analysis.source_tests", study))


def _test_part(part: tuple[str, str, pl.DataFrame], clusters: pl.DataFrame, seed: int) -> dict[str, object]:
    library, dimension, cells = part
    table = _contingency_table(cells)
    row: dict[str, object] = {"library": library, "dimension": dimension, "bugs_stack_overflow": int(table[0].sum()),
           "bugs_github": int(table[1].sum()), "categories": table.shape[1]}  # fmt: skip
    missing = _missing(table, dimension)
    if missing:
        return row | {"undefined_reason": missing}
    stack_overflow, github = (
        cluster_table(filter_clusters(clusters, source, library, dimension), cells["category"])
        for source in (STACK_OVERFLOW, GITHUB)
    )
    random = generator(seed, "test", library, dimension)
    return row | _test_bugs(table, random) | {"p_clusters": _test_clusters(stack_overflow, github, random)}


def source_residuals(counts: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return analysis.source_residuals: the categories in which the sources differ.

    One row per library (and `All`), dimension and category. ``counts`` is analysis.label_counts.

    Columns: library, dimension, category, bugs_stack_overflow, bugs_github, expected_github (bugs on GitHub if the
    distributions were equal), residual (adjusted standardized residual of GitHub's cell, above 0 if GitHub has more
    bugs than expected; Haberman 1973), bound (two-sided 95% quantile of the normal distribution with Bonferroni's
    correction for the number of categories), differs (whether the residual exceeds the bound) and undefined_reason.
    """
    rows: list[dict[str, object]] = []
    for library, dimension, cells in _parts(counts):
        missing = _missing(_contingency_table(cells), dimension)
        used = cells.filter(pl.col("bugs_stack_overflow") + pl.col("bugs_github") > 0)
        residuals = {} if missing else _residuals(used)
        for category, on_stack_overflow, on_github in cells.iter_rows():
            unused = None if category in residuals else "no bug has it"
            rows.append({"library": library, "dimension": dimension, "category": category,
                         "bugs_stack_overflow": on_stack_overflow, "bugs_github": on_github,
                         "undefined_reason": missing or unused, **residuals.get(category, {})})  # fmt: skip
    return pl.DataFrame(rows, schema=table_schema("analysis.source_residuals", study))


def _parts(counts: pl.DataFrame) -> list[tuple[str, str, pl.DataFrame]]:
    """Return each library and compared dimension with its bugs: category, bugs_stack_overflow, bugs_github."""
    github = counts.filter(pl.col("source") == GITHUB).select(
        "library", "dimension", "category", bugs_github="bugs"
    )  # fmt: skip
    cells = counts.filter(
        (pl.col("source") == STACK_OVERFLOW) & pl.col("dimension").is_in(compared_dimensions(counts))
    ).join(github, on=["library", "dimension", "category"], maintain_order="left")  # fmt: skip
    return [
        (library, dimension, part.select("category", pl.col("bugs").alias("bugs_stack_overflow"), "bugs_github"))
        for (library, dimension), part in cells.group_by(["library", "dimension"], maintain_order=True)
    ]


def _contingency_table(cells: pl.DataFrame) -> np.ndarray:
    """Return the bugs by source (two rows, Stack Overflow and GitHub) and category that occurs."""
    table = cells.select("bugs_stack_overflow", "bugs_github").to_numpy().T
    return table[:, table.sum(axis=0) > 0]


def _missing(table: np.ndarray, dimension: str) -> str | None:
    """Return why the sources cannot be compared, None if they can."""
    label = dimension.replace("_", " ")
    without = [name for name, row in zip((STACK_OVERFLOW, GITHUB), table, strict=True) if row.sum() == 0]
    if without:
        return f"no bug has a label in {label}: {', '.join(without)}"
    if table.shape[1] < 2:  # noqa: PLR2004
        return "all bugs are of one category"
    return None


def _test_bugs(table: np.ndarray, random: np.random.Generator) -> dict[str, object]:
    from scipy.special import gammaln  # noqa: PLC0415 - slow to import
    from scipy.stats.contingency import association, expected_freq  # noqa: PLC0415 - slow to import

    expected = expected_freq(table)
    of_both = table.sum(axis=0)
    of_github = shuffled_bugs(of_both, table[1].sum(), RESAMPLES, random)
    shuffled = np.stack([of_both - of_github, of_github], axis=1)

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


def _test_clusters(stack_overflow: np.ndarray, github: np.ndarray, random: np.random.Generator) -> float:
    """Return the P value of chi-square with whole clusters (rows of bugs by category) shuffled between the sources."""
    total = stack_overflow.sum(axis=0) + github.sum(axis=0)

    def chi_square(of_github: np.ndarray) -> np.ndarray:
        used, both = of_github[..., total > 0], total[total > 0]
        bugs = used.sum(axis=-1, keepdims=True)
        expected = bugs * both / both.sum()
        # The deviations of the two sources are equal, and their expected bugs add up to the bugs of both.
        return ((used - expected) ** 2 * (1 / expected + 1 / (both - expected))).sum(axis=-1)

    observed = chi_square(github.sum(axis=0))
    shuffled = chi_square(shuffled_clusters(stack_overflow, github, CLUSTER_RESAMPLES, random))
    return monte_carlo_p(int((shuffled >= observed * (1 - _ROUNDING)).sum()), CLUSTER_RESAMPLES)


def _residuals(used: pl.DataFrame) -> dict[str, dict[str, object]]:
    expected, residuals = adjusted_residuals(_contingency_table(used))
    bound = NormalDist().inv_cdf(1 - ALPHA / (2 * used.height))
    return {
        category: {"expected_github": float(of_github), "residual": float(residual), "bound": bound,
                   "differs": bool(abs(residual) > bound)}
        for category, of_github, residual in zip(used["category"], expected[1], residuals[1], strict=True)
    }  # fmt: skip


def adjusted_residuals(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected counts under independence and the adjusted standardized residuals of a contingency table.

    Both have the shape of the table. Every margin is above 0 and below the total. Haberman 1973, "The analysis of
    residuals in cross-classified tables": Pearson's residual divided by the square root of
    (1 - share of the row) (1 - share of the column).
    """
    total = table.sum()
    rows, columns = table.sum(axis=1) / total, table.sum(axis=0) / total
    expected = total * np.outer(rows, columns)
    return expected, (table - expected) / np.sqrt(expected) / np.sqrt(np.outer(1 - rows, 1 - columns))
