"""Libraries, sources and categories, and their spellings.

The paper's categories are in ``dbt_like_sql/seeds/taxonomy.csv``; ``taxonomy_mappings.csv`` has the labels of the
authors' release that are not categories of the paper.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import SEEDS
from dlbug_assets.protocol.study import Study

STACK_OVERFLOW = "Stack Overflow"
GITHUB = "GitHub"
SOURCES = (STACK_OVERFLOW, GITHUB)

#: The dimensions of a bug's labels, in the order of the paper's research questions.
DIMENSIONS = ("bug_type", "root_cause", "effect", "stage", "antipattern")
#: Dimensions in which every bug has a label; stage and antipattern are optional.
REQUIRED_DIMENSIONS = ("bug_type", "root_cause", "effect")


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
        path = study.taxonomy.extra
        known = {(category.dimension, category.name) for category in categories}
        for number, row in enumerate(csv_rows(path), start=2):
            if row.get("dimension") not in DIMENSIONS or not row.get("name"):
                raise DlbugError(
                    f"{path}, line {number}: dimension must be one of {', '.join(DIMENSIONS)}, and name not empty"
                )
            if (row["dimension"], row["name"]) in known:
                raise DlbugError(f"{path}, line {number}: {row['name']!r} is already a category of {row['dimension']}")
            categories.append(_category(row, "study"))
    return Taxonomy(categories, mappings)


def csv_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as mappings from column to text.

    Raises :class:`DlbugError` for a file that cannot be read or is not valid UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise DlbugError(
            f"cannot read {path}: {error.strerror}. Make the file readable, or set taxonomy.extra to another one."
        ) from None
    except UnicodeDecodeError as error:
        raise DlbugError(f"{path} is not valid UTF-8: {error}. Save it as UTF-8 (in Excel: CSV UTF-8).") from None


def _category(row: dict[str, str], origin: str) -> Category:
    aliases = tuple(alias.strip() for alias in (row.get("aliases") or "").split("|") if alias.strip())
    return Category(row["dimension"], row.get("code") or "", row["name"], aliases, origin)
