"""Commits through GitHub's REST API."""
