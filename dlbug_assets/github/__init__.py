"""GitHub: repositories that use the libraries, their fixing commits, and the sample of commits that is read."""
