"""The synthetic corpus of the study `sample`: posts, commits and raters, of about the paper's size and shape.

Everything is derived from the study's seed through sha256 and Python's own random generator, so that every machine and
Python version gets the same rows. Sizes and shares come from the paper's printed tables (dbt_like_sql/seeds); texts are
invented. Nothing in it is a fact about real bugs.
"""
