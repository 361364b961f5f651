"""Benchmarks: dlbug beside alternatives on the same input. Results are compared before any time counts."""
