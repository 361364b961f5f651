"""Definitions beside the pipeline's own: what `dg scaffold defs` creates is loaded with every study."""
