"""The columns of released files: their cells, joined from other releases, as parts that are labels or facts.

What belongs here: where a column's texts come from, and what is kept of them. What doesn't: what they mean
(label_rows.py).
"""

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.child_process import ChildProcess, LimitError
from dlbug_assets.ingest.table_files import Cell, Layout
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.names import shown
from dlbug_assets.protocol.releases import FORMATS, PLACEHOLDER, Column, Header, Release
from dlbug_assets.protocol.study import Study
from dlbug_assets.releases.locate import locate


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of a file or sheet: their numbers, and the cells of each column; and those in its other sheets.

    The ``sheet`` of the others is its number, because its name may be that of a person.
    """

    name: str
    sheet: str | None
    numbers: list[int]
    cells: dict[str, list[Cell]]
    leftovers: Sequence["Table"] = ()

    def cell(self, column: Column, index: int) -> Cell:
        """Return the first of the column's cells that is filled, in the row with an index."""
        cells = (self.cells[name][index] for name in column.column)
        return next((cell for cell in cells if cell and (not isinstance(cell, str) or cell.strip())), None)

    def place(self, index: int) -> str:
        """Return where a row is, for messages."""
        return ", ".join([self.name, *[f"sheet {self.sheet}"] * bool(self.sheet), f"row {self.numbers[index]}"])


def needed_columns(release: Release, own: str | None = None) -> list[str]:
    """Return the columns of the release's files, or of the one that it joins as ``own``, that are needed."""
    columns = [name for column in release.columns.values() if column.from_ == own for name in column.column]
    if own is None:
        filled = (name for column in release.columns.values() for name in column.placeholders)
        columns += [name for name in filled if name != "key" or "key" not in release.columns]
    return list(dict.fromkeys(columns))


def label_columns(release: Release, dimensions: Iterable[Dimension]) -> list[tuple[str, ...]]:
    """Return the names of the release's own column of each dimension that it labels."""
    columns = (release.columns.get(dimension.name) for dimension in dimensions)
    return [column.column for column in columns if column and column.column and not column.from_]


@dataclass(frozen=True)
class ReleaseFiles:
    """Reads the files of releases, in a child process."""

    child: ChildProcess
    study: Study
    environ: Mapping[str, str]
    downloads: Path

    def tables(
        self,
        release: Release,
        columns: list[str],
        named_by: Mapping[str, str] | None = None,
        labels: Sequence[Sequence[str]] = (),
    ) -> Iterator[Table]:
        """Yield the rows of each file or member of a release.

        ``named_by``: for messages, what names each column, if it is not a key of study.toml. ``labels``: the names of
        each column of labels; other sheets of a workbook that have them are read, too.
        """
        for file in release.file_names:
            path = locate(release, file, self.study.name, self.environ, self.downloads)
            for member in release.member_names or (None,):
                name = member or file
                inside = None if member is None else str(PurePosixPath(release.folder or "") / member)
                arguments = {"path": str(path.absolute()), "member": inside, "columns": columns}
                try:
                    layout = _layout(release, name, named_by or self._named_by(release), labels)
                    reply = b"".join(self.child.call(layout=asdict(layout), **arguments))
                except LimitError as error:
                    raise DlbugError(f"{name} cannot be read: {error}. Is it the file that the study means?") from None
                except DlbugError as error:
                    raise DlbugError(f"{name}: {error}") from None
                sheet, *lines = map(json.loads, io.BytesIO(reply))
                rows = [row for line in lines if isinstance(line, list) for row in line]
                others = [line for line in lines if isinstance(line, dict)]
                leftovers = [_table(name, line["sheet"], line["rows"], columns) for line in others]
                yield _table(name, sheet, rows, columns, leftovers)

    def _named_by(self, read: Release) -> dict[str, str]:
        """Return the key of study.toml that names each column of a release, its own or that of one that joins it."""
        return {
            name: f"releases.{place}.columns.{key} of {self.study.files.study}"
            for place, release in enumerate(self.study.releases)
            for key, column in release.columns.items()
            for name in (*column.column, *column.placeholders)
            if (release == read and not column.from_) or (column.from_ and column.from_ == read.name)
        }


def _table(
    name: str,
    sheet: str | None,
    rows: Sequence[tuple[int, list[Cell]]],
    columns: Sequence[str],
    leftovers: Sequence[Table] = (),
) -> Table:
    cells = {column: [row[1][place] for row in rows] for place, column in enumerate(columns)}
    return Table(name, sheet, [number for number, _ in rows], cells, leftovers)


def _layout(release: Release, name: str, named_by: Mapping[str, str], labels: Sequence[Sequence[str]]) -> Layout:
    return Layout(
        kind=FORMATS[PurePosixPath(name).suffix.lower()],
        sheet=release.sheet if isinstance(release.sheet, str) else None,
        header=release.sheet.header if isinstance(release.sheet, Header) else None,
        rows=release.rows,
        where=release.where,
        encoding=release.encoding,
        separator=release.separator,
        named_by=named_by,
        labels=labels,
    )


class Joined:
    """A release that others join, by the key of its rows."""

    def __init__(self, release: Release, files: ReleaseFiles) -> None:
        joining = [column for other in files.study.releases for column in needed_columns(other, release.name)]
        self._key = release.columns["key"]
        self._tables = list(files.tables(release, list(dict.fromkeys([*needed_columns(release), *joining]))))
        self._rows: dict[bool, dict[str, tuple[Table, int]]] = {}

    def cells(self, keys: Sequence[str | None], column: Column) -> list[Cell]:
        """Return the cells of a column in the rows with these keys; None where there is no such row."""
        rows = self._rows_by_key(column.ignore_case)
        found = [rows.get(_folded(key or "", column.ignore_case)) for key in keys]
        return [None if row is None else row[0].cell(column, row[1]) for row in found]

    def lacks(self, key: str | None, column: Column) -> bool:
        """Return whether no row has a key."""
        return _folded(key or "", column.ignore_case) not in self._rows_by_key(column.ignore_case)

    def _rows_by_key(self, ignore_case: bool) -> dict[str, tuple[Table, int]]:
        if ignore_case not in self._rows:
            rows: dict[str, tuple[Table, int]] = {}
            for table in self._tables:
                for index, parts in enumerate(parts_of(self._key, _own_cells(self._key, table))):
                    place = table.place(index)
                    if len(parts) != 1 or (key := parts[0][1]) is None:
                        raise DlbugError(f"{place}: it needs one key, by which other releases find the row")
                    other, row = rows.setdefault(_folded(key, ignore_case), (table, index))
                    if (other, row) != (table, index):
                        raise DlbugError(
                            f"{place}: the key {shown(key)} is also that of {other.place(row)}, but other releases "
                            "find one row by it. Delete one of them."
                        )
            self._rows[ignore_case] = rows
        return self._rows[ignore_case]


def _folded(key: str, ignore_case: bool) -> str:
    return key.casefold() if ignore_case else key


#: A part of a cell as written, and its value: None if it does not match what the column extracts.
Part = tuple[str, str | None]


def _own_cells(column: Column, table: Table) -> list[Cell]:
    """Return the cells of a column that comes from a table itself."""
    if column.column:
        return [table.cell(column, index) for index in range(len(table.numbers))]
    return [column.value or table.name] * len(table.numbers)


def parts_of(column: Column, cells: Sequence[Cell], separator: str | None = None) -> list[list[Part]]:
    """Return the parts of each cell that are not empty: those of an array, or between separators, or its text."""
    split: list[list[str]] = []
    for cell in cells:
        if isinstance(cell, str) and separator:
            parts = [part.strip() for part in cell.split(separator)]
        else:
            parts = [cell] if isinstance(cell, str) else cell or []
        split.append([part for part in parts if part.strip()])
    written = list(dict.fromkeys(part for parts in split for part in parts))
    values = pl.Series(written, dtype=pl.String)
    if column.extract:
        groups = values.str.extract_groups(column.extract).struct.unnest()
        joined = groups.select(pl.concat_str(pl.all(), ignore_nulls=True)).to_series()
        values = joined.zip_with(values.str.contains(column.extract), pl.Series([None], dtype=pl.String))
    if column.strip:
        values = values.str.replace_all(column.strip, "")
    values = values.str.strip_chars()
    meant = {text: column.map.get(value, value) for text, value in zip(written, values, strict=True)}
    return [[(part, meant[part]) for part in parts if meant[part] != ""] for parts in split]


def column_parts(
    release: Release, table: Table, joins: Mapping[str, Joined], dimensions: Mapping[str, Dimension]
) -> tuple[dict[str, list[list[Part]]], int]:
    """Return the parts of each column's cells, and the number of rows whose key a joined release lacks.

    ``joins`` are the releases that this one may take columns from, ``dimensions`` those of the study that it labels.
    Raises :class:`DlbugError` if a joined release has none of the keys.
    """
    columns = release.columns
    parts: dict[str, list[list[Part]]] = {}
    lacking = 0
    # Links may contain keys, and other releases are joined by either.
    for name in sorted(columns, key=lambda name: ("key", "link").index(name) if name in ("key", "link") else 2):
        column = columns[name]
        if column.template:
            cells = _filled(column, table, parts.get("key"))
        elif column.from_:
            keys = [found[0][1] if found else None for found in parts["key" if "key" in parts else "link"]]
            joined = joins[column.from_]
            cells = joined.cells(keys, column)
            unmatched = sum(joined.lacks(key, column) for key in keys)
            if unmatched == len(keys):
                raise DlbugError(
                    f"{table.name}: {name}: no row of the release {column.from_!r} has a key such as "
                    f"{shown(keys[0])}. Set key to the column that both have."
                )
            lacking += unmatched
        else:
            cells = _own_cells(column, table)
        dimension = dimensions.get(name)
        separator = (column.separator or dimension.separator) if dimension and dimension.multiple else None
        parts[name] = parts_of(column, cells, separator)
    return parts, lacking


def _filled(column: Column, table: Table, keys: Sequence[list[Part]] | None) -> list[Cell]:
    """Return the template with the cells of each row; empty where one of them is."""
    filled: list[Cell] = []
    for index in range(len(table.numbers)):
        values: dict[str, str | None] = {}
        for name in column.placeholders:
            if name == "key" and keys is not None:
                values[name] = keys[index][0][1] if keys[index] else None
            else:
                cell = table.cells[name][index]
                values[name] = cell.strip() if isinstance(cell, str) else None
        text = PLACEHOLDER.sub(partial(_value_of, values), column.template or "")
        filled.append(text if all(values.values()) else None)
    return filled


def _value_of(values: Mapping[str, str | None], found: re.Match[str]) -> str:
    return values[found[1]] or ""
