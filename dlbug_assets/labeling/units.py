"""Units: the bugs of an item, frozen so that all raters rate the same ones.

What belongs here: when a bug is frozen, and when the adjudicator has to align the raters' lists. What doesn't: a bug's
categories (adjudication.py).
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl

from dlbug_assets import releases
from dlbug_assets.labeling.imported.tables import imported_units
from dlbug_assets.labeling.sheets.formats import LIST_BUGS
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

AGREEMENT = "agreement"
ADJUDICATION = "adjudication"

UNITS = table_schema("labeling.units")

#: Punctuation at the end, by which the same place may be written differently.
_END = re.compile(r"[\W_]+$")


class Frozen(NamedTuple):
    """The frozen bugs: labeling.units; and the items whose lists the adjudicator has yet to align: item_id, batch."""

    units: pl.DataFrame
    to_align: pl.DataFrame


class _Row(NamedTuple):
    """A row of labeling.rater_labels, with the time from which and until which it counts."""

    rater: str
    batch: int
    bug_index: int
    place: str | None
    received_at: datetime
    replaced_at: datetime | None

    def counts_at(self, time: datetime) -> bool:
        return self.received_at <= time and (self.replaced_at is None or time < self.replaced_at)


def units(
    labels: pl.DataFrame,
    items: pl.DataFrame,
    imported: pl.DataFrame,
    *,
    study: Study,
    release: Callable[[], releases.Released],
) -> pl.DataFrame:
    """Return labeling.units: the bugs that :func:`frozen_units` returns, or those of its releases."""
    if study.sources.labels == "release":
        return releases.units(release())
    return frozen_units(labels, items, imported, study)


def frozen_units(labels: pl.DataFrame, items: pl.DataFrame, imported: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return labeling.units: those of ``imported``, labeling.imported_labels, and what :func:`freeze` returns else."""
    by_raters = freeze(labels, items.join(imported, on="item_id", how="anti", maintain_order="left"), study).units
    order = items.select("item_id", _order=pl.int_range(pl.len()))
    found = pl.concat([by_raters, imported_units(imported)]).join(order, on="item_id", how="inner")
    return found.sort("_order", "bug_index").drop("_order")


def freeze(labels: pl.DataFrame, items: pl.DataFrame, study: Study) -> Frozen:
    """Return the frozen bugs of every item, in the order of ``items`` (labeling.items), and what is to be aligned.

    ``labels`` is labeling.rater_labels, of which the rows of the units pass count, each from received_at to
    replaced_at. Columns of the units: item_id, bug_index (1..), place (the location of the bug; NULL if nobody gave
    one), frozen_by (agreement, adjudication), frozen_in (the batch, percent).

    An item's bugs are frozen as soon as all of its raters list the same ones for a batch: the same places in any order,
    compared without case, spaces and final punctuation, or one bug each, of which not all need a place. They stay
    frozen, whatever the raters submit later; bugs that all of them list in addition are added. The adjudicator's rows
    add bugs as well, and decide alone if they come first; a row with bug_index 0 leaves the item without any. If no
    rater lists a bug, there are no units, but nothing is frozen: after a training the raters may find one.

    The adjudicator has to align the lists of an item if all of its raters have listed its bugs and they differ, or if a
    rater lists more bugs than are frozen, or takes one back, after they were frozen.
    """
    listed = labels.filter(pl.col("pass") == LIST_BUGS).select("item_id", *_Row._fields)
    at_once = _listed_at_once(listed, study)
    replayed: dict[str, list[_Row]] = {}
    for item_id, *row in listed.join(at_once, on="item_id", how="anti", maintain_order="left").iter_rows():
        replayed.setdefault(item_id, []).append(_Row(*row))
    lists: dict[str, dict[str, list[str | None]]] = {}
    for item_id, rater, bug_index, place in at_once.select("item_id", "rater", "bug_index", "place").iter_rows():
        bugs = lists.setdefault(item_id, {}).setdefault(rater, [])
        if bug_index:
            bugs.append(place)
    batches = dict(at_once.select("item_id", "batch").unique().iter_rows())
    frozen: list[tuple[Any, ...]] = []
    to_align: list[tuple[str, int]] = []
    for item_id, drawn in items.select("item_id", "raters").iter_rows():
        raters = study.labeling.raters
        if drawn is not None:
            raters = tuple(rater for rater in raters if rater in drawn)
        if item_id in lists:
            places = _common(lists[item_id], raters)
            frozen += [(item_id, index, place, AGREEMENT, batches[item_id]) for index, place in enumerate(places, 1)]
            if not places and _are_open(lists[item_id], raters):
                to_align.append((item_id, batches[item_id]))
        elif item_id in replayed:
            history = _History(raters, study.labeling.adjudicator)
            history.replay(replayed[item_id])
            frozen += [(item_id, *unit) for unit in history.units()]
            if history.is_to_align:
                to_align.append((item_id, max(row.batch for row in replayed[item_id])))
    return Frozen(
        pl.DataFrame(frozen, schema=UNITS, orient="row"),
        pl.DataFrame(to_align, schema={"item_id": pl.String, "batch": pl.Int32}, orient="row"),
    )


def _listed_at_once(listed: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return the rows, by bug_index, of items about which each rater submitted one list that still counts, and no more.

    Nothing was agreed about these items before the last list arrived, so only that moment matters.
    """
    submissions = listed.group_by("item_id", "rater", "batch", "received_at").agg(
        _counts=pl.col("replaced_at").is_null().all()
    )
    items = submissions.group_by("item_id").agg(
        _is_once=pl.col("_counts").all()
        & (pl.col("batch").n_unique() == 1)
        & (pl.col("rater").n_unique() == pl.len())
        & pl.col("rater").is_in(study.labeling.raters).all()
    )
    return listed.join(items.filter("_is_once"), on="item_id", how="semi", maintain_order="left").sort("bug_index")


class _History:
    """What was frozen in the course of the submissions about one item."""

    def __init__(self, raters: tuple[str, ...], adjudicator: str | None) -> None:
        self.raters = raters
        self._adjudicator = adjudicator
        self._agreed: list[tuple[str | None, int]] = []  # place and batch of each bug that all raters listed
        self._decision: list[_Row] = []
        self._disputed_by: set[str] = set()
        self._lengths: dict[str, int] = {}  # of the raters' lists so far
        self.is_to_align = False

    def units(self) -> Iterator[tuple[int, str | None, str, int]]:
        """Yield bug_index, place, frozen_by and frozen_in of each unit."""
        found = {index: (place, AGREEMENT, batch) for index, (place, batch) in enumerate(self._agreed, start=1)}
        listed: dict[int, tuple[str | None, str, int]] = {}
        for row in self._decision:
            if row.bug_index:
                listed.setdefault(row.bug_index, (_tidy(row.place), ADJUDICATION, row.batch))
            else:
                found, listed = {}, {}
        for index, unit in sorted((listed | found).items()):
            yield index, *unit

    def replay(self, rows: Sequence[_Row]) -> None:
        """Follow the submissions in the order of arrival."""
        times = {row.received_at for row in rows} | {row.replaced_at for row in rows if row.replaced_at is not None}
        for time in sorted(times):
            changed = {row.rater for row in rows if time in (row.received_at, row.replaced_at)}
            self._arrive([row for row in rows if row.counts_at(time)], changed)

    def _arrive(self, rows: Sequence[_Row], changed: set[str]) -> None:
        """Freeze what is agreed now; ``rows`` count at this time, those of ``changed`` people since this time."""
        own = [row for row in rows if row.rater == self._adjudicator]
        self._decision = sorted(own, key=lambda row: (row.batch, row.received_at))
        latest = {rater: max((row.batch for row in rows if row.rater == rater), default=0) for rater in self.raters}
        if not self._decision:
            for batch in sorted({row.batch for row in rows}):
                lists = _lists((row for row in rows if row.batch == batch), self.raters)
                self._add(_common(lists, self.raters), batch)
        lists = _lists((row for row in rows if row.batch == latest.get(row.rater)), self.raters)
        count = sum(1 for _ in self.units())
        if not self._decision and not count:
            self._lengths = {rater: len(bugs) for rater, bugs in lists.items()}
            self.is_to_align = _are_open(lists, self.raters)
            return
        if self._adjudicator in changed:
            self._disputed_by = set()
        else:
            lengths = {rater: len(lists[rater]) for rater in changed & lists.keys()}
            shortened = {rater for rater, length in lengths.items() if length < min(self._lengths.get(rater, 0), count)}
            longer = {rater for rater in (self._disputed_by | changed) & lists.keys() if len(lists[rater]) > count}
            still_short = {rater for rater in self._disputed_by & lists.keys() if len(lists[rater]) < count}
            self._disputed_by = shortened | longer | still_short
        self._lengths = {rater: len(bugs) for rater, bugs in lists.items()}
        self.is_to_align = bool(self._disputed_by)

    def _add(self, places: Sequence[str | None], batch: int) -> None:
        known = {_folded(place) for place, _ in self._agreed}
        new = [place for place in places if not self._agreed or _folded(place) not in known]
        self._agreed += [(place, batch) for place in new[: max(len(places) - len(self._agreed), 0)]]


def _lists(rows: Iterable[_Row], raters: Sequence[str]) -> dict[str, list[str | None]]:
    """Return the places of the bugs that each rater lists, in their order; a rater who lists none has an empty list."""
    lists: dict[str, list[str | None]] = {}
    for row in sorted(rows, key=lambda row: row.bug_index):
        if row.rater in raters:
            bugs = lists.setdefault(row.rater, [])
            if row.bug_index:
                bugs.append(row.place)
    return lists


def _are_open(lists: Mapping[str, Sequence[str | None]], raters: Sequence[str]) -> bool:
    """Return whether all raters have listed the bugs of an item, and some of them any."""
    return len(lists) == len(raters) and any(lists.values())


def _common(lists: Mapping[str, Sequence[str | None]], raters: Sequence[str]) -> list[str | None]:
    """Return the places of the bugs that all raters list, as the first one writes them; none if the lists differ."""
    if not lists or len(lists) < len(raters) or not all(lists.values()):
        return []
    if all(len(bugs) == 1 for bugs in lists.values()):
        given = {_folded(place) for (place,) in lists.values()} - {""}
        written = (_tidy(lists[rater][0]) for rater in raters)
        return [next(filter(None, written), None)] if len(given) <= 1 else []
    folded = [sorted(map(_folded, bugs)) for bugs in lists.values()]
    return [_tidy(place) for place in lists[raters[0]]] if all(places == folded[0] for places in folded) else []


def _tidy(place: str | None) -> str | None:
    return " ".join(place.split()) or None if place else None


@functools.lru_cache(maxsize=10_000)
def _folded(place: str | None) -> str:
    """Return what two raters who mean the same place have written alike."""
    text = "".join(unicodedata.normalize("NFKC", place or "").split()).casefold()
    return _END.sub("", text) or text
