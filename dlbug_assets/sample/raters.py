"""Simulated raters, whose agreement develops as that of people who are trained and discuss their differences.

At the first checkpoint they are untrained and agree only by chance. After a training they label those items again with
the second batch. Items on which they still differ are discussed and labelled again with the third batch; from then on
they agree. Errors are assigned until kappa reaches its target, instead of at random: with few bugs, kappa would vary
too much otherwise.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
import polars as pl

from dlbug_assets.kappa import kappa_ratio
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.sample.draw import Draw, digest
from dlbug_assets.sample.truth import Bug, true_bugs
from dlbug_assets.warehouse.rows import table_schema

_TRAINED, _PRACTISED = 0.82, 0.96

Unit = tuple[str, int]
Key = TypeVar("Key", str, Unit)
#: Labels by item or unit, one mapping per rater.
Ratings = list[dict[Key, str]]
#: Draws a label other than the given one.
Other = Callable[[Draw, str], str]


@dataclass
class _Submitted:
    """Everything submitted so far, and the state that decides what follows.

    Rows are in order of submission; those of former batches are frames, which take a tenth of the memory.
    """

    study: Study
    batches: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame])
    rows: list[dict[str, object]] = field(default_factory=list)
    frozen: set[str] = field(default_factory=set)
    latest: dict[str, Ratings[Unit]] = field(default_factory=dict)
    last_batch: dict[Unit, int] = field(default_factory=dict)

    def add(self, rater: str, batch: int, pass_name: str, **values: object) -> None:
        self.rows.append({"rater": rater, "batch": batch, "pass": pass_name, **values})

    def end_batch(self) -> None:
        names = self.study.asked_names
        columns = ("item_id", "rater", "batch", "pass", "bug_index", "is_bug", *names, "place", "comment")
        texts: dict[str, Any] = dict.fromkeys(names, pl.String)
        schema = table_schema("labeling.rater_labels", self.study, only=columns, **texts)
        self.batches.append(pl.DataFrame(self.rows, schema=schema))
        self.rows.clear()


def rater_rows(study: Study, items: pl.DataFrame, taxonomy: Taxonomy) -> pl.DataFrame:
    """Return what raters and adjudicator submit for all items: both passes of every batch, in order of submission.

    ``items`` has the columns item_id, source, library, year and checkpoint. Returned columns: item_id, rater, batch
    (the checkpoint it is submitted for), pass (units, dimensions), bug_index, is_bug, the asked dimensions as texts,
    place, comment. The adjudicator lists the bugs of an item unless all raters list none, or the same single one,
    and labels the bugs on whose last labels the raters differ.
    """
    bugs = true_bugs(study, items, taxonomy)
    ids = sorted(items["item_id"], key=lambda item_id: digest(study.study.seed, "raters", item_id))
    checkpoint_of = dict(items.select("item_id", "checkpoint").iter_rows())
    submitted = _Submitted(study, latest={name: [{} for _ in study.labeling.raters] for name in study.asked_names})
    others = {dimension.name: _other_label(dimension, taxonomy.names(dimension.name)) for dimension in study.asked}
    differing: set[str] = set()
    for number, checkpoint in enumerate(study.labeling.checkpoints):
        batch = [item_id for item_id in ids if checkpoint_of[item_id] == checkpoint]
        if number == 1:
            first = study.labeling.checkpoints[0]
            batch = [item_id for item_id in ids if checkpoint_of[item_id] in (first, checkpoint)]
        elif number == 2:  # noqa: PLR2004 - the batch after the second discussion
            batch = [item_id for item_id in ids if item_id in differing or checkpoint_of[item_id] == checkpoint]
        differing = _submit_batch(submitted, checkpoint, number, {item_id: bugs[item_id] for item_id in batch}, others)
        submitted.end_batch()
    _adjudicate(submitted, bugs)
    submitted.end_batch()
    return pl.concat(submitted.batches)


def _submit_batch(
    submitted: _Submitted, checkpoint: int, number: int, bugs: Mapping[str, list[Bug]], others: Mapping[str, Other]
) -> set[str]:
    """Submit both passes of one batch, the items with these bugs; return the items on which the raters differ."""
    study = submitted.study
    adjudicator = str(study.labeling.adjudicator)
    truth = {item_id: str(bool(its_bugs)) for item_id, its_bugs in bugs.items()}
    answers = _rate(study, number, "is_bug", truth, _other_answer)
    for item_id in bugs:
        lists = [_listed_places(of_rater[item_id], bugs[item_id]) for of_rater in answers]
        for rater, places in zip(study.labeling.raters, lists, strict=True):
            _add_units(submitted, rater, checkpoint, item_id, places)
        alike = all(places == lists[0] for places in lists)
        if item_id not in submitted.frozen and not (alike and len(lists[0]) <= 1):
            _add_units(submitted, adjudicator, checkpoint, item_id, [bug.place for bug in bugs[item_id]])
            submitted.frozen.add(item_id)
        elif alike and len(lists[0]) == 1:
            submitted.frozen.add(item_id)
    units = {
        (item_id, index): bug
        for item_id in bugs
        if item_id in submitted.frozen
        for index, bug in enumerate(bugs[item_id], start=1)
    }
    for dimension in study.asked_names:
        truth = {unit: bug.labels[dimension] for unit, bug in units.items() if dimension in bug.labels}
        ratings = _rate(study, number, dimension, truth, others[dimension])
        for latest, labels in zip(submitted.latest[dimension], ratings, strict=True):
            latest.update(labels)
    for position, rater in enumerate(study.labeling.raters):
        for unit in units:
            labels = {name: submitted.latest[name][position].get(unit) for name in study.asked_names}
            submitted.add(rater, checkpoint, "dimensions", item_id=unit[0], bug_index=unit[1], is_bug=True, **labels)
            submitted.last_batch[unit] = checkpoint
    differing = {item_id for item_id, index in units if _differs(submitted, (item_id, index))}
    return differing | {item_id for item_id in bugs if len({of_rater[item_id] for of_rater in answers}) > 1}


def _listed_places(answer: str, bugs: Sequence[Bug]) -> list[str]:
    """Return the places a rater lists: those of the bugs, or an invented one where there is no bug."""
    if answer == str(False):
        return []
    return [bug.place for bug in bugs] or ["the whole item"]


def _add_units(submitted: _Submitted, rater: str, batch: int, item_id: str, places: Sequence[str]) -> None:
    if not places:
        submitted.add(rater, batch, "units", item_id=item_id, bug_index=0, is_bug=False)
    for index, place in enumerate(places, start=1):
        submitted.add(rater, batch, "units", item_id=item_id, bug_index=index, is_bug=True, place=place)


def _differs(submitted: _Submitted, unit: Unit) -> bool:
    return any(len({labels.get(unit) for labels in of_raters}) > 1 for of_raters in submitted.latest.values())


def _adjudicate(submitted: _Submitted, bugs: Mapping[str, list[Bug]]) -> None:
    """Submit the adjudicator's labels for the bugs on which the raters' last labels differ."""
    for (item_id, index), batch in submitted.last_batch.items():
        if _differs(submitted, (item_id, index)):
            submitted.add(
                str(submitted.study.labeling.adjudicator),
                batch,
                "dimensions",
                item_id=item_id,
                bug_index=index,
                is_bug=True,
                **bugs[item_id][index - 1].labels,
            )


def _other_answer(_: Draw, answer: str) -> str:
    return str(answer == str(False))


def _other_label(dimension: Dimension, names: Sequence[str]) -> Other:
    """Return a function that draws a label that differs from a given one, where there is another one."""

    def other(draw: Draw, label: str) -> str:
        given = dimension.split(label)
        wrong = draw.one([name for name in names if name not in given] or [given[-1]])
        kept = [name for name in given[1:] if name != wrong]
        return dimension.joiner.join(sorted([wrong, *kept], key=names.index))

    return other


def _rate(study: Study, number: int, dimension: str, truth: Mapping[Key, str], other: Other) -> Ratings[Key]:
    """Rate one dimension in the batch of this number (0..): by chance in the first one, near a target kappa later."""
    ordered = dict(sorted(truth.items(), key=lambda pair: digest(study.study.seed, number, dimension, pair[0])))
    raters = len(study.labeling.raters)
    if number == 0:
        return _untrained(ordered, raters)
    draw = Draw(study.study.seed, "rating", number, dimension)
    return _near(ordered, raters, _TRAINED if number == 1 else _PRACTISED, draw, other)


def _untrained(truth: Mapping[Key, str], raters: int) -> Ratings[Key]:
    """Let the first rater be right, and each other one assign the same labels to other keys, to match by chance."""
    keys, labels = list(truth), list(truth.values())
    counts = Counter(labels)
    kappas = [_kappa(agreed, counts, counts) for agreed in _agreeing_when_shifted(labels)]
    shifts = sorted(range(1, len(labels)), key=lambda shift: abs(kappas[shift] or 0))
    chosen = [0, *(shifts[place % len(shifts)] if shifts else 0 for place in range(raters - 1))]
    return [dict(zip(keys, labels[shift:] + labels[:shift], strict=True)) for shift in chosen]


def _agreeing_when_shifted(labels: Sequence[str]) -> list[int]:
    """Return how many labels equal those 0, 1, .. places further on in the circle of all labels.

    This is the circular autocorrelation of each category's places, computed by Fourier transform: comparing every
    shift would take quadratic time.
    """
    if not labels:
        return []
    agreed = np.zeros(len(labels))
    for category in set(labels):
        transformed = np.fft.rfft(np.array([label == category for label in labels], dtype=float))
        agreed += np.fft.irfft(np.abs(transformed) ** 2, len(labels))
    return np.rint(agreed).astype(int).tolist()


def _near(truth: Mapping[Key, str], raters: int, target: float, draw: Draw, other: Other) -> Ratings[Key]:
    """Let the raters err in turn, as often as keeps their mean kappa at ``target`` or above."""
    ratings = [dict(truth) for _ in range(raters)]
    counts = [Counter(truth.values()) for _ in ratings]
    agreed = dict.fromkeys(combinations(range(raters), 2), len(truth))
    for turn, (key, label) in enumerate(truth.items()):
        erring, wrong = turn % raters, other(draw, label)
        counts[erring].subtract([label])
        counts[erring].update([wrong])
        # The others give this key its true label.
        agreed = {pair: number - (erring in pair) for pair, number in agreed.items()}
        kappas = [_kappa(number, counts[a], counts[b]) for (a, b), number in agreed.items()]
        if any(kappa is None for kappa in kappas) or sum(kappa or 0 for kappa in kappas) / len(kappas) < target:
            break
        ratings[erring][key] = wrong
    return ratings


def _kappa(agreed: int, first: Counter[str], second: Counter[str]) -> float | None:
    """Return Cohen's kappa of two raters by how often each uses a label; None where it is undefined."""
    numerator, denominator = kappa_ratio(agreed, list(first.values()), [second[label] for label in first])
    return numerator / denominator if denominator else None
