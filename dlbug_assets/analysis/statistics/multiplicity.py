"""Correction of P values for multiple testing."""

import numpy as np
import polars as pl


def with_corrections(rows: pl.DataFrame, p_value: str) -> pl.DataFrame:
    """Return ``rows`` with p_holm, p_benjamini_hochberg and family (its size).

    The family is every row in which the column ``p_value`` is not NULL.
    """
    defined = rows[p_value].drop_nulls().to_numpy()
    corrected = pl.DataFrame(
        {"p_holm": holm(defined), "p_benjamini_hochberg": benjamini_hochberg(defined)},
        schema={"p_holm": pl.Float64, "p_benjamini_hochberg": pl.Float64},
    ).with_row_index("_test")
    # Join each defined P value by its position among the defined ones.
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


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return the P values adjusted for the family-wise error rate, in the order of ``p_values``, at most 1.

    Holm 1979, "A simple sequentially rejective multiple test procedure", in the adjusted form of Wright 1992.
    """
    order = np.argsort(p_values)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(adjusted, 1)


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Return the P values adjusted for the false discovery rate, in the order of ``p_values``, at most 1.

    Benjamini and Hochberg 1995, "Controlling the false discovery rate"; the adjusted form is that of Yekutieli and
    Benjamini 1999.
    """
    order = np.argsort(p_values)
    ranks = np.arange(1, len(p_values) + 1) / len(p_values)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum.accumulate((p_values[order] / ranks)[::-1])[::-1]
    return np.minimum(adjusted, 1)
