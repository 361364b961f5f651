"""Labelling on the command line."""
