"""Factories: Dagster assets from functions, SQL files, seeds and sources."""
