"""The sources of a study compared by the shares of its libraries: a test of equal means per category.

The test compares one share per library and source: with five libraries and two sources, five shares with five.
"""

import math
import statistics
from collections.abc import Sequence

import polars as pl

from dlbug_assets.analysis.statistics.multiplicity import with_corrections
from dlbug_assets.analysis.statistics.shares import whole_percent
from dlbug_assets.protocol.names import slug
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

#: The significance level of the test.
SIGNIFICANCE = 0.05


def student_t_test(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the two-sided P value of Student's t-test with pooled variance, None if neither sample varies.

    Equals ``scipy.stats.ttest_ind(first, second, equal_var=True)``, but is a hundred times as fast. Means and variances
    are exact, so that a constant sample causes no loss of precision, of which scipy warns (Student 1908, "The probable
    error of a mean").
    """
    from scipy.special import stdtr  # noqa: PLC0415 - slow to import

    if len(set(first)) == 1 and len(set(second)) == 1:
        return None
    sizes = len(first), len(second)
    degrees = sum(sizes) - 2
    variance = sum((len(sample) - 1) * statistics.variance(sample) for sample in (first, second)) / degrees
    error = math.sqrt(variance * sum(1 / size for size in sizes))
    return float(2 * stdtr(degrees, -abs(statistics.mean(first) - statistics.mean(second)) / error))


def equal_means_test(samples: Sequence[Sequence[float]]) -> float | None:
    """Return the P value of the hypothesis that samples have the same mean, None if none of them varies.

    Of two samples that of Student's t-test, of more that of one-way analysis of variance, which for two samples is the
    same (Fisher 1925, "Statistical methods for research workers").
    """
    if len(samples) == 2:  # noqa: PLR2004
        return student_t_test(*samples)
    if all(len(set(sample)) == 1 for sample in samples):
        return None
    from scipy.stats import f_oneway  # noqa: PLC0415 - slow to import

    return float(f_oneway(*samples).pvalue)


def source_comparison(counts: pl.DataFrame, published: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return analysis.source_comparison: a test of equal means for every category of the compared dimensions.

    ``counts`` is analysis.label_counts, ``published`` reference.published_cells. For the compared dimensions see
    :func:`compared_dimensions`, for the sources :func:`labelled_sources`.

    Columns: dimension, category, mean_share_<source> of each source (means of the libraries' shares, 0..1), p_paper
    (from exact shares), p_paper_rounded (from shares rounded to whole percent, halves away from zero, like printed P
    values), p_published, p_holm (Holm 1979, over the defined p_paper of all dimensions), rejects (p_paper < 0.05) and
    undefined_reason. Undefined values are NULL.
    """
    printed = {
        (dimension, category): p
        for dimension, category, p in published.filter(pl.col("unit") == "p")
        .select("dimension", "category", "value")
        .iter_rows()
    }
    per_library = counts.filter(pl.col("library") != "All")
    rows = []
    for dimension in compared_dimensions(counts, study):
        sources = labelled_sources(counts, dimension, study)
        of_dimension = per_library.filter((pl.col("dimension") == dimension) & pl.col("source").is_in(sources))
        missing = _missing_totals(of_dimension, dimension)
        for (category,), cells in of_dimension.group_by(["category"], maintain_order=True):
            row = {"undefined_reason": missing} if missing else _test_category(cells)
            rows.append({"dimension": dimension, "category": category, **row,
                         "p_published": printed.get((dimension, category))})  # fmt: skip
    tests = pl.DataFrame(rows, schema=table_schema("analysis.source_comparison", study, without=["p_holm"]))
    return with_corrections(tests, "p_paper", study).select(*table_schema("analysis.source_comparison", study))


def compared_dimensions(counts: pl.DataFrame, study: Study) -> list[str]:
    """Return the dimensions in which sources are compared.

    They are those asked of all items, and others, also rolled up, if two sources or more have labels.
    """
    sampled = {dimension.name for dimension in study.asked if dimension.asked_of != "all"}
    return [
        dimension.name
        for dimension in study.dimensions
        if (dimension.rolls_up or dimension.name) not in sampled or len(_with_labels(counts, dimension.name, study)) > 1
    ]


def labelled_sources(counts: pl.DataFrame, dimension: str, study: Study) -> tuple[str, ...]:
    """Return the sources that are compared in a dimension: those with labels, or all if fewer than two have any."""
    found = _with_labels(counts, dimension, study)
    return found if len(found) > 1 else study.source_names


def _with_labels(counts: pl.DataFrame, dimension: str, study: Study) -> tuple[str, ...]:
    found = counts.filter(
        (pl.col("dimension") == dimension) & (pl.col("library") == "All") & (pl.col("total") > 0)
    )["source"].unique()  # fmt: skip
    return tuple(source for source in study.source_names if source in found)


def _missing_totals(cells: pl.DataFrame, dimension: str) -> str | None:
    """Return why the shares of a dimension cannot be compared, None if they can.

    A library without labels in the dimension has no share.
    """
    label = dimension.replace("_", " ")
    without = cells.filter(pl.col("total") == 0).select("source", "library").unique(maintain_order=True)
    if cells["total"].sum() == 0:
        return f"no bug has a label in {label}"
    if without.height:
        names = ", ".join(f"{library} ({source})" for source, library in without.iter_rows())
        return f"no bug has a label in {label}: {names}"
    if cells["library"].n_unique() < 2:  # noqa: PLR2004
        test = "a t-test" if cells["source"].n_unique() == 2 else "an analysis of variance"  # noqa: PLR2004
        return f"{test} needs two libraries or more"
    return None


def _test_category(cells: pl.DataFrame) -> dict[str, object]:
    exact, rounded = {}, {}
    for (source,), of_source in cells.group_by(["source"], maintain_order=True):
        shares = of_source.select("bugs", "total").rows()
        exact[source] = [bugs / total for bugs, total in shares]
        rounded[source] = [whole_percent(bugs, total) for bugs, total in shares]
    p_paper, p_rounded = (equal_means_test(list(shares.values())) for shares in (exact, rounded))
    sources = "either source" if len(exact) == 2 else "any source"  # noqa: PLR2004
    reason = None
    if p_paper is None:
        reason = f"the shares do not vary within {sources}"
    elif p_rounded is None:
        reason = f"p_paper_rounded: rounded to whole percent the shares do not vary within {sources}"
    return {
        **{f"mean_share_{slug(str(source))}": statistics.mean(shares) for source, shares in exact.items()},
        "p_paper": p_paper,
        "p_paper_rounded": p_rounded,
        "rejects": None if p_paper is None else p_paper < SIGNIFICANCE,
        "undefined_reason": reason,
    }
