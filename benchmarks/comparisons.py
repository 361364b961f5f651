"""Define the comparisons. Standard library only (see harness.py): each side is a process (sides.py, extraction.py)."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dump_input import ORDERS
from benchmarks.harness import Comparison, Outcome, run_side

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Sizes:
    """Sizes of the inputs.

    Rows of each of the three published tables, of the loaded frame, of the dump, and of the dump in other orders;
    commits.
    """

    published_rows: int = 120_000
    loaded_rows: int = 300_000
    dump_rows: int = 960_000
    order_rows: int = 240_000
    commits: int = 10_000


#: For `python -m benchmarks --quick`.
QUICK = Sizes(published_rows=30_000, loaded_rows=60_000, dump_rows=60_000, order_rows=60_000, commits=1_500)


def prepare(folder: Path, sizes: Sizes) -> None:
    """Generate the seeded inputs: working.duckdb (in home/bench) to publish and frame.parquet to load."""
    rows = [str(sizes.published_rows), str(sizes.loaded_rows)]
    run_side(["benchmarks.sides", "prepare", str(folder), *rows], os.environ)


def prepare_extraction(cache: Path, sizes: Sizes) -> Path:
    """Generate Posts.xml, posts.7z, dumps by order and repository in a folder of ``cache``, if missing; return it."""
    folder = cache / f"extraction-{sizes.dump_rows}-{sizes.order_rows}-{sizes.commits}"
    folder.mkdir(parents=True, exist_ok=True)
    run_side(["benchmarks.extraction", "prepare_dump", str(folder), str(sizes.dump_rows)], os.environ)
    run_side(["benchmarks.extraction", "prepare_orders", str(folder), str(sizes.order_rows)], os.environ)
    run_side(["benchmarks.extraction", "prepare_history", str(folder), str(sizes.commits)], os.environ)
    return folder


def warehouse_comparisons(folder: Path, rounds: int = 3) -> list[Comparison]:
    """Return the comparisons of the warehouse, on the inputs of :func:`prepare` in the folder."""
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
    """Return the comparison of whole runs of the study `sample`, including the start of the process."""
    return Comparison(
        "dlbug run --study sample",
        "the same definitions under Dagster's stock multiprocess executor",
        lambda: _run(folder / "run_ours", ["dlbug_run"]),
        lambda: _run(folder / "run_other", ["multiprocess_run"]),
        rounds=1,
    )


def extraction_comparisons(folder: Path, rounds: int = 3) -> list[Comparison]:
    """Return the comparisons of dumps and histories, on the inputs of :func:`prepare_extraction` in the folder.

    Leaves out the comparisons whose other side is not installed.
    """
    dump, packed, repository = (str(folder / name) for name in ("Posts.xml", "posts.7z", "repository"))
    found = [
        Comparison(
            "questions and answers from a dump, beside lxml",
            "lxml's iterparse in one pass, the same rows to Parquet",
            lambda: _extraction("dump_ours", dump, "posts"),
            lambda: _extraction("dump_lxml", dump, "posts"),
            rounds,
        ),
        Comparison(
            "fix commits, with files and lines, beside PyDriller",
            "PyDriller's traverse_commits with the same titles",
            lambda: _extraction("history_ours", repository, "changes"),
            lambda: _extraction("history_pydriller", repository, "changes"),
            rounds,
        ),
        Comparison(
            "fix commits, with files and lines, beside git",
            "`git diff-tree --stdin --numstat --no-renames` alone, given the commits",
            lambda: _extraction("history_ours", repository, "changes"),
            lambda: _extraction("history_diff_tree", repository, "changes"),
            rounds,
        ),
    ]
    if shutil.which("rg"):
        found.append(
            Comparison(
                "questions and answers from a dump, beside ripgrep",
                "ripgrep for the delimited tags, writing lines, without answers or parsing; questions are compared",
                lambda: _extraction("dump_ours", dump, "numbers"),
                lambda: _extraction("dump_ripgrep", dump, "numbers"),
                rounds,
            )
        )
    if Path(packed).exists():
        found.append(
            Comparison(
                "questions and answers from a .7z",
                "7zz unpacking it and discarding the output; the number of rows is compared",
                lambda: _extraction("dump_ours", packed, "rows"),
                lambda: _extraction("archive_bare", packed, "rows"),
                rounds,
            )
        )
    return found


def order_comparisons(folder: Path, rounds: int = 5) -> list[Comparison]:
    """Return the comparisons of dumps in other orders with one in the order of Ids."""
    ascending = str(folder / "ascending.xml")
    return [
        Comparison(
            f"questions and answers from a dump, {order.replace('_', ' ')}",
            "dlbug, for the same rows with ascending Ids",
            lambda path=str(folder / f"{order}.xml"): _extraction("dump_ours", path, "posts"),
            lambda: _extraction("dump_ours", ascending, "posts"),
            rounds,
        )
        for order in ORDERS
    ]


def all_comparisons(folder: Path, extraction: Path) -> list[Comparison]:
    """Return the comparisons of `make bench`."""
    return [
        *warehouse_comparisons(folder),
        *extraction_comparisons(extraction),
        *order_comparisons(extraction),
        full_run(folder),
    ]


def quick_comparisons(folder: Path, extraction: Path) -> list[Comparison]:
    """Return the comparisons of `make bench-quick`: one round each, without the full run."""
    return [
        *warehouse_comparisons(folder, rounds=1),
        *extraction_comparisons(extraction, rounds=1),
        *order_comparisons(extraction, rounds=1),
    ]


def _extraction(task: str, source: str, compared: str) -> Outcome:
    """Run one side of an extraction; ``compared`` is the part of the result that the other side has, too."""
    _, peak, reply = run_side(["benchmarks.extraction", task, source], os.environ)
    return Outcome(reply["seconds"], peak, {compared: reply[compared]})


def _side(folder: Path, task: str, side: str, database: Path) -> Outcome:
    """Run one side in its own process, which times the task without imports and reading the input."""
    _, peak, reply = run_side(["benchmarks.sides", task, side, str(folder)], os.environ)
    return Outcome(reply["seconds"], peak, _fingerprint(database), database.stat().st_size / _MIB)


def _run(home: Path, command: list[str]) -> Outcome:
    """Run the study in an empty home, timed from the start of the process to its end."""
    shutil.rmtree(home, ignore_errors=True)
    environ = {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "DLBUG_STUDY")}
    seconds, peak, _ = run_side(["benchmarks.sides", *command], environ | {"DLBUG_HOME": str(home)})
    published = home / "sample.duckdb"
    return Outcome(seconds, peak, _fingerprint(published), published.stat().st_size / _MIB)


def _fingerprint(database: Path) -> dict[str, list[str]]:
    return run_side(["benchmarks.sides", "fingerprint", str(database)], os.environ)[2]
