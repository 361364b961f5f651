"""Correction of P values for multiple testing."""

import numpy as np
import polars as pl

from dlbug_assets.analysis.statistics.pools import pools_of_one
from dlbug_assets.protocol.study import Study


def with_corrections(rows: pl.DataFrame, p_value: str, study: Study) -> pl.DataFrame:
    """Return ``rows`` with p_holm, p_benjamini_hochberg and family (its size).

    The family is every row in which the column ``p_value`` is not NULL, without pools of one source or library, which
    repeat tests of the family and have the same P values.
    """
    repeated = [pl.col(column) == pool for column, (pool, _) in pools_of_one(study).items() if column in rows.columns]
    defined = rows.filter(~pl.any_horizontal(False, *repeated))[p_value].drop_nulls().to_numpy()
    # Equal P values have equal corrections.
    corrected = pl.DataFrame(
        {p_value: defined, "p_holm": holm(defined), "p_benjamini_hochberg": benjamini_hochberg(defined)},
        schema=dict.fromkeys((p_value, "p_holm", "p_benjamini_hochberg"), pl.Float64),
    ).unique()
    return rows.join(corrected, on=p_value, how="left", maintain_order="left").with_columns(
        family=pl.lit(len(defined), dtype=pl.Int64)
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
