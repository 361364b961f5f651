"""Posts through Stack Exchange's API."""
