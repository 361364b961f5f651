"""Labelling: the queue of items, submitted sheets, inter-rater agreement and adjudication."""
