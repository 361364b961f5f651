"""A small study for the report: every table as schema.yml describes it, with the rows that a test adds."""

from collections.abc import Mapping
from datetime import datetime

import duckdb
import polars as pl
import pytest

from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.publishing.report_queries import run_queries
from dlbug_assets.publishing.study_info import study_info
from dlbug_assets.warehouse.rows import table_schema
from dlbug_assets.warehouse.table_specs import load_specs


def make_corpus_refreshes(**last_refresh: datetime | None) -> pl.DataFrame:
    """Return publishing.corpus_refreshes with the last refresh of each corpus."""
    rows = {"corpus": list(last_refresh), "last_refresh": list(last_refresh.values())}
    return pl.DataFrame(rows, schema=table_schema("publishing.corpus_refreshes", only=rows))


class SmallStudy:
    """A database with two libraries, the paper's taxonomy and the facts of a study; a test adds the rest."""

    def __init__(self, name: str, libraries: tuple[str, ...] = ("Caffe", "Keras")) -> None:
        self.connection = duckdb.connect()
        for table, spec in load_specs().items():
            self.connection.execute(f"create schema if not exists {spec.schema}")
            columns = ", ".join(f'"{column.name}" {column.data_type}' for column in spec.columns)
            self.connection.execute(f"create table {table} ({columns})")
        self.put("reference.study", {"name": name, "seed": 1, "posts_are_a_corpus": True, "min_score": 6,
                                     "kappa_target": 0.8, "commits_per_library": 9})  # fmt: skip
        for position, library in enumerate(libraries, start=1):
            self.put("reference.libraries", {"library": library, "position": position, "tags": [library.lower()]})
        for position, category in enumerate(load_taxonomy().categories):
            self.put("reference.taxonomy", {"dimension": category.dimension, "name": category.name,
                                            "position": position})  # fmt: skip
        info = study_info(make_corpus_refreshes(posts=None, commits=None), load_study(name))
        self.put("publishing.study_info", *info.to_dicts())

    def put(self, table: str, *rows: dict[str, object]) -> None:
        for row in rows:
            names = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" * len(row))
            self.connection.execute(f"insert into {table} ({names}) values ({marks})", list(row.values()))

    def count(self, dimension: str, source: str, library: str, bugs: dict[str, int]) -> None:
        """Add a distribution: bugs by category, 0 for the other categories of the dimension."""
        total = sum(bugs.values())
        for category in dict.fromkeys((*load_taxonomy().names(dimension), *bugs)):
            number = bugs.get(category, 0)
            share = number / total if total else None
            self.put(f"analysis.{dimension}_distribution",
                     {"source": source, "library": library, "category": category, "bugs": number, "total": total,
                      "share": share, "share_low": share, "share_high": share})  # fmt: skip

    def query(self, sql: str) -> pl.DataFrame:
        return self.connection.sql(sql).pl()

    def rows(self) -> Mapping[str, pl.DataFrame]:
        """Return the rows of every query of the report."""
        return run_queries(self.query)


@pytest.fixture
def corpus_refreshes():
    return make_corpus_refreshes


@pytest.fixture
def small_study():
    return SmallStudy
