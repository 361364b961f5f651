"""Inter-rater agreement at every checkpoint of the queue: kappa, its intervals, and alpha.

What belongs here: the rows of kappa_checkpoints and category_kappa. What doesn't: which ratings count at a checkpoint
(subsets.py), the formulas (coefficients.py, bootstrap.py), and resolving disagreements (adjudication.py).
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from dlbug_assets.labeling.agreement.bootstrap import bootstrap_interval
from dlbug_assets.labeling.agreement.coefficients import (
    Kappa,
    cohen_kappa,
    interval_reason,
    krippendorff_alpha,
    mean_of_pairs,
    one_against_rest,
)
from dlbug_assets.labeling.agreement.released_raters import compared
from dlbug_assets.labeling.agreement.subsets import ALL_SOURCES, CUMULATIVE, INCREMENT, Subset, subsets
from dlbug_assets.labeling.imported.tables import NOTHING_IMPORTED
from dlbug_assets.labeling.label_texts import IS_BUG
from dlbug_assets.parallel import parallel_map
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.rows import table_schema

#: Number of categories named in disagree_most.
_LOWEST = 3

KAPPA_CHECKPOINTS = table_schema("labeling.kappa_checkpoints")
CATEGORY_KAPPA = table_schema("labeling.category_kappa")


class Agreement(NamedTuple):
    """The two tables of inter-rater agreement."""

    kappa_checkpoints: pl.DataFrame
    category_kappa: pl.DataFrame


def measure(
    labels: pl.DataFrame,
    units: pl.DataFrame,
    items: pl.DataFrame,
    study: Study,
    imported: pl.DataFrame = NOTHING_IMPORTED,
) -> Agreement:
    """Measure the agreement of the study's raters: labeling.kappa_checkpoints and labeling.category_kappa.

    ``labels`` is labeling.rater_labels, ``imported`` labeling.imported_labels, the others are the tables of that name.
    kappa_checkpoints has one row per round, source, dimension, checkpoint and scope; category_kappa one per category
    instead of scope, cumulative. Each round of the queue has its own checkpoints. A checkpoint (percent of the round)
    appears for a source if it has units, a batch up to it was submitted for its items, and only up to the last batch
    that was; ``all`` is the union of the sources' items. ``cumulative`` covers the items up to the checkpoint,
    ``increment`` those new at it. Shares and coefficients are fractions, not percent; undefined values are NULL, with
    ``undefined_reason`` if kappa is. The analytic interval is cut to -1..1; it is NULL, with
    ``interval_undefined_reason``, if a pair of raters has too few units in common for it.

    kappa covers the units that all raters have answered who are asked about them; ``waiting`` counts the others. With
    more than two raters, kappa, its limits, observed and expected agreement are means over the pairs who share units,
    undefined if kappa is for one pair (see :func:`~dlbug_assets.labeling.agreement.coefficients.mean_of_pairs`). alpha
    includes all units with at least two labels, even if they wait for another one, so it can be defined before kappa.

    Where raters give several categories, two labels agree if their sets are equal. category_kappa compares having each
    category that a rater used with not having it, including ``none``, and true and false for is_bug.
    """
    released = compared(labels, items, study)
    labels, items, study = released.labels, released.items, released.study
    # Threads are enough: nearly all the time is spent in NumPy's draws, which release the interpreter lock.
    rows = [
        row
        for group in subsets(labels, released.asked_units(units), items, study, imported=imported)
        for row in parallel_map(functools.partial(_rows, study=study), group)
    ]
    return Agreement(
        _sorted(pl.DataFrame([row for row, _ in rows], schema=KAPPA_CHECKPOINTS), study, "scope"),
        _sorted(pl.DataFrame([row for _, categories in rows for row in categories], schema=CATEGORY_KAPPA), study),
    )


def _rows(subset: Subset, study: Study) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the row of kappa_checkpoints and those of category_kappa."""
    kappas = list(_category_kappas(subset))
    row = _kappa_row(subset, study) | {"disagree_most": _lowest(subset, kappas)}
    is_cumulative = subset.key["scope"] == CUMULATIVE
    return row, _category_rows(subset, kappas) if is_cumulative else []


def _kappa_row(subset: Subset, study: Study) -> dict[str, Any]:
    statistics = _statistics(subset, study)
    kappa = statistics.get("kappa")
    return (
        subset.key
        | {"units": len(subset.codes), "waiting": subset.waiting, "undefined_reason": subset.undefined_reason}
        | statistics
        | {
            "interval_undefined_reason": interval_reason(kappa, statistics.get("kappa_low")),
            "reached_target": None if kappa is None else kappa >= study.labeling.kappa_target,
        }
    )


def _statistics(subset: Subset, study: Study) -> dict[str, float | None]:
    """Return the statistics of one row; at most alpha if all units wait."""
    alpha = krippendorff_alpha(subset.ratings.codes[subset.selected])
    if not len(subset.codes):
        return {"alpha": alpha}
    shares = [table / table.sum() for table in subset.tables]
    kappa, low, high = mean_of_pairs([cohen_kappa(table) for table in subset.tables])
    boot_low, boot_high = (None, None) if kappa is None else bootstrap_interval(subset, study.study.seed)
    return {
        "observed_agreement": float(np.mean([np.trace(share) for share in shares])),
        "expected_agreement": float(np.mean([share.sum(axis=0) @ share.sum(axis=1) for share in shares])),
        "kappa": kappa,
        "kappa_low": low,
        "kappa_high": high,
        "kappa_boot_low": boot_low,
        "kappa_boot_high": boot_high,
        "alpha": alpha,
    }


def _lowest(subset: Subset, kappas: list[tuple[str, Kappa]]) -> str | None:
    """Return the categories with the lowest kappa; NULL for is_bug, whose two categories have the same kappa."""
    if subset.key["dimension"] == IS_BUG:
        return None
    defined = sorted((kappa, category) for category, (kappa, _, _) in kappas if kappa is not None)
    return ", ".join(f"{category} ({kappa:z.3f})" for kappa, category in defined[:_LOWEST]) or None


def _category_kappas(subset: Subset) -> Iterator[tuple[str, Kappa]]:
    """Yield each category that a rater used, with its kappa against the rest."""
    for category, labels in subset.categories.items():
        yield category, mean_of_pairs([cohen_kappa(one_against_rest(table, labels)) for table in subset.tables])


def _category_rows(subset: Subset, kappas: list[tuple[str, Kappa]]) -> list[dict[str, Any]]:
    key = {name: value for name, value in subset.key.items() if name != "scope"}
    rows = []
    for category, (kappa, low, high) in kappas:
        # Undefined for a pair means that both raters gave the category to all units or to none.
        reason = subset.undefined_reason or f"a pair of raters never used {category}"
        rows.append(
            key
            | {"category": category, "kappa": kappa, "kappa_low": low, "kappa_high": high}
            | {"interval_undefined_reason": interval_reason(kappa, low)}
            | {"units": len(subset.codes), "undefined_reason": reason if kappa is None else None}
        )
    return rows


def _sorted(rows: pl.DataFrame, study: Study, *further: str) -> pl.DataFrame:
    """Sort by round, source, dimension and checkpoint in the study's order, keeping the order of equal rows."""
    order = {
        "source": (*study.source_names, ALL_SOURCES),
        "dimension": (IS_BUG, *study.asked_names),
        "scope": (CUMULATIVE, INCREMENT),
    }
    ranks = (
        pl.col(name).replace_strict({value: rank for rank, value in enumerate(order[name])}, return_dtype=pl.Int32)
        if name in order
        else pl.col(name)
        for name in ("round", "source", "dimension", "checkpoint", *further)
    )
    return rows.sort(*ranks, maintain_order=True)
