"""How alike two libraries are in what goes wrong (section 7, Figure 6): three measures on the same share vectors."""

from collections.abc import Sequence
from itertools import combinations

import polars as pl

_SCHEMA = {
    "source": pl.String,
    "dimension": pl.String,
    "library_a": pl.String,
    "library_b": pl.String,
    "pearson": pl.Float64,
    "spearman": pl.Float64,
    "jensen_shannon": pl.Float64,
    "categories": pl.Int64,
    "left_out": pl.String,
    "undefined_reason": pl.String,
}


def library_correlation(counts: pl.DataFrame) -> pl.DataFrame:
    """Every pair of libraries compared by their shares, per source (and `both`) and dimension.

    ``counts``: analysis.label_counts. Gives source, dimension, library_a < library_b (alphabetically), pearson and
    spearman (-1..1), jensen_shannon (distance with base 2, 0 alike to 1 disjoint; Lin 1991, Endres and Schindelin
    2003), categories (how many were used), left_out (those that are zero in every library, '; ' between them: they
    would make any two libraries look alike), undefined_reason. What is undefined is NULL.
    """
    rows = []
    per_library = counts.filter(pl.col("library") != "All")
    for (source, dimension), cells in per_library.group_by(["source", "dimension"], maintain_order=True):
        seen = cells.group_by("category", maintain_order=True).agg(pl.col("bugs").sum())
        used = seen.filter(pl.col("bugs") > 0)["category"].to_list()
        left_out = seen.filter(pl.col("bugs") == 0)["category"].to_list()
        bugs = {(library, category): n for library, category, n in cells.select("library", "category", "bugs").rows()}
        totals = dict(cells.select("library", "total").unique().iter_rows())
        for library_a, library_b in combinations(sorted(totals), 2):
            rows.append({
                "source": source, "dimension": dimension, "library_a": library_a, "library_b": library_b,
                "categories": len(used), "left_out": "; ".join(left_out) or None,
                **_likeness(
                    {library: [bugs[library, category] for category in used] for library in (library_a, library_b)},
                    totals,
                ),
            })  # fmt: skip
    return pl.DataFrame(rows, schema=_SCHEMA)


def _likeness(vectors: dict[str, list[int]], totals: dict[str, int]) -> dict[str, object]:
    without = [library for library in vectors if totals[library] == 0]
    if without:
        return {"undefined_reason": f"no bug has a label: {', '.join(without)}"}
    a, b = ([n / totals[library] for n in vector] for library, vector in vectors.items())
    distance = _jensen_shannon(a, b)
    if len(a) < 2:  # noqa: PLR2004
        return {"jensen_shannon": distance, "undefined_reason": "a correlation needs two categories or more"}
    flat = [library for library, shares in zip(vectors, (a, b), strict=True) if len(set(shares)) == 1]
    if flat:
        reason = f"a correlation needs shares that vary: every category has the same in {', '.join(flat)}"
        return {"jensen_shannon": distance, "undefined_reason": reason}
    from scipy.stats import rankdata  # noqa: PLC0415 - slow to import

    return {"pearson": _pearson(a, b), "spearman": _pearson(rankdata(a), rankdata(b)), "jensen_shannon": distance}


def _pearson(a: Sequence[float], b: Sequence[float]) -> float:
    from scipy.stats import pearsonr  # noqa: PLC0415 - slow to import

    return float(pearsonr(a, b).statistic)


def _jensen_shannon(a: Sequence[float], b: Sequence[float]) -> float:
    from scipy.spatial.distance import jensenshannon  # noqa: PLC0415 - slow to import

    # Between equal vectors scipy may take the root of a tiny negative number.
    return 0.0 if list(a) == list(b) else float(jensenshannon(a, b, base=2))
