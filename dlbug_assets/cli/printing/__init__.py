"""What commands print on a terminal: the summary of a run, and the next step."""
