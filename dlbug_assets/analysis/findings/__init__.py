"""The paper's findings: their metrics, verdicts and sensitivity."""
