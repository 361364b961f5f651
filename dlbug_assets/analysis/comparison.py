"""Stack Overflow against GitHub: the paper's t-test per category (sections 3.4, 4.6, 5.4).

The test compares one share per library and source: with five libraries, five shares with five.
"""

import math
import statistics
from collections.abc import Sequence

import polars as pl

from dlbug_assets.analysis.statistics.multiplicity import with_corrections
from dlbug_assets.analysis.statistics.shares import whole_percent
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import GITHUB, STACK_OVERFLOW
from dlbug_assets.warehouse.rows import table_schema

#: The paper's "95% significant level" (section 3.4).
SIGNIFICANCE = 0.05

_ALWAYS_COMPARED = ("bug_type", "root_cause", "effect", "stage")


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


def source_comparison(counts: pl.DataFrame, study: Study, **published_p: pl.DataFrame) -> pl.DataFrame:
    """Return analysis.source_comparison: the paper's test for every category of the compared dimensions.

    ``counts`` is analysis.label_counts. ``published_p`` are frames with category and p_value by dimension: the P value
    columns of Tables 2 to 4. For the compared dimensions see :func:`compared_dimensions`.

    Columns: dimension, category, mean_share_stack_overflow and mean_share_github (means of the libraries' shares,
    0..1), p_paper (from exact shares), p_paper_rounded (from shares rounded to whole percent, halves away from zero,
    like the printed P values), p_published, p_holm (Holm 1979, over the defined p_paper of all dimensions), rejects
    (p_paper < 0.05) and undefined_reason. Undefined values are NULL.
    """
    printed = {
        (dimension, category): p
        for dimension, frame in published_p.items()
        for category, p in frame.select("category", "p_value").iter_rows()
    }
    per_library = counts.filter((pl.col("library") != "All") & pl.col("source").is_in([STACK_OVERFLOW, GITHUB]))
    rows = []
    for dimension in compared_dimensions(counts):
        of_dimension = per_library.filter(pl.col("dimension") == dimension)
        missing = _missing_totals(of_dimension, dimension)
        for (category,), cells in of_dimension.group_by(["category"], maintain_order=True):
            row = _test_category(cells, missing)
            rows.append({"dimension": dimension, "category": category, **row,
                         "p_published": printed.get((dimension, category))})  # fmt: skip
    tests = pl.DataFrame(rows, schema=table_schema("analysis.source_comparison", study, without=["p_holm"]))
    return with_corrections(tests, "p_paper").select(*table_schema("analysis.source_comparison", study))


def compared_dimensions(counts: pl.DataFrame) -> list[str]:
    """Return the dimensions in which sources are compared: antipatterns only if both sources have any."""
    sources = counts.filter(
        (pl.col("dimension") == "antipattern") & (pl.col("library") == "All")
        & pl.col("source").is_in([STACK_OVERFLOW, GITHUB]) & (pl.col("total") > 0)
    )["source"].n_unique()  # fmt: skip
    return [*_ALWAYS_COMPARED, *(["antipattern"] if sources == 2 else [])]  # noqa: PLR2004 - both sources


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
        return "a t-test needs two libraries or more"
    return None


def _test_category(cells: pl.DataFrame, missing: str | None) -> dict[str, object]:
    if missing:
        return {"undefined_reason": missing}
    exact, rounded = {}, {}
    for source in (STACK_OVERFLOW, GITHUB):
        of_source = cells.filter(pl.col("source") == source).select("bugs", "total").rows()
        exact[source] = [bugs / total for bugs, total in of_source]
        rounded[source] = [whole_percent(bugs, total) for bugs, total in of_source]
    p_paper = student_t_test(exact[STACK_OVERFLOW], exact[GITHUB])
    p_rounded = student_t_test(rounded[STACK_OVERFLOW], rounded[GITHUB])
    reason = None
    if p_paper is None:
        reason = "the shares do not vary within either source"
    elif p_rounded is None:
        reason = "p_paper_rounded: rounded to whole percent the shares do not vary within either source"
    return {
        "mean_share_stack_overflow": statistics.mean(exact[STACK_OVERFLOW]),
        "mean_share_github": statistics.mean(exact[GITHUB]),
        "p_paper": p_paper,
        "p_paper_rounded": p_rounded,
        "rejects": None if p_paper is None else p_paper < SIGNIFICANCE,
        "undefined_reason": reason,
    }
