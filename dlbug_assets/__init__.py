"""dlbug: studies of bugs as living data pipelines on Dagster and DuckDB."""
