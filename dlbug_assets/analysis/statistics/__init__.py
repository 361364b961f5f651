"""Statistics that several tables of the analysis use."""
