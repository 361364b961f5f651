"""Run the dlbug command in a process of its own, as a user would."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.published import open_published
from dlbug_assets.warehouse.table_specs import load_specs

#: An address where nothing listens: no test sends requests to the real APIs.
NOBODY = "http://127.0.0.1:9"
DLBUG = Path(sys.executable).parent / "dlbug"
#: The end of the last message of every run with a failed step.
NEXT = " Fix the errors above and run the same command again; it resumes.\n"


@dataclass(frozen=True)
class Ran:
    """A study that was run: its home, and the outcome of the command."""

    home: Home
    result: subprocess.CompletedProcess[str]

    def query(self, sql: str) -> pl.DataFrame:
        return query(self.home, sql)


def query(home: Home, sql: str) -> pl.DataFrame:
    """Return the result of a query on the published database."""
    connection = open_published(home)
    try:
        return connection.sql(sql).pl()
    finally:
        connection.close()


def environment(home: Path | None, **more: str) -> dict[str, str]:
    """Return the environment of a user without a network who has set only DLBUG_HOME (None: nothing) and ``more``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DLBUG_", "DAGSTER_", "PYTHON"))}
    if home is not None:
        kept["DLBUG_HOME"] = str(home)
    return kept | {"DLBUG_STACKEXCHANGE_URL": NOBODY, "DLBUG_GITHUB_URL": NOBODY, "COLUMNS": "120"} | more


def command(
    home: Path | None, *arguments: str, cwd: Path | str | None = None, program: Path | str = DLBUG, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the dlbug command until it ends, in the folder ``cwd`` and with the variables ``more``.

    ``program`` is the command of another installation.
    """
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


def run_twice_at_once(home: Path, *arguments: str, **more: str) -> list[subprocess.CompletedProcess[str]]:
    """Run the same command in two processes at the same time; return both outcomes."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda _: command(home, *arguments, **more), range(2)))


def ran(study: str, root: Path, *arguments: str, **more: str) -> Ran:
    """Run a study in a home."""
    return Ran(Home(root, study), command(root, "run", "--study", study, *arguments, **more))


def fingerprints(home: Home) -> dict[str, tuple[int, int]]:
    """Return, per table, the number of rows and a hash that does not depend on their order or on incidental columns."""
    found = {}
    connection = open_published(home)
    study = load_study(home.study, {"DLBUG_HOME": str(home.root)})
    for table, spec in load_specs(study=study).items():
        # These hold the times of the run and of its collections.
        if table in ("publishing.study_info", "publishing.corpus_refreshes"):
            continue
        columns = ", ".join(f'"{column.name}"' for column in spec.columns if not column.incidental)
        hashed = f"select count(*), coalesce(sum(hash(({columns}))::hugeint), 0) from {table}"
        found[table] = connection.execute(hashed).fetchall()[0]
    connection.close()
    return found
