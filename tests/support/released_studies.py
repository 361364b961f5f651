"""Small studies of releases, and their files, as a researcher would write them."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from dlbug_assets import releases
from dlbug_assets.protocol.study import Study, load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.releases import Released

DIMENSIONS = (
    {"name": "symptom", "required": True},
    {"name": "cause"},
    {"name": "inputs", "multiple": True},
    {"name": "remark", "open": True},
)
TAXONOMY = """dimension,name,aliases
symptom,Crash,crashes|Absturz
symptom,Hang,
cause,Typo,
cause,Race,Data race
inputs,file,
inputs,port,
inputs,user name,
"""
#: What the columns of the files are, unless a test needs others.
COLUMNS = {
    "library": "Library", "link": "Link", "symptom": "Symptom", "cause": "Cause", "inputs": "Inputs",
    "remark": "Remark",
}  # fmt: skip
HEADER = ("Library", "Link", "Symptom", "Cause", "Inputs", "Remark")
#: A row for each of the two libraries.
ROWS = (
    ("Alpha", "https://example.org/1", "Crash", "Typo", "file;port", "at night"),
    ("Beta", "https://example.org/2", "Hang", "", "", ""),
)


def study_of(
    folder: Path,
    *described: Mapping[str, Any],
    dimensions: Sequence[Mapping[str, Any]] = DIMENSIONS,
    taxonomy: str = TAXONOMY,
    mappings: str | None = None,
    **sections: Any,
) -> Study:
    """Write a study of these releases into a folder, beside its files, and read it."""
    content = {
        "study": {"name": "small", "title": "Small", "seed": 1},
        "dimensions": list(dimensions),
        "libraries": [{"name": "Alpha"}, {"name": "Beta"}],
        "sources": {"labels": "release"},
        "releases": [{"columns": COLUMNS} | dict(release) for release in described],
        **sections,
    }
    (folder / "study.toml").write_text(tomli_w.dumps(content), encoding="utf-8")
    (folder / "taxonomy.csv").write_text(taxonomy, encoding="utf-8")
    if mappings is not None:
        (folder / "mappings.csv").write_text(mappings, encoding="utf-8")
    return load_study(folder)


def read(study: Study, environ: Mapping[str, str] | None = None, downloads: Path = Path("nowhere")) -> Released:
    """Return what the releases of a study contain."""
    return releases.read(study, load_taxonomy(study), environ or {}, downloads)


def csv_text(rows: Sequence[Sequence[str]] = ROWS, header: Sequence[str] = HEADER, separator: str = ",") -> str:
    """Return a CSV file with a header; cells are not quoted."""
    return "".join(f"{separator.join(row)}\n" for row in (header, *rows))


def records(rows: Sequence[Sequence[str]] = ROWS, header: Sequence[str] = HEADER) -> list[dict[str, Any]]:
    """Return rows as objects of JSON; several inputs are an array, and empty cells null."""
    found = [dict(zip(header, row, strict=True)) for row in rows]
    return [
        {name: (cell.split(";") if ";" in cell else cell or None) for name, cell in record.items()} for record in found
    ]


def json_lines(rows: Sequence[Sequence[str]] = ROWS) -> str:
    """Return rows as lines of JSON."""
    return "".join(f"{json.dumps(record)}\n" for record in records(rows))


def ods(sheets: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
    """Return an OpenDocument spreadsheet with these sheets, whose cells are texts."""
    tables = "".join(
        f'<table:table table:name="{name}">'
        + "".join(
            "<table:table-row>"
            + "".join(
                f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>'
                if cell
                else "<table:table-cell/>"
                for cell in row
            )
            + "</table:table-row>"
            for row in rows
        )
        + "</table:table>"
        for name, rows in sheets.items()
    )
    space = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content xmlns:office="{space}:office:1.0" '
        f'xmlns:table="{space}:table:1.0" xmlns:text="{space}:text:1.0" office:version="1.2"><office:body>'
        f"<office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>"
    )
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "META-INF/manifest.xml",
            f'<?xml version="1.0"?><manifest:manifest xmlns:manifest="{space}:manifest:1.0"/>',
        )
        archive.writestr("content.xml", content)
    return written.getvalue()
