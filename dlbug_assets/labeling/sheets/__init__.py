"""Sheets for raters and the adjudicator: out, in, and what they contain."""
