"""The small edits of a column: what each makes of the released labels, and how many bits it takes to describe it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import comb, log2

import numpy as np

from dlbug_assets.analysis.reconstruction.printed_tables import Column, Floats, Ints, PrintedTable

#: Bits for the kind of an edit: one of about ten, and most columns have none.
KIND = 4.0
#: Bits for the moment of an edit of shares: before or after the P values were computed.
_MOMENT = 1.0
#: Bits for the moment of an exchange: in the labels, in the table or in print.
_EXCHANGE = log2(3)
#: A hypothesis that takes this many bits more than the best of its column is dropped: two P values of four digits.
_WINDOW = 27.0
#: Edits of more bugs than this are not small.
_MOST_BUGS = 1000
#: So many slips may each have happened before or after the P values, else all happened at the same moment.
_FEW_SLIPS = 3


@dataclass(frozen=True)
class Edit:
    """An edit in words, and the rows of the table that it concerns. Edits are of labels or else of shares.

    Edits of one ``kind`` differ only in a number of bugs; others are of a kind of their own.
    """

    text: str
    rows: tuple[int, ...]
    kind: str = ""
    is_of_labels: bool = True


@dataclass(frozen=True)
class Hypothesis:
    """How a column may have come about.

    ``edits`` take the released bugs to ``result``, the shares in print; ``counted`` are the shares after the edits of
    labels, and ``working`` those that P values were computed from, all in units of the last printed decimal.
    ``percents`` are the exact shares that bars show. ``slips`` are the rows whose printed share is not the result.
    ``bits`` is the length of the description, bars included, P values not.
    """

    bits: float
    edits: tuple[Edit, ...]
    counted: Ints
    working: Ints
    result: Ints
    percents: Floats
    slips: tuple[int, ...]
    missed_bars: int

    @property
    def unexplained(self) -> int:
        """The number of slips that no P value dates."""
        return len(self.slips) - sum(not edit.is_of_labels for edit in self.edits) if self.slips else 0


@dataclass(frozen=True)
class _Block:
    """Edits of labels of one kind: bugs and totals after each, bits, and a function from the number to the edit.

    ``drawn`` are the bugs that bars show, if these are others.
    """

    counts: Ints
    totals: Ints
    bits: Floats
    edit: Callable[[int], tuple[Edit, ...]]
    drawn: Ints | None = None


def released(table: PrintedTable, column: Column) -> Ints:
    """Return the shares of the released labels in units of the last printed decimal."""
    return table.rounded(column.counts[None, :], np.array([len(column.labels)]))[0]


def hypotheses(table: PrintedTable, column: Column) -> list[Hypothesis]:
    """Return the hypotheses of a column that may be part of the shortest description, the shortest first.

    The first edit of a hypothesis is one of the labels, if there is one; the others are of shares.
    """
    blocks = list(_label_edits(table, column))
    shares = [table.rounded(block.counts, block.totals) for block in blocks]
    missed = [_missed_bars(column, block) for block in blocks]
    bar_bits = log2(table.whole)
    least = []
    for block, rounded, missed_bars in zip(blocks, shares, missed, strict=True):
        unexplained = _slip_bits(table, column, rounded)
        closed = np.where(_closes(table, column, rounded), np.minimum(unexplained, KIND), unexplained)
        least.append(block.bits + missed_bars * bar_bits + closed)
    limit = min(bits.min() for bits in least) + _WINDOW
    found = []
    for which, (block, bits) in enumerate(zip(blocks, least, strict=True)):
        for number in np.flatnonzero((bits <= limit) | (which == 0)):
            label_edit = block.edit(int(number))
            counts = block.counts[number] if block.drawn is None else block.drawn[number]
            percents = 100 * counts / block.totals[number]
            for print_bits, edits, working, result, slips in _in_print(table, column, shares[which][number]):
                total = float(block.bits[number] + missed[which][number] * bar_bits + print_bits)
                if total <= limit or (not label_edit and not edits):
                    found.append(
                        Hypothesis(total, (*label_edit, *edits), shares[which][number], working, result, percents,
                                   slips, int(missed[which][number]))
                    )  # fmt: skip
    return sorted(found, key=lambda one: one.bits)


def _slip_bits(table: PrintedTable, column: Column, shares: Ints) -> Floats:
    """Return the bits of printed shares that no edit explains, by row of ``shares``.

    They are either slips, each in a row of its own, or the column is of other data. A share takes the more bits the
    farther it is from the expected one, at most those of any value.
    """
    distances = np.abs(shares - column.printed)
    values = np.where(distances > 0, np.minimum(1 + _number_bits(np.maximum(distances, 1)), log2(table.whole)), 0.0)
    size = len(table.categories)
    slips = ((distances > 0) * (KIND + log2(size)) + values).sum(axis=1)
    return np.minimum(slips, KIND + size + values.sum(axis=1))


def as_printed(hypothesis: Hypothesis, column: Column) -> bool:
    """Return whether a hypothesis takes the printed shares as they are, whatever the reason."""
    return not hypothesis.edits and bool((hypothesis.working == column.printed).all())


def _missed_bars(column: Column, block: _Block) -> Ints:
    counts = block.counts if block.drawn is None else block.drawn
    # Comparisons with NaN are false: no bar, none missed.
    return (np.abs(100 * counts / block.totals[:, None] - column.bars) > column.bar_error + 1e-9).sum(axis=1)


def _closes(table: PrintedTable, column: Column, shares: Ints) -> Ints:
    """Return which rows of shares become the printed ones if some are moved by one so that the column sums to 100."""
    change = column.printed - shares
    missing = table.whole - shares.sum(axis=1)
    moved = np.abs(change).sum(axis=1)
    return (
        (column.printed.sum() == table.whole)
        & (np.abs(change).max(axis=1) == 1)
        & (np.abs(missing) == moved)
        & (change.sum(axis=1) == missing)
    )


def _in_print(
    table: PrintedTable, column: Column, shares: Ints
) -> Iterator[tuple[float, tuple[Edit, ...], Ints, Ints, tuple[int, ...]]]:
    """Yield how shares may have become the printed ones: bits, edits, working shares, result and slips."""
    printed, names = column.printed, table.categories
    rows = tuple(int(row) for row in np.flatnonzero(shares != printed))
    if not rows:
        yield 0.0, (), shares, shares, ()
        return
    moments = [("before", printed), ("after", shares)] if table.p_values else [("", shares)]
    timing = _MOMENT if table.p_values else 0.0
    if _closes(table, column, shares[None, :])[0]:
        bits = KIND + log2(comb(len(names), len(rows))) + timing
        how = "raised" if printed[rows[0]] > shares[rows[0]] else "lowered"
        text = f"{_listed(names, rows)} {how} by one so that the column sums to 100"
        for moment, working in moments:
            yield bits, (Edit(text + _when(moment), rows, is_of_labels=False),), working, printed, ()
    can_tell = bool(table.p_values) or not np.isnan(column.bars).all()
    if can_tell and len(rows) == 2 and (printed[list(rows)] == shares[list(rows[::-1])]).all():  # noqa: PLR2004
        bits = KIND + log2(comb(len(names), 2)) + _EXCHANGE
        text = f"{_listed(names, rows)} exchanged in print"
        yield bits, (Edit(text + _when(moments[-1][0]), rows, is_of_labels=False),), shares, printed, ()
    bits = float(_slip_bits(table, column, shares[None, :])[0]) + len(rows) * timing
    yield bits, (), printed, shares, rows
    if not table.p_values:
        return
    for choice in _slip_moments(len(rows)):
        working, edits = printed.copy(), []
        for row in np.array(rows)[list(choice)].tolist():
            working[row] = shares[row]
            text = f"a slip: {names[row]} printed as {_shown(table, int(printed[row]))} in place of"
            edits.append(
                Edit(f"{text} {_shown(table, int(shares[row]))}, after the P values", (row,), is_of_labels=False)
            )
        yield bits, tuple(edits), working, shares, rows


def _slip_moments(number: int) -> Iterator[tuple[bool, ...]]:
    """Yield which slips happened after the P values; all of them before is the first choice, which is left out."""
    if number <= _FEW_SLIPS:
        yield from list(product((False, True), repeat=number))[1:]
    else:
        yield (True,) * number


def _when(moment: str) -> str:
    return f", {moment} the P values" if moment else ""


def _listed(names: Sequence[str], rows: Sequence[int]) -> str:
    *first, last = (names[row] for row in rows)
    return f"{', '.join(first)} and {last}" if first else last


def _shown(table: PrintedTable, share: int) -> str:
    return f"{share / table.scale:.{len(str(table.scale)) - 1}f}"


def _label_edits(table: PrintedTable, column: Column) -> Iterator[_Block]:
    """Yield the edits of the released labels by kind; the first block is that of the labels as released."""
    yield _block(column.counts[None, :], [len(column.labels)], [0.0], lambda _: ())
    yield from _missing_rows(column)
    yield from _one_row(table, column)
    yield from _moved(table, column)
    yield from _exchanged(table, column)
    yield from _leftover(column)
    yield from _left_out(column)


def _block(counts: Ints, totals: object, bits: object, edit: Callable[[int], tuple[Edit, ...]]) -> _Block:
    totals = np.asarray(totals, dtype=np.int64)
    possible = np.flatnonzero((counts >= 0).all(axis=1) & (totals > 0))
    bits = np.broadcast_to(np.asarray(bits, dtype=np.float64), totals.shape)
    return _Block(counts[possible], totals[possible], bits[possible], lambda number: edit(int(possible[number])))


def _number_bits(numbers: Ints) -> Floats:
    """Return the bits of a number from 1: a prior of 1 / (n (n + 1)), which sums to one."""
    return np.log2(numbers * (numbers + 1.0))


def _missing_rows(column: Column) -> Iterator[_Block]:
    size = len(column.labels)
    numbers = np.arange(1, min(size, _MOST_BUGS + 1))
    if not len(numbers):
        return
    for end, labels in (("first", column.labels), ("last", column.labels[::-1])):
        missing = labels[: len(numbers)].cumsum(axis=0)
        yield _block(
            column.counts - missing, size - numbers, KIND + 1 + _number_bits(numbers),
            lambda number, end=end, missing=missing: (
                Edit(
                    f"the {end} row missing" if number == 0 else f"the {end} {number + 1} rows missing",
                    tuple(int(row) for row in np.flatnonzero(missing[number])),
                    kind=end,
                ),
            ),
        )  # fmt: skip


def _one_row(table: PrintedTable, column: Column) -> Iterator[_Block]:
    names, size = table.categories, len(column.labels)
    one = np.eye(len(names), dtype=np.int64)
    for sign, how in ((1, "more"), (-1, "less")):
        yield _block(
            column.counts + sign * one, np.full(len(names), size + sign), KIND + log2(len(names)),
            lambda row, how=how: (Edit(f"one {names[row]} {how}", (row,)),),
        )  # fmt: skip


def _moved(table: PrintedTable, column: Column) -> Iterator[_Block]:
    names, counts = table.categories, column.counts
    pairs = [(a, b) for a in np.flatnonzero(counts).tolist() for b in range(len(names)) if a != b]
    if not pairs:
        return
    # One row per pair and number of bugs, from one to all of the first category.
    most = np.minimum(counts, _MOST_BUGS)
    origins, targets = np.repeat(np.array(pairs), most[[a for a, _ in pairs]], axis=0).T
    numbers = np.concatenate([np.arange(1, most[a] + 1) for a, _ in pairs])
    every = np.arange(len(numbers))
    moved = np.tile(counts, (len(numbers), 1))
    moved[every, origins] -= numbers
    moved[every, targets] += numbers

    def edit(at: int) -> tuple[Edit, ...]:
        a, b = int(origins[at]), int(targets[at])
        return (Edit(f"{numbers[at]} of {counts[a]} {names[a]} counted as {names[b]}", (a, b), kind=f"{a} as {b}"),)

    bits = KIND + log2(len(names) * (len(names) - 1)) + _number_bits(numbers)
    yield _block(moved, np.full(len(numbers), len(column.labels)), bits, edit)


def _exchanged(table: PrintedTable, column: Column) -> Iterator[_Block]:
    names, counts = table.categories, column.counts
    pairs = list(combinations(range(len(names)), 2))
    if not pairs:
        return
    swapped = np.tile(counts, (len(pairs), 1))
    for number, (a, b) in enumerate(pairs):
        swapped[number, [a, b]] = counts[[b, a]]
    totals = np.full(len(pairs), len(column.labels))
    bits = np.full(len(pairs), KIND + log2(len(pairs)) + _EXCHANGE)

    def edit(number: int) -> tuple[Edit, ...]:
        return (Edit(f"{_listed(names, pairs[number])} exchanged", pairs[number]),)

    yield _Block(swapped, totals, bits, edit)
    if not np.isnan(column.bars).all():
        # The table alone exchanges them, figures do not.
        yield _Block(swapped, totals, bits, edit, drawn=np.tile(counts, (len(pairs), 1)))


def _leftover(column: Column) -> Iterator[_Block]:
    rows = column.leftovers
    if rows:
        yield _block(
            column.counts + np.array([row.counts for row in rows]),
            np.full(len(rows), len(column.labels) + 1),
            KIND + log2(len(rows)),
            lambda number: (
                Edit(
                    f"the leftover row of {rows[number].place} counted",
                    tuple(int(row) for row in np.flatnonzero(rows[number].counts)),
                ),
            ),
        )


def _left_out(column: Column) -> Iterator[_Block]:
    spellings = list(column.spellings.items())
    if not spellings:
        return
    counts = column.counts - np.array([column.labels[rows].sum(axis=0) for _, rows in spellings])
    size = len(column.labels)
    fewer = [size - len(rows) for _, rows in spellings]
    for totals, but in ((fewer, ""), ([size] * len(spellings), ", but part of the total")):
        yield _block(
            counts, totals, KIND + 1 + log2(len(spellings)),
            lambda number, but=but: (
                Edit(
                    f"rows spelled “{spellings[number][0].strip()}” left out{but}",
                    tuple(int(row) for row in np.flatnonzero(column.counts - counts[number])),
                ),
            ),
        )  # fmt: skip
