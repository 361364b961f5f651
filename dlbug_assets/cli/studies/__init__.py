"""Studies as folders: create one, list those that can be run, and let editors check their files."""
