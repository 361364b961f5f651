"""The data that findings are judged by, looked up one group at a time.

Looking up missing data raises :class:`NotTestable`, so that a metric can be written as if all data were there.
"""

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from dlbug_assets.analysis.statistics.shares import Share
from dlbug_assets.protocol.taxonomy import GITHUB, STACK_OVERFLOW


class NotTestable(Exception):  # noqa: N818 - a verdict, not an error
    """A metric's data is missing; the message names what is missing."""


class PValues(NamedTuple):
    """The P values of one category: p_paper, p_paper_rounded and p_published of analysis.source_comparison."""

    exact: float | None
    rounded: float | None
    published: float


class Evidence:
    """The tables that findings are judged by.

    ``counts``, ``root_causes``, ``comparison``, ``correlation`` and ``evolution`` are analysis.label_counts,
    root_cause_by_bug_type, source_comparison, library_correlation and yearly_evolution; ``published_correlation`` is
    reference.fig6_correlation. Like the paper's sections 3 to 8, every method is about Stack Overflow unless a source
    is named.
    """

    def __init__(
        self,
        *,
        counts: pl.DataFrame,
        root_causes: pl.DataFrame,
        comparison: pl.DataFrame,
        correlation: pl.DataFrame,
        evolution: pl.DataFrame,
        published_correlation: pl.DataFrame,
    ) -> None:
        self.libraries = tuple(name for name in counts["library"].unique(maintain_order=True) if name != "All")
        self._counts = {
            row[:4]: Share(*row[4:])
            for row in counts.select("source", "library", "dimension", "category", "bugs", "total").iter_rows()
        }
        self._categories = {
            dimension: rows["category"].unique(maintain_order=True).to_list()
            for (dimension,), rows in counts.group_by(["dimension"], maintain_order=True)
        }
        self._root_causes = {
            row[:2]: Share(*row[2:])
            for row in root_causes.filter(pl.col("source") == STACK_OVERFLOW)
            .select("bug_type", "root_cause", "bugs", "total").iter_rows()
        }  # fmt: skip
        self._years = {
            row[:4]: Share(*row[4:])
            for row in evolution.filter(pl.col("source") == STACK_OVERFLOW)
            .select("library", "year", "dimension", "category", "bugs", "total").iter_rows()
        }  # fmt: skip
        self._comparison = comparison
        self._correlation = correlation
        self.published_correlation = {
            tuple(sorted((a, b))): value
            for a, b, value in published_correlation.select("library_a", "library_b", "correlation").iter_rows()
        }

    def share(self, dimension: str, category: str, library: str = "All", source: str = STACK_OVERFLOW) -> Share:
        """Return one category's share of the bugs of a library."""
        if library != "All" and library not in self.libraries:
            raise NotTestable(f"the study has no {library}")
        share = self._counts.get((source, library, dimension, category))
        if share is None:
            raise NotTestable(f"the taxonomy has no {category}")
        if share.total == 0:
            where = "" if library == "All" else f" of {library}"
            raise NotTestable(f"no {source} bug{where} has a label in {dimension.replace('_', ' ')}")
        return share

    def categories(self, dimension: str, library: str = "All", source: str = STACK_OVERFLOW) -> dict[str, Share]:
        """Return every category's share of the bugs of a library, in taxonomy order."""
        return {name: self.share(dimension, name, library, source) for name in self._categories.get(dimension, ())}

    def per_library(
        self, dimension: str, category: str, libraries: Iterable[str] | None = None, source: str = STACK_OVERFLOW
    ) -> dict[str, Share]:
        """Return one category's share in each of the libraries, by default those of the study in its order."""
        names = self.libraries if libraries is None else libraries
        return {library: self.share(dimension, category, library, source) for library in names}

    def root_cause(self, bug_type: str, root_cause: str) -> Share:
        """Return a root cause's share of the bugs of one type."""
        share = self._root_causes.get((bug_type, root_cause))
        if share is None or share.total == 0:
            raise NotTestable(f"there is no {STACK_OVERFLOW} bug of type {bug_type} with a root cause")
        return share

    def in_year(self, category: str, library: str, year: int) -> Share:
        """Return a bug type's share of the bugs of a library in a year (UTC)."""
        if not self._years:
            raise NotTestable(f"no {STACK_OVERFLOW} label has a year")
        if library not in self.libraries:
            raise NotTestable(f"the study has no {library}")
        share = self._years.get((library, year, "bug_type", category))
        if share is None:
            raise NotTestable(f"there is no {STACK_OVERFLOW} bug of {library} from {year}")
        return share

    def p_values(self, dimension: str) -> dict[str, PValues]:
        """Return the P values by category, for categories with a printed one."""
        rows = self._comparison.filter((pl.col("dimension") == dimension) & pl.col("p_published").is_not_null())
        if not rows["p_paper"].is_not_null().any():
            reasons = rows["undefined_reason"].drop_nulls()
            raise NotTestable(reasons[0] if reasons.len() else f"nothing is tested for {dimension.replace('_', ' ')}")
        columns = ("category", "p_paper", "p_paper_rounded", "p_published")
        return {category: PValues(*p_values) for category, *p_values in rows.select(columns).iter_rows()}

    def smallest_library(self, dimension: str, sources: Iterable[str] = (STACK_OVERFLOW, GITHUB)) -> int:
        """Return the smallest number of bugs with a label in the dimension among all libraries and sources."""
        cells = ((source, library) for source in sources for library in self.libraries)
        category = self._categories[dimension][0]
        return min(self._counts[source, library, dimension, category].total for source, library in cells)

    def similarity(
        self, dimension: str, measure: str, libraries: Iterable[str] | None = None
    ) -> dict[tuple[str, str], float]:
        """Return pearson, spearman or jensen_shannon between the Stack Overflow shares of each pair of libraries.

        The pairs are those of ``libraries``, by default all of the study's.
        """
        names = self.libraries if libraries is None else tuple(libraries)
        for name in names:
            if name not in self.libraries:
                raise NotTestable(f"the study has no {name}")
        rows = self._correlation.filter(
            (pl.col("source") == STACK_OVERFLOW) & (pl.col("dimension") == dimension)
            & pl.col("library_a").is_in(names) & pl.col("library_b").is_in(names)
        )  # fmt: skip
        undefined = rows.filter(pl.col(measure).is_null())
        if undefined.height or not rows.height:
            reason = undefined["undefined_reason"][0] if undefined.height else "there are no two libraries"
            raise NotTestable(f"{dimension.replace('_', ' ')}: {reason}")
        return {(a, b): value for a, b, value in rows.select("library_a", "library_b", measure).iter_rows()}
