"""Small inputs: a study in an in-memory DuckDB, and label counts as frames."""

from collections.abc import Callable

import duckdb
import polars as pl
import pytest

from dlbug_assets.analysis.clusters import clusters
from dlbug_assets.asset_factories.seeds import study_tables
from dlbug_assets.labeling.bug_labels import bug_labels, full_schema, wide
from dlbug_assets.layout import MODELS
from dlbug_assets.protocol import study as protocol
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.warehouse.frames import register_frame, to_frame
from dlbug_assets.warehouse.rows import table_schema
from support.small_studies import small_study


class Study:
    """A DuckDB with the reference tables of a study, and the labels that a test adds."""

    def __init__(self, study: protocol.Study) -> None:
        self.study = study
        self.taxonomy = load_taxonomy(study)
        self.connection = duckdb.connect()
        for schema in ("reference", "stackoverflow", "github", "labeling", "analysis"):
            self.connection.execute(f"create schema {schema}")
        self.connection.execute("create table stackoverflow.candidate_posts (library varchar, post_id bigint)")
        self.connection.execute("create table github.sampled_commits (library varchar, sha varchar)")
        for table, frame in study_tables(study, self.taxonomy).items():
            self.put(table, frame)
        self._labels: list[dict[str, object]] = []

    def put(self, table: str, frame: pl.DataFrame) -> None:
        """Create a table (``schema.table``), or replace it."""
        register_frame(self.connection, "_frame", frame)
        self.connection.execute(f"create or replace table {table} as from _frame")
        self.connection.unregister("_frame")

    def label(self, **columns: object) -> None:
        """Add one bug. Missing columns are NULL; labels as written default to the labels."""
        written = {f"{name}_as_written": columns.get(name) for name in self.study.asked_names}
        self._labels.append({"bug_id": f"bug {len(self._labels) + 1}", **written, **columns})

    def labels(self) -> pl.DataFrame:
        """Create labeling.labels, bug_labels and categories and analysis.clusters of the bugs; return the first."""
        rows = pl.DataFrame(self._labels, schema=full_schema(self.study))
        long = bug_labels(rows, self.study, self.taxonomy)
        labels = wide(rows, long, self.study)
        self.put("labeling.labels", labels)
        self.put("labeling.bug_labels", long)
        self.put("analysis.clusters", clusters(labels, self.study))
        self.connection.execute(
            "create or replace table labeling.categories as "
            + (MODELS / "labeling" / "categories.sql").read_text(encoding="utf-8")
        )
        return labels

    def run(self, model: str) -> pl.DataFrame:
        """Create the table of dbt_like_sql/analysis/<model>.sql from the unchanged model, and return its rows."""
        self.labels()
        sql = (MODELS / "analysis" / f"{model}.sql").read_text(encoding="utf-8")
        self.connection.execute(f"create or replace table analysis.{model} as {sql}")
        return to_frame(self.connection.sql(sql))


@pytest.fixture
def study(tmp_path) -> Callable[..., Study]:
    """Return a function that makes a study: libraries, and what :func:`small_study` takes."""

    def make(*libraries: str, **other) -> Study:
        return Study(small_study(tmp_path, libraries, **other))

    return make


@pytest.fixture
def label_counts(tmp_path) -> Callable[..., pl.DataFrame]:
    """Return a function that builds dense counts, including `both` and `All`, as in analysis.label_counts.

    It takes bugs as {dimension: {(source, library): {category: bugs}}}, of which each has one category. All dimensions
    of the taxonomy are there unless ``only`` names dimensions and their categories.
    """

    def make(
        bugs: dict[str, dict[tuple[str, str], dict[str, int]]],
        libraries: tuple[str, ...],
        only: dict[str, tuple[str, ...]] | None = None,
        sources: tuple[str, ...] = ("Stack Overflow", "GitHub"),
    ) -> pl.DataFrame:
        study = small_study(tmp_path / "counts", libraries)
        taxonomy = load_taxonomy(study)
        dimensions = only or {dimension: taxonomy.names(dimension) for dimension in study.dimension_names}
        rows = []
        for source in (*sources, "both"):
            for library in (*libraries, "All"):
                cells = [(s, one) for s in sources for one in libraries if source in (s, "both")
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
