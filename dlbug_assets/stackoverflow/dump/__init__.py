"""Posts from Stack Overflow's data dump."""
