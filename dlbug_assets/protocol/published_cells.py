"""The printed numbers of a study: its published/*.csv, read as [[published]] of study.toml describes them."""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.files.csv import csv_rows
from dlbug_assets.protocol.names import closest, shown
from dlbug_assets.protocol.published import PLACES, CellText, PublishedNumbers, Unit
from dlbug_assets.protocol.study import Study, shipped_studies
from dlbug_assets.protocol.taxonomy import LIBRARY, SOURCE, Taxonomy

ALL_LIBRARIES, BOTH_SOURCES = "All", "both"

_MOST_CELLS = 100_000
_MOST_BUGS = 10**12
_MOST_LISTED = 30
_YEARS = (1900, 2200)

# The least and the largest number of each unit.
_RANGES: Mapping[Unit, tuple[int, int]] = {
    "percent": (0, 100),
    "bugs": (0, _MOST_BUGS),
    "items": (0, _MOST_BUGS),
    "p": (0, 1),
    "correlation": (-1, 1),
}
_COUNTS = ("bugs", "items")
# What a number of each unit is about: the places that it must and that it may have, beside its reference. A library or
# source that is missing means all of them.
_REQUIRED: Mapping[Unit, tuple[str, ...]] = {
    "percent": ("dimension", "category"),
    "bugs": (),
    "items": (),
    "p": ("dimension", "category"),
    "correlation": ("dimension", "library", "library_b"),
}
_OPTIONAL: Mapping[Unit, tuple[str, ...]] = {
    "percent": ("library", "source", "within_dimension", "within_category", "year"),
    "bugs": ("library", "source", "dimension", "category", "within_dimension", "within_category", "year"),
    "items": ("library", "source"),
    "p": (),
    "correlation": ("source",),
}


def published_cells(study: Study, taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Return the rows of reference.published_cells: the printed numbers of the study, in the order of its files.

    Raises :class:`DlbugError`, which names file and line, for a file that cannot be read, a number or place that isn't
    valid, a number that is there twice, and a dimension, category, library or source that the study does not have. The
    last is an error only in the study's own files: those of a study that it follows may speak of anything.
    """
    names = _Names(study, taxonomy)
    rows: list[dict[str, Any]] = []
    lines: dict[tuple[Any, ...], str] = {}
    for number, entry in enumerate(study.published):
        if study.files.published is None:
            raise DlbugError(f"published.{number}.file: there is no folder published/ beside study.toml: add it")
        path = study.files.published / entry.file
        contents = csv_rows(path)
        if len(rows) + len(contents) > _MOST_CELLS:
            raise DlbugError(
                f"{path}: with this file, there are more than {_MOST_CELLS} printed numbers: leave some out"
            )
        cells = list(_cells(path, contents, entry, names))
        decimals = max((cell["decimals"] for _, cell in cells), default=0)
        if entry.decimals is not None and entry.decimals < decimals:
            raise DlbugError(f"{path}: values with {decimals} decimals, but published.{number}.decimals is smaller")
        for line, cell in cells:
            key = tuple(cell[name] for name in (*PLACES, "unit", "denominator"))
            if key in lines:
                raise DlbugError(f"{path}, line {line}: the number is also in {lines[key]}: remove one of them")
            lines[key] = f"{entry.file}, line {line}"
            cell["decimals"] = decimals if entry.decimals is None else entry.decimals
            rows.append({"position": len(rows) + 1, **cell})
    return rows


def _cells(
    path: Path, contents: Mapping[int, Mapping[str, str]], entry: PublishedNumbers, names: "_Names"
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines of a file with the row that each becomes; ``decimals`` are those of its own value."""
    texts = _texts(path, entry, list(next(iter(contents.values()), ())))
    for line, content in contents.items():
        try:
            yield line, _cell(entry, {key: _read(text, content) for key, text in texts.items()}, names)
        except ValueError as error:
            raise DlbugError(f"{path}, line {line}: {error}") from None


def _texts(path: Path, entry: PublishedNumbers, columns: list[str]) -> dict[str, CellText]:
    """Return what each key of an entry reads: what the entry states, or the column of that name."""
    texts: dict[str, CellText] = {}
    for key in (*PLACES, "value", *(["bugs"] if entry.unit == "percent" else [])):
        stated: CellText | None = getattr(entry, key)
        default = entry.unit if key == "value" else key
        if stated is not None or default in columns or key == "value":
            texts[key] = stated or CellText(column=default)
    for key, text in texts.items():
        if text.column is not None and text.column not in columns:
            raise DlbugError(
                f"{path}: no column {text.column!r}, which is to be the {key}{closest(text.column, columns)}; "
                f"the file has {', '.join(columns) or 'no rows'}"
            )
    return texts


def _read(text: CellText, content: Mapping[str, str]) -> str:
    if text.column is None:
        return text.value or ""
    written = content[text.column].strip()
    return text.map.get(written, written)


def _cell(entry: PublishedNumbers, texts: Mapping[str, str], names: "_Names") -> dict[str, Any]:
    """Return the row of one number; raise ValueError for what isn't valid."""
    given = {key: text for key, text in texts.items() if text}
    _check_places(entry.unit, given)
    low, high = _RANGES[entry.unit]
    value, decimals = _number("value", given.get("value", ""), low, high, whole=entry.unit in _COUNTS)
    return {
        "reference": given.get("reference", entry.file.removesuffix(".csv")),
        **names.category(given, "dimension", "category"),
        "library": names.library(given.get("library", ALL_LIBRARIES)),
        "source": names.source(given.get("source", BOTH_SOURCES)),
        **names.category(given, "within_dimension", "within_category"),
        "library_b": names.library(given["library_b"]) if "library_b" in given else None,
        "year": int(_number("year", given["year"], *_YEARS, whole=True)[0]) if "year" in given else None,
        "unit": entry.unit,
        "value": value,
        "bugs": int(_number("bugs", given["bugs"], 0, _MOST_BUGS, whole=True)[0]) if "bugs" in given else None,
        "decimals": decimals,
        "halves": entry.halves,
        "denominator": entry.of,
        "reading": entry.reading,
    }


def _check_places(unit: Unit, given: Mapping[str, str]) -> None:
    allowed = {"reference", *_REQUIRED[unit], *_OPTIONAL[unit]}
    for key in _REQUIRED[unit]:
        if key not in given:
            raise ValueError(f"{key}: missing; a number in the unit {unit} needs it")
    for key in PLACES:
        if key in given and key not in allowed:
            raise ValueError(f"{key}: {shown(given[key])}: a number in the unit {unit} has none: leave it out")
    for key, other in (("category", "dimension"), ("within_category", "within_dimension")):
        if key in allowed and (key in given) != (other in given):
            present, absent = (key, other) if key in given else (other, key)
            raise ValueError(f"{present} without {absent}: state both")
    if "within_dimension" in given:
        if "category" not in given:
            raise ValueError("within_dimension needs a dimension and category that are counted inside it")
        if given["within_dimension"] == given["dimension"]:
            raise ValueError(f"within_dimension is {shown(given['dimension'])}, too: use two dimensions")
        if "year" in given:
            raise ValueError("year and within_dimension: a number can be of a year or inside a category, not both")


def _number(key: str, text: str, low: int, high: int, *, whole: bool) -> tuple[float, int]:
    """Return a number and its decimals; raise ValueError if it isn't one within the limits."""
    if not re.fullmatch(r"-?[0-9]{1,13}" if whole else r"-?[0-9]{1,13}(\.[0-9]{1,15})?", text):
        raise ValueError(f"{key}: {shown(text)} is not {'a whole number' if whole else 'a number such as 12.5'}")
    if not low <= float(text) <= high:
        raise ValueError(f"{key}: {text} is not between {low} and {high}")
    return float(text), len(text.partition(".")[2])


class _Names:
    """The names that printed numbers may be about, as the study spells them.

    Anything may be in numbers that a study takes over from one that it follows.
    """

    def __init__(self, study: Study, taxonomy: Taxonomy) -> None:
        followed = shipped_studies().get(study.study.follows or "")
        self._anything = followed is not None and study.files.published == followed.parent / "published"
        self._dimensions = {dimension.name: dimension for dimension in study.dimensions}
        self._taxonomy = taxonomy

    def category(self, given: Mapping[str, str], dimension: str, category: str) -> dict[str, str | None]:
        """Return the dimension and category at two keys, None where not given; raise ValueError for unknown ones."""
        names: dict[str, str | None] = {dimension: given.get(dimension), category: given.get(category)}
        if dimension in given:
            name = given[dimension]
            if name not in self._dimensions and not self._anything:
                raise ValueError(_unknown("dimension", name, self._dimensions))
            if category in given:
                is_open = name in self._dimensions and self._dimensions[name].open
                names[category] = self._fold(name, given[category], f"category of {name}", anything=is_open)
        return names

    def library(self, written: str) -> str:
        """Return the name of a library or All; raise ValueError if there is none."""
        return written if written == ALL_LIBRARIES else self._fold(LIBRARY, written, LIBRARY)

    def source(self, written: str) -> str:
        """Return the name of a source or both; raise ValueError if there is none."""
        return written if written == BOTH_SOURCES else self._fold(SOURCE, written, SOURCE)

    def _fold(self, dimension: str, written: str, what: str, *, anything: bool = False) -> str:
        name = self._taxonomy.fold(dimension, written)
        if name is None and not (anything or self._anything):
            raise ValueError(_unknown(what, written, self._taxonomy.names(dimension)))
        return name or written


def _unknown(what: str, written: str, known: Collection[str]) -> str:
    listed = ", ".join(list(known)[:_MOST_LISTED]) + (", .." if len(known) > _MOST_LISTED else "")
    return f"unknown {what} {shown(written)}{closest(written, known)}; known are {listed}"
