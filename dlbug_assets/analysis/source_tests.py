"""Stack Overflow against GitHub on counts: whether the distributions differ, how much, and in which categories.

The paper's own test (``comparison``) knows one share per library and source; these know how many bugs a share is of.
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
    generator,
    in_scope,
    share_as_extreme,
    shuffled_bugs,
    shuffled_clusters,
)
from dlbug_assets.parallel import parallel_map
from dlbug_assets.protocol.taxonomy import GITHUB, STACK_OVERFLOW

#: Tables with the same margins that each test draws, and shuffles of clusters.
RESAMPLES, CLUSTER_RESAMPLES = 9999, 1999

#: Statistics of tables that should be equal may differ in the last digits.
_ROUNDING = 1e-9

_TESTS = {
    "library": pl.String,
    "dimension": pl.String,
    "bugs_stack_overflow": pl.Int64,
    "bugs_github": pl.Int64,
    "categories": pl.Int64,
    "chi_square": pl.Float64,
    "p_permutation": pl.Float64,
    "p_fisher": pl.Float64,
    "resamples": pl.Int64,
    "cramers_v": pl.Float64,
    "p_clusters": pl.Float64,
    "undefined_reason": pl.String,
}

_RESIDUALS = {
    "library": pl.String,
    "dimension": pl.String,
    "category": pl.String,
    "bugs_stack_overflow": pl.Int64,
    "bugs_github": pl.Int64,
    "expected_github": pl.Float64,
    "residual": pl.Float64,
    "bound": pl.Float64,
    "differs": pl.Boolean,
    "undefined_reason": pl.String,
}


def source_tests(counts: pl.DataFrame, clusters: pl.DataFrame, seed: int) -> pl.DataFrame:
    """One row per library (and `All`) and dimension: are bugs distributed alike on Stack Overflow and GitHub?

    ``counts``: analysis.label_counts; ``clusters``: analysis.cluster_counts. Gives library, dimension,
    bugs_stack_overflow, bugs_github, categories (those that occur), chi_square (Pearson), p_permutation (share of
    tables with the same margins whose chi-square is as large), p_fisher (of those that are no likelier; Freeman and
    Halton 1951), resamples, cramers_v (0..1; Cramer 1946), p_clusters (as p_permutation, but whole clusters change
    their source and not single bugs), p_holm and p_benjamini_hochberg over every defined p_permutation (family: how
    many), undefined_reason.

    p_permutation and p_fisher are of the same :data:`RESAMPLES` tables. They are those of scipy's
    ``chi2_contingency`` and ``fisher_exact`` by Monte Carlo, drawn once instead of twice.
    """
    rows = parallel_map(partial(_row, clusters=clusters, seed=seed), _compared(counts))
    return with_corrections(pl.DataFrame(rows, schema=_TESTS), "p_permutation").select(
        *(name for name in _TESTS if name != "undefined_reason"),
        "p_holm", "p_benjamini_hochberg", "family", "undefined_reason",
    )  # fmt: skip


def _row(part: tuple[str, str, pl.DataFrame], clusters: pl.DataFrame, seed: int) -> dict[str, object]:
    library, dimension, cells = part
    table = _table(cells)
    row = {"library": library, "dimension": dimension, "bugs_stack_overflow": int(table[0].sum()),
           "bugs_github": int(table[1].sum()), "categories": table.shape[1]}  # fmt: skip
    missing = _missing(table, dimension)
    if missing:
        return row | {"undefined_reason": missing}
    of_source = [
        cluster_table(in_scope(clusters, source, library, dimension), cells["category"])
        for source in (STACK_OVERFLOW, GITHUB)
    ]
    random = generator(seed, "test", library, dimension)
    return row | _tested(table, random) | {"p_clusters": _by_clusters(*of_source, random)}


def source_residuals(counts: pl.DataFrame) -> pl.DataFrame:
    """One row per library (and `All`), dimension and category: what makes the sources differ.

    ``counts``: analysis.label_counts. Gives library, dimension, category, bugs_stack_overflow, bugs_github,
    expected_github (bugs there if the sources were alike), residual (adjusted standardized one of GitHub's cell:
    above 0 where GitHub has more than its share; Haberman 1973), bound (the 95% one of the normal distribution,
    corrected for the categories of the table; Bonferroni), differs (residual beyond the bound), undefined_reason.
    """
    rows: list[dict[str, object]] = []
    for library, dimension, cells in _compared(counts):
        missing = _missing(_table(cells), dimension)
        used = cells.filter(pl.col("bugs_stack_overflow") + pl.col("bugs_github") > 0)
        found = {} if missing else _residuals(used)
        for category, on_stack_overflow, on_github in cells.iter_rows():
            unused = None if category in found else "no bug has it"
            rows.append({"library": library, "dimension": dimension, "category": category,
                         "bugs_stack_overflow": on_stack_overflow, "bugs_github": on_github,
                         "undefined_reason": missing or unused, **found.get(category, {})})  # fmt: skip
    return pl.DataFrame(rows, schema=_RESIDUALS)


def _compared(counts: pl.DataFrame) -> list[tuple[str, str, pl.DataFrame]]:
    """Library, dimension, and its bugs by category (category, bugs_stack_overflow, bugs_github)."""
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


def _table(cells: pl.DataFrame) -> np.ndarray:
    """Two rows, Stack Overflow and GitHub, by the categories that occur."""
    table = cells.select("bugs_stack_overflow", "bugs_github").to_numpy().T
    return table[:, table.sum(axis=0) > 0]


def _missing(table: np.ndarray, dimension: str) -> str | None:
    label = dimension.replace("_", " ")
    without = [name for name, row in zip((STACK_OVERFLOW, GITHUB), table, strict=True) if row.sum() == 0]
    if without:
        return f"no bug has a label in {label}: {', '.join(without)}"
    if table.shape[1] < 2:  # noqa: PLR2004
        return "all bugs are of one category"
    return None


def _tested(table: np.ndarray, random: np.random.Generator) -> dict[str, object]:
    from scipy.special import gammaln  # noqa: PLC0415 - slow to import
    from scipy.stats.contingency import association, expected_freq  # noqa: PLC0415 - slow to import

    expected = expected_freq(table)
    of_both = table.sum(axis=0)
    of_github = shuffled_bugs(of_both, table[1].sum(), RESAMPLES, random)
    drawn = np.stack([of_both - of_github, of_github], axis=1)

    def chi_square(tables: np.ndarray) -> np.ndarray:
        return ((tables - expected) ** 2 / expected).sum(axis=(-2, -1))

    def improbability(tables: np.ndarray) -> np.ndarray:
        # The probability of a table with these margins is a constant over the product of its cells' factorials.
        return gammaln(tables + 1).sum(axis=(-2, -1))

    as_extreme = {
        name: int((statistic(drawn) >= statistic(table) * (1 - _ROUNDING)).sum())
        for name, statistic in (("p_permutation", chi_square), ("p_fisher", improbability))
    }
    return {
        "chi_square": float(chi_square(table)),
        "cramers_v": float(association(table, method="cramer")),
        "resamples": RESAMPLES,
        **{name: share_as_extreme(extreme, RESAMPLES) for name, extreme in as_extreme.items()},
    }


def _by_clusters(stack_overflow: np.ndarray, github: np.ndarray, random: np.random.Generator) -> float:
    """P value of chi-square where whole clusters (rows of bugs by category) are shuffled between the sources."""
    total = stack_overflow.sum(axis=0) + github.sum(axis=0)

    def chi_square(of_github: np.ndarray) -> np.ndarray:
        used, both = of_github[..., total > 0], total[total > 0]
        bugs = used.sum(axis=-1, keepdims=True)
        expected = bugs * both / both.sum()
        # The deviations of the two sources are the same, their expected bugs add up to those of both.
        return ((used - expected) ** 2 * (1 / expected + 1 / (both - expected))).sum(axis=-1)

    seen = chi_square(github.sum(axis=0))
    drawn = chi_square(shuffled_clusters(stack_overflow, github, CLUSTER_RESAMPLES, random))
    return share_as_extreme(int((drawn >= seen * (1 - _ROUNDING)).sum()), CLUSTER_RESAMPLES)


def _residuals(used: pl.DataFrame) -> dict[str, dict[str, object]]:
    expected, residuals = adjusted_residuals(_table(used))
    bound = NormalDist().inv_cdf(1 - ALPHA / (2 * used.height))
    return {
        category: {"expected_github": float(of_github), "residual": float(residual), "bound": bound,
                   "differs": bool(abs(residual) > bound)}
        for category, of_github, residual in zip(used["category"], expected[1], residuals[1], strict=True)
    }  # fmt: skip


def adjusted_residuals(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected counts of a contingency table under independence and its adjusted standardized residuals,
    both in the shape of the table. Every margin is above 0 and below the total.

    Haberman 1973, "The analysis of residuals in cross-classified tables": Pearson's residual over the square root of
    (1 - share of the row) (1 - share of the column).
    """
    total = table.sum()
    rows, columns = table.sum(axis=1) / total, table.sum(axis=0) / total
    expected = total * np.outer(rows, columns)
    return expected, (table - expected) / np.sqrt(expected) / np.sqrt(np.outer(1 - rows, 1 - columns))
