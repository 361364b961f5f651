"""Ground truth of the synthetic items: the bugs that raters should find in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.study import STACK_OVERFLOW, Study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.sample.draw import Draw
from dlbug_assets.sample.published import Published, published

_SECOND_BUG_IN_A_POST = 0.04
_MOST_CATEGORIES = 3


@dataclass(frozen=True)
class Bug:
    """A bug of an item: its place, and its label in each dimension, as raters write it into a cell.

    Bugs of commits have no label in dimensions that are asked of a sample of posts, none has one in a dimension without
    categories.
    """

    place: str
    labels: Mapping[str, str]


def true_bugs(study: Study, items: pl.DataFrame, taxonomy: Taxonomy) -> dict[str, list[Bug]]:
    """Return item_id -> its bugs, for items with the columns item_id, source, library and year."""
    truth = _Truth(study, taxonomy)
    rows = list(items.iter_rows(named=True))
    bugs = {row["item_id"]: truth.bugs(row) for row in rows}
    for dimension in truth.of_samples:
        for row in rows:
            if row["source"] == STACK_OVERFLOW:
                item_id = row["item_id"]
                draw = Draw(study.study.seed, dimension.name, item_id)
                bugs[item_id] = [
                    Bug(bug.place, {**bug.labels, dimension.name: truth.label(draw, dimension, row, bug.labels)})
                    for bug in bugs[item_id]
                ]
    return bugs


class _Truth:
    """Draws bugs and labels: by the study's printed shares where it has them, otherwise evenly."""

    def __init__(self, study: Study, taxonomy: Taxonomy) -> None:
        self._seed = study.study.seed
        self._published = published(study)
        self._categories = {name: taxonomy.names(name) for name in study.asked_names}
        drawn = [dimension for dimension in study.asked if self._categories[dimension.name]]
        self._of_all = [dimension for dimension in drawn if dimension.asked_of == "all"]
        #: The dimensions that only a sample of posts has.
        self.of_samples = [dimension for dimension in drawn if dimension.asked_of != "all"]
        self._weights: dict[Any, Mapping[str, float]] = {}

    def bugs(self, item: Mapping[str, Any]) -> list[Bug]:
        """Return the bugs of an item."""
        draw = Draw(self._seed, "truth", item["item_id"])
        bugs: list[Bug] = []
        for number in range(1, _count(draw, self._published, item) + 1):
            labels: dict[str, str] = {}
            place = ""
            for dimension in self._of_all:
                labels[dimension.name] = self.label(draw, dimension, item, labels)
                place = place or _place(draw, item, number)
            bugs.append(Bug(place or _place(draw, item, number), labels))
        return bugs

    def label(self, draw: Draw, dimension: Dimension, item: Mapping[str, Any], labels: Mapping[str, str]) -> str:
        """Return the label of a bug with these labels in other dimensions."""
        categories = self._categories[dimension.name]
        if dimension.multiple:
            several = draw.some(categories, draw.between(1, _MOST_CATEGORIES))
            return dimension.joiner.join(sorted(several, key=categories.index))
        key = (dimension.name, item["library"], item["source"], item["year"])
        known = (*key, *labels.values())
        if known not in self._weights:
            self._weights[known] = self._published.weights(*key, labels)
        weights = self._weights[known]
        return draw.weighted(weights) if weights else draw.one(categories)


def _place(draw: Draw, item: Mapping[str, Any], number: int) -> str:
    return f"code block {number}" if item["source"] == STACK_OVERFLOW else f"model.py:{draw.between(3, 400)}"


def _count(draw: Draw, numbers: Published, item: Mapping[str, Any]) -> int:
    """Return the number of bugs of an item.

    A post seldom has more than one. A commit has a geometrically distributed number with its library's mean.
    """
    library, source = str(item["library"]), str(item["source"])
    mean = numbers.size(library, source, "bugs") / numbers.size(library, source, "items")
    if source == STACK_OVERFLOW:
        has_bug = draw.chance(mean)
        return has_bug + (has_bug and draw.chance(_SECOND_BUG_IN_A_POST))
    count = 0
    while draw.chance(mean / (1 + mean)):
        count += 1
    return count
