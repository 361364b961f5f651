"""The exchange of two printed rows of a table, in the columns of one source or of all."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb, log2

import numpy as np

from dlbug_assets.analysis.reconstruction.edits import KIND, Edit, released
from dlbug_assets.analysis.reconstruction.printed_tables import Column, PrintedTable

# An exchange of rows is tried if it makes at least this number of shares agree; fewer are explained by columns.
_ENOUGH_CELLS = 3
_MOMENTS = ("in the labels", "in the table", "in print, after the P values")


@dataclass(frozen=True)
class Exchange:
    """A table whose two rows are exchanged back: the edit, its bits, and the columns that it concerns by name."""

    table: PrintedTable
    edit: Edit
    bits: float
    scope: str
    columns: frozenset[str]


def exchanges(table: PrintedTable) -> Iterator[Exchange]:
    """Yield the exchanges of two rows that make several shares agree."""
    scopes = {source: {column.name for column in table.columns if column.source == source} for source in table.sources}
    if len(scopes) > 1:
        scopes["all sources"] = {column.name for column in table.columns}
    shares = {column.name: released(table, column) for column in table.columns}
    number = comb(len(table.categories), 2) * len(scopes) * len(_MOMENTS)
    for scope, names in scopes.items():
        columns = [column for column in table.columns if column.name in names]
        for rows in combinations(range(len(table.categories)), 2):
            agreeing = sum(
                int((shares[column.name][list(rows[::-1])] == column.printed[list(rows)]).sum())
                - int((shares[column.name][list(rows)] == column.printed[list(rows)]).sum())
                for column in columns
            )
            if agreeing < _ENOUGH_CELLS:
                continue
            first, second = (table.categories[row] for row in rows)
            for moment in _MOMENTS:
                changed = [_exchanged(one, rows, moment) if one.name in names else one for one in table.columns]
                yield Exchange(
                    table=replace(table, columns=changed),
                    edit=Edit(f"the rows {first} and {second} of {scope} exchanged {moment}", rows),
                    bits=KIND + log2(number),
                    scope=scope,
                    columns=frozenset(names),
                )


def _exchanged(column: Column, rows: tuple[int, int], moment: str) -> Column:
    order = np.arange(len(column.printed))
    order[list(rows)] = rows[::-1]
    if moment == _MOMENTS[2]:
        return replace(
            column, printed=column.printed[order], positions=[column.positions[row] for row in order.tolist()]
        )
    leftovers = [replace(row, counts=row.counts[order]) for row in column.leftovers]
    exchanged = replace(column, labels=column.labels[:, order], leftovers=leftovers)
    if moment == _MOMENTS[0]:
        return exchanged
    # Figures show the rows as they are.
    bar_positions = [column.bar_positions[row] for row in order.tolist()]
    return replace(exchanged, bars=column.bars[order], bar_positions=bar_positions)
