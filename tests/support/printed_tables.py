"""Released labels by hand or at random, and tables that were printed from them after some edits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from statsmodels.stats.weightstats import ttest_ind

from dlbug_assets.warehouse.rows import table_schema

SO, GH = "Stack Overflow", "GitHub"
LIBRARIES = ("Caffe", "Keras", "Tensorflow", "Theano", "Torch")
CATEGORIES = tuple("ABCDEFGHIJ")


def percents(counts, total=None):
    """Return whole percents, halves rounded up."""
    counts = list(counts)
    total = total or sum(counts)
    return [(200 * count + total) // (2 * total) for count in counts]


def p_value(first, second):
    """Return the P value of Student's t-test as printed, None if the shares do not vary."""
    if len({*first}) == 1 and len({*second}) == 1:
        return None
    return round(float(ttest_ind(first, second)[1]), 4)


@dataclass
class PrintedColumn:
    """The released categories of a column's bugs in their order, and the shares as printed and as P values saw them."""

    labels: Sequence[str]
    printed: Sequence[float] = ()
    working: Sequence[int] = ()
    spelled: Mapping[int, str] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)

    def counts(self, categories):
        return [sum(label == category for label in self.labels) for category in categories]


def printed_frames(columns, *, categories=CATEGORIES, p_values=(), leftovers=(), **other) -> dict[str, Any]:
    """Return the arguments of ``replication_diff`` for one table.

    ``columns`` are {(library, source): :class:`PrintedColumn`}, ``p_values`` (category, printed P value), ``leftovers``
    (library, row, category); ``other`` are columns of all printed shares.
    """
    labels, bug_labels, cells = [], [], []
    shared = {"reference": "table", "dimension": "fault", "denominator": "labelled", "halves": "away",
              "reading": "printed", "unit": "percent", "decimals": 0} | other  # fmt: skip
    for (library, source), column in columns.items():
        of_column = {"library": library, "source": source}
        for number, label in enumerate(column.labels):
            bug = f"{source}-{library}-{number}"
            labels.append({"bug_id": bug, **of_column})
            bug_labels.append({"bug_id": bug, "dimension": "fault", "category": label,
                               "as_written": column.spelled.get(number, label)})  # fmt: skip
        counts, total = column.counts(categories), len(column.labels)
        for category, count, published in zip(categories, counts, column.printed, strict=True):
            of_cell = {
                "category": category,
                **of_column,
                "bugs": count,
                "total": total,
                "computed": 100 * count / total,
            }
            is_same = (
                round(published * 10 ** shared["decimals"]) == percents([count], total)[0] * 10 ** shared["decimals"]
            )
            cells.append({**shared, **of_cell, "published": float(published), "same_when_rounded": is_same})
            if category in column.bars:
                cells.append({**shared, **of_cell, "reference": "figure", "published": column.bars[category],
                              "reading": "approximate", "decimals": 1, "same_when_rounded": None})  # fmt: skip
    cells += [
        {**shared, "reference": "table_p", "category": category, "library": "All", "source": "both", "unit": "p",
         "decimals": 4, "published": value, "computed": -1.0, "same_when_rounded": False}
        for category, value in p_values
    ]  # fmt: skip
    numbered = [{"position": position, **cell} for position, cell in enumerate(cells, start=1)]
    left = [{"library": library, "source": SO, "sheet": "sheet 2", "row": row, "bug_id": None, "dimension": "fault",
             "category": category} for library, row, category in leftovers]  # fmt: skip
    return {
        "cells": pl.DataFrame(numbered, schema=table_schema("analysis.replication_cells")),
        "labels": pl.DataFrame(labels, schema=_text("bug_id", "library", "source")),
        "bug_labels": pl.DataFrame(bug_labels, schema=_text("bug_id", "dimension", "category", "as_written")),
        "leftovers": pl.DataFrame(
            left,
            schema=_text("library", "source", "sheet", "bug_id", "dimension", "category") | {"row": pl.Int64},
        ),
    }


def _text(*names):
    return dict.fromkeys(names, pl.String)


@dataclass
class Planted:
    """A table at random, of which some columns were printed after an edit each: frames, and the edits by column."""

    columns: dict[tuple[str, str], PrintedColumn]
    edits: dict[tuple[str, str], str]
    frames: dict[str, Any]

    def value(self, diff, column, category):
        """Return the reconstructed share of a cell."""
        library, source = column
        return diff.filter(unit="percent", library=library, source=source, category=category)["reconstructed"].item()


def planted(seed, *, edits=3, has_random_p=False):
    """Return a table of five libraries and two sources with edits of random kinds in some columns.

    P values are computed from the working shares, or are random.
    """
    rng = np.random.default_rng(seed)
    columns = _random_columns(rng)
    leftovers = [(library, row, str(rng.choice(CATEGORIES))) for library in LIBRARIES for row in (1, 2)]
    chosen = [list(columns)[number] for number in rng.choice(len(columns), edits, replace=False)]
    for column in columns.values():
        column.printed = column.working = percents(column.counts(CATEGORIES))
    texts: dict[tuple[str, str], str] = {}
    # Until each edit leaves evidence, beside those of the other columns.
    while not texts or not all(_has_evidence(columns, key) for key in chosen):
        for key in chosen:
            left = [category for library, row, category in leftovers if (library, SO, row) == (*key, 1)]
            possible = _edits(rng, columns[key], left)
            texts[key], working, printed = possible[rng.integers(len(possible))]
            columns[key].working, columns[key].printed = working, printed or working
    p_values = [
        (category, round(float(rng.random()), 4) if has_random_p else p)
        for category, p in _p_values({key: column.working for key, column in columns.items()}).items()
    ]
    return Planted(columns, texts, printed_frames(columns, p_values=p_values, leftovers=leftovers))


def _p_values(shares):
    """Return the P values of shares by column, by category."""
    by_source = [[values for (_, source), values in shares.items() if source == one] for one in (SO, GH)]
    found = {
        category: p_value(*([values[row] for values in of_source] for of_source in by_source))
        for row, category in enumerate(CATEGORIES)
    }
    return {category: p for category, p in found.items() if p is not None}


def _has_evidence(columns, key):
    """Return whether an edit of labels changes several shares, and one of shares a P value."""
    column = columns[key]
    if column.printed == column.working:
        released = percents(column.counts(CATEGORIES))
        return sum(share != other for share, other in zip(column.printed, released, strict=True)) > 1
    working = {one: other.working for one, other in columns.items()}
    return _p_values(working) != _p_values({**working, key: column.printed})


def _random_columns(rng):
    shapes = {source: rng.dirichlet(np.full(len(CATEGORIES), 1.2)) for source in (SO, GH)}
    columns = {}
    for source in (SO, GH):
        for library in LIBRARIES:
            shares = 0.7 * shapes[source] + 0.3 * rng.dirichlet(np.ones(len(CATEGORIES)))
            labels = [str(label) for label in rng.choice(CATEGORIES, rng.choice([25, 40, 60, 100, 160]), p=shares)]
            most = max(CATEGORIES, key=labels.count)
            of_most = [number for number, label in enumerate(labels) if label == most]
            odd = rng.choice(of_most, len(of_most) // 3, replace=False)
            columns[library, source] = PrintedColumn(
                labels, spelled={int(number): f"{library} {source} {most}" for number in odd}
            )
    return columns


def _edits(rng, column, leftover):
    """Return an edit of every kind that is possible: in words, working shares, and printed ones if they are others."""
    labels, counts = list(column.labels), dict(zip(CATEGORIES, column.counts(CATEGORIES), strict=True))
    released = percents(counts.values())
    number = int(rng.integers(1, 9))
    rows = "row" if number == 1 else f"{number} rows"
    a, b = sorted(int(row) for row in rng.choice(len(CATEGORIES), 2, replace=False))
    first, second = CATEGORIES[a], CATEGORIES[b]
    slip = int(rng.integers(100))
    [spelling] = {*column.spelled.values()}

    def shares(**changed):
        return percents((counts | changed).values())

    def of(labels):
        return percents(PrintedColumn(labels).counts(CATEGORIES))

    edits = [
        (f"the first {rows} missing", of(labels[number:]), None),
        (f"the last {rows} missing", of(labels[:-number]), None),
        (f"one {first} more", shares(**{first: counts[first] + 1}), None),
        (f"{first} and {second} exchanged", shares(**{first: counts[second], second: counts[first]}), None),
        (
            f"rows spelled “{spelling}” left out",
            of([label for at, label in enumerate(labels) if at not in column.spelled]),
            None,
        ),
        (
            f"a slip: {first} printed as {slip} in place of {released[a]}",
            released,
            [slip if row == a else share for row, share in enumerate(released)],
        ),
    ]
    if counts[first]:
        edits.append((f"one {first} less", shares(**{first: counts[first] - 1}), None))
    if counts[first] >= number:
        moved = shares(**{first: counts[first] - number, second: counts[second] + number})
        edits.append((f"{number} of {counts[first]} {first} counted as {second}", moved, None))
    if leftover:
        edits.append(("the leftover row of sheet 2, row 1 counted", of([*labels, *leftover]), None))
    if missing := 100 - sum(released):
        nonzero = [row for row, share in enumerate(released) if share]
        changed = rng.choice(nonzero, abs(missing), replace=False)
        step = 1 if missing > 0 else -1
        closed = [share + step if row in changed else share for row, share in enumerate(released)]
        edits.append(("by one so that the column sums to 100, after the P values", released, closed))
    return edits
