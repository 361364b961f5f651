"""What is compared with what. Standard library only (see harness.py): the work is in sides.py, a process each."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Comparison, Outcome, run_side

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Sizes:
    """How much input: rows of each of the three tables to publish, and rows of the frame to load."""

    published_rows: int = 120_000
    loaded_rows: int = 300_000


def prepare(folder: Path, sizes: Sizes) -> None:
    """Make the seeded inputs: working.duckdb (home/bench) to publish and frame.parquet to load."""
    rows = [str(sizes.published_rows), str(sizes.loaded_rows)]
    run_side(["benchmarks.sides", "prepare", str(folder), *rows], os.environ)


def quick_comparisons(folder: Path, rounds: int = 3) -> list[Comparison]:
    """Those of the warehouse alone, on the inputs that :func:`prepare` left in the folder."""
    return [
        Comparison(
            "publish the working database",
            "DuckDB's `copy from database` into a new file of the same storage version, default settings",
            lambda: _side(folder, "publish", "ours", folder / "home" / "bench.duckdb"),
            lambda: _side(folder, "publish", "other", folder / "copied.duckdb"),
            rounds,
        ),
        Comparison(
            "load a frame into a new file",
            "the SQL of dagster-duckdb-polars' IO manager, DuckDB's default settings, no checks (ours runs two)",
            lambda: _side(folder, "load", "ours", folder / "loading" / "bench" / "working.duckdb"),
            lambda: _side(folder, "load", "other", folder / "loaded.duckdb"),
            rounds,
        ),
    ]


def full_run(folder: Path) -> Comparison:
    """The whole graph of the study `sample`, from nothing to its published database, process start included."""
    return Comparison(
        "dlbug run --study sample",
        "the same definitions under Dagster's stock multiprocess executor",
        lambda: _run(folder / "run_ours", ["dlbug_run"]),
        lambda: _run(folder / "run_other", ["multiprocess_run"]),
        rounds=1,
    )


def all_comparisons(folder: Path) -> list[Comparison]:
    """Every comparison of `make bench`."""
    return [*quick_comparisons(folder), full_run(folder)]


def _side(folder: Path, task: str, side: str, made: Path) -> Outcome:
    """One side in a process of its own. It times the task itself: imports and reading the input don't count."""
    _, peak, reply = run_side(["benchmarks.sides", task, side, str(folder)], os.environ)
    return Outcome(reply["seconds"], peak, _fingerprint(made), made.stat().st_size / _MIB)


def _run(home: Path, command: list[str]) -> Outcome:
    """One full run in a fresh home; the clock is ours, from the start of the process to its end."""
    shutil.rmtree(home, ignore_errors=True)
    environ = {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "DLBUG_STUDY")}
    seconds, peak, _ = run_side(["benchmarks.sides", *command], environ | {"DLBUG_HOME": str(home)})
    published = home / "sample.duckdb"
    return Outcome(seconds, peak, _fingerprint(published), published.stat().st_size / _MIB)


def _fingerprint(database: Path) -> dict[str, list[str]]:
    return run_side(["benchmarks.sides", "fingerprint", str(database)], os.environ)[2]
