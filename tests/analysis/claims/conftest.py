"""Claims in TOML and bugs by hand: what the tables of a study say of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest

from dlbug_assets.analysis.claims.claims import claims, judged
from dlbug_assets.analysis.claims.findings import findings
from dlbug_assets.analysis.claims.readings import Case
from dlbug_assets.analysis.claims.sensitivity import finding_sensitivity
from dlbug_assets.analysis.claims.tally import Tally
from dlbug_assets.protocol.claims import claim_rows, load_claims
from dlbug_assets.warehouse.rows import table_schema


def in_a_further_sheet(*bugs: str) -> pl.DataFrame:
    """Return labeling.leftover_labels of bugs."""
    return pl.DataFrame({"bug_id": bugs}, schema=table_schema("labeling.leftover_labels", only=("bug_id",)))


class Claimed:
    """A study with bugs (see ``study`` of tests/analysis/conftest.py) and the claims of a file."""

    def __init__(self, study, path: Path) -> None:
        self.study = study
        protocol = study.study
        self.claims = load_claims(
            path,
            dimensions=protocol.dimension_names,
            categories={name: study.taxonomy.names(name) for name in protocol.dimension_names},
            libraries=protocol.library_names,
            sources=protocol.source_names,
            followed=path.name != "own.toml",
        )

    def _inputs(self) -> dict[str, pl.DataFrame]:
        labels = self.study.labels()
        tables = {"clusters": "analysis.clusters", "bug_labels": "labeling.bug_labels",
                  "categories": "labeling.categories", "taxonomy": "reference.taxonomy"}  # fmt: skip
        return {"labels": labels} | {name: self.study.connection.sql(f"from {table}").pl()
                                     for name, table in tables.items()}  # fmt: skip

    def tally(self) -> Tally:
        """Return the counts of the bugs."""
        protocol = self.study.study
        return Tally(
            **self._inputs(),
            study=protocol,
            claims=self.claims,
        )

    def tables(self, **queried: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Return analysis.claims and analysis.findings."""
        stated = pl.DataFrame(claim_rows(self.claims), schema=table_schema("reference.claims"))
        return claims(stated, **self._inputs(), study=self.study.study, **queried)

    def findings(self) -> pl.DataFrame:
        """Return analysis.findings, without resampling."""
        tally = self.tally()
        found = [judged(claim, place, tally, {}) for place, claim in enumerate(self.claims)]
        return findings(self.claims, [each.reading if isinstance(each, Case) else each for each in found])

    def sensitivity(self, *first_batch: str) -> pl.DataFrame:
        """Return analysis.finding_sensitivity, with bugs in a further sheet of the release."""
        stated = pl.DataFrame(claim_rows(self.claims), schema=table_schema("reference.claims"))
        return finding_sensitivity(
            stated, **self._inputs(), leftovers=in_a_further_sheet(*first_batch), study=self.study.study
        )


@pytest.fixture
def claimed(study, tmp_path) -> Callable[..., Claimed]:
    """Return a function that makes a study of libraries, with claims in TOML and bugs.

    ``bugs`` are {(source, library): {category: number}} by dimension; the first bug of a cell has the first category of
    each dimension, and so on, and each bug is a cluster of its own unless ``add`` adds them. ``file`` are claims of
    another study.
    """

    def make(
        text: str = "",
        bugs: Mapping[str, Mapping[tuple[str, str], Mapping[str, int]]] | None = None,
        libraries: Sequence[str] = ("Caffe", "Keras", "Tensorflow", "Theano", "Torch"),
        file: Path | None = None,
        **other,
    ) -> Claimed:
        own = tmp_path / "own.toml"
        own.write_text(text, encoding="utf-8")
        made = study(*libraries, **other)
        add(made, bugs or {})
        return Claimed(made, file or own)

    return make


def add(study, bugs: Mapping[str, Mapping[tuple[str, str], Mapping[str, int]]]) -> None:
    """Add the bugs of each source and library."""
    cells = {cell for of_dimension in bugs.values() for cell in of_dimension}
    for source, library in sorted(cells):
        columns = {
            dimension: [name for name, n in of_dimension.get((source, library), {}).items() for _ in range(n)]
            for dimension, of_dimension in bugs.items()
        }
        for place in range(max(map(len, columns.values()))):
            labels = {name: column[place] for name, column in columns.items() if place < len(column)}
            item = f"{source}/{library}/{place}"
            study.label(source=source, library=library, item_id=item, link=item, bug_index=1, **labels)
