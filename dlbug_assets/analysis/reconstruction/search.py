"""Choose a hypothesis for every column of a table: the shortest description of all printed numbers together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dlbug_assets.analysis.reconstruction.edits import Hypothesis
from dlbug_assets.analysis.reconstruction.p_values import PrintedTest
from dlbug_assets.analysis.reconstruction.printed_tables import Floats, Ints

# Partial solutions that are kept from one P value to the next: few give a bound, with which many are affordable.
_FEW, _MANY = 3, 60
# Shares that take this many bits more than the shortest are not tried for a P value: two P values of four digits.
_MOST_BITS = 27.0
# Combinations of shares of one row of the table that are tried; those that take most bits are left out.
_COMBINATIONS = 50_000


@dataclass(frozen=True)
class _Candidates:
    """Different working shares of a column, and the bits and number of the shortest hypothesis of each."""

    working: Ints
    bits: Floats
    number: Ints

    @classmethod
    def of(cls, hypotheses: Sequence[Hypothesis]) -> Self:
        working = np.array([one.working for one in hypotheses])
        # The hypotheses are sorted by bits, and np.unique returns the first of equal ones.
        _, first = np.unique(working, axis=0, return_index=True)
        first.sort()
        return cls(working[first], np.array([hypotheses[number].bits for number in first]), first)

    def up_to(self, bits: float) -> Self:
        """Return those that take at most ``bits`` more than the shortest."""
        keep = self.bits <= self.bits.min() + bits
        return type(self)(self.working[keep], self.bits[keep], self.number[keep])


@dataclass(frozen=True)
class _State:
    """The candidates of each column that are still possible, and the bits if the shortest of them are chosen.

    P values that were given up are part of the bits, those that are still to come are not.
    """

    possible: tuple[NDArray[np.bool_], ...]
    bits: float


def shortest(columns: Sequence[Sequence[Hypothesis]], tests: Sequence[PrintedTest]) -> list[int]:
    """Return the number of the chosen hypothesis of each column, whose hypotheses are sorted by bits.

    A beam search over the printed P values: each is either reached, which leaves those hypotheses of the columns whose
    shares reach it, or given up for its bits.
    """
    candidates = [_Candidates.of(column) for column in columns]
    least = sum(float(one.bits.min()) for one in candidates)
    bound = least + sum(test.bits for test in tests)
    for width in (_FEW, _MANY):
        candidates = [one.up_to(min(bound - least, _MOST_BITS) + 1e-6) for one in candidates]
        best = _search(candidates, tests, width, bound)
        bound = best.bits
    return [
        int(one.number[possible][np.argmin(one.bits[possible])])
        for possible, one in zip(best.possible, candidates, strict=True)
    ]


def _search(candidates: Sequence[_Candidates], tests: Sequence[PrintedTest], width: int, bound: float) -> _State:
    """Return the best state once every P value is either reached or given up; no state takes more than bound bits."""
    everything = tuple(np.ones(len(one.bits), dtype=bool) for one in candidates)
    beam = [_State(everything, sum(float(one.bits.min()) for one in candidates))]
    for test in sorted(tests, key=lambda one: _number_of_combinations(candidates, one)):
        states = [_State(state.possible, state.bits + test.bits) for state in beam]
        for state in beam:
            most = min(bound - state.bits, _MOST_BITS)
            states += _reaching(state, test, candidates, most + 1e-6, width)
        beam = sorted(states, key=lambda one: one.bits)[:width]
    return beam[0]


def _number_of_combinations(candidates: Sequence[_Candidates], test: PrintedTest) -> float:
    return float(np.prod([len(np.unique(one.working[:, test.printed.row])) for one in candidates]))


def _reaching(
    state: _State, test: PrintedTest, candidates: Sequence[_Candidates], most: float, width: int
) -> list[_State]:
    """Return the states that follow if the P value is reached, at most ``width`` and for at most ``most`` bits more."""
    row = test.printed.row
    # Combinations of a share per column, column by column, without those that take too many bits.
    shares, extra = np.zeros((1, 0), dtype=np.int64), np.zeros(1)
    for possible, column in zip(state.possible, candidates, strict=True):
        bits, of_row = column.bits[possible], column.working[possible, row]
        values, which = np.unique(of_row, return_inverse=True)
        least = np.full(len(values), np.inf)
        np.minimum.at(least, which, bits)
        total = extra[:, None] + (least - bits.min())[None, :]
        if total.size > _COMBINATIONS:
            most = min(most, float(np.partition(total, _COMBINATIONS, axis=None)[_COMBINATIONS]))
        combined, value = np.nonzero(total <= most)
        shares = np.column_stack([shares[combined], values[value]])
        extra = total[combined, value]
    found = np.flatnonzero(test.is_reached(shares))
    found = found[np.argsort(extra[found], kind="stable")][:width]
    return [
        _State(
            tuple(
                possible & (column.working[:, row] == value)
                for possible, column, value in zip(state.possible, candidates, shares[number], strict=True)
            ),
            state.bits + float(extra[number]),
        )
        for number in found
    ]
