"""Claims that depend on one cluster, or on one commit or post: without it they have another outcome."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from dlbug_assets.analysis.claims.readings import Case
from dlbug_assets.analysis.claims.tally import Tally
from dlbug_assets.protocol.claims import Claim
from dlbug_assets.warehouse.rows import table_schema

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# The number of counts of a batch: 8 MiB.
_BATCH = 1 << 20


def leave_one_out(claims: Sequence[Claim], cases: Mapping[int, Case], tally: Tally) -> pl.DataFrame:
    """Return analysis.leave_one_out: whether each claim still holds when one cluster, or one item, is left out.

    ``cases`` are by the place of the claim; claims without one are left out. Columns: position, finding, claim, role,
    left_out ("cluster" or "item", a commit or post), units (the number of these with bugs in the groups that the claim
    rests on), deciding (the number of those without any one of which the outcome is another, or the data missing),
    largest (the one of these with the most bugs; the alphabetically first of equal ones) and largest_bugs.
    """
    rows: list[dict[str, object]] = []
    for unit, added, names in _units(tally) if cases else ():
        for place, decides in zip(cases, _deciding(list(cases.values()), tally, added), strict=True):
            claim, columns = (
                claims[place],
                np.unique(np.concatenate([each.totals.ravel() for each in cases[place].groups])),
            )
            bugs = np.asarray(added[:, columns].sum(axis=1)).ravel()
            deciding = np.flatnonzero(decides)
            largest = min(deciding, key=lambda row: (-bugs[row], names[row]), default=None)
            rows.append({
                "position": place + 1, "finding": claim.finding, "claim": claim.text, "role": claim.role,
                "left_out": unit, "units": int((bugs > 0).sum()), "deciding": len(deciding),
                "largest": None if largest is None else names[largest],
                "largest_bugs": None if largest is None else int(bugs[largest]),
            })  # fmt: skip
    return pl.DataFrame(rows, schema=table_schema("analysis.leave_one_out")).sort("position", maintain_order=True)


def _units(tally: Tally) -> Iterator[tuple[str, "csr_matrix", list[str]]]:
    yield "cluster", tally.by_cluster, tally.cluster_names
    yield "item", tally.by_item, tally.item_names


def _deciding(cases: Sequence[Case], tally: Tally, added: "csr_matrix") -> list[np.ndarray]:
    """Return, for each case, whether it has another outcome without each of the rows of ``added``."""
    firsts, patterns = _patterns(added)
    everything = [_outcome(case, tally.observed)[0] for case in cases]
    changed: list[list[np.ndarray]] = [[] for _ in cases]
    size = max(1, _BATCH // len(tally.observed[0]))
    for start in range(0, len(firsts), size):
        batch = tally.observed - added[firsts[start : start + size]].toarray()
        for case, outcome, found in zip(cases, everything, changed, strict=True):
            found.append(_outcome(case, batch) != outcome)
    return [np.concatenate(found)[patterns] if found else np.zeros(0, dtype=bool) for found in changed]


def _outcome(case: Case, batch: np.ndarray) -> np.ndarray:
    """Return by draw whether the claim holds: 1, 0, or -1 without data."""
    return np.where(case.is_defined(batch), case.held(batch).strictly.astype(int), -1)


def _patterns(added: "csr_matrix") -> tuple[list[int], np.ndarray]:
    """Return the first of each set of equal rows, and of which set each row is."""
    numbers: dict[bytes, int] = {}
    firsts: list[int] = []
    patterns = np.zeros(len(added.indptr) - 1, dtype=np.int64)
    added.sort_indices()
    for row, (start, end) in enumerate(zip(added.indptr[:-1], added.indptr[1:], strict=True)):
        key = added.indices[start:end].tobytes() + added.data[start:end].tobytes()
        if key not in numbers:
            numbers[key] = len(firsts)
            firsts.append(row)
        patterns[row] = numbers[key]
    return firsts, patterns
