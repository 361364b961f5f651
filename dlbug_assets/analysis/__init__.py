"""The room `analysis`: from agreed labels to distributions, comparisons, correlations and the paper's findings.

Pure functions on Polars frames; what is a relational question stands in ``dbt_like_sql/analysis/`` instead.
"""
