"""Confidence intervals of shares."""

import numpy as np
import polars as pl

from dlbug_assets.analysis.statistics.shares import Share

#: One minus the confidence: an interval misses the true share in 5 of 100 samples.
ALPHA = 0.05


def with_wilson_intervals(rows: pl.DataFrame) -> pl.DataFrame:
    """Return ``rows`` (bugs, total) with their shares and Wilson 95% limits.

    Adds share, share_low and share_high, 0..1, NULL where total is 0.
    """
    defined = rows.filter(pl.col("total") > 0).select("bugs", "total").unique(maintain_order=True)
    low, high = wilson_limits(defined["bugs"].to_numpy(), defined["total"].to_numpy())
    limits = defined.with_columns(
        share=pl.col("bugs") / pl.col("total"),
        share_low=pl.Series(low, dtype=pl.Float64),
        share_high=pl.Series(high, dtype=pl.Float64),
    ).with_columns(
        # For 0 of n and n of n the limits are 0 and 1; rounding errors may exceed them.
        share_low=pl.when(pl.col("bugs") > 0).then("share_low").otherwise(0.0),
        share_high=pl.when(pl.col("bugs") < pl.col("total")).then("share_high").otherwise(1.0),
    )
    return rows.join(limits, on=["bugs", "total"], how="left", maintain_order="left")


def wilson_limits(bugs: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper Wilson 95% limits of the shares ``bugs / total``.

    ``total`` is above 0. The limits are within 0..1 except for rounding errors.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference"; recommended for small samples
    by Brown, Cai and DasGupta 2001, "Interval estimation for a binomial proportion" (their formula 4).
    """
    from scipy.special import ndtri  # noqa: PLC0415 - slow to import  # pyright: ignore[reportMissingTypeStubs] # pyright: ignore[reportMissingTypeStubs]

    z = -ndtri(ALPHA / 2)
    share = bugs / total
    scale = 1 + z**2 / total
    center = (share + z**2 / (2 * total)) / scale
    half = z * np.sqrt(share * (1 - share) / total + z**2 / (4.0 * total**2)) / scale
    return center - half, center + half


def wilson_interval(share: Share) -> tuple[float, float]:
    """Return the Wilson 95% limits of one share, 0..1."""
    limits = with_wilson_intervals(pl.DataFrame({"bugs": [share.bugs], "total": [share.total]}))
    return limits["share_low"][0], limits["share_high"][0]
