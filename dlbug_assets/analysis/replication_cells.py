"""Printed numbers beside those of this study."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import polars as pl

from dlbug_assets.warehouse.rows import table_schema

_ALL = "All"
# What a number of bugs is about: a category, inside of another one or of a year; NULL where it isn't.
_ABOUT = ("dimension", "category", "library", "source", "within_dimension", "within_category", "year")
_WITHIN_TOTAL = ("library", "source", "within_dimension", "within_category", "dimension")
_WITHIN = {"dimension_a": "within_dimension", "category_a": "within_category",
           "dimension_b": "dimension", "category_b": "category"}  # fmt: skip


def replication_cells(
    published: pl.DataFrame,
    *,
    sizes: pl.DataFrame,
    counts: pl.DataFrame,
    crosstab: pl.DataFrame,
    yearly: pl.DataFrame,
    correlation: pl.DataFrame,
    comparison: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return analysis.replication_cells: every printed number beside the same number of this study.

    ``published`` is reference.published_cells; ``sizes``, ``counts``, ``crosstab``, ``yearly`` and ``correlation`` are
    analysis.dataset_sizes, label_counts, crosstab, yearly_counts and library_correlation, and ``comparison`` is
    analysis.source_comparison, which only studies of two sources or more have.
    """
    cells = (
        published.rename({"value": "published", "bugs": "published_bugs"})
        .join(_counted(published, sizes, counts, crosstab, yearly), on=_ABOUT, how="left", nulls_equal=True)
        .join(sizes.select("library", "source", "items", all_bugs="bugs"), on=("library", "source"), how="left")
        .join(_p_values(published, sizes, comparison), on=("dimension", "category"), how="left")
        .join(_both_ways(correlation), on=("dimension", "source", "library", "library_b"), how="left")
        .with_columns(total=pl.when(denominator="all").then("all_bugs").otherwise("total"))
    )
    of_bugs = pl.col("unit").is_in(["percent", "bugs"])
    by_unit = {
        "percent": pl.when(pl.col("total") > 0).then(100 * pl.col("bugs") / pl.col("total")),
        "bugs": pl.col("bugs").cast(pl.Float64),
        "items": pl.col("items").cast(pl.Float64),
        "p": pl.col("p"),
        "correlation": pl.col("pearson"),
    }
    cells = cells.with_columns(
        computed=pl.coalesce(pl.when(unit=unit).then(value) for unit, value in by_unit.items()),
        bugs=pl.when(of_bugs).then("bugs"),
        total=pl.when(of_bugs).then("total"),
    ).with_columns(difference=pl.col("computed") - pl.col("published"))
    is_same = [is_as_printed(cell) for cell in cells.iter_rows(named=True)]
    return (
        cells.with_columns(same_when_rounded=pl.Series(is_same, dtype=pl.Boolean))
        .select(table_schema("analysis.replication_cells").names())
        .sort("position")
    )


def _counted(
    published: pl.DataFrame, sizes: pl.DataFrame, counts: pl.DataFrame, crosstab: pl.DataFrame, yearly: pl.DataFrame
) -> pl.DataFrame:
    """Return bugs and total of everything that the printed numbers of bugs are about, as far as the study has it."""
    pairs = crosstab.rename(_WITHIN)
    totals = pairs.select(*_WITHIN_TOTAL, "total").unique()
    categories = counts.select("dimension", "category").unique()
    # The crosstab has no rows for pairs without bugs.
    within = (
        published.filter(pl.col("within_category").is_not_null())
        .select(_ABOUT)
        .unique()
        .join(sizes, on=("library", "source"), how="semi")
        .join(categories, on=("dimension", "category"), how="semi")
        .join(
            categories, left_on=("within_dimension", "within_category"), right_on=("dimension", "category"), how="semi"
        )
        .join(
            pairs.select(*_WITHIN.values(), "library", "source", "bugs"),
            on=(*_WITHIN.values(), "library", "source"),
            how="left",
        )
        .join(totals, on=_WITHIN_TOTAL, how="left")
        .with_columns(pl.col("bugs", "total").fill_null(0))
    )
    of_study = sizes.select("library", "source", "bugs", total="bugs")
    return pl.concat([counts, within, yearly, of_study], how="diagonal_relaxed").select(*_ABOUT, "bugs", "total")


def _p_values(published: pl.DataFrame, sizes: pl.DataFrame, comparison: pl.DataFrame | None) -> pl.DataFrame:
    """Return p by dimension and category: from shares in whole percent if the printed ones are, else from exact ones.

    NULL in a study with other libraries than those that the printed numbers are of: each library is an observation.
    """
    if comparison is None:
        return pl.DataFrame(schema={"dimension": pl.String, "category": pl.String, "p": pl.Float64})
    shares = published.filter(unit="percent", reading="printed")
    in_whole_percent = shares.group_by("dimension").agg(is_whole=pl.col("decimals").max() == 0)
    named, studied = (set(frame["library"]) - {_ALL} for frame in (published, sizes))
    p = pl.when("is_whole").then("p_paper_rounded").otherwise("p_paper")
    return comparison.join(in_whole_percent, on="dimension", how="left").select(
        "dimension", "category", p=p if not named or named == studied else pl.lit(None, pl.Float64)
    )


def _both_ways(correlation: pl.DataFrame) -> pl.DataFrame:
    """Return Pearson's correlation of every pair of libraries, in either order."""
    pairs = correlation.select("dimension", "source", "pearson", library="library_a", library_b="library_b")
    return pl.concat([pairs, pairs.rename({"library": "library_b", "library_b": "library"})], how="diagonal")


def is_as_printed(cell: Mapping[str, Any]) -> bool | None:
    """Return whether a computed number is rounded as printed; None without one, and for numbers that were measured.

    A share is compared as a fraction, so that a half is exactly a half. Both a percent and the number of bugs printed
    beside it must agree.
    """
    if cell["computed"] is None or cell["reading"] == "approximate":
        return None
    digits = 10 ** cell["decimals"]
    exact = Fraction(100 * cell["bugs"], cell["total"]) if cell["unit"] == "percent" else Fraction(cell["computed"])
    printed, exact = round(cell["published"] * digits), exact * digits
    distance = abs(printed - exact)
    if 2 * distance == 1:
        is_same = printed % 2 == 0 if cell["halves"] == "even" else abs(printed) > abs(exact)
    else:
        is_same = 2 * distance < 1
    return is_same and cell["published_bugs"] in (None, cell["bugs"])
