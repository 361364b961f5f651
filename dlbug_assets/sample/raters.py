"""Simulated raters, whose agreement moves as section 2.3 of the paper tells.

At the first checkpoint they are untrained and agree no more than by chance. After a training they label those items
again with the second batch; what they still differ on is discussed and labelled again with the third; from then on
they agree. Who errs where is allotted until kappa is where it should be, not left to chance: small numbers of bugs
would scatter too far otherwise.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import polars as pl

from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import DIMENSIONS, load_taxonomy
from dlbug_assets.sample.draw import Draw, digest
from dlbug_assets.sample.truth import Bug, true_bugs

_TRAINED, _PRACTISED = 0.82, 0.96

_COLUMNS = {
    "item_id": pl.String,
    "rater": pl.String,
    "batch": pl.Int32,
    "pass": pl.String,
    "bug_index": pl.Int32,
    "is_bug": pl.Boolean,
    **dict.fromkeys(DIMENSIONS, pl.String),
    "place": pl.String,
    "comment": pl.String,
}

Unit = tuple[str, int]
#: Per rater, the label of each key (an item or a unit).
Ratings = list[dict[object, str]]


@dataclass
class _Handed:
    """What was handed in so far: rows in order of arrival (those of former batches as frames, which take a tenth of the
    memory), and the state that decides what comes next."""

    study: Study
    batches: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=_COLUMNS)])
    rows: list[dict[str, object]] = field(default_factory=list)
    frozen: set[str] = field(default_factory=set)
    latest: dict[str, Ratings] = field(default_factory=dict)
    last_batch: dict[Unit, int] = field(default_factory=dict)

    def add(self, rater: str, batch: int, which: str, **values: object) -> None:
        self.rows.append({"rater": rater, "batch": batch, "pass": which, **values})

    def end_batch(self) -> None:
        self.batches.append(pl.DataFrame(self.rows, schema=_COLUMNS))
        self.rows.clear()


def rater_rows(study: Study, items: pl.DataFrame) -> pl.DataFrame:
    """What raters and adjudicator hand in for all items: both passes of every batch, in order of arrival.

    ``items`` needs item_id, source, library, year and checkpoint. Columns: item_id, rater, batch (the checkpoint it
    is handed in for), pass (units, dimensions), bug_index, is_bug, the five dimensions, place, comment. The adjudicator
    lists the bugs of items on whose single bug the raters do not agree, and labels the bugs on whose labels they differ
    in the end.
    """
    bugs = true_bugs(study, items)
    ids = sorted(items["item_id"], key=lambda item_id: digest(study.study.seed, "raters", item_id))
    checkpoint_of = dict(items.select("item_id", "checkpoint").iter_rows())
    handed = _Handed(study, latest={dimension: [{} for _ in study.labeling.raters] for dimension in DIMENSIONS})
    differing: set[str] = set()
    for number, checkpoint in enumerate(study.labeling.checkpoints):
        batch = [item_id for item_id in ids if checkpoint_of[item_id] == checkpoint]
        if number == 1:
            first = study.labeling.checkpoints[0]
            batch = [item_id for item_id in ids if checkpoint_of[item_id] in (first, checkpoint)]
        elif number == 2:  # noqa: PLR2004 - the batch after the second discussion
            batch = [item_id for item_id in ids if item_id in differing or checkpoint_of[item_id] == checkpoint]
        differing = _hand_in(handed, checkpoint, number, batch, bugs)
        handed.end_batch()
    _adjudicate(handed, bugs)
    handed.end_batch()
    return pl.concat(handed.batches)


def _hand_in(
    handed: _Handed, checkpoint: int, number: int, batch: Sequence[str], bugs: Mapping[str, list[Bug]]
) -> set[str]:
    """Both passes of one batch; returns the items on which the raters differ."""
    study = handed.study
    rate = _rating(study, number)
    found = rate("is_bug", {item_id: str(bool(bugs[item_id])) for item_id in batch}, _other_answer)
    for item_id in batch:
        lists = [_listed(answers[item_id], bugs[item_id]) for answers in found]
        for rater, places in zip(study.labeling.raters, lists, strict=True):
            _add_units(handed, rater, checkpoint, item_id, places)
        alike = all(places == lists[0] for places in lists)
        if item_id not in handed.frozen and not (alike and len(lists[0]) <= 1):
            _add_units(handed, str(study.labeling.adjudicator), checkpoint, item_id, [b.place for b in bugs[item_id]])
            handed.frozen.add(item_id)
        elif alike and len(lists[0]) == 1:
            handed.frozen.add(item_id)
    units = {
        (item_id, index): bug
        for item_id in batch
        if item_id in handed.frozen
        for index, bug in enumerate(bugs[item_id], start=1)
    }
    for dimension in DIMENSIONS:
        truth = {unit: bug.labels[dimension] for unit, bug in units.items() if dimension in bug.labels}
        names = load_taxonomy(study).names(dimension)
        for known, labels in zip(handed.latest[dimension], rate(dimension, truth, _other_name(names)), strict=True):
            known.update(labels)
    for place, rater in enumerate(study.labeling.raters):
        for unit in units:
            labels = {dimension: handed.latest[dimension][place].get(unit) for dimension in DIMENSIONS}
            handed.add(rater, checkpoint, "dimensions", item_id=unit[0], bug_index=unit[1], is_bug=True, **labels)
            handed.last_batch[unit] = checkpoint
    unclear = {unit[0] for unit in units if _differs(handed, unit)}
    return unclear | {item_id for item_id in batch if len({answers[item_id] for answers in found}) > 1}


def _listed(answer: str, bugs: Sequence[Bug]) -> list[str]:
    """The places a rater lists: those of the bugs, or one of their own making where there is none."""
    if answer == str(False):
        return []
    return [bug.place for bug in bugs] or ["the whole item"]


def _add_units(handed: _Handed, rater: str, batch: int, item_id: str, places: Sequence[str]) -> None:
    if not places:
        handed.add(rater, batch, "units", item_id=item_id, bug_index=0, is_bug=False)
    for index, place in enumerate(places, start=1):
        handed.add(rater, batch, "units", item_id=item_id, bug_index=index, is_bug=True, place=place)


def _differs(handed: _Handed, unit: Unit) -> bool:
    return any(len({labels.get(unit) for labels in handed.latest[dimension]}) > 1 for dimension in DIMENSIONS)


def _adjudicate(handed: _Handed, bugs: Mapping[str, list[Bug]]) -> None:
    """The adjudicator's labels for the bugs on which the raters' last labels differ."""
    for unit, batch in handed.last_batch.items():
        if _differs(handed, unit):
            bug = bugs[unit[0]][unit[1] - 1]
            handed.add(
                str(handed.study.labeling.adjudicator),
                batch,
                "dimensions",
                item_id=unit[0],
                bug_index=unit[1],
                is_bug=True,
                **bug.labels,
            )


Other = Callable[[Draw, str], str]


def _other_answer(_: Draw, answer: str) -> str:
    return str(answer == str(False))


def _other_name(names: Sequence[str]) -> Other:
    return lambda draw, name: draw.one([other for other in names if other != name])


def _rating(study: Study, number: int) -> Callable[[str, Mapping[object, str], Other], Ratings]:
    """How the raters of a batch rate: by chance in the first one, near a kappa afterwards."""

    def rate(dimension: str, truth: Mapping[object, str], other: Other) -> Ratings:
        ordered = dict(sorted(truth.items(), key=lambda pair: digest(study.study.seed, number, dimension, pair[0])))
        raters = len(study.labeling.raters)
        if number == 0:
            return _untrained(ordered, raters)
        draw = Draw(study.study.seed, "rating", number, dimension)
        return _near(ordered, raters, _TRAINED if number == 1 else _PRACTISED, draw, other)

    return rate


def _untrained(truth: Mapping[object, str], raters: int) -> Ratings:
    """The first rater is right; each other one gives the same labels to other keys, so that they match by chance."""
    keys, labels = list(truth), list(truth.values())
    counts = Counter(labels)
    kappas = [_kappa(agreed, counts, counts) for agreed in _agreeing_when_shifted(labels)]
    shifts = sorted(range(1, len(labels)), key=lambda shift: abs(kappas[shift] or 0))
    chosen = [0, *(shifts[place % len(shifts)] if shifts else 0 for place in range(raters - 1))]
    return [dict(zip(keys, labels[shift:] + labels[:shift], strict=True)) for shift in chosen]


def _agreeing_when_shifted(labels: Sequence[str]) -> list[int]:
    """How many labels meet their like when they are shifted in a circle by 0, 1, .. places.

    The circular autocorrelation of each category's places, through Fourier's transform: one by one, the shifts of
    many labels would take the square of their number.
    """
    if not labels:
        return []
    agreed = np.zeros(len(labels))
    for category in set(labels):
        transformed = np.fft.rfft(np.array([label == category for label in labels], dtype=float))
        agreed += np.fft.irfft(np.abs(transformed) ** 2, len(labels))
    return np.rint(agreed).astype(int).tolist()


def _near(truth: Mapping[object, str], raters: int, target: float, draw: Draw, other: Other) -> Ratings:
    """The raters err in turn, as often as keeps their mean kappa at ``target`` or above."""
    ratings = [dict(truth) for _ in range(raters)]
    counts = [Counter(truth.values()) for _ in ratings]
    agreed = dict.fromkeys(combinations(range(raters), 2), len(truth))
    for turn, (key, label) in enumerate(truth.items()):
        erring, said = turn % raters, other(draw, label)
        counts[erring].update({label: -1, said: 1})
        # The others say what is true of this key.
        agreed = {pair: number - (erring in pair) for pair, number in agreed.items()}
        kappas = [_kappa(number, counts[a], counts[b]) for (a, b), number in agreed.items()]
        if any(kappa is None for kappa in kappas) or sum(kappa or 0 for kappa in kappas) / len(kappas) < target:
            break
        ratings[erring][key] = said
    return ratings


def _kappa(agreed: int, first: Counter[str], second: Counter[str]) -> float | None:
    """Cohen's kappa (Cohen 1960) of two raters by how often each uses a label, None where it is undefined. The
    pipeline computes its own from the rows."""
    total = first.total()
    observed = agreed / total
    expected = sum(count * second[label] for label, count in first.items()) / total**2
    return None if expected == 1 else (observed - expected) / (1 - expected)
