"""Run one side of a comparison: `python -m benchmarks.sides TASK ARGUMENTS... REPLY`.

It does its task once and writes a JSON object to the file REPLY: the seconds of the task, if it times itself.
"""

import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from dlbug_assets.layout import Home
from dlbug_assets.warehouse.database import STORAGE_VERSION, Warehouse
from dlbug_assets.warehouse.table_specs import Check, Column, TableSpec

_SEED = 20190826
_VOCABULARY = 4000
_TABLES = ("stackoverflow.raw_posts", "stackoverflow.raw_answers", "github.fix_commits")

#: Columns with times of a run, and tables that only describe a run: they differ between runs.
_TIMES = {"retrieved_at", "seen_at", "received_at", "adjudicated_at"}
_RUN_TABLES = {"publishing.study_info", "publishing.corpus_refreshes"}

_SPEC = TableSpec(
    "stackoverflow",
    "loaded",
    "Synthetic posts for the benchmark",
    ("id",),
    (
        Column("id", "bigint", "Number of the post"),
        Column("library", "varchar", "Library"),
        Column("created_at", "timestamp", "UTC"),
        Column("score", "integer", "Votes"),
        Column("title", "varchar", "Title"),
        Column("body", "varchar", "Text"),
    ),
    (
        Check("id_unique", "one row per id", "select id from stackoverflow.loaded group by id having count(*) > 1"),
        Check("body_not_null", "every post has a body", "select id from stackoverflow.loaded where body is null"),
    ),
    "benchmarks/sides.py",
)


def prepare(folder: str, published_rows: str, loaded_rows: str) -> dict[str, Any]:
    """Generate the inputs: a working database of three tables and a Parquet file; the same rows on every machine."""
    home = Home(Path(folder, "home"), "bench")
    home.folder.mkdir(parents=True)
    with Warehouse(home, "benchmark") as warehouse:
        for number, table in enumerate(_TABLES):
            warehouse.connection.execute(f"create table {table} as {_posts(int(published_rows), _SEED + number)}")
    frame = str(Path(folder, "frame.parquet"))
    duckdb.execute(f"copy ({_posts(int(loaded_rows), _SEED + len(_TABLES))}) to '{frame}' (format parquet)")
    return {}


def _posts(rows: int, seed: int) -> str:
    """Return a query for rows like posts: 90 words of a vocabulary of 4,000 and 192 characters of unique "code"."""
    letters = random.Random(_SEED)  # noqa: S311 - synthetic words, no secrets
    words = ["".join(letters.choices("etaoinshrdlucmfw", k=letters.randint(2, 11))) for _ in range(_VOCABULARY)]
    return f"""
        select i as id, ['Caffe', 'Keras', 'Tensorflow', 'Theano', 'Torch'][1 + (hash(i, {seed}) % 5)::int] as library,
            timestamp '2010-01-01' + to_seconds((hash(i, {seed}, 1) % 300000000)::bigint) as created_at,
            (hash(i, {seed}, 2) % 200)::int as score, 'Post ' || md5(i::varchar) as title,
            array_to_string(list_transform(range(90), lambda k:
                string_split('{" ".join(words)}', ' ')[1 + (hash(i, k, {seed}) % {_VOCABULARY})::int]), ' ')
            || '<pre><code>'
            || array_to_string(list_transform(range(6), lambda k: md5(concat_ws(',', i, k, {seed}))), '')
            || '</code></pre>' as body
        from range({rows}) as numbers(i)"""


def publish(side: str, folder: str) -> dict[str, Any]:
    """Publish an open working database as a copy on disk that other processes can open."""
    home = Home(Path(folder, "home"), "bench")
    if side == "ours":
        with Warehouse(home, "benchmark") as warehouse:
            warehouse.connection.execute("select 1")
            return _timed(warehouse.publish)
    target = Path(folder, "copied.duckdb")
    target.unlink(missing_ok=True)

    def copy() -> None:
        connection.execute(f"attach '{target}' as copied (storage_version '{STORAGE_VERSION}')")
        connection.execute("copy from database working to copied")
        connection.execute("detach copied")

    with duckdb.connect(str(home.working)) as connection:
        return _timed(copy)


def load(side: str, folder: str) -> dict[str, Any]:
    """Load the frame into a new file, timed from connecting to closing."""
    home = Home(Path(folder, "loading"), "bench")
    home.folder.mkdir(parents=True, exist_ok=True)
    target = home.working if side == "ours" else Path(folder, "loaded.duckdb")
    target.unlink(missing_ok=True)
    frame = pl.read_parquet(Path(folder, "frame.parquet"))

    def ours() -> None:
        with Warehouse(home, "benchmark") as warehouse:
            if not warehouse.replace(_SPEC, frame).accepted:
                raise ValueError("the benchmark's rows violate the benchmark's checks")

    def other() -> None:
        # The statements that DuckDBPolarsIOManager executes: clean-up, then its type handler's output.
        with duckdb.connect(str(target)) as connection:
            with contextlib.suppress(duckdb.CatalogException):
                connection.execute("delete from stackoverflow.loaded")
            connection.register("obj_arrow", frame.to_arrow())
            connection.execute("create schema if not exists stackoverflow")
            connection.execute("create table if not exists stackoverflow.loaded as select * from obj_arrow")
            if not connection.fetchall():
                connection.execute("insert into stackoverflow.loaded select * from obj_arrow")

    return _timed(ours if side == "ours" else other)


def dlbug_run() -> dict[str, Any]:
    """Run `dlbug run --study sample` in DLBUG_HOME."""
    from dlbug_assets.cli.main import cli  # noqa: PLC0415 - imports Dagster, as the command does

    cli(["run", "--study", "sample"], standalone_mode=False)
    return {}


def multiprocess_run() -> dict[str, Any]:
    """Run the same job in the same kind of instance, with a process per step."""
    from benchmarks.multiprocess import execute  # noqa: PLC0415 - Dagster

    execute(os.environ)
    return {}


def fingerprint(database: str) -> dict[str, Any]:
    """Return each table's number of rows and sum of row hashes, independent of order and without times of runs."""
    with duckdb.connect(database, read_only=True) as connection:
        columns: dict[str, list[str]] = {}
        for table, column in connection.execute(
            "select schema_name || '.' || table_name, column_name from duckdb_columns() where not internal "
            "and database_name = current_database() order by all"
        ).fetchall():
            columns.setdefault(table, []).append(column)
        return {
            table: _count_and_hash(connection, table, [name for name in names if name not in _TIMES])
            for table, names in columns.items()
            if table not in _RUN_TABLES
        }


def _count_and_hash(connection: duckdb.DuckDBPyConnection, table: str, columns: list[str]) -> list[str]:
    names = ", ".join(f'"{name}"' for name in columns)
    row = connection.execute(f"select count(*), sum(hash({names})::hugeint) from {table}").fetchall()[0]
    return [str(value) for value in row]


def _timed(work: Callable[[], object]) -> dict[str, Any]:
    began = time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - began}


_TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    task.__name__: task for task in (prepare, publish, load, dlbug_run, multiprocess_run, fingerprint)
}

if __name__ == "__main__":
    name, *arguments, reply = sys.argv[1:]
    Path(reply).write_text(json.dumps(_TASKS[name](*arguments)), encoding="utf-8")
