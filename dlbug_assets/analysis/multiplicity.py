"""Many tests at once: P values corrected over the family they were made in."""

import numpy as np
import polars as pl


def with_corrections(rows: pl.DataFrame, p_value: str) -> pl.DataFrame:
    """``rows`` with p_holm (Holm 1979), p_benjamini_hochberg (Benjamini and Hochberg 1995) and family (its size).

    The family is every row in which the column ``p_value`` is not NULL.
    """
    defined = rows[p_value].drop_nulls().to_numpy()
    holm, benjamini_hochberg = _corrected(defined)
    corrected = pl.DataFrame(
        {"p_holm": holm, "p_benjamini_hochberg": benjamini_hochberg},
        schema={"p_holm": pl.Float64, "p_benjamini_hochberg": pl.Float64},
    ).with_row_index("_test")
    # Each defined P value by its place among the defined ones.
    return (
        rows.with_columns(
            _test=pl.when(pl.col(p_value).is_not_null())
            .then(pl.col(p_value).is_not_null().cum_sum() - 1)
            .cast(pl.UInt32)
        )
        .join(corrected, on="_test", how="left", maintain_order="left")
        .drop("_test")
        .with_columns(family=pl.lit(len(defined), dtype=pl.Int64))
    )


def _corrected(defined: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(defined):
        return defined, defined
    from statsmodels.stats.multitest import fdrcorrection, multipletests  # noqa: PLC0415 - slow to import

    # What multipletests does for the latter, too, but it looks for garbage each time that it is called.
    return multipletests(defined, method="holm")[1], fdrcorrection(defined)[1]
