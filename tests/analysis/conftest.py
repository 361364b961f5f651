"""Small inputs: a study in an in-memory DuckDB, and label counts as frames."""

from collections.abc import Callable, Iterable

import duckdb
import polars as pl
import pytest

from dlbug_assets.layout import MODELS, SEEDS
from dlbug_assets.protocol.taxonomy import DIMENSIONS, load_taxonomy
from dlbug_assets.warehouse.rows import table_schema

SO, GH = "Stack Overflow", "GitHub"

_LABEL_COLUMNS = ("source", "library", "bug_type", "root_cause", "effect", "stage", "antipattern", "year", "link",
                  "item_id", "repository")  # fmt: skip
_WRITTEN = ("bug_type", "root_cause", "effect")


class Study:
    """A DuckDB with the reference tables, and the libraries and labels that a test adds."""

    def __init__(self, libraries: Iterable[str], *, corpus: bool) -> None:
        self.connection = duckdb.connect()
        for schema in ("reference", "stackoverflow", "github", "labeling", "analysis"):
            self.connection.execute(f"create schema {schema}")
        self.connection.execute("create table reference.libraries (library varchar, position integer)")
        for position, library in enumerate(libraries, start=1):
            self.connection.execute("insert into reference.libraries values (?, ?)", [library, position])
        self.connection.execute(
            "create table reference.study as select ? as posts_are_a_corpus, ? as commits_are_a_corpus",
            [corpus, corpus],
        )
        self.connection.execute("create table stackoverflow.candidate_posts (library varchar, post_id bigint)")
        self.connection.execute("create table github.sampled_commits (library varchar, sha varchar)")
        self.connection.execute(
            "create table labeling.labels (source varchar, library varchar, bug_type varchar, root_cause varchar, "
            "effect varchar, stage varchar, antipattern varchar, year integer, link varchar, "
            "item_id varchar, repository varchar, "
            "bug_type_as_written varchar, root_cause_as_written varchar, effect_as_written varchar)"
        )
        self.connection.execute(
            "create table reference.taxonomy (dimension varchar, code varchar, name varchar, position integer, "
            "origin varchar)"
        )
        positions: dict[str, int] = {}
        for category in load_taxonomy().categories:
            positions[category.dimension] = positions.get(category.dimension, 0) + 1
            self.connection.execute(
                "insert into reference.taxonomy values (?, ?, ?, ?, 'paper')",
                [category.dimension, category.code, category.name, positions[category.dimension]],
            )
        for seed in ("table1", "table2_bug_type", "table2_p", "table3_root_cause", "table3_p", "table4_effect",
                     "table4_p"):  # fmt: skip
            self.connection.execute(f"create table reference.{seed} as from read_csv('{SEEDS / seed}.csv')")

    def label(self, **columns: object) -> None:
        """Add one bug. Missing columns are NULL; labels as written default to the labels."""
        written = [columns.get(f"{name}_as_written", columns.get(name)) for name in _WRITTEN]
        self.connection.execute(
            f"insert into labeling.labels values ({', '.join('?' * (len(_LABEL_COLUMNS) + len(_WRITTEN)))})",
            [*(columns.get(name) for name in _LABEL_COLUMNS), *written],
        )

    def run(self, model: str) -> pl.DataFrame:
        """Create the table of dbt_like_sql/analysis/<model>.sql from the unchanged model, and return its rows."""
        sql = (MODELS / "analysis" / f"{model}.sql").read_text(encoding="utf-8")
        self.connection.execute(f"create table analysis.{model} as {sql}")
        return self.connection.sql(sql).pl()


@pytest.fixture
def study() -> Callable[..., Study]:
    def make(*libraries: str, corpus: bool = True) -> Study:
        return Study(libraries, corpus=corpus)

    return make


@pytest.fixture
def label_counts() -> Callable[..., pl.DataFrame]:
    """Return a function that builds dense counts, including `both` and `All`, as in analysis.label_counts.

    It takes bugs as {dimension: {(source, library): {category: bugs}}}. All dimensions of the taxonomy are there unless
    ``only`` names dimensions and their categories.
    """

    def make(
        bugs: dict[str, dict[tuple[str, str], dict[str, int]]],
        libraries: tuple[str, ...],
        only: dict[str, tuple[str, ...]] | None = None,
    ) -> pl.DataFrame:
        taxonomy = load_taxonomy()
        dimensions = only or {dimension: taxonomy.names(dimension) for dimension in DIMENSIONS}
        rows = []
        for source in (SO, GH, "both"):
            for library in (*libraries, "All"):
                cells = [(s, one) for s in (SO, GH) for one in libraries if source in (s, "both")
                         and library in (one, "All")]  # fmt: skip
                for dimension, categories in dimensions.items():
                    counted = [
                        sum(bugs.get(dimension, {}).get(cell, {}).get(category, 0) for cell in cells)
                        for category in categories
                    ]
                    rows += [(source, library, dimension, category, n, sum(counted))
                             for category, n in zip(categories, counted, strict=True)]  # fmt: skip
        return pl.DataFrame(rows, orient="row", schema=table_schema("analysis.label_counts"))

    return make
