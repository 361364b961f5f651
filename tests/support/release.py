"""The authors' own release, if this machine has it, and an independent reader of its workbooks."""

import io
import os
import re
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import polars as pl
import pytest

from dlbug_assets import releases
from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import Taxonomy, load_taxonomy
from dlbug_assets.releases import Released

STUDY = load_study("islam2019")
TAXONOMY = load_taxonomy(STUDY)
KERAS_SO = "SO/Keras_SO_Final.xlsx"
TORCH_GITHUB = "Github/Torch_Github_Final.xlsx"
WRITTEN = ["bug_type_as_written", "root_cause_as_written", "effect_as_written"]

#: Dimensions that the release does not label.
_UNLABELLED = [f"{name}{end}" for name in ("stage", "antipattern") for end in ("", "_as_written")]
CHECKOUT = Path(__file__).parents[2]
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def release_path() -> Path:
    """Return the release, named by DLBUG_ARTIFACT or beside the checkout; skip the test if there is none.

    A DLBUG_ARTIFACT that does not exist is returned, so that the tests fail instead of being skipped.
    """
    if named := os.environ.get("DLBUG_ARTIFACT"):
        return Path(named)
    path = CHECKOUT.parent / "shared" / "artifact" / "islam2019-dataset.zip"
    if not path.is_file():
        pytest.skip("the authors' release is not here: set DLBUG_ARTIFACT")
    return path


def read(path: Path, taxonomy: Taxonomy = TAXONOMY) -> Released:
    """Return what the study of 2019 reads of a zip, whatever its checksum."""
    unchecked = tuple(release.model_copy(update={"sha256": ()}) for release in STUDY.releases)
    study = STUDY.model_copy(update={"releases": unchecked})
    return releases.read(study, taxonomy, {"DLBUG_ARTIFACT": str(path)}, path.parent / "nowhere")


def label_rows(released: Released) -> pl.DataFrame:
    """Return the label rows with one label per dimension of the release."""
    names = [name for name, kind in released.rows.schema.items() if kind == pl.List(pl.String)]
    return released.rows.with_columns(pl.col(names).list.first()).drop(*_UNLABELLED)


def raw_cells(path: Path, member: str, sheet: str) -> list[list[str | None]]:
    """Return columns A to D of a sheet from its XML, with the header, up to the last row with a value in them."""
    with zipfile.ZipFile(path) as archive:
        content = archive.read(f"dataset/{member}")
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        shared = [
            "".join(text.text or "" for text in entry.iter(f"{_MAIN}t"))
            for entry in ET.fromstring(book.read("xl/sharedStrings.xml"))  # noqa: S314
        ]
        relations = {
            relation.get("Id"): relation.get("Target")
            for relation in ET.fromstring(book.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
        }
        entries = ET.fromstring(book.read("xl/workbook.xml")).iter(f"{_MAIN}sheet")  # noqa: S314
        target = next(relations[entry.get(_ID)] for entry in entries if entry.get("name") == sheet)
        assert target
        root = ET.fromstring(book.read(f"xl/{target.removeprefix('/xl/')}"))  # noqa: S314
    cells = {}
    for cell in root.iter(f"{_MAIN}c"):
        reference = re.fullmatch(r"([A-Z]+)(\d+)", cell.get("r") or "")
        assert reference
        column, row = reference.groups()
        value = cell.find(f"{_MAIN}v")
        if column in ("A", "B", "C", "D") and value is not None and value.text:
            cells[int(row), column] = shared[int(value.text)] if cell.get("t") == "s" else value.text
    last = max(row for row, _ in cells)
    return [[cells.get((row, column)) for column in "ABCD"] for row in range(1, last + 1)]
