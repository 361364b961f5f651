"""The web UI and its daemon: Dagster's server behind a guard."""
