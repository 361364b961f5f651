"""What `make bench` runs: dlbug beside what one would use instead, on the same input, results compared first."""
