"""dlbug: studies of bugs as living data pipelines on Dagster and DuckDB."""

import os

# Polars keeps memory that it has freed for ten seconds, in which the next of a run's steps takes as much once more.
# This is read when Polars is imported.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
