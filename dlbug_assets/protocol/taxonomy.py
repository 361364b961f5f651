"""The categories of a study's dimensions, and their spellings; also those of its libraries and sources.

They are in the study's taxonomy.csv, and further ones, found while labelling, in the file that taxonomy.extra names.
mappings.csv has the labels that no category names.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.files.csv import csv_rows
from dlbug_assets.protocol.names import closest, shown
from dlbug_assets.protocol.study import Study

LIBRARY, SOURCE = "library", "source"
PAPER, STUDY = "paper", "study"
_COLUMNS = ("dimension", "name", "code", "parent", "definition", "example", "aliases")
_MAPPING_COLUMNS = ("dimension", "written", "category", "reason")
_MOST_CATEGORIES = 500
LONGEST_NAME = 100


@dataclass(frozen=True)
class Category:
    """One category of a dimension.

    ``origin`` is 'paper' for a category of what the study cites, 'study' for one of its own. ``parent`` is the category
    that it counts as in a dimension that rolls this one up.
    """

    dimension: str
    code: str
    name: str
    aliases: tuple[str, ...] = ()
    origin: str = PAPER
    parent: str = ""
    definition: str = ""
    example: str = ""


@dataclass(frozen=True)
class Mapping:
    """A label outside the taxonomy, the category it counts as, and why."""

    dimension: str
    written: str
    category: str
    reason: str


class Taxonomy:
    """The categories of a study, in order, and the spellings of each.

    Raises :class:`DlbugError` for a spelling of two categories.
    """

    def __init__(self, categories: Iterable[Category], mappings: Iterable[Mapping] = ()) -> None:
        self.categories = tuple(categories)
        self.mappings = tuple(mappings)
        self._by_spelling: dict[tuple[str, str], str] = {}
        for category in self.categories:
            for spelling in (category.name, *category.aliases):
                self._learn(category.dimension, spelling, category.name)
        self._mapped: dict[tuple[str, str], Mapping] = {}
        for mapping in self.mappings:
            self._mapped[mapping.dimension, _folded(mapping.written)] = mapping

    def _learn(self, dimension: str, spelling: str, name: str) -> None:
        known = self._by_spelling.setdefault((dimension, _folded(spelling)), name)
        if known != name:
            raise DlbugError(f"taxonomy: {spelling!r} is a spelling of both {known!r} and {name!r} ({dimension})")

    def of(self, dimension: str) -> tuple[Category, ...]:
        """Return a dimension's categories, in taxonomy order; also for 'library' and 'source'."""
        return tuple(category for category in self.categories if category.dimension == dimension)

    def names(self, dimension: str) -> tuple[str, ...]:
        """Return the names of a dimension's categories, in taxonomy order; also for 'library' and 'source'."""
        return tuple(category.name for category in self.of(dimension))

    def fold(self, dimension: str, written: str) -> str | None:
        """Return the category of a label as written, or None if it is unknown.

        Case and surplus whitespace are ignored; labels outside of the taxonomy are resolved by their mapping.
        """
        key = (dimension, _folded(written))
        if key in self._by_spelling:
            return self._by_spelling[key]
        mapping = self._mapped.get(key)
        return mapping.category if mapping else None

    def mapping_of(self, dimension: str, written: str) -> Mapping | None:
        """Return the mapping of a label outside of the taxonomy, or None if it is a category's spelling or unknown."""
        return self._mapped.get((dimension, _folded(written)))


def _folded(spelling: str) -> str:
    return re.sub(r"\s+", " ", spelling).strip().casefold()


def load_taxonomy(study: Study) -> Taxonomy:
    """Return the study's taxonomy, followed by the categories that were found while labelling (open coding).

    taxonomy.csv and the file that taxonomy.extra names have the columns dimension, code, name, aliases, parent,
    definition and example, of which dimension and name are required; mappings.csv has dimension, written, category and
    reason. Libraries and sources without a row, and parents without one, follow by their names. Raises
    :class:`DlbugError` for a file that cannot be read, and for an invalid row.
    """
    reader = _Reader(study)
    for path, origin in ((study.files.taxonomy, _origin(study)), (study.taxonomy.extra, STUDY)):
        if path is not None:
            reader.read(path, origin)
    for name, known in ((LIBRARY, study.library_names), (SOURCE, study.source_names)):
        reader.add_missing(name, known)
    for dimension in study.dimensions:
        if dimension.rolls_up:
            reader.add_missing(dimension.name, _parents(reader.categories, dimension))
    reader.check_parents()
    taxonomy = Taxonomy(reader.categories, _mappings(study, reader.categories))
    for dimension in study.asked:
        if not dimension.open and not taxonomy.names(dimension.name):
            raise DlbugError(
                f"{study.files.taxonomy or 'taxonomy.csv'}: no category of {dimension.name}: add a row for each of its "
                f"categories, or set open = true for categories that are taken from the labels"
            )
    return taxonomy


def _origin(study: Study) -> str:
    return PAPER if study.study.cites else STUDY


def _mappings(study: Study, categories: Sequence[Category]) -> list[Mapping]:
    path = study.files.mappings
    if path is None:
        return []
    mappings = []
    for number, row in _rows(path, _MAPPING_COLUMNS, _MAPPING_COLUMNS[:3]).items():
        mapping = Mapping(*(row.get(column, "") for column in _MAPPING_COLUMNS))
        names = [category.name for category in categories if category.dimension == mapping.dimension]
        for key, written, known in (
            ("dimension", mapping.dimension, study.asked_names),
            ("category", mapping.category, names),
        ):
            if written not in known:
                raise DlbugError(
                    f"{path}, line {number}: {key}: {shown(written)} is not one of {', '.join(known)}"
                    f"{closest(written, known)}"
                )
        mappings.append(mapping)
    return mappings


def _rows(path: Path, known: Sequence[str], required: Sequence[str]) -> dict[int, dict[str, str]]:
    """Return the rows of a CSV file by line; raise :class:`DlbugError` for an unknown or missing column."""
    rows = csv_rows(path)
    columns = next(iter(rows.values()), dict.fromkeys(required, ""))
    for column in columns:
        if column and column not in known:
            raise DlbugError(
                f"{path}: unknown column {shown(column)}{closest(column, known)} (known are {', '.join(known)})"
            )
    for column in required:
        if column not in columns:
            raise DlbugError(f"{path}: the column {column} is missing (known are {', '.join(known)})")
    return rows


def _parents(categories: Iterable[Category], dimension: Dimension) -> Iterator[str]:
    """Yield the category that each category of the rolled-up dimension counts as; one without a parent is its own."""
    for category in categories:
        if category.dimension == dimension.rolls_up:
            yield parent_of(category, dimension)


def parent_of(category: Category, dimension: Dimension) -> str:
    """Return the category of a roll-up that a category of its base counts as."""
    if dimension.before:
        return category.name.split(dimension.before)[0].strip()
    return category.parent or category.name


class _Reader:
    """Collects the categories of a study's files, and checks each row."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self.categories: list[Category] = []
        self._owners: dict[tuple[str, str], str] = {}
        self._places: dict[tuple[str, str], str] = {}
        self._known = (*study.dimension_names, LIBRARY, SOURCE)

    def read(self, path: Path, origin: str) -> None:
        """Add the rows of a CSV file; raise :class:`DlbugError` for a row that isn't a category."""
        rows = _rows(path, _COLUMNS, _COLUMNS[:2])
        if len(rows) > _MOST_CATEGORIES:
            raise DlbugError(f"{path} has {len(rows)} rows, but raters can distinguish {_MOST_CATEGORIES} at most")
        for number, row in rows.items():
            try:
                self._add(_category(row, origin), f"{path}, line {number}")
            except ValueError as error:
                raise DlbugError(f"{path}, line {number}: {error}") from None

    def add_missing(self, dimension: str, names: Iterable[str]) -> None:
        """Add the names that are not the spelling of a category of the dimension."""
        for name in names:
            if (dimension, _folded(name)) not in self._owners:
                self._add(Category(dimension, "", name, origin=STUDY))

    def check_parents(self) -> None:
        """Raise :class:`DlbugError` for a parent that has a parent itself: there are two levels."""
        parents = {(each.dimension, _folded(each.name)): each.parent for each in self.categories if each.parent}
        for (dimension, name), parent in parents.items():
            if above := parents.get((dimension, _folded(parent))):
                raise DlbugError(
                    f"{self._places[dimension, name]}: parent: {parent!r} is a category of {dimension} that has itself "
                    f"the parent {above!r}, but there are two levels: leave one of the parents out"
                )

    def _add(self, category: Category, place: str = "") -> None:
        dimension, name = category.dimension, category.name
        if dimension not in self._known:
            raise ValueError(
                f"dimension: {shown(dimension)} is not one of {', '.join(self._known)}{closest(dimension, self._known)}"
            )
        if not name:
            raise ValueError("name: missing")
        if _folded(name) == "none":  # as agreement names it
            raise ValueError(f"{name!r} means that a bug has no label")
        if category.parent and _folded(category.parent) == _folded(name):
            raise ValueError(f"{name!r} is its own parent: leave the parent out")
        if category.parent and not any(each.rolls_up == dimension for each in self._study.dimensions):
            raise ValueError(f"parent: no dimension rolls up {dimension}: leave it out, or add one with rolls_up")
        separators = [each.separator for each in self._study.asked if each.multiple and each.name == dimension]
        for spelling in (name, *category.aliases):
            if len(spelling) > LONGEST_NAME:
                raise ValueError(f"{shown(spelling)} has more than {LONGEST_NAME} characters")
            if separators and separators[0] in spelling:
                raise ValueError(
                    f"{spelling!r} contains {separators[0]!r}, which separates several categories in a cell"
                )
            owner = self._owners.get((dimension, _folded(spelling)))
            if owner == name and spelling == name:
                raise ValueError(
                    f"{name!r} is already a category of {dimension}: a category has one row and one parent"
                )
            if owner and owner != name:
                raise ValueError(f"{spelling!r} is a spelling of {owner!r} already ({dimension})")
            self._owners[dimension, _folded(spelling)] = name
        self.categories.append(category)
        self._places[dimension, _folded(name)] = place


def _category(row: dict[str, str], origin: str) -> Category:
    aliases = tuple(alias.strip() for alias in row.get("aliases", "").split("|") if alias.strip())
    texts = (row.get(name, "").strip() for name in ("parent", "definition", "example"))
    return Category(row.get("dimension", ""), row.get("code", ""), row.get("name", ""), aliases, origin, *texts)
