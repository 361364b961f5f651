"""Running the dlbug command as a user would, in a process of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dlbug_assets.layout import Home
from dlbug_assets.warehouse.published import open_published
from dlbug_assets.warehouse.table_specs import load_specs

#: An address where nobody answers: no test asks the real API.
NOBODY = "http://127.0.0.1:9"
DLBUG = Path(sys.executable).parent / "dlbug"
#: How every run ends of which a step failed.
NEXT = " Do what is said above, then run the same again: it goes on from what is there.\n"


@dataclass(frozen=True)
class Ran:
    """A study that was run: where, and what the command said."""

    home: Home
    result: subprocess.CompletedProcess[str]

    def query(self, sql: str) -> pl.DataFrame:
        connection = open_published(self.home)
        try:
            return connection.sql(sql).pl()
        finally:
            connection.close()


def environment(home: Path | None, **more: str) -> dict[str, str]:
    """The environment of a user who has set nothing but DLBUG_HOME (None: nothing), on a machine without a network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DLBUG_", "DAGSTER_", "PYTHON"))}
    if home is not None:
        kept["DLBUG_HOME"] = str(home)
    return kept | {"DLBUG_STACKEXCHANGE_URL": NOBODY, "DLBUG_GITHUB_URL": NOBODY, "COLUMNS": "120"} | more


def command(
    home: Path | None, *arguments: str, cwd: Path | None = None, program: Path = DLBUG, **more: str
) -> subprocess.CompletedProcess[str]:
    """The dlbug command with these arguments, to its end, in the folder ``cwd``; ``more`` are variables of its
    environment, ``program`` is that of another installation."""
    return subprocess.run(
        [program, *arguments],
        env=environment(home, **more),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        stdin=subprocess.DEVNULL,
    )


def ran(study: str, root: Path, *arguments: str, **more: str) -> Ran:
    """Run a study in a home."""
    return Ran(Home(root, study), command(root, "run", "--study", study, *arguments, **more))


def fingerprints(home: Home) -> dict[str, tuple[int, int]]:
    """Per table, a number that depends on its rows but not on their order, what is incidental left out."""
    found = {}
    connection = open_published(home)
    for table, spec in load_specs().items():
        # When the study was made, and when its corpora were read.
        if table in ("publishing.study_info", "publishing.corpus_refreshes"):
            continue
        columns = ", ".join(f'"{column.name}"' for column in spec.columns if not column.incidental)
        query = f"select count(*), coalesce(sum(hash(({columns}))::hugeint), 0) from {table}"
        found[table] = connection.execute(query).fetchall()[0]
    connection.close()
    return found
