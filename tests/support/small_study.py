"""Small databases of studies: every table as schema.yml describes it, with the rows that a test adds."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl

from dlbug_assets.asset_factories.seeds import study_tables
from dlbug_assets.protocol.study import Study, load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.publishing.figures import RenderedFigure, figures, render_figure
from dlbug_assets.publishing.report import render_figures, render_page, report_files
from dlbug_assets.publishing.report_queries import run_queries
from dlbug_assets.publishing.study_info import study_info
from dlbug_assets.warehouse.rows import table_schema
from dlbug_assets.warehouse.table_specs import load_specs

RELEASED = """
[sources]
labels = "release"
[[releases]]
path = "bugs.csv"
[releases.columns]
link = "link"
library = "library"
"""


def make_corpus_refreshes(**last_refresh: datetime | None) -> pl.DataFrame:
    """Return publishing.corpus_refreshes with the last refresh of each corpus."""
    rows = {"corpus": list(last_refresh), "last_refresh": list(last_refresh.values())}
    return pl.DataFrame(rows, schema=table_schema("publishing.corpus_refreshes", only=rows))


class SmallStudy:
    """A database of a study with the tables of the schema `reference`; a test adds the rest."""

    def __init__(self, name: str | Path, libraries: tuple[str, ...] = ()) -> None:
        study = load_study(name)
        if libraries:
            kept = tuple(library for library in study.libraries if library.name in libraries)
            study = study.model_copy(update={"libraries": kept})
        self.study: Study = study
        taxonomy = load_taxonomy(study)
        self.connection = duckdb.connect()
        for table, spec in load_specs(study=study).items():
            self.connection.execute(f"create schema if not exists {spec.schema}")
            columns = ", ".join(f'"{column.name}" {column.data_type}' for column in spec.columns)
            self.connection.execute(f"create table {table} ({columns})")
        frames = {
            **study_tables(study, taxonomy),
            "publishing.study_info": study_info(make_corpus_refreshes(posts=None, commits=None), study),
        }
        for table, frame in frames.items():
            self.connection.register("frame", frame)
            self.connection.execute(f"insert into {table} by name from frame")
        self.connection.execute(
            "insert into labeling.categories "
            "select taxonomy.dimension, taxonomy.name, taxonomy.position, taxonomy.parent "
            "from reference.taxonomy inner join reference.dimensions using (dimension)"
        )

    def put(self, table: str, *rows: dict[str, object]) -> None:
        for row in rows:
            names = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" * len(row))
            self.connection.execute(f"insert into {table} ({names}) values ({marks})", list(row.values()))

    def add_category(self, dimension: str, name: str, position: int = 99) -> None:
        self.put("labeling.categories", {"dimension": dimension, "category": name, "position": position})

    def count(self, dimension: str, source: str, library: str, bugs: dict[str, int], total: int | None = None) -> None:
        """Add a distribution: bugs by category, 0 for the other categories of the dimension."""
        total = sum(bugs.values()) if total is None else total
        known = self.query(f"select category from labeling.categories where dimension = '{dimension}'")["category"]
        for category in dict.fromkeys((*known, *bugs)):
            number = bugs.get(category, 0)
            share = number / total if total else None
            self.put(f"analysis.{dimension}_distribution",
                     {"source": source, "library": library, "category": category, "bugs": number, "total": total,
                      "share": share, "share_low": share, "share_high": share, "cluster_low": share,
                      "cluster_high": share})  # fmt: skip

    def query(self, sql: str) -> pl.DataFrame:
        return self.connection.sql(sql).pl()

    def rows(self) -> Mapping[str, pl.DataFrame]:
        """Return the rows of every query of the report."""
        return run_queries(self.query, self.study)

    def figure(self, name: str, notice: str | None = None) -> RenderedFigure:
        (figure,) = (figure for figure in figures(self.study) if figure.name == name)
        return render_figure(figure, self.query(figure.query), notice)

    def page(self) -> str:
        rows = self.rows()
        return render_page(rows, render_figures(rows, self.study), self.study)

    def files(self) -> dict[str, bytes]:
        rows = self.rows()
        return report_files(rows, render_figures(rows, self.study), self.study)


def write_study(
    folder: Path,
    *,
    dimensions: str,
    taxonomy: Mapping[str, Sequence[str]],
    libraries: Sequence[str] = ("Ebb", "Flow"),
    sources: str = RELEASED,
    identity: str = "",
    more: str = "",
) -> SmallStudy:
    """Write a study folder named `own`, and return its database.

    ``taxonomy`` has the categories of each dimension. A study without ``sources`` has the labels of a release.
    """
    folder.mkdir()
    tables = "".join(f'[[libraries]]\nname = "{name}"\n' for name in libraries)
    text = f'[study]\nname = "own"\ntitle = "Bugs of the tide"\nseed = 1\n{identity}\n{dimensions}{tables}{sources}'
    for name in taxonomy:
        if "[[releases]]" in text:
            text += f'{name} = "{name}"\n'
    (folder / "study.toml").write_text(text + more, encoding="utf-8")
    rows = "".join(f"{name},{category}\n" for name, categories in taxonomy.items() for category in categories)
    (folder / "taxonomy.csv").write_text(f"dimension,name\n{rows}", encoding="utf-8")
    return SmallStudy(folder)
