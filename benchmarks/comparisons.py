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
    dump_rows: int = 960_000
    commits: int = 10_000


#: For a look in between: `python -m benchmarks --quick`.
QUICK = Sizes(published_rows=30_000, loaded_rows=60_000, dump_rows=60_000, commits=1_500)


def prepare(folder: Path, sizes: Sizes) -> None:
    """Make the seeded inputs: working.duckdb (home/bench) to publish and frame.parquet to load."""
    rows = [str(sizes.published_rows), str(sizes.loaded_rows)]
    run_side(["benchmarks.sides", "prepare", str(folder), *rows], os.environ)


def prepare_extraction(cache: Path, sizes: Sizes) -> Path:
    """Make Posts.xml, posts.7z and repository in a folder of ``cache``, where they are not there yet; returns it."""
    folder = cache / f"extraction-{sizes.dump_rows}-{sizes.commits}"
    folder.mkdir(parents=True, exist_ok=True)
    run_side(["benchmarks.extraction", "prepare_dump", str(folder), str(sizes.dump_rows)], os.environ)
    run_side(["benchmarks.extraction", "prepare_history", str(folder), str(sizes.commits)], os.environ)
    return folder


def warehouse_comparisons(folder: Path, rounds: int = 3) -> list[Comparison]:
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


def extraction_comparisons(folder: Path, rounds: int = 3) -> list[Comparison]:
    """Those of dumps and histories, on the inputs that :func:`prepare_extraction` left in the folder. Where a program
    for the other side is not installed, its comparison is left out."""
    dump, packed, repository = (str(folder / name) for name in ("Posts.xml", "posts.7z", "repository"))
    found = [
        Comparison(
            "questions and answers from a dump, beside lxml",
            "lxml's iterparse in one pass, the same rows to Parquet",
            lambda: _extracted("dump_ours", dump, "posts"),
            lambda: _extracted("dump_lxml", dump, "posts"),
            rounds,
        ),
        Comparison(
            "commits that fix, with files and lines, beside PyDriller",
            "PyDriller's traverse_commits with the same titles",
            lambda: _extracted("history_ours", repository, "changes"),
            lambda: _extracted("history_pydriller", repository, "changes"),
            rounds,
        ),
        Comparison(
            "commits that fix, with files and lines, beside git",
            "`git diff-tree --stdin --numstat --no-renames` alone, handed the commits",
            lambda: _extracted("history_ours", repository, "changes"),
            lambda: _extracted("history_diff_tree", repository, "changes"),
            rounds,
        ),
    ]
    if shutil.which("rg"):
        found.append(
            Comparison(
                "questions and answers from a dump, beside ripgrep",
                "ripgrep for the delimited tags, lines written out, no answers, nothing parsed; questions are compared",
                lambda: _extracted("dump_ours", dump, "numbers"),
                lambda: _extracted("dump_ripgrep", dump, "numbers"),
                rounds,
            )
        )
    if Path(packed).exists():
        found.append(
            Comparison(
                "questions and answers from a .7z",
                "7zz unpacking it into nothing; the number of rows is compared",
                lambda: _extracted("dump_ours", packed, "rows"),
                lambda: _extracted("archive_bare", packed, "rows"),
                rounds,
            )
        )
    return found


def all_comparisons(folder: Path, extraction: Path) -> list[Comparison]:
    """Every comparison of `make bench`."""
    return [*warehouse_comparisons(folder), *extraction_comparisons(extraction), full_run(folder)]


def quick_comparisons(folder: Path, extraction: Path) -> list[Comparison]:
    """Those of `make bench-quick`: once each, without the full run."""
    return [*warehouse_comparisons(folder, rounds=1), *extraction_comparisons(extraction, rounds=1)]


def _extracted(task: str, source: str, compared: str) -> Outcome:
    """One side of an extraction, with the part of what it came to that the other side has, too."""
    _, peak, reply = run_side(["benchmarks.extraction", task, source], os.environ)
    return Outcome(reply["seconds"], peak, {compared: reply[compared]})


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
