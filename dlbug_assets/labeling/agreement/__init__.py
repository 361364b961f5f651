"""Agreement between raters: coefficients, checkpoints and their chart."""
