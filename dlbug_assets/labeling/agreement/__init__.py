"""Inter-rater agreement: coefficients, checkpoints and their chart."""
