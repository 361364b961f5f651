"""The warehouse: a study's DuckDB databases, the specs of their tables, and the checks."""
