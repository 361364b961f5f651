"""Analysis: from agreed labels to distributions, comparisons, correlations and the paper's findings.

Pure functions on Polars frames. Counts and joins are SQL models in ``dbt_like_sql/analysis/``.
"""
