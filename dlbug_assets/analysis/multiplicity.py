"""Many tests at once: P values corrected over the family they were made in."""

import numpy as np
import polars as pl


def with_corrections(rows: pl.DataFrame, p_value: str) -> pl.DataFrame:
    """``rows`` with p_holm (Holm 1979), p_benjamini_hochberg (Benjamini and Hochberg 1995) and family (its size).

    The family is every row in which the column ``p_value`` is not NULL.
    """
    defined = rows[p_value].drop_nulls().to_numpy()
    names = {"p_holm": "holm", "p_benjamini_hochberg": "fdr_bh"}
    corrected = pl.DataFrame(
        {name: _corrected(defined, method) for name, method in names.items()},
        schema=dict.fromkeys(names, pl.Float64),
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


def _corrected(defined: np.ndarray, method: str) -> np.ndarray:
    if not len(defined):
        return defined
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415 - slow to import

    return multipletests(defined, method=method)[1]
