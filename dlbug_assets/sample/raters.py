"""Simulated raters, whose agreement develops as that of people who are trained and discuss their differences.

At the first checkpoint they are untrained and agree only by chance. After a training they label those items again with
the second batch. Items on which they still differ are discussed and labelled again with the third batch; from then on
they agree. Errors are assigned until kappa reaches its target, instead of at random: with few bugs, kappa would vary
too much otherwise.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
import polars as pl

from dlbug_assets.kappa import kappa_ratio
from dlbug_assets.protocol.dimensions import NONE, Dimension
from dlbug_assets.protocol.study import STACK_OVERFLOW, Study, posts_per_library, sample_rank
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
    library_of_post: Mapping[str, str]
    raters_of: Mapping[str, Sequence[int]]  # by item: the positions of its raters among those of the study
    batches: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame])
    rows: list[dict[str, object]] = field(default_factory=list)
    frozen: dict[str, int] = field(default_factory=dict)  # the number of bugs
    sampled: dict[str, set[str]] = field(default_factory=dict)
    latest: dict[str, Ratings[Unit]] = field(default_factory=dict)
    last_batch: dict[Unit, int] = field(default_factory=dict)

    def add(self, rater: str, batch: int, pass_name: str, **values: object) -> None:
        self.rows.append({"rater": rater, "batch": batch, "pass": pass_name, **values})

    def is_asked(self, dimension: Dimension, item_id: str) -> bool:
        return dimension.name not in self.sampled or item_id in self.sampled[dimension.name]

    def sample(self, item_ids: Iterable[str]) -> None:
        """Ask the first posts of each library with frozen bugs about the dimensions that only a sample is asked about.

        ``item_ids`` are those with frozen bugs in this batch.
        """
        posts = [item_id for item_id in item_ids if item_id in self.library_of_post]
        for dimension in self.study.asked:
            size = posts_per_library(self.study, dimension)
            if size is None:
                continue
            sampled = self.sampled.setdefault(dimension.name, set())
            counts = Counter(self.library_of_post[item_id] for item_id in sampled)
            for item_id in sorted(posts, key=lambda item_id: sample_rank(self.study, dimension, item_id)):
                library = self.library_of_post[item_id]
                if item_id not in sampled and counts[library] < size:
                    sampled.add(item_id)
                    counts[library] += 1

    def end_batch(self) -> None:
        names = self.study.asked_names
        columns = ("item_id", "rater", "batch", "pass", "bug_index", "is_bug", *names, "place", "comment")
        texts: dict[str, Any] = dict.fromkeys(names, pl.String)
        schema = table_schema("labeling.rater_labels", self.study, only=columns, **texts)
        self.batches.append(pl.DataFrame(self.rows, schema=schema))
        self.rows.clear()


def rater_rows(study: Study, items: pl.DataFrame, taxonomy: Taxonomy) -> pl.DataFrame:
    """Return what raters and adjudicator submit for all items: both passes of every batch, in order of submission.

    ``items`` has the columns item_id, source, library, year, checkpoint and raters. Returned columns: item_id, rater,
    batch (the checkpoint it is submitted for), pass (units, dimensions), bug_index, is_bug, the asked dimensions as
    texts, place, comment. The adjudicator lists the bugs of an item if the raters list different ones, or others than
    are frozen, and labels the bugs on whose last labels the raters differ.
    """
    bugs = true_bugs(study, items, taxonomy)
    ids = sorted(items["item_id"], key=lambda item_id: digest(study.study.seed, "raters", item_id))
    checkpoint_of = dict(items.select("item_id", "checkpoint").iter_rows())
    posts = items.filter(pl.col("source") == STACK_OVERFLOW).select("item_id", "library")
    everyone = list(study.labeling.raters)
    raters_of = {
        item_id: [everyone.index(rater) for rater in raters or everyone]
        for item_id, raters in items.select("item_id", "raters").iter_rows()
    }
    submitted = _Submitted(
        study,
        dict(posts.iter_rows()),
        raters_of,
        latest={name: [{} for _ in study.labeling.raters] for name in study.asked_names},
    )
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
        raters = submitted.raters_of[item_id]
        lists = [_listed_places(answers[position][item_id], bugs[item_id]) for position in raters]
        for position, places in zip(raters, lists, strict=True):
            _add_units(submitted, study.labeling.raters[position], checkpoint, item_id, places)
        alike = all(places == lists[0] for places in lists)
        frozen = submitted.frozen.get(item_id)
        if not alike or (frozen is not None and len(lists[0]) != frozen):
            _add_units(submitted, adjudicator, checkpoint, item_id, [bug.place for bug in bugs[item_id]])
            submitted.frozen[item_id] = len(bugs[item_id])
        elif lists[0]:
            submitted.frozen[item_id] = len(lists[0])
    units = {
        (item_id, index): bug
        for item_id in bugs
        if item_id in submitted.frozen
        for index, bug in enumerate(bugs[item_id], start=1)
    }
    submitted.sample(dict.fromkeys(item_id for item_id, _ in units))
    for dimension in study.asked:
        name = dimension.name
        truth = {
            unit: bug.labels.get(name, NONE) for unit, bug in units.items() if submitted.is_asked(dimension, unit[0])
        }
        ratings = _rate(study, number, name, truth, others[name])
        for latest, labels in zip(submitted.latest[name], ratings, strict=True):
            latest.update(labels)
    for position, rater in enumerate(study.labeling.raters):
        for unit in units:
            if position in submitted.raters_of[unit[0]]:
                labels = {name: submitted.latest[name][position].get(unit) for name in study.asked_names}
                submitted.add(
                    rater, checkpoint, "dimensions", item_id=unit[0], bug_index=unit[1], is_bug=True, **labels
                )
                submitted.last_batch[unit] = checkpoint
    differing = {item_id for item_id, index in units if _differs(submitted, (item_id, index))}
    return differing | {
        item_id
        for item_id in bugs
        if len({answers[position][item_id] for position in submitted.raters_of[item_id]}) > 1
    }


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
    raters = submitted.raters_of[unit[0]]
    return any(len({of_rater[position].get(unit) for position in raters}) > 1 for of_rater in submitted.latest.values())


def _adjudicate(submitted: _Submitted, bugs: Mapping[str, list[Bug]]) -> None:
    """Submit the adjudicator's labels for the bugs on which the raters' last labels differ."""
    for (item_id, index), batch in submitted.last_batch.items():
        if _differs(submitted, (item_id, index)):
            labels = {
                dimension.name: bugs[item_id][index - 1].labels.get(dimension.name, NONE)
                for dimension in submitted.study.asked
                if submitted.is_asked(dimension, item_id)
            }
            adjudicator = str(submitted.study.labeling.adjudicator)
            submitted.add(adjudicator, batch, "dimensions", item_id=item_id, bug_index=index, is_bug=True, **labels)


def _other_answer(_: Draw, answer: str) -> str:
    return str(answer == str(False))


def _other_label(dimension: Dimension, names: Sequence[str]) -> Other:
    """Return a function that draws a label that differs from a given one, where there is another one."""
    order = [*names, NONE]  # a dimension without categories has no other answer

    def other(draw: Draw, label: str) -> str:
        given = dimension.split(label)
        wrong = draw.one([name for name in names if name not in given] or [given[-1]])
        kept = [name for name in given[1:] if name != wrong]
        return dimension.joiner.join(sorted([wrong, *kept], key=order.index))

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
