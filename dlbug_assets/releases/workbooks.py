"""Read the release's ten workbooks as they are, with their irregularities."""

import io
import itertools
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fastexcel
import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.taxonomy import GITHUB, REQUIRED_DIMENSIONS, STACK_OVERFLOW, Taxonomy

_HEADERS = {
    STACK_OVERFLOW: ("Post#", "Bug Type", "Root Cause", "Effect"),
    GITHUB: ("GitHub Commit Links", "Bug Type", "Root Cause", "Effect"),
}
_ABBREVIATIONS = ("Caffe", "Keras", "TF", "Theano", "Torch")
_FILES = [
    *((f"SO/{library}_SO_Final.xlsx", library, STACK_OVERFLOW) for library in _ABBREVIATIONS),
    *((f"Github/{library}_Github_Final.xlsx", library, GITHUB) for library in _ABBREVIATIONS),
]
_LARGEST_MEMBER = 5 << 20
_LINK = re.compile(r"https?://github\.com/([^/\s]+/[^/\s]+)/(?:commit|blob)/([0-9a-f]{40})(?![0-9a-f])\S*")
_ERRORS_SHOWN = 10
#: The cell of a formula that failed, in a worksheet's XML.
_FAILED_CELL = re.compile(rb"""(<(?:\w+:)?c\s(?:[^<>]*\s)?t=)(["'])e\2""")
#: Exceptions of the standard library for damaged, encrypted or unusually compressed members.
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, ValueError,
)  # fmt: skip

#: One row per label row of the release, in the order of the files.
ROWS = pl.Schema(
    {
        "library": pl.String,
        "source": pl.String,
        "file": pl.String,
        "sheet": pl.String,
        "row": pl.Int64,
        "link": pl.String,
        "post_id": pl.Int64,
        "repository": pl.String,
        "commit_sha": pl.String,
        **dict.fromkeys(REQUIRED_DIMENSIONS, pl.String),
        **dict.fromkeys((f"{dimension}_as_written" for dimension in REQUIRED_DIMENSIONS), pl.String),
        "swapped": pl.Boolean,
        "mapped": pl.String,
    }
)


@dataclass(frozen=True)
class _Sheet:
    """A label sheet: the texts of its columns A to D, without the header."""

    file: str
    name: str
    source: str
    rows: list[tuple[str | None, ...]]

    def place(self, row: int) -> str:
        return f"{self.file}, sheet {self.name}, row {row}"


def read(path: Path, taxonomy: Taxonomy) -> pl.DataFrame:
    """Return all label rows of the release, with the columns of :data:`ROWS`.

    ``row`` is the row number of the spreadsheet. Labels are resolved by the taxonomy; the ``_as_written`` columns keep
    their spelling. ``swapped`` is true if the sheet has the labels in other columns, which their values reveal.
    ``mapped`` lists the dimensions whose label is not a category of the paper. An empty cell is NULL.

    Raises :class:`DlbugError` for a file that is not the release, and for unknown labels and links, with file, sheet,
    row and value.
    """
    records: list[dict[str, object]] = []
    errors: list[str] = []
    for member, abbreviation, source, content in _members(path):
        sheet = _label_sheet(member, content, source)
        library = taxonomy.fold("library", abbreviation)
        for number, cells in enumerate(sheet.rows, start=2):
            if all(cell is None for cell in cells):  # a formatted row below the data
                continue
            record, error = _record(cells, sheet, number, taxonomy)
            if error:
                errors.append(error)
            records.append({"library": library, "source": source, **record})
    if errors:
        more = len(errors) - _ERRORS_SHOWN
        message = "; ".join(errors[:_ERRORS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise DlbugError(
            f"{message}. Fix the cell; if it is a new spelling of a known category, add that to "
            "dbt_like_sql/seeds/taxonomy.csv."
        )
    return pl.DataFrame(records, schema=ROWS)


def _members(path: Path) -> Iterator[tuple[str, str, str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for member, abbreviation, source in _FILES:
                # Only known names are read, in memory: a path inside of the zip cannot lead elsewhere.
                info = archive.getinfo(f"dataset/{member}")
                if info.file_size > _LARGEST_MEMBER:
                    raise DlbugError(f"{path}: {member} is {info.file_size} bytes, too large for a label workbook")
                yield member, abbreviation, source, archive.read(info)
    except KeyError as error:
        raise DlbugError(f"{path}: {error.args[0]}. Is it the authors' release?") from None
    except _ZIP_ERRORS as error:
        raise DlbugError(f"{path} cannot be read as a zip: {error}. Download it again.") from None


def _label_sheet(member: str, content: bytes, source: str) -> _Sheet:
    """Return the only sheet with the header of labels; others contain working material."""
    width = len(_HEADERS[source])
    try:
        workbook = fastexcel.read_excel(_with_errors_as_text(content))
        sheets = {name: _cells(workbook, name, width) for name in workbook.sheet_names}
    except (fastexcel.FastExcelError, *_ZIP_ERRORS) as error:
        raise DlbugError(
            f"{member} cannot be read as a workbook: {str(error).splitlines()[0]}. Download it again."
        ) from None
    matching = []
    headers = []
    for name, rows in sheets.items():
        header = tuple((cell or "").strip() for cell in rows[0]) if rows else ()
        headers.append(f"{name}: {', '.join(header) or 'empty'}")
        if [cell.casefold() for cell in header] == [cell.casefold() for cell in _HEADERS[source]]:
            matching.append(_Sheet(member, name, source, rows[1:]))
    if len(matching) != 1:
        raise DlbugError(
            f"{member}: {len(matching) or 'no'} sheets have the header {', '.join(_HEADERS[source])} in their first "
            f"row, expected one. Found: {'; '.join(headers)}"
        )
    return matching[0]


def _with_errors_as_text(content: bytes) -> bytes:
    """Return the workbook with the error values of failed formulas as text.

    fastexcel reads an error value like an empty cell, but it must be rejected as a label or link.
    """
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as book, zipfile.ZipFile(changed, "w") as copy:
        for name in dict.fromkeys(book.namelist()):
            part = book.read(name)
            copy.writestr(name, _FAILED_CELL.sub(rb"\1\2str\2", part) if name.startswith("xl/worksheets/") else part)
    return changed.getvalue()


def _cells(workbook: fastexcel.ExcelReader, name: str, width: int) -> list[tuple[str | None, ...]]:
    """Return the first ``width`` columns of a sheet from its cell A1 on."""
    # skip_rows=0: by default leading empty rows are dropped, which would change the row numbers.
    sheet = workbook.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
    columns = sheet.available_columns()
    if not columns:
        return []
    # Leading empty columns are always dropped.
    left = columns[0].absolute_index
    return [((None,) * left + row)[:width] for row in sheet.to_polars().rows()]


def _record(
    cells: tuple[str | None, ...], sheet: _Sheet, number: int, taxonomy: Taxonomy
) -> tuple[dict[str, object], str | None]:
    """Return a row as a record, and its error, if any."""
    identity, *written = (cell if cell and cell.strip() else None for cell in cells)
    place = sheet.place(number)
    where, problem = _identified(identity, sheet.source)
    order = _order(written, taxonomy)
    if order is None:
        problem = problem or _misfit(written, taxonomy)
        order = (0, 1, 2)
    labels = [written[position] for position in order]
    folded = {}
    mapped = []
    for dimension, label in zip(REQUIRED_DIMENSIONS, labels, strict=True):
        folded[dimension] = None if label is None else taxonomy.fold(dimension, label)
        if label is not None and taxonomy.mapping_of(dimension, label):
            mapped.append(dimension)
    record = {
        "file": sheet.file,
        "sheet": sheet.name,
        "row": number,
        **where,
        **folded,
        **{f"{dimension}_as_written": label for dimension, label in zip(REQUIRED_DIMENSIONS, labels, strict=True)},
        "swapped": order != (0, 1, 2),
        "mapped": "; ".join(mapped) or None,
    }
    return record, f"{place}: {problem}" if problem else None


def _misfit(written: list[str | None], taxonomy: Taxonomy) -> str:
    """Explain why no order of the labels fits: some are unknown, or they are in the wrong columns."""
    columns = [(column, label) for column, label in zip(REQUIRED_DIMENSIONS, written, strict=True) if label is not None]
    unknown = [
        f"{column} {label!r}"
        for column, label in columns
        if all(taxonomy.fold(dimension, label) is None for dimension in REQUIRED_DIMENSIONS)
    ]
    if unknown:
        return f"unknown {', '.join(unknown)}"
    misplaced = [f"{column} {label!r}" for column, label in columns if taxonomy.fold(column, label) is None]
    return f"in the wrong column, and more than one order fits, or none: {', '.join(misplaced)}"


def _order(written: list[str | None], taxonomy: Taxonomy) -> tuple[int, ...] | None:
    """Return the cell of each dimension: the header's order if it fits, else the only one that does, or None."""
    fitting = {
        # The keys are labels, so that orders that only exchange empty cells count once.
        tuple(written[position] for position in order): order
        for order in itertools.permutations(range(len(written)))
        if all(
            written[position] is None or taxonomy.fold(dimension, written[position] or "") is not None
            for dimension, position in zip(REQUIRED_DIMENSIONS, order, strict=True)
        )
    }
    if tuple(written) in fitting:
        return (0, 1, 2)
    return next(iter(fitting.values())) if len(fitting) == 1 else None


def _identified(identity: str | None, source: str) -> tuple[dict[str, object], str | None]:
    """Return link, post id, repository and commit of a row, and the error, if any."""
    nothing: dict[str, object] = {"link": None, "post_id": None, "repository": None, "commit_sha": None}
    text = (identity or "").strip()
    if source == STACK_OVERFLOW:
        number = re.fullmatch(r"(\d+)(\.0+)?", text)
        if not number:
            return nothing, f"{text!r} is not a post id"
        post_id = int(number.group(1))
        return nothing | {"link": f"https://stackoverflow.com/questions/{post_id}", "post_id": post_id}, None
    link = _LINK.fullmatch(text)
    if not link:
        return nothing, f"{text!r} is not a link to a commit with a 40-digit hash"
    return nothing | {"link": text, "repository": link.group(1), "commit_sha": link.group(2)}, None
