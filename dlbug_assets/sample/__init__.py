"""A synthetic corpus: posts, commits and raters, of the sizes and shares that the study's printed numbers state.

Everything is derived from the study's seed through sha256 and Python's own random generator, so that every machine and
Python version gets the same rows. Without printed numbers, sizes are constants and shares are even. Texts are invented.
Nothing in it is a fact about real bugs.
"""
