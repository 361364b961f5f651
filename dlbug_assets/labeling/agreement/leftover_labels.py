"""Labels in further sheets of a release, such as those of a single rater, beside the released bugs that they are of.

Rows with a key or link are aligned by it, others by their order: a run of rows that agrees with consecutive released
rows too often for chance.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import polars as pl

from dlbug_assets import releases
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

#: The share of labels that are the same if two people label the same bugs, for the score of an alignment.
_ALIKE = 0.8
#: A run of rows is aligned if fewer than this number of runs with its score are expected by chance.
_MOST_EXPECTED = 0.001
#: Larger sheets are not aligned by order: pairs of rows.
_MOST_PAIRS = 4_000_000
#: One category, or those of a dimension that takes several.
_Label = str | Sequence[str] | None
_LEFTOVERS = table_schema("labeling.leftover_labels")


def leftover_labels(*, study: Study, release: Callable[[], releases.Released]) -> pl.DataFrame:
    """Return labeling.leftover_labels: the labels in further sheets of the releases, and the bugs that they align with.

    ``release`` reads the study's releases; without released labels the table is empty.

    Columns: source and library (of the bug, or of the rows before and after if they have the same; else NULL), sheet
    (file and number of the sheet, never its name), row, link, bug_id (NULL if the row aligns with none), dimension,
    as_written, category (several are joined by the dimension's separator) and agrees (whether the release has the same
    label; NULL without a bug, or where either has none). Labels that no category is spelled like are left out.
    """
    released = release() if study.sources.labels == "release" else None
    if released is None or released.leftovers.is_empty():
        return pl.DataFrame(schema=_LEFTOVERS)
    bugs = releases.labels(released, study)
    aligned: list[dict[str, object]] = []
    for _, rows in released.leftovers.group_by("file", "sheet", maintain_order=True):
        places = _by_key(rows, bugs) if rows["key"].count() or rows["link"].count() else _by_order(rows, bugs, study)
        aligned += _rows(rows, bugs, places, study)
    return pl.DataFrame(aligned, schema=_LEFTOVERS)


def _rows(rows: pl.DataFrame, bugs: pl.DataFrame, places: dict[int, int], study: Study) -> Iterator[dict[str, object]]:
    """Yield the labels of each row of a sheet; ``places`` are the indices of the bugs of rows that align with one."""
    found = list(bugs.iter_rows(named=True))
    for index, row in enumerate(rows.iter_rows(named=True)):
        bug = found[places[index]] if index in places else {}
        around = [found[places[each]] for each in (index - 1, index + 1) if each in places]
        scopes = {(each["source"], each["library"]) for each in ([bug] if bug else around)}
        source, library = scopes.pop() if len(scopes) == 1 else (None, None)
        for dimension in study.asked:
            categories, released = row[dimension.name], bug.get(dimension.name)
            if categories is None:
                continue
            yield {
                "source": source,
                "library": library,
                "sheet": f"{row['file']}, sheet {row['sheet']}",
                "row": row["row"],
                "link": bug.get("link") or row["link"],
                "bug_id": bug.get("bug_id"),
                "dimension": dimension.name,
                "as_written": dimension.joiner.join(row[f"{dimension.name}_as_written"]),
                "category": dimension.joiner.join(categories),
                "agrees": set(_categories(released)) == set(categories) if released else None,
            }


def _categories(label: str | Sequence[str]) -> Sequence[str]:
    return [label] if isinstance(label, str) else label


def _by_key(rows: pl.DataFrame, bugs: pl.DataFrame) -> dict[int, int]:
    """Return the index of the bug of each row: by its link, in the same file first, or by its key in the same file."""
    is_own = pl.col("file") == rows["file"][0]
    ordered = bugs.with_row_index("_place")
    if rows["link"].count():
        name, ordered = "link", ordered.sort(is_own, descending=True, maintain_order=True)
    else:
        name, ordered = "key", ordered.filter(is_own)
    same: dict[str, list[int]] = defaultdict(list)
    for place, key in ordered.select("_place", name).drop_nulls().iter_rows():
        same[key].append(place)
    unused = {key: iter(found) for key, found in same.items()}
    aligned = ((index, next(unused.get(key, iter(())), None)) for index, key in enumerate(rows[name]))
    return {index: place for index, place in aligned if place is not None}


def _by_order(rows: pl.DataFrame, bugs: pl.DataFrame, study: Study) -> dict[int, int]:
    """Return the index of the bug of each row, where their order shows it.

    Agreement of two labels is worth log(a / p), disagreement log((1 - a) / (1 - p)), with p the share of labels that
    would agree by chance, so that e^-score of a run of consecutive rows and bugs bounds its P value, and the number of
    pairs of rows times that the number of runs expected by chance (Karlin & Altschul 1990). Each run costs the score
    that makes this number small; returned are the runs with the highest sum of scores (Viterbi 1967). A label that
    repeats the one before it on both sides says nothing about the order.
    """
    if not 0 < rows.height * bugs.height <= _MOST_PAIRS:
        return {}
    scores = np.zeros((rows.height, bugs.height))
    for dimension in study.asked_names:
        scores += _scores(rows[dimension].to_list(), bugs[dimension].to_list())
    cost = np.log(scores.size / _MOST_EXPECTED)
    # A run does not cross files.
    is_first = (bugs["file"] != bugs["file"].shift()).fill_null(value=True).to_numpy()
    totals, unaligned = np.full(bugs.height, -np.inf), 0.0
    goes_on = np.empty(scores.shape, dtype=bool)
    last: list[int | None] = []
    for index, row in enumerate(scores):
        best = int(totals.argmax())
        last.append(best if totals[best] >= unaligned else None)
        unaligned = max(unaligned, totals[best])
        on = np.where(is_first, -np.inf, np.roll(totals, 1))
        goes_on[index] = on >= unaligned - cost
        totals = row + np.maximum(on, unaligned - cost)
    places: dict[int, int] = {}
    place = int(totals.argmax()) if totals.max() >= unaligned else None
    for index in range(rows.height - 1, -1, -1):
        if place is not None:
            places[index] = place
        place = place - 1 if place is not None and goes_on[index, place] else last[index]
    # Each bug once: of the rows at the end of a run and the beginning of another, the one that resembles it more.
    resembling: dict[int, int] = {}
    for index, place in places.items():
        if place not in resembling or scores[index, place] > scores[resembling[place], place]:
            resembling[place] = index
    return {index: place for place, index in resembling.items()}


def _scores(rows: Sequence[_Label], bugs: Sequence[_Label]) -> np.ndarray:
    """Return what agreement or disagreement in a dimension is worth, for each row and bug; 0 where one has no label."""
    numbers: dict[frozenset[str], int] = {}
    one, other = (
        np.array([numbers.setdefault(frozenset(_categories(label)), len(numbers)) if label else -1 for label in labels])
        for labels in (rows, bugs)
    )
    known = (one >= 0)[:, None] & (other >= 0)
    same = (one[:, None] == other) & known
    if not same.any():
        return np.where(known, np.log(1 - _ALIKE), 0.0)
    chance = min(same.sum() / known.sum(), _ALIKE)
    scores = np.where(same, np.log(_ALIKE / chance), np.log((1 - _ALIKE) / (1 - chance))) * known
    repeats = (one[1:] == one[:-1])[:, None] & (other[1:] == other[:-1])
    scores[1:, 1:][repeats & same[1:, 1:]] = 0.0
    return scores
