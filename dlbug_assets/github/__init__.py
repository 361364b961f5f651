"""GitHub: repositories that use the libraries, their fix commits, and the sample of commits that raters read."""
