"""Commits from clones, read with git."""
