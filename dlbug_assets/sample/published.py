"""The printed sizes and shares of a study as sampling weights, and plain constants where it has none."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from dlbug_assets.protocol.published_cells import ALL_LIBRARIES, BOTH_SOURCES, published_cells
from dlbug_assets.protocol.study import GITHUB, STACK_OVERFLOW, Study
from dlbug_assets.protocol.taxonomy import load_taxonomy

_Cells = list[dict[str, Any]]

#: Items of a library, and bugs in them, in a study that has no printed numbers of them.
_SIZES = {STACK_OVERFLOW: {"items": 200.0, "bugs": 50.0}, GITHUB: {"items": 100.0, "bugs": 100.0}}


class Published:
    """The printed numbers of a study. Use :func:`published`, which reads them once."""

    def __init__(self, study: Study) -> None:
        taxonomy = load_taxonomy(study)
        cells = published_cells(study, taxonomy)
        self._sizes = [cell for cell in cells if cell["unit"] in ("items", "bugs") and cell["dimension"] is None]
        self._shares = {
            name: [
                cell
                for cell in cells
                if cell["unit"] == "percent" and cell["dimension"] == name and cell["category"] in taxonomy.names(name)
            ]
            for name in study.asked_names
        }

    def size(self, library: str, source: str, unit: str) -> float:
        """Return the number of items or bugs of a library in a source: as printed, or the mean of those printed."""
        sizes = {
            cell["library"]: cell["value"]
            for cell in self._sizes
            if cell["unit"] == unit and cell["source"] == source and cell["library"] != ALL_LIBRARIES
        }
        if not sizes:
            return _SIZES[source][unit]
        return sizes.get(library, sum(sizes.values()) / len(sizes))

    def weights(
        self, dimension: str, library: str, source: str, year: int, labels: Mapping[str, str]
    ) -> Mapping[str, float]:
        """Return category -> printed percent, of what is most like a bug with these labels; empty without any.

        That is the bugs of the library, source and year; those of the source with one of the labels; those of the
        library, or of all libraries, in the source, or in another one. Numbers that were printed come before those
        measured from a drawing.
        """
        cells = self._shares[dimension]
        of_year = [cell for cell in cells if (cell["library"], cell["source"], cell["year"]) == (library, source, year)]
        within = [
            cell
            for cell in cells
            if cell["source"] == source
            and cell["within_category"]
            and labels.get(cell["within_dimension"]) == cell["within_category"]
        ]
        plain = [cell for cell in cells if cell["year"] is None and cell["within_category"] is None]
        of_source = [cell for cell in plain if cell["source"] in (source, BOTH_SOURCES)] or plain
        printed = [cell for cell in of_source if cell["reading"] == "printed"] or of_source
        for candidates in (of_year, _of_library(within, library), _of_library(printed, library)):
            weights = _weights(candidates)
            if any(weights.values()):
                return weights
        return {}


@functools.lru_cache(maxsize=4)
def published(study: Study) -> Published:
    """Return the printed numbers of a study.

    Raises :class:`DlbugError` for files of the study that are not valid.
    """
    return Published(study)


def _of_library(cells: _Cells, library: str) -> _Cells:
    """Return the cells of a library; without any, those of all libraries."""
    return [cell for cell in cells if cell["library"] == library] or cells


def _weights(cells: Iterable[Mapping[str, Any]]) -> Mapping[str, float]:
    weights: dict[str, float] = {}
    for cell in cells:
        weights[cell["category"]] = weights.get(cell["category"], 0.0) + cell["value"]
    return weights
