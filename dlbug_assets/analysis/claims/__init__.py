"""Claims as data: what a study's claims.toml states, computed and judged on the labels and on resampled clusters."""
