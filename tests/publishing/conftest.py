"""A small study for the report: every table as it is described, empty but for what a test puts in."""

import duckdb
import polars as pl
import pytest

from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.publishing.report_queries import QUERIES
from dlbug_assets.publishing.study_info import study_info
from dlbug_assets.warehouse.table_specs import load_specs


class SmallStudy:
    """Two libraries, the paper's taxonomy and a study's own facts; the rest as the test says."""

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
        info = study_info(load_study(name), {"posts": None, "commits": None})
        self.put("publishing.study_info", *info.to_dicts())

    def put(self, table: str, *rows: dict[str, object]) -> None:
        for row in rows:
            names = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" * len(row))
            self.connection.execute(f"insert into {table} ({names}) values ({marks})", list(row.values()))

    def count(self, dimension: str, source: str, library: str, bugs: dict[str, int]) -> None:
        """A distribution: bugs by category, zeros for the rest of the dimension."""
        total = sum(bugs.values())
        for category in dict.fromkeys((*load_taxonomy().names(dimension), *bugs)):
            number = bugs.get(category, 0)
            share = number / total if total else None
            self.put(f"analysis.{dimension}_distribution",
                     {"source": source, "library": library, "category": category, "bugs": number, "total": total,
                      "share": share, "share_low": share, "share_high": share})  # fmt: skip

    def ask(self, query: str) -> pl.DataFrame:
        return self.connection.sql(query).pl()

    def rows(self) -> dict[str, pl.DataFrame]:
        """The rows of every query of the report."""
        return {name: self.ask(query) for name, query in QUERIES.items()}


@pytest.fixture
def small_study():
    return SmallStudy
