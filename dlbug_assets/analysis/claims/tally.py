"""The labels of a study as counts per cluster, and selections among them whose first axis is the draw.

A batch of draws is an array of counts (draws, columns); a column is a source, library and category, and where claims
need it, a year or a category of another dimension. The data themselves are a batch of one draw. A cluster's row is what
it adds to each column, so that any weighting of clusters is a matrix product.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from dlbug_assets.analysis.statistics.effective import Limits, intraclass_correlation, limits
from dlbug_assets.analysis.statistics.shares import Share
from dlbug_assets.protocol.claims import AlikeClaim, Claim, CorrelatedClaim, CountedClaim, QueryClaim, TrendClaim
from dlbug_assets.protocol.names import in_sentence, plural
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import LIBRARY, SOURCE

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

YEAR = "year"
#: The first and the last possible year of a bug whose year is not certain; either may be unknown.
_POSSIBLE = ("year_low", "year_high")
Span = tuple[int | None, int | None]
#: Column of labels with what each bug counts for, where it is not 1.
VOTES = "votes"

#: The first column is that of what never occurs.
_NEVER = 0


class NotTestable(Exception):  # noqa: N818 - a verdict, not an error
    """The data that a claim needs is missing; the message names what is missing."""


@dataclass(frozen=True)
class _Grid:
    """The columns of a dimension: by source, library, member (year or other category) and category."""

    members: tuple[Any, ...]
    bugs: np.ndarray
    totals: np.ndarray


@dataclass(frozen=True)
class Selection:
    """Some shares: those of categories (``names``) in groups of bugs.

    ``columns`` (groups, names, ..) are added up to bugs, ``totals`` (groups, ..) to the bugs with a label in the
    dimension, ``whole`` (groups, categories, ..) to those of every category. If ``is_mean``, the groups' shares are
    averaged.
    """

    groups: tuple[str, ...]
    names: tuple[str, ...]
    columns: np.ndarray
    totals: np.ndarray
    whole: np.ndarray
    is_mean: bool = False

    def bugs(self, batch: np.ndarray) -> np.ndarray:
        """Return the number of bugs by draw, group and name."""
        return batch[:, self.columns].sum(axis=-1)

    def total(self, batch: np.ndarray) -> np.ndarray:
        """Return the number of bugs with a label in the dimension by draw and group."""
        return batch[:, self.totals].sum(axis=-1)

    def percent(self, batch: np.ndarray) -> np.ndarray:
        """Return the shares in percent by draw, group and name; NaN in groups without bugs.

        A quotient of two whole numbers is rounded correctly, so that equal shares are equal numbers.
        """
        with np.errstate(invalid="ignore"):
            shares = 100 * self.bugs(batch) / self.total(batch)[..., None]
        return shares.mean(axis=1, keepdims=True) if self.is_mean else shares


class Tally:
    """The counts that the claims of a study need.

    ``labels`` is labeling.labels, ``clusters`` analysis.clusters, ``bug_labels`` labeling.bug_labels, ``categories``
    labeling.categories, ``taxonomy`` reference.taxonomy (for short codes). Bugs without a cluster are those of
    libraries that the study does not have; they are left out, and so are claims that a query decides. With a column
    ``votes`` in ``labels``, each bug counts for that number of bugs.
    """

    def __init__(
        self,
        labels: pl.DataFrame,
        *,
        clusters: pl.DataFrame,
        bug_labels: pl.DataFrame,
        categories: pl.DataFrame,
        taxonomy: pl.DataFrame,
        study: Study,
        claims: Iterable[Claim],
    ) -> None:
        self.libraries, self.sources = study.library_names, study.source_names
        #: What the study calls a library, and several, within a sentence.
        self.group, self.groups = in_sentence(study.study.group), in_sentence(plural(study.study.group))
        #: Short codes by dimension and category.
        self.codes = {row[:2]: row[2] for row in taxonomy.select("dimension", "name", "code").iter_rows() if row[2]}
        self.categories: Mapping[str, tuple[str, ...]] = {
            LIBRARY: self.libraries,
            SOURCE: self.sources,
            **{
                str(dimension): tuple(rows["category"])
                for (dimension,), rows in categories.group_by(["dimension"], maintain_order=True)
            },
        }
        self._bugs = self._clustered(labels, clusters)
        self.strata = self._strata()
        self._entries: list[pl.DataFrame] = []
        self._size = _NEVER + 1
        needed = {_needed(claim) for claim in claims if not isinstance(claim, QueryClaim)}
        self._grids = {grid: self._grid(bug_labels, *grid) for grid in sorted(needed)}

    def _clustered(self, labels: pl.DataFrame, clusters: pl.DataFrame) -> pl.DataFrame:
        """Return the bugs of the study with the positions of source and library, and the number of the cluster."""
        return (
            labels.join(clusters.select("bug_id", _name="cluster"), on="bug_id")
            .select(
                "bug_id", LIBRARY, SOURCE, YEAR, *_POSSIBLE, "_name",
                pl.col(VOTES) if VOTES in labels.columns else pl.lit(1, dtype=pl.Int64).alias(VOTES),
                _item_name=pl.coalesce("commit_sha", "link", "item_id"),
                _l=pl.col("library").replace_strict(_positions(self.libraries), return_dtype=pl.Int64),
                _s=pl.col("source").replace_strict(_positions(self.sources), return_dtype=pl.Int64),
            )
            .sort("_s", "_name", "bug_id")
            .with_columns(
                _cluster=pl.struct("_s", "_name").rank("dense").cast(pl.Int64) - 1,
                _item=pl.struct("_s", "_item_name").rank("dense").cast(pl.Int64) - 1,
            )
        )  # fmt: skip

    def _strata(self) -> dict[tuple[str, ...], np.ndarray]:
        """Return the clusters by source and exact set of libraries."""
        clusters = (
            self._bugs.group_by("_cluster", maintain_order=True)
            .agg(pl.col(SOURCE).first(), _libraries=pl.col(LIBRARY).unique().sort().str.join("|"))
            .group_by(SOURCE, "_libraries", maintain_order=True)
            .agg("_cluster")
        )
        return {(source, libraries): np.array(members) for source, libraries, members in clusters.iter_rows()}

    def _grid(self, bug_labels: pl.DataFrame, dimension: str, by: str) -> _Grid:
        """Register the columns of a dimension, by year or by the categories of another one if ``by`` names it."""
        rows = self._labelled(bug_labels, dimension).rename({"_category": "_c"})
        if by == YEAR:
            rows = rows.with_columns(pl.when(pl.col(YEAR).is_null()).then(pl.col(_POSSIBLE)))
            found = rows.select(YEAR, *_POSSIBLE).unique().filter(~pl.all_horizontal(pl.all().is_null()))
            found = found.sort(YEAR, *_POSSIBLE, nulls_last=True)
            members: tuple[Any, ...] = tuple(row[0] or row[1:] for row in found.iter_rows())
            places = found.with_columns(_m=pl.int_range(pl.len()))
            rows = rows.join(places, on=found.columns, nulls_equal=True)
        elif by:
            members = self.categories.get(by, ())
            other = self._labelled(bug_labels, by).select("bug_id", _m="_category")
            rows = rows.join(other, on="bug_id", how="inner")
        else:
            members = ("",)
            rows = rows.with_columns(_m=pl.lit(0, dtype=pl.Int64))
        shape = (len(self.sources), len(self.libraries), len(members), len(self.categories.get(dimension, ())))
        return _Grid(
            members,
            self._register(rows, shape, ("_s", "_l", "_m", "_c")),
            # A bug with several categories counts once.
            self._register(rows.unique(["bug_id", "_m"]), shape[:3], ("_s", "_l", "_m")),
        )

    def _labelled(self, bug_labels: pl.DataFrame, dimension: str) -> pl.DataFrame:
        """Return the bugs with the position of each category that they have in a dimension."""
        if dimension in (LIBRARY, SOURCE):
            rows = self._bugs.with_columns(category=pl.col(dimension))
        else:
            of_dimension = bug_labels.filter(pl.col("dimension") == dimension).select("bug_id", "category")
            rows = self._bugs.join(of_dimension, on="bug_id", how="inner")
        places = _positions(self.categories.get(dimension, ()))
        return rows.with_columns(
            _category=pl.col("category").replace_strict(places, default=None, return_dtype=pl.Int64)
        ).filter(pl.col("_category").is_not_null())

    def _register(self, rows: pl.DataFrame, shape: tuple[int, ...], axes: tuple[str, ...]) -> np.ndarray:
        """Return the column of each place of an array of this shape, and keep what clusters and items add to it."""
        columns = np.full(shape, _NEVER, dtype=np.int64)
        counted = rows.group_by("_cluster", "_item", *axes).agg(pl.col(VOTES).cast(pl.Int64).sum())
        places = np.ravel_multi_index([counted[axis].to_numpy() for axis in axes], shape) if counted.height else []
        occurring, numbers = np.unique(places, return_inverse=True)
        columns.ravel()[occurring.astype(np.int64)] = self._size + np.arange(len(occurring))
        self._entries.append(counted.select("_cluster", "_item", _bugs=VOTES, _column=pl.Series(self._size + numbers)))
        self._size += len(occurring)
        return columns

    @cached_property
    def by_cluster(self) -> "csr_matrix":
        """What each cluster (row) adds to each column."""
        return self._added_by("_cluster")

    @cached_property
    def by_item(self) -> "csr_matrix":
        """What each item (row) adds to each column."""
        return self._added_by("_item")

    def _added_by(self, unit: str) -> "csr_matrix":
        from scipy.sparse import csr_matrix  # noqa: PLC0415 - slow to import

        entries = pl.concat(self._entries)
        places = entries[unit].to_numpy(), entries["_column"].to_numpy()
        # Entries of the same place are added up.
        return csr_matrix(
            (entries["_bugs"].to_numpy().astype(float), places), shape=(self._bugs[unit].n_unique(), self._size)
        )

    @cached_property
    def cluster_names(self) -> list[str]:
        """The names of clusters, in the order of :attr:`by_cluster`."""
        return self._names("_cluster", "_name")

    @cached_property
    def item_names(self) -> list[str]:
        """The names of items, in the order of :attr:`by_item`: the SHA of a commit, link of a post, else item_id."""
        return self._names("_item", "_item_name")

    def _names(self, unit: str, name: str) -> list[str]:
        return self._bugs.unique(unit).sort(unit)[name].to_list()

    @cached_property
    def observed(self) -> np.ndarray:
        """The data as a batch of one draw."""
        return np.asarray(self.by_cluster.sum(axis=0))

    def clusters(self, columns: np.ndarray) -> np.ndarray:
        """Return what each cluster (first axis) adds to columns that are added up (last axis)."""
        used, places = np.unique(columns, return_inverse=True)
        return self.by_cluster[:, used].toarray()[:, places.reshape(columns.shape)].sum(axis=-1)

    def limits(self, selection: Selection, confidence: float) -> list[Limits]:
        """Return the limits of the shares of each group, of which all have two clusters or more."""
        bugs, whole, totals = (
            self.clusters(columns) for columns in (selection.columns, selection.whole, selection.totals)
        )
        found: list[Limits] = []
        for group in range(totals.shape[1]):
            used = totals[:, group] > 0
            correlation = intraclass_correlation(whole[used, group], totals[used, group])
            found.append(limits(bugs[used, group], totals[used, group], correlation, confidence))
        return found

    def shares(self, selection: Selection) -> list[list[Share]]:
        """Return the shares in the data by group and name."""
        bugs, totals = selection.bugs(self.observed)[0], selection.total(self.observed)[0]
        return [[Share(int(n), int(total)) for n in row] for row, total in zip(bugs, totals, strict=True)]

    def select(
        self,
        dimension: str,
        categories: Sequence[Sequence[str]] | None = None,
        *,
        source: str | None = None,
        libraries: Sequence[str] | None = None,
        within: tuple[str, Sequence[str]] | None = None,
        years: Sequence[int | Span] | None = None,
        over: str = "pooled",
    ) -> Selection:
        """Return the shares of categories, by default of all; of several in one sequence the share together.

        ``within``: only of the bugs with one of these categories of another dimension; ``years``: of these years, or
        of uncertain ones (see :meth:`spans`).
        ``over``: one group, pooled; or a group for each category of ``within``, or for each library ("mean": of which
        the mean is taken). Raises :class:`NotTestable` for a name that the study does not have.
        """
        grid = self._grids[dimension, _by(within and within[0], years)]
        named = [(name,) for name in self.categories.get(dimension, ())] if categories is None else categories
        s = self._find(self.sources, None if source is None else [source], "the study has no source {}")
        l = self._find(self.libraries, libraries, "the study has no {}")  # noqa: E741
        m = self._members(grid, within, years)
        picked = np.ix_(s, l, m)
        bugs, totals = grid.bugs[picked], grid.totals[picked]
        axis = 2 if within else 1
        groups = (within[1] if within else [self.libraries[place] for place in l]) if over != "pooled" else ("",)
        known = self.categories.get(dimension, ())
        columns = [
            _grouped(bugs[..., self._find(known, together, "the taxonomy has no {}")], axis, over) for together in named
        ]
        return Selection(
            tuple(groups),
            tuple(" and ".join(together) for together in named),
            _padded(columns, len(groups)),
            np.array(_grouped(totals, axis, over), dtype=np.int64).reshape(len(groups), -1 if groups else 0),
            _padded([_grouped(bugs[..., [place]], axis, over) for place in range(len(known))], len(groups)),
            over == "mean",
        )

    def spans(self, dimension: str) -> list[Span]:
        """Return the first and last possible years of bugs whose year is not certain, where labels have years."""
        return [member for member in self._grids[dimension, YEAR].members if isinstance(member, tuple)]

    def _members(
        self, grid: _Grid, within: tuple[str, Sequence[str]] | None, years: Sequence[int | Span] | None
    ) -> list[int]:
        if within is not None:
            return self._find(grid.members, within[1], "the taxonomy has no {}")
        if years is not None:
            # A year without bugs has no columns.
            return [grid.members.index(year) for year in years if year in grid.members]
        return [0]

    @staticmethod
    def _find(known: Sequence[Any], names: Sequence[Any] | None, missing: str) -> list[int]:
        if names is None:
            return list(range(len(known)))
        for name in names:
            if name not in known:
                raise NotTestable(missing.format(name))
        return [known.index(name) for name in names]


def _grouped(columns: np.ndarray, axis: int, over: str) -> list[np.ndarray]:
    """Return the columns of each group: one per place of an axis, or all in one."""
    if over == "pooled":
        return [columns.ravel()]
    return [part.ravel() for part in np.moveaxis(columns, axis, 0)]


def _padded(columns: Sequence[Sequence[np.ndarray]], groups: int) -> np.ndarray:
    """Return an array (groups, names, columns) of columns by name and group, whose numbers differ between names."""
    longest = max((len(part) for parts in columns for part in parts), default=0)
    filled = [[np.pad(part, (0, longest - len(part)), constant_values=_NEVER) for part in parts] for parts in columns]
    return np.array(filled, dtype=np.int64).reshape(len(columns), groups, longest).swapaxes(0, 1)


def _positions(names: Sequence[Any]) -> dict[Any, int]:
    return {name: position for position, name in enumerate(names)}


def _by(within: str | None, years: Sequence[int | Span] | None) -> str:
    return within or (YEAR if years else "")


def _needed(claim: CountedClaim) -> tuple[str, str]:
    """Return the dimension of a claim, and by what else its bugs are counted."""
    if isinstance(claim, TrendClaim):
        return claim.dimension, YEAR
    if isinstance(claim, AlikeClaim | CorrelatedClaim):
        return claim.dimension, ""
    return claim.dimension, _by(claim.within and claim.within.dimension, claim.years)
