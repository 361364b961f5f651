"""The authors' own release, where this machine has it, and a second reader of it that shares no code with ours."""

import io
import os
import re
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def release_path() -> Path:
    """The release named by DLBUG_ARTIFACT or beside the checkout; skips the test that asks where it is neither.

    A name that is no file is returned as it is: a misspelt DLBUG_ARTIFACT fails the tests instead of skipping them.
    """
    if named := os.environ.get("DLBUG_ARTIFACT"):
        return Path(named)
    path = CHECKOUT.parent / "shared" / "artifact" / "islam2019-dataset.zip"
    if not path.is_file():
        pytest.skip("the authors' release is not here: set DLBUG_ARTIFACT")
    return path


def raw_cells(path: Path, member: str, sheet: str) -> list[list[str | None]]:
    """Columns A to D of a sheet as its XML says, header included, down to the last row with a value in them."""
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
        root = ET.fromstring(book.read(f"xl/{target.removeprefix('/xl/')}"))  # noqa: S314
    cells = {}
    for cell in root.iter(f"{_MAIN}c"):
        column, row = re.fullmatch(r"([A-Z]+)(\d+)", cell.get("r")).groups()
        value = cell.find(f"{_MAIN}v")
        if column in ("A", "B", "C", "D") and value is not None and value.text:
            cells[int(row), column] = shared[int(value.text)] if cell.get("t") == "s" else value.text
    last = max(row for row, _ in cells)
    return [[cells.get((row, column)) for column in "ABCD"] for row in range(1, last + 1)]
