"""Small workbooks and a stand-in for the authors' release, written cell by cell."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"

POST_HEADER = ("Post#", "Bug Type", "Root Cause", "Effect")
COMMIT_HEADER = ("GitHub Commit Links", "Bug Type", "Root Cause", "Effect")
SHA = "0123456789abcdef0123456789abcdef01234567"
COMMIT = f"https://github.com/someone/project/commit/{SHA}"
LABELS = ("API Bug", "API Change", "Crash")
MEMBERS = tuple(
    f"{folder}/{library}_{folder}_Final.xlsx"
    for folder in ("SO", "Github")
    for library in ("Caffe", "Keras", "TF", "Theano", "Torch")
)


@dataclass(frozen=True)
class Number:
    """A numeric cell with exactly this text in the XML, as in Number('50079585.0') or Number('5.0079585E7')."""

    text: str


@dataclass(frozen=True)
class ErrorValue:
    """A cell whose formula failed, as in ErrorValue('#N/A')."""

    text: str


@dataclass(frozen=True)
class Formatted:
    """A cell with a format but no value, as often found below and beside data."""


Cell = str | int | Number | ErrorValue | Formatted | None
Rows = Sequence[Sequence[Cell]]


def workbook(sheets: Mapping[str, Rows]) -> bytes:
    """Return an .xlsx file with these sheets, in this order; None omits a cell, an empty row omits the row."""
    names = list(enumerate(sheets, start=1))
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPES}.worksheet+xml"/>' for n, _ in names
        )
        + "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>'
        + "".join(f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>' for n, name in names)
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        + "".join(
            f'<Relationship Id="rId{n}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n, _ in names
        )
        + "</Relationships>",
        **{f"xl/worksheets/sheet{n}.xml": _sheet(sheets[name]) for n, name in names},
    }
    return zipped({name: f'<?xml version="1.0" encoding="UTF-8"?>{part}'.encode() for name, part in parts.items()})


def _sheet(rows: Rows) -> str:
    lines = ""
    for number, row in enumerate(rows, start=1):
        if row:
            cells = (_cell(f"{column}{number}", cell) for column, cell in zip("ABCDEFGHIJ", row, strict=False))
            lines += f'<row r="{number}">{"".join(cells)}</row>'
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{lines}</sheetData></worksheet>'


def _cell(reference: str, cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case int():
            return f'<c r="{reference}"><v>{cell}</v></c>'
        case Number(text):
            return f'<c r="{reference}"><v>{text}</v></c>'
        case ErrorValue(text):
            return f'<c r="{reference}" t="e"><v>{escape(text)}</v></c>'
        case Formatted():
            return f'<c r="{reference}" s="0"/>'
        case _:
            return f'<c r="{reference}" t="inlineStr"><is><t xml:space="preserve">{escape(cell)}</t></is></c>'


def zipped(members: Mapping[str, bytes]) -> bytes:
    """Return a deflated zip of these members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in members.items():
            archive.writestr(name, part)
    return content.getvalue()


def label_sheet(member: str, *rows: Sequence[Cell]) -> bytes:
    """Return a workbook of the release with one sheet: the member's header and these rows."""
    return workbook({"Sheet1": [POST_HEADER if member.startswith("SO/") else COMMIT_HEADER, *rows]})


def release(folder: Path, changes: Mapping[str, bytes | None] | None = None) -> Path:
    """Write a zip laid out as the authors' release, with an empty label sheet in each of the ten workbooks.

    ``changes`` maps member names (without ``dataset/``) to other content; None omits the member.
    """
    contents: dict[str, bytes | None] = {member: label_sheet(member) for member in MEMBERS} | dict(changes or {})
    path = folder / "release.zip"
    path.write_bytes(zipped({f"dataset/{name}": part for name, part in contents.items() if part is not None}))
    return path
