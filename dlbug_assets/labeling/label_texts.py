"""Labels as texts: what agreement compares, and what sheets and disagreements show."""

import polars as pl

from dlbug_assets.protocol.dimensions import Dimension

#: What raters decide about an item, as if it were a dimension.
IS_BUG = "is_bug"
#: How yes and no are written in files, in small letters; 1.0 and 0.0 by spreadsheets.
YES, NO = frozenset({"true", "yes", "1", "1.0"}), frozenset({"false", "no", "0", "0.0"})


def as_text(dimension: Dimension) -> pl.Expr:
    """Return a dimension's column of labels as texts: several categories are joined, so that equal sets are equal."""
    return pl.col(dimension.name).list.join(dimension.joiner) if dimension.multiple else pl.col(dimension.name)


def from_text(text: pl.Expr, dimension: Dimension) -> pl.Expr:
    """Return labels from what :func:`as_text` makes of them."""
    return text.str.split(dimension.joiner) if dimension.multiple else text
