"""dlbug: studies of bugs as living data pipelines on Dagster and DuckDB."""

import os

# By default, Polars keeps freed memory for ten seconds, while the next step of a run allocates as much again.
# The variable is read when Polars is imported.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
