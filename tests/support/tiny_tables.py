"""A table to write into a warehouse, and processes that use it at the same time."""

import subprocess
import sys
import textwrap
from pathlib import Path

import polars as pl

from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.table_specs import Check, Column, TableSpec

SPEC = TableSpec(
    schema="analysis",
    name="bugs",
    description="One row per bug; it's small",
    grain=("bug",),
    columns=(Column("bug", "BIGINT", "Its number"), Column("library", "VARCHAR", "Its library")),
    checks=(
        Check("unique_bug", "no two rows agree", "select bug from analysis.bugs group by bug having count(*) > 1"),
        Check("known", "library is known", "select * from analysis.bugs where library = 'Nope'", blocking=False),
    ),
    source="here",
)

#: Writes a row, prints a line, and publishes when it reads one. Arguments: home, holder, number of the bug.
WRITER = """
    import logging, sys
    from pathlib import Path
    from dlbug_assets.layout import Home
    from dlbug_assets.warehouse.database import Warehouse
    from support.tiny_tables import SPEC, bugs
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    with Warehouse(Home(Path(sys.argv[1]), "tiny"), sys.argv[2]) as warehouse:
        warehouse.replace(SPEC, bugs((int(sys.argv[3]), sys.argv[2])))
        print("writing", flush=True)
        sys.stdin.readline()
        warehouse.publish()
"""


def bugs(*rows: tuple[int, str]) -> pl.DataFrame:
    """Return rows (bug, library) of the table."""
    return pl.DataFrame(rows, schema={"bug": pl.Int64, "library": pl.String}, orient="row")


def content(warehouse: Warehouse) -> list[tuple[int, str]]:
    """Return the rows of the table, sorted."""
    return sorted(warehouse.read("analysis.bugs").rows())


class Program:
    """Another Python process, whose text is given."""

    def __init__(self, text: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # `support` is importable in the process, too.
            cwd=Path(__file__).parents[1],
        )
        assert self._process.stdin
        assert self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        self.pid = self._process.pid
        self.kill = self._process.kill

    def read_line(self) -> str:
        """Return the next line that the process prints."""
        return self._output.readline()

    def write_line(self) -> None:
        """Let the process read a line."""
        self._input.write("go\n")
        self._input.flush()

    def finish(self) -> tuple[int, str]:
        """Let the process read a line and end; return its exit code and what it printed to standard error."""
        _, errors = self._process.communicate("go\n", timeout=60)
        return self._process.returncode, errors
