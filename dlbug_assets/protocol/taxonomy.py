"""Libraries, sources and categories, and their spellings.

The paper's categories are in ``dbt_like_sql/seeds/taxonomy.csv``; ``taxonomy_mappings.csv`` has the labels of the
authors' release that are not categories of the paper.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from itertools import zip_longest
from pathlib import Path

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import SEEDS
from dlbug_assets.protocol.names import shown, without_control_characters
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.text_files import read_text_file

STACK_OVERFLOW = "Stack Overflow"
GITHUB = "GitHub"
SOURCES = (STACK_OVERFLOW, GITHUB)

#: The dimensions of a bug's labels, in the order of the paper's research questions.
DIMENSIONS = ("bug_type", "root_cause", "effect", "stage", "antipattern")
#: Dimensions in which every bug has a label; stage and antipattern are optional.
REQUIRED_DIMENSIONS = ("bug_type", "root_cause", "effect")

_MOST_CATEGORIES = 500
_LONGEST_NAME = 100
_LONGEST_CELL = 2000


@dataclass(frozen=True)
class Category:
    """One category of a dimension. ``origin`` is 'paper' or 'study' (open coding)."""

    dimension: str
    code: str
    name: str
    aliases: tuple[str, ...] = ()
    origin: str = "paper"


@dataclass(frozen=True)
class Mapping:
    """A label outside the taxonomy, the category it counts as, and why."""

    dimension: str
    written: str
    category: str
    reason: str


class Taxonomy:
    """The categories of a study, in order, and the spellings of each.

    Raises :class:`DlbugError` for a spelling of two categories, and for a mapping to an unknown category.
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
            if mapping.category not in self.names(mapping.dimension):
                raise DlbugError(
                    f"taxonomy_mappings.csv: {mapping.written!r} maps to {mapping.category!r}, "
                    f"which is not a category of {mapping.dimension}"
                )
            self._mapped[mapping.dimension, _folded(mapping.written)] = mapping

    def _learn(self, dimension: str, spelling: str, name: str) -> None:
        known = self._by_spelling.setdefault((dimension, _folded(spelling)), name)
        if known != name:
            raise DlbugError(f"taxonomy: {spelling!r} is a spelling of both {known!r} and {name!r} ({dimension})")

    def names(self, dimension: str) -> tuple[str, ...]:
        """Return the names of a dimension's categories, in taxonomy order; also for 'library' and 'source'."""
        return tuple(category.name for category in self.categories if category.dimension == dimension)

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


def load_taxonomy(study: Study | None = None) -> Taxonomy:
    """Return the paper's taxonomy, followed by the study's own categories (open coding).

    The study's CSV has the columns dimension, code, name, aliases. Raises :class:`DlbugError` for a file that cannot
    be read, and for an invalid row.
    """
    categories = [_category(row, "paper") for row in csv_rows(SEEDS / "taxonomy.csv")]
    mappings = [Mapping(**row) for row in csv_rows(SEEDS / "taxonomy_mappings.csv")]
    if study and study.taxonomy.extra:
        categories += _own_categories(study.taxonomy.extra, categories)
    return Taxonomy(categories, mappings)


def _own_categories(path: Path, known: Iterable[Category]) -> list[Category]:
    """Return the categories of a study's CSV; raise :class:`DlbugError` for a row that isn't one."""
    owners = {
        (category.dimension, _folded(spelling)): category.name
        for category in known
        for spelling in (category.name, *category.aliases)
    }
    own: list[Category] = []
    rows = csv_rows(path)
    if len(rows) > _MOST_CATEGORIES:
        raise DlbugError(f"{path} has {len(rows)} rows, but raters can distinguish {_MOST_CATEGORIES} at most")
    for number, row in enumerate(rows, start=2):
        category = _category(row, "study")
        if category.dimension not in DIMENSIONS or not category.name:
            raise DlbugError(
                f"{path}, line {number}: dimension must be one of {', '.join(DIMENSIONS)}, and name not empty"
            )
        if _folded(category.name) == "none":  # as agreement names it
            raise DlbugError(f"{path}, line {number}: {category.name!r} means that a bug has no label")
        for spelling in (category.name, *category.aliases):
            if len(spelling) > _LONGEST_NAME:
                raise DlbugError(f"{path}, line {number}: {shown(spelling)} has more than {_LONGEST_NAME} characters")
            owner = owners.get((category.dimension, _folded(spelling)))
            if owner == spelling:
                raise DlbugError(f"{path}, line {number}: {spelling!r} is already a category of {category.dimension}")
            if owner:
                raise DlbugError(f"{path}, line {number}: {spelling!r} is a spelling of {owner!r} already")
        owners |= {
            (category.dimension, _folded(spelling)): category.name for spelling in (category.name, *category.aliases)
        }
        own.append(category)
    return own


def csv_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as mappings from column to text; cells that a row lacks are empty.

    Raises :class:`DlbugError` for a file that cannot be read, isn't valid UTF-8 or is larger than 1 MiB, for a column
    that occurs twice, and for a row with more cells than columns, cells of more than 2,000 characters or control
    characters.
    """
    try:
        text = read_text_file(path, "make it readable, or set taxonomy.extra to another file")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DlbugError(
            f"cannot read {path}: {error.strerror}. Make the file readable, or set taxonomy.extra to another one."
        ) from None
    reader = csv.reader(StringIO(text, newline=""))
    rows: list[dict[str, str]] = []
    try:
        columns = [name.strip() for name in next(reader, [])]
        if repeated := [name for name in columns if name and columns.count(name) > 1]:
            raise DlbugError(f"{path}: the column {shown(repeated[0])} occurs twice: rename one of them")
        rows += [_row(columns, cells) for cells in filter(None, reader)]
    except (csv.Error, ValueError) as error:
        raise DlbugError(f"{path}, line {reader.line_num}: {error}") from None
    return rows


def _row(columns: list[str], cells: list[str]) -> dict[str, str]:
    """Return a row by column; raise ValueError for more cells than columns, and for a cell that no text can be."""
    if len(cells) > len(columns):
        raise ValueError(f"{len(cells)} cells, but the file has {len(columns)} columns: quote cells with commas")
    for cell in cells:
        if len(without_control_characters(cell)) > _LONGEST_CELL:
            raise ValueError(f"{shown(cell)} has more than {_LONGEST_CELL} characters")
    return dict(zip_longest(columns, cells, fillvalue=""))


def _category(row: dict[str, str], origin: str) -> Category:
    aliases = tuple(alias.strip() for alias in row.get("aliases", "").split("|") if alias.strip())
    return Category(row.get("dimension", ""), row.get("code", ""), row.get("name", ""), aliases, origin)
