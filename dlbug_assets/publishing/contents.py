"""What the report of a study is about: the bugs that each figure shows, what is printed of them, and how to name it."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.names import in_sentence
from dlbug_assets.protocol.published_cells import ALL_LIBRARIES, BOTH_SOURCES, published_cells
from dlbug_assets.protocol.study import GITHUB, STACK_OVERFLOW, Study
from dlbug_assets.protocol.taxonomy import load_taxonomy

# A reference may be the name of a file, such as fig9_evolution.
_NUMBERED = re.compile(r"(?i)(fig|figure|table)[ ._]*(\d+)(_p)?(_[a-z_]+)?")
_SEE = re.compile(r"see (\w+)\.csv")
_ITEMS = {STACK_OVERFLOW: "Posts", GITHUB: "Commits"}


@dataclass(frozen=True)
class Printed:
    """A table or figure with printed numbers: its ``reference``, source (`both` for all) and dimensions.

    ``decimals``, and how ``halves`` are rounded, are those of its numbers. ``is_drawn``: they were measured from a
    drawing.
    """

    reference: str
    source: str
    dimension: str
    within_dimension: str | None
    decimals: int
    halves: str
    is_drawn: bool

    @property
    def number(self) -> int | None:
        """The number of a figure or table such as `fig3` or `table2`, None if its reference has none."""
        found = _NUMBERED.fullmatch(self.reference)
        return int(found[2]) if found else None

    @property
    def is_figure(self) -> bool:
        """Whether it is a figure, as far as its reference shows."""
        return self.reference.lower().startswith("fig")


def reference_text(reference: str) -> str:
    """Return a reference in words: `fig3` as Figure 3, `table2_p` as Table 2, P values."""
    found = _NUMBERED.fullmatch(reference)
    if not found:
        return reference.replace("_", " ")
    word = "Table" if found[1].lower() == "table" else "Figure"
    return f"{word} {found[2]}{', P values' if found[3] else ''}"


def printed_text(text: str) -> str:
    """Return printed numbers of a claim; if it refers to a file of them, the table or figure that has them."""
    found = _SEE.fullmatch(text)
    return f"see {reference_text(found[1])}" if found else text


def printed_distribution(study: Study, dimension: str) -> Printed | None:
    """Return where shares of a dimension's categories are printed: a figure, if there is one, else a table."""
    return _printed(
        study,
        lambda cell: (
            (cell["unit"], cell["dimension"]) == ("percent", dimension)
            and cell["within_category"] is None
            and cell["year"] is None
        ),
    )


def printed_table(study: Study, dimension: str) -> Printed | None:
    """Return the table in which shares of a dimension's categories are printed as numbers."""
    return _printed(
        study,
        lambda cell: (
            (cell["unit"], cell["dimension"], cell["reading"]) == ("percent", dimension, "printed")
            and cell["within_category"] is None
            and cell["year"] is None
        ),
    )


def printed_relation(study: Study) -> Printed | None:
    """Return where shares of categories within those of another dimension are printed."""
    return _printed(study, lambda cell: cell["unit"] == "percent" and cell["within_category"] is not None)


def printed_correlation(study: Study) -> Printed | None:
    """Return where correlations of libraries are printed."""
    return _printed(study, lambda cell: cell["unit"] == "correlation")


def printed_evolution(study: Study) -> Printed | None:
    """Return where shares by year are printed."""
    return _printed(study, lambda cell: cell["unit"] == "percent" and cell["year"] is not None)


def printed_size_table(study: Study) -> Printed | None:
    """Return where numbers of items or bugs are printed."""
    return _printed(study, _is_a_size)


def prints_sizes(study: Study) -> bool:
    """Return whether numbers of items or bugs are printed."""
    return any(map(_is_a_size, _cells(study)))


def prints_p_values(study: Study) -> bool:
    """Return whether P values are printed."""
    return any(cell["unit"] == "p" for cell in _cells(study))


def _is_a_size(cell: Mapping[str, Any]) -> bool:
    return cell["unit"] in ("items", "bugs") and cell["dimension"] is None


def _printed(study: Study, is_meant: Callable[[Mapping[str, Any]], bool]) -> Printed | None:
    found = [cell for cell in _cells(study) if is_meant(cell)]
    if not found:
        return None
    # The first figure, or else the first table.
    chosen = min(found, key=lambda cell: not str(cell["reference"]).lower().startswith("fig"))
    # One figure may show several dimensions.
    cells = [cell for cell in found if all(cell[key] == chosen[key] for key in ("reference", "dimension"))]
    sources = {cell["source"] for cell in cells}
    return Printed(
        chosen["reference"],
        chosen["source"] if len(sources) == 1 and chosen["source"] in study.source_names else BOTH_SOURCES,
        chosen["dimension"],
        chosen["within_dimension"],
        max(cell["decimals"] for cell in cells),
        chosen["halves"],
        chosen["reading"] == "approximate",
    )


@functools.cache
def _cells(study: Study) -> Sequence[Mapping[str, Any]]:
    """Return the printed numbers of what the study has."""
    libraries = (*study.library_names, ALL_LIBRARIES)
    return [
        cell
        for cell in published_cells(study, load_taxonomy(study))
        if cell["library"] in libraries and cell["dimension"] in (None, *study.dimension_names)
    ]


def has_raters(study: Study) -> bool:
    """Return whether the study has, or is to have, labels of individual raters."""
    return study.sources.labels != "release" or any("rater" in release.columns for release in study.releases)


def missing_agreement(study: Study, rater_labels: int) -> str:
    """Return why a study without kappa has none; ``rater_labels`` is the number of rows of labeling.rater_labels."""
    if study.sources.labels == "release":
        return "the source has only final labels"
    return "no two raters have labelled the same items yet" if rater_labels else "the raters have not started yet"


def related_dimensions(study: Study) -> tuple[Dimension, Dimension] | None:
    """Return the dimensions whose relation is shown, the categories of the second within those of the first.

    They are those of a printed figure, or the first two required ones; None in a study with one dimension.
    """
    printed = printed_relation(study)
    named = {dimension.name: dimension for dimension in study.dimensions}
    if printed and printed.is_figure and printed.within_dimension in named:
        return named[printed.within_dimension], named[printed.dimension]
    pair = _by_importance(study)[:2]
    return (pair[0], pair[1]) if len(pair) == 2 else None  # noqa: PLR2004


def main_dimension(study: Study, printed: Printed | None) -> Dimension:
    """Return the dimension by which libraries and years are compared: the printed one, or the first required one."""
    named = {dimension.name: dimension for dimension in study.dimensions}
    return named[printed.dimension] if printed else _by_importance(study)[0]


def _by_importance(study: Study) -> list[Dimension]:
    """Return the asked dimensions, required ones first."""
    return sorted(study.asked, key=lambda dimension: not dimension.required)


def items_of(source: str) -> str:
    """Return what the items of a source are called, in the plural."""
    return _ITEMS.get(source, "Items")


def short_names(sources: Sequence[str]) -> dict[str, str]:
    """Return each source's initials, such as SO for Stack Overflow, or the names if two have the same."""
    initials = {source: "".join(re.findall(r"[A-Z0-9]|\b[a-z]", source)).upper() for source in sources}
    return initials if len({*initials.values(), ""}) == len(sources) + 1 else {source: source for source in sources}


def question_of(dimension: Dimension) -> str:
    """Return the research question that a dimension answers."""
    return dimension.question or f"How frequent are the categories of {in_sentence(dimension.title)}?"


def author_names(study: Study) -> list[str]:
    """Return the authors of a study as `Family, Given`, or one that stands for them."""
    named = [f"{author.family}, {author.given}" if author.given else author.family for author in study.study.authors]
    return named or [f"The researchers of the study {study.name}"]
