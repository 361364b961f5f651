"""Agreement of two labels of the same thing that a release has, though no second labelling was planned."""

import numpy as np
import polars as pl

from dlbug_assets.analysis.statistics.shares import ENOUGH_BUGS
from dlbug_assets.labeling.agreement.coefficients import cohen_kappa, interval_reason
from dlbug_assets.labeling.agreement.subsets import ONE_CATEGORY
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

# Between the categories of one bug: no name contains it.
_SEPARATOR = "\n"
_REPEATED_ROWS, _LEFTOVER_SHEET = "repeated rows", "leftover sheet"


def repeat_agreement(labels: pl.DataFrame, leftovers: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return analysis.repeat_agreement: the agreement of two labels per basis, source (and `both`) and asked dimension.

    ``labels`` is labeling.labels, ``leftovers`` labeling.leftover_labels. Labels of several categories agree if these
    are the same, in any order. The bases are:

    - repeated rows: two rows of a link in the release, in the order of libraries and of the sheet, if both have a label
      in the dimension: the rows of a library that has exactly two, and each two rows of different libraries. Labels of
      raters have no pairs: there, a second row is a second bug.
    - leftover sheet: a label in a further sheet of the release, and that of the bug that it aligns with; no rows
      without such sheets.

    Columns: basis, source, dimension, pairs, pairs_across_libraries, agreements, observed_agreement (0..1), kappa
    (Cohen 1960, first against second label), kappa_low and kappa_high (analytic 95% limits; Fleiss, Cohen and Everitt
    1969; NULL with fewer than 20 pairs), interval_undefined_reason, underpowered (fewer than 10 pairs) and
    undefined_reason.
    """
    released = labels.filter(pl.col("decided_by") == "artifact")
    missing = {
        _REPEATED_ROWS: "no label is from the authors' release" if released.is_empty() else "no link has two rows",
        _LEFTOVER_SHEET: "no label in a further sheet aligns with a bug",
    }
    pairs = {
        _REPEATED_ROWS: _pairs_of_links(released, study),
        _LEFTOVER_SHEET: _pairs_with_leftovers(released, leftovers, study),
    }
    rows = []
    for basis, of_basis in pairs.items():
        if basis == _LEFTOVER_SHEET and of_basis.is_empty():
            continue
        for source in (*study.source_names, "both"):
            of_source = of_basis if source == "both" else of_basis.filter(source=source)
            for dimension in study.asked_names:
                found = of_source.filter(dimension=dimension).drop_nulls(("first", "second"))
                row = {"basis": basis, "source": source, "dimension": dimension}
                rows.append(row | _agreement(found, missing[basis]))
    return pl.DataFrame(rows, schema=table_schema("analysis.repeat_agreement"))


def _long(labels: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return the labels of each asked dimension as texts: bug_id, dimension, label; NULL where a bug has none."""
    answers = [
        pl.col(each.name).list.unique().list.sort().list.join(_SEPARATOR).replace("", None)
        if each.multiple
        else pl.col(each.name)
        for each in study.asked
    ]
    return labels.select("bug_id", *answers).unpivot(index="bug_id", variable_name="dimension", value_name="label")


def _pairs_of_links(released: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return source, is_across, dimension, first and second label of each two rows of a link that are a pair."""
    order = pl.Enum(study.library_names)
    ordered = released.filter(pl.col("link").is_not_null()).sort(
        "source", pl.col("library").cast(order, strict=False), "item_id", "bug_index"
    )
    rows = ordered.select("source", "library", "link", "bug_id").with_row_index("_place")
    rows = rows.with_columns(_rows=pl.len().over("source", "library", "link"))
    pairs = rows.join(rows, on=("source", "link"), suffix="_second").filter(pl.col("_place") < pl.col("_place_second"))
    pairs = pairs.with_columns(is_across=pl.col("library") != pl.col("library_second"))
    pairs = pairs.filter(pl.col("is_across") | (pl.col("_rows") == 2))  # noqa: PLR2004
    long = _long(released, study)
    second = long.rename({"label": "second"})
    return (
        pairs.join(long.rename({"label": "first"}), on="bug_id")
        .join(second, left_on=("bug_id_second", "dimension"), right_on=("bug_id", "dimension"))
        .select("source", "is_across", "dimension", "first", "second")
    )


def _pairs_with_leftovers(released: pl.DataFrame, leftovers: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return source, is_across, dimension, the label of a further sheet as first and that of its bug as second."""
    parts = [
        leftovers.filter(dimension=each.name).with_columns(
            first=pl.col("category").str.split(each.joiner).list.sort().list.join(_SEPARATOR)
            if each.multiple
            else pl.col("category")
        )
        for each in study.asked
    ]
    return (
        pl.concat(parts)
        .join(_long(released, study).rename({"label": "second"}), on=("bug_id", "dimension"))
        .select("source", pl.lit(value=False).alias("is_across"), "dimension", "first", "second")
    )


def _agreement(pairs: pl.DataFrame, missing: str) -> dict[str, object]:
    agreements = pairs.filter(pl.col("first") == pl.col("second")).height
    row: dict[str, object] = {
        "pairs": pairs.height, "pairs_across_libraries": pairs["is_across"].sum(), "agreements": agreements,
        "underpowered": pairs.height < ENOUGH_BUGS,
    }  # fmt: skip
    if not pairs.height:
        return row | {"undefined_reason": missing}
    row["observed_agreement"] = agreements / pairs.height
    categories = sorted(set(pairs["first"]) | set(pairs["second"]))
    counts = {(first, second): number for first, second, number in pairs.group_by("first", "second").len().iter_rows()}
    table = np.array([[counts.get((first, second), 0) for second in categories] for first in categories])
    found = cohen_kappa(table)
    if found is None:
        return row | {"undefined_reason": ONE_CATEGORY}
    kappa, low, high = found
    return row | {
        "kappa": kappa, "kappa_low": low, "kappa_high": high, "interval_undefined_reason": interval_reason(kappa, low),
    }  # fmt: skip
