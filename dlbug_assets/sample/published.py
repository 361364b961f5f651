"""The paper's sizes and shares as sampling weights; other libraries get the mean of the paper's libraries."""

import functools
from collections.abc import Iterable, Mapping

from dlbug_assets.layout import STUDIES
from dlbug_assets.protocol.taxonomy import GITHUB, STACK_OVERFLOW, csv_rows

_TABLES = {"bug_type": "table2_bug_type", "root_cause": "table3_root_cause", "effect": "table4_effect"}


@functools.cache
def _rows(name: str) -> tuple[Mapping[str, str], ...]:
    return tuple(csv_rows(STUDIES / "islam2019" / "published" / f"{name}.csv"))


@functools.cache
def size(library: str, column: str) -> float:
    """Return a column of Table 1 for a library: so_posts, so_bugs, gh_commits or gh_bugs."""
    sizes = {row["library"]: float(row[column]) for row in _rows("table1")}
    return sizes.get(library, sum(sizes.values()) / len(sizes))


@functools.cache
def label_weights(dimension: str, library: str, source: str) -> Mapping[str, float]:
    """Return category -> percent in Table 2, 3 or 4, summed over libraries where the paper lacks this one."""
    rows = [row for row in _rows(_TABLES[dimension]) if row["source"] == source]
    of_library = [row for row in rows if row["library"] == library]
    return _weights((row["category"], row["percent"]) for row in of_library or rows)


@functools.cache
def bug_type_weights(library: str, source: str, year: int) -> Mapping[str, float]:
    """Return category -> percent in Figure 9 where it has the library and year (Stack Overflow), else in Table 2."""
    if source == STACK_OVERFLOW:
        rows = [row for row in _rows("fig9_evolution") if (row["library"], row["year"]) == (library, str(year))]
        if rows:
            return _weights((row["category"], row["percent"]) for row in rows)
    return label_weights("bug_type", library, source)


@functools.cache
def root_cause_weights(library: str, source: str, bug_type: str) -> Mapping[str, float]:
    """Return category -> percent in Figure 3 for the bug type (Stack Overflow), else in Table 3."""
    weights = _weights(
        (row["root_cause"], row["percent"]) for row in _rows("fig3_bugtype_rootcause") if row["bug_type"] == bug_type
    )
    return label_weights("root_cause", library, source) if source == GITHUB or not any(weights.values()) else weights


@functools.cache
def stage_weights() -> Mapping[str, float]:
    """Return stage -> percent in Figure 5."""
    return _weights((row["stage"], row["percent"]) for row in _rows("fig5_stages"))


@functools.cache
def antipattern_weights(library: str) -> Mapping[str, float]:
    """Return antipattern -> percent in Figure 7, summed over libraries where the paper lacks this one."""
    rows = _rows("fig7_antipatterns")
    of_library = [row for row in rows if row["library"] == library]
    return _weights((row["antipattern"], row["percent"]) for row in of_library or rows)


def _weights(pairs: Iterable[tuple[str, str]]) -> Mapping[str, float]:
    weights: dict[str, float] = {}
    for category, percent in pairs:
        weights[category] = weights.get(category, 0.0) + float(percent)
    return weights
