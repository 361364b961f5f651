"""The reconstruction of a printed table: its chosen edits, those that fit as well, and what they give."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlbug_assets.analysis.reconstruction.edits import Hypothesis, as_printed, hypotheses, released
from dlbug_assets.analysis.reconstruction.exchanges import Exchange, exchanges
from dlbug_assets.analysis.reconstruction.p_values import PrintedTest, p_value
from dlbug_assets.analysis.reconstruction.printed_tables import Ints, PrintedTable
from dlbug_assets.analysis.reconstruction.search import shortest

# Edits that shorten the description by fewer bits may be chance.
_LEAST_GAIN = 3.0
# If edits leave more of a table's shares unexplained, whatever the P values, it is of other data.
_MOST_UNEXPLAINED = 0.2
# Edits that fit as well as the chosen ones are reported if their description is up to this much longer.
_RIVAL_BITS = 8.0


@dataclass(frozen=True)
class Found:
    """Edits of a column, or of the table, that are chosen or fit as well, as analysis.reconstruction has them."""

    edit: str
    column: str
    concerns: str
    evidence: str
    gain: float
    is_chosen: bool


@dataclass(frozen=True)
class Reconstruction:
    """What a search found out about a table: edits, and values and explanations by position of the printed number."""

    found: Sequence[Found]
    values: dict[int, float | None]
    explanations: dict[int, str]


def reconstruct(table: PrintedTable) -> Reconstruction:
    """Return the reconstruction of a table that has the shortest description."""
    as_it_is = _Solution(table)
    exchanged = [_Solution(one.table, one) for one in exchanges(table)]
    solution = min(
        [as_it_is, *(one for one in exchanged if not one.is_of_other_data)],
        key=lambda one: one.total,
    )
    found = list(solution.found())
    if solution.exchange:
        found.insert(0, _exchange_found(table, solution.exchange, as_it_is.total - solution.total))
    return Reconstruction(found, solution.values(), solution.explanations(table))


def _exchange_found(table: PrintedTable, exchange: Exchange, gain: float) -> Found:
    cells = sum(
        int((released(table, column) != column.printed)[list(exchange.edit.rows)].sum())
        for column in table.columns
        if column.name in exchange.columns
    )
    concerns = ", ".join(table.categories[row] for row in exchange.edit.rows)
    return Found(exchange.edit.text, exchange.scope, concerns, f"explains {_number(cells, 'cell')}", gain, True)


class _Solution:
    """The chosen hypotheses of a table's columns, with which P values they reach."""

    def __init__(self, table: PrintedTable, exchange: Exchange | None = None) -> None:
        self.table = table
        self.exchange = exchange
        self.is_first = np.array([column.source == table.columns[0].source for column in table.columns])
        self.tests = [PrintedTest.of(printed, self.is_first) for printed in table.p_values]
        self.columns = [hypotheses(table, column) for column in table.columns]
        self.as_typed = [
            next(one for one in of_column if as_printed(one, column))
            for of_column, column in zip(self.columns, table.columns, strict=True)
        ]
        self.chosen = list(self.as_typed)
        self.is_of_other_data = self._unexplained([column[0] for column in self.columns]) > _MOST_UNEXPLAINED
        if not self.is_of_other_data:
            chosen = shortest(self.columns, self.tests)
            self.chosen = [column[number] for column, number in zip(self.columns, chosen, strict=True)]
            for number, typed in enumerate(self.as_typed):
                if self._bits(number, typed) - self._bits(number, self.chosen[number]) < _LEAST_GAIN:
                    self.chosen[number] = typed
            # Of the differences from other data, any search would explain some.
            self.is_of_other_data = 2 * self._unexplained(self.chosen) > self._unexplained(self.as_typed)
        if self.is_of_other_data:
            self.chosen = list(self.as_typed)
        missed = sum(test.bits for test, is_reached in zip(self.tests, self._reached(), strict=True) if not is_reached)
        self.total = sum(one.bits for one in self.chosen) + missed + (exchange.bits if exchange else 0.0)

    def _unexplained(self, hypotheses: Sequence[Hypothesis]) -> float:
        """Return the share of the printed shares that hypotheses leave unexplained, 0..1."""
        shares = sum(len(column.printed) for column in self.table.columns)
        return sum(one.unexplained for one in hypotheses) / shares

    def found(self) -> Iterator[Found]:
        """Yield the edits of columns that are chosen, each followed by those that fit as well."""
        for number, (column, chosen, typed) in enumerate(
            zip(self.table.columns, self.chosen, self.as_typed, strict=True)
        ):
            if not chosen.edits:
                continue
            nothing = self._bits(number, typed)
            for one in (chosen, *self._rivals(number)):
                rows = sorted({row for edit in one.edits for row in edit.rows})
                yield Found(
                    edit="; ".join(edit.text for edit in one.edits),
                    column=column.name,
                    concerns=", ".join(self.table.categories[row] for row in rows),
                    evidence=self._evidence(number, one),
                    gain=nothing - self._bits(number, one),
                    is_chosen=one is chosen,
                )

    def values(self) -> dict[int, float | None]:
        """Return the reconstructed values by position: shares and bars in percent, and P values."""
        values: dict[int, float | None] = {}
        for column, one in zip(self.table.columns, self.chosen, strict=True):
            for row, position in enumerate(column.positions):
                values[position] = float(one.result[row]) / self.table.scale
            for row, position in enumerate(column.bar_positions):
                if position is not None:
                    values[position] = float(one.percents[row])
        working = self._working()
        for test in self.tests:
            values[test.printed.position] = p_value(working[:, test.printed.row], self.is_first)
        return values

    def explanations(self, table: PrintedTable) -> dict[int, str]:
        """Return explanations by position; ``table`` is the table before two rows were exchanged back."""
        explanations: dict[int, str] = {}
        differing: dict[int, list[str]] = {}
        for number, (column, one) in enumerate(zip(self.table.columns, self.chosen, strict=True)):
            before = released(self.table, column)
            original = released(table, table.columns[number])
            rivals = len(self._rivals(number))
            for row, position in enumerate(column.positions):
                reasons = list(self._reasons(one, row, before))
                if reasons and one.edits and rivals:
                    reasons.append(f"{_number(rivals, 'other way fits', 'other ways fit')} as well")
                if self.exchange and row in self.exchange.edit.rows and column.name in self.exchange.columns:
                    reasons.insert(0, self.exchange.edit.text)
                is_given = one.result[row] == column.printed[row] or any(
                    row in edit.rows and not edit.is_of_labels for edit in one.edits
                )
                if reasons and is_given:
                    explanations[position] = "; ".join(reasons)
                if one.working[row] != original[row]:
                    differing.setdefault(row, []).append(column.name)
        for test, is_reached in zip(self.tests, self._reached(), strict=True):
            if is_reached and test.printed.row in differing:
                explanations[test.printed.position] = (
                    "the printed P value is that of the reconstructed shares, which are not the released ones in "
                    + ", ".join(differing[test.printed.row])
                )
        return explanations

    @staticmethod
    def _reasons(one: Hypothesis, row: int, before: Ints) -> Iterator[str]:
        for edit in one.edits:
            if (one.counted[row] != before[row]) if edit.is_of_labels else row in edit.rows:
                yield edit.text

    def _working(self) -> Ints:
        return np.array([one.working for one in self.chosen])

    def _reached(self, number: int | None = None, instead: Hypothesis | None = None) -> NDArray[np.bool_]:
        """Return which P values are reached, if the hypothesis of a column is another one instead."""
        working = self._working()
        if number is not None and instead is not None:
            working[number] = instead.working
        return np.array([test.is_reached(working[None, :, test.printed.row])[0] for test in self.tests], dtype=bool)

    def _bits(self, number: int, one: Hypothesis) -> float:
        """Return the bits of a column's hypothesis and of the P values that are missed with it."""
        reached = self._reached(number, one)
        return one.bits + sum(test.bits for test, is_reached in zip(self.tests, reached, strict=True) if not is_reached)

    def _rivals(self, number: int) -> list[Hypothesis]:
        """Return hypotheses with other edits that fit a column as well as the chosen one: shares, P values and bars."""
        chosen = self.chosen[number]
        if not chosen.edits:
            return []
        limit = self._bits(number, chosen) + _RIVAL_BITS
        reached = self._reached()
        kinds = [_kinds(chosen)]
        rivals: list[Hypothesis] = []
        for one in self.columns[number]:
            # Those with further edits that change nothing, or with other numbers in the same edits, are not rivals.
            is_other = bool(one.edits) and not any(_kinds(one) >= others for others in kinds)
            fits = len(one.slips) <= len(chosen.slips) and one.missed_bars <= chosen.missed_bars
            if is_other and fits and self._bits(number, one) <= limit and (self._reached(number, one) >= reached).all():
                rivals.append(one)
                kinds.append(_kinds(one))
        return rivals

    def _evidence(self, number: int, one: Hypothesis) -> str:
        table, column, typed = self.table, self.table.columns[number], self.as_typed[number]
        cells = (released(table, column) != column.printed) & (one.result == column.printed)
        gained = self._reached(number, one) & ~self._reached(number, typed)
        names = [
            table.categories[test.printed.row] for test, is_gained in zip(self.tests, gained, strict=True) if is_gained
        ]
        bars = typed.missed_bars - one.missed_bars
        parts = [
            f"explains {_number(int(cells.sum()), 'cell')}" if cells.any() else "",
            f"reaches the P values of {', '.join(names)}" if names else "",
            f"agrees with {_number(bars, 'more bar')}" if bars > 0 else "",
        ]
        return "; ".join(part for part in parts if part)


def _kinds(hypothesis: Hypothesis) -> frozenset[str]:
    return frozenset(edit.kind or edit.text for edit in hypothesis.edits)


def _number(number: int, one: str, more: str | None = None) -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"
