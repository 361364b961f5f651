"""Run the checks of a table and collect the violating rows."""

from dataclasses import dataclass

import duckdb

from dlbug_assets.warehouse.table_specs import Check

_SAMPLE_OF_VIOLATIONS = 5


@dataclass(frozen=True)
class CheckOutcome:
    """The result of a check: the number of violating rows and the first few of them, as text."""

    check: Check
    violations: int
    sample: str = ""

    @property
    def passed(self) -> bool:
        """Whether no row violates the check."""
        return self.violations == 0


def run_check(connection: duckdb.DuckDBPyConnection, check: Check) -> CheckOutcome:
    """Run one check on the tables as the connection sees them. Raises duckdb.Error."""
    count = connection.execute(f"select count(*) from ({check.violations})").fetchall()[0][0]
    if not count:
        return CheckOutcome(check, 0)
    rows = connection.sql(check.violations).limit(_SAMPLE_OF_VIOLATIONS)
    names = rows.columns
    sample = "; ".join(str(dict(zip(names, row, strict=True)))[:400] for row in rows.fetchall())
    return CheckOutcome(check, count, sample)
