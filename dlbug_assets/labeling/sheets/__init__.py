"""Sheets for raters and the adjudicator: their content, export, submission and validation."""
