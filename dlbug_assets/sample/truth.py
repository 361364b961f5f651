"""Ground truth of the synthetic items: the bugs that raters should find in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from dlbug_assets.protocol.study import STACK_OVERFLOW, Study, posts_per_library
from dlbug_assets.sample.draw import Draw, digest
from dlbug_assets.sample.published import (
    antipattern_weights,
    bug_type_weights,
    label_weights,
    root_cause_weights,
    size,
    stage_weights,
)

_SECOND_BUG_IN_A_POST = 0.04


@dataclass(frozen=True)
class Bug:
    """A bug of an item: its place, and its label in each dimension (antipattern only in posts sampled for it)."""

    place: str
    labels: Mapping[str, str]


def true_bugs(study: Study, items: pl.DataFrame) -> dict[str, list[Bug]]:
    """Return item_id -> its bugs, for items with the columns item_id, source, library and year."""
    bugs = {row["item_id"]: _bugs(study, row) for row in items.iter_rows(named=True)}
    sampled = _sampled_for_antipatterns(study, [row for row in items.iter_rows(named=True) if bugs[row["item_id"]]])
    for item_id, library in sampled.items():
        draw = Draw(study.study.seed, "antipattern", item_id)
        weights = antipattern_weights(library)
        bugs[item_id] = [Bug(bug.place, {**bug.labels, "antipattern": draw.weighted(weights)}) for bug in bugs[item_id]]
    return bugs


def _sampled_for_antipatterns(study: Study, buggy: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return item_id -> library of the posts with bugs sampled for the dimension that is asked of a sample."""
    sampled: dict[str, str] = {}
    posts = [row for row in buggy if row["source"] == STACK_OVERFLOW]
    for dimension in study.asked:
        size_of_sample = posts_per_library(study, dimension)
        if size_of_sample is None:
            continue
        for library in study.library_names:
            ids = [row["item_id"] for row in posts if row["library"] == library]
            ids.sort(key=lambda item_id, name=dimension.name: digest(study.study.seed, name, item_id))
            sampled |= dict.fromkeys(ids[:size_of_sample], library)
    return sampled


def _bugs(study: Study, item: Mapping[str, object]) -> list[Bug]:
    draw = Draw(study.study.seed, "truth", item["item_id"])
    library, source = str(item["library"]), str(item["source"])
    bugs: list[Bug] = []
    for number in range(1, _count(draw, library, source) + 1):
        bug_type = draw.weighted(bug_type_weights(library, source, int(str(item["year"]))))
        place = f"code block {number}" if source == STACK_OVERFLOW else f"model.py:{draw.between(3, 400)}"
        labels = {
            "bug_type": bug_type,
            "root_cause": draw.weighted(root_cause_weights(library, source, bug_type)),
            "effect": draw.weighted(label_weights("effect", library, source)),
            "stage": draw.weighted(stage_weights()),
        }
        bugs.append(Bug(place, labels))
    return bugs


def _count(draw: Draw, library: str, source: str) -> int:
    """Return the number of bugs of an item.

    A post seldom has more than one. A commit has a geometrically distributed number with the library's mean in Table 1.
    """
    if source == STACK_OVERFLOW:
        has_bug = draw.chance(size(library, "so_bugs") / size(library, "so_posts"))
        return has_bug + (has_bug and draw.chance(_SECOND_BUG_IN_A_POST))
    mean = size(library, "gh_bugs") / size(library, "gh_commits")
    count = 0
    while draw.chance(mean / (1 + mean)):
        count += 1
    return count
