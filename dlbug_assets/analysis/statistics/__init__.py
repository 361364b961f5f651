"""Statistics that several tables share."""
