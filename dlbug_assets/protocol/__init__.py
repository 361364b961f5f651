"""The study protocol: what a researcher decides before looking at data."""
