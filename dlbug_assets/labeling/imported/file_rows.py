"""The rows of a file with final labels: which item each is about, its labels, and what is wrong with it.

What belongs here: the meaning of cells. What doesn't: which of several files counts (history.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dlbug_assets.ingest.child_process import ChildProcess
from dlbug_assets.labeling.imported.items_by_link import ItemsByLink, UnknownItemError
from dlbug_assets.labeling.imported.label_map import LabelMap
from dlbug_assets.labeling.label_texts import IS_BUG, NO, YES
from dlbug_assets.protocol.dimensions import NONE, Dimension
from dlbug_assets.protocol.names import closest, shown
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import LONGEST_NAME, Taxonomy
from dlbug_assets.releases.columns import Part, ReleaseFiles, Table, column_parts, needed_columns

#: Characters of a cell in a message: enough for most links.
_MOST_SHOWN = 200

#: Of a dimension: its categories, each with how it is written.
Labels = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class FinalRow:
    """A row of a file: ``line`` is its number, ``place`` where the bug is.

    ``is_bug`` is None for a row without final labels. ``labels`` are those of each asked dimension that has any;
    ``rater_answers``, of each rater who has filled any cell, whether it is a bug, and the labels as written.
    ``bug_index`` is the number of the bug within its item, 0 for an item without bugs.
    """

    line: int
    sheet: str | None
    content: Mapping[str, str]
    item_id: str | None = None
    is_bug: bool | None = None
    labels: Labels = field(default_factory=dict[str, dict[str, str]])
    place: str | None = None
    comment: str | None = None
    rater_answers: Mapping[str, tuple[bool, dict[str, str]]] = field(
        default_factory=dict[str, tuple[bool, dict[str, str]]]
    )
    problems: tuple[str, ...] = ()
    bug_index: int = 0

    @property
    def answer(self) -> tuple[Any, ...]:
        """What the row says about its item, to be compared with what others say."""
        return self.is_bug, {name: set(labels) for name, labels in self.labels.items()}, self.place, self.comment


@dataclass(frozen=True)
class FinalFiles:
    """Reads files with final labels of the items of a queue, in a child process."""

    child: ChildProcess
    items: ItemsByLink
    study: Study
    taxonomy: Taxonomy

    def rows(self, file: Path, label_map: LabelMap) -> list[FinalRow]:
        """Return the rows of a file. Raises :class:`DlbugError` for one that cannot be read."""
        described = label_map.with_columns_of_raters()
        reader = _Reader(described, self.items, self.study, self.taxonomy)
        tables = ReleaseFiles(self.child, self.study, {}, file.parent).tables(
            described, needed_columns(described), label_map.named_by
        )
        return numbered([row for table in tables for row in reader.rows(table)])


def numbered(rows: Sequence[FinalRow]) -> list[FinalRow]:
    """Return the rows with the numbers of their bugs, and with problems where rows of an item exclude each other.

    The rows about bugs of an item are its bugs 1, 2 .. in the order of the file, those with problems included, so that
    numbers do not change when these are corrected.
    """
    by_item: dict[str, list[FinalRow]] = {}
    for row in rows:
        if row.item_id is not None and row.is_bug is not None:
            by_item.setdefault(row.item_id, []).append(row)
    checked = {row.line: row for of_item in by_item.values() for row in _of_item(of_item)}
    return [checked.get(row.line, row) for row in rows]


def _of_item(rows: Sequence[FinalRow]) -> Iterator[FinalRow]:
    first: dict[bool | None, FinalRow] = {}
    for row in rows:
        first.setdefault(row.is_bug, row)
    bug_index = 0
    distinct: list[FinalRow] = []
    for row in rows:
        other = first.get(not row.is_bug)
        repeated = next((each for each in distinct if each.answer == row.answer), None)
        if other is not None:
            said = ("it has none", "the item has a bug") if row.is_bug else ("the item has a bug", "it has none")
            problem = f"is_bug: row {other.line} says that {said[0]}, this row that {said[1]}; keep one"
            yield replace(row, problems=(*row.problems, problem))
        elif repeated is not None and not row.problems:
            problem = f"it repeats row {repeated.line}; delete it or, if it is another bug, tell them apart by place"
            yield replace(row, problems=(problem,))
        else:
            bug_index += bool(row.is_bug)
            distinct.append(row)
            yield replace(row, bug_index=bug_index if row.is_bug else 0)


class _Reader:
    """Reads the tables of a file."""

    def __init__(self, described: LabelMap, items: ItemsByLink, study: Study, taxonomy: Taxonomy) -> None:
        self._described = described
        self._items = items
        self._taxonomy = taxonomy
        self._required = [dimension for dimension in study.asked if dimension.required]
        self._libraries = {name.casefold(): name for name in study.library_names}
        self._dimensions = described.dimensions(study)
        self._final = [name for name in self._dimensions if "." not in name]
        self._categories: dict[tuple[str, str], str | None] = {}

    def rows(self, table: Table) -> Iterator[FinalRow]:
        """Yield the rows of a table."""
        if not table.numbers:
            return
        parts, _ = column_parts(self._described, table, {}, self._dimensions)
        for index, number in enumerate(table.numbers):
            yield self._row(number, table.sheet, {name: found[index] for name, found in parts.items()})

    def _row(self, number: int, sheet: str | None, parts: Mapping[str, Sequence[Part]]) -> FinalRow:
        written = {name: "; ".join(text for text, _ in found) for name, found in parts.items() if found}
        problems = [
            f"{name}: {shown(text, _MOST_SHOWN)} does not match {self._described.columns[name].extract}"
            for name, found in parts.items()
            for text, value in found
            if value is None
        ]
        facts = {
            name: "; ".join(value for _, value in parts.get(name, ()) if value).strip() or None
            for name in ("item_id", "link", "library", IS_BUG, "place", "comment")
        }
        labels = self._labels(parts, problems)
        is_filled = bool(facts["place"]) or any(parts[name] for name in self._final)
        is_bug = self._is_bug(facts[IS_BUG], is_filled, labels, problems)
        if is_bug:
            problems += [f"{each.name}: missing; it is required of every bug"
                         for each in self._required if not parts[each.name]]  # fmt: skip
        answers = self._rater_answers(parts, problems)
        item_id = None
        # A row without labels may be of any item.
        if is_bug is not None or problems:
            library = self._library(facts, problems)
            try:
                item_id = self._items.find(facts["item_id"], facts["link"], library)
            except UnknownItemError as error:
                if library or not facts["library"]:  # else the library is the problem
                    problems.append(str(error))
        return FinalRow(
            number, sheet, written, item_id, is_bug, labels, facts["place"], facts["comment"], answers, tuple(problems)
        )

    def _is_bug(self, written: str | None, is_filled: bool, labels: Labels, problems: list[str]) -> bool | None:
        """Return whether a row is about a bug; None if nothing in it says so."""
        if written is None:
            return True if is_filled else None
        is_bug = _boolean(written, IS_BUG, problems)
        if not is_bug and labels and not problems:
            problems.append(f"is_bug: it is false, but {next(iter(labels))} has a label; delete one of them")
        return is_bug

    def _library(self, facts: Mapping[str, str | None], problems: list[str]) -> str | None:
        written = facts["library"]
        if written is None:
            return None
        name = self._taxonomy.fold("library", written) or self._libraries.get(written.casefold())
        if name is None:
            problems.append(f"library: unknown {shown(written)}{closest(written, self._libraries.values())}")
        return name

    def _labels(self, parts: Mapping[str, Sequence[Part]], problems: list[str]) -> dict[str, dict[str, str]]:
        labels: dict[str, dict[str, str]] = {}
        for name in self._final:
            dimension = self._dimensions[name]
            categories: dict[str, str] = {}
            for written, value in parts[name]:
                category = value and self._category(dimension, value)
                if category:
                    categories.setdefault(category, written)
                elif value and (dimension.required or value.casefold() != NONE):
                    problems.append(self._unknown(dimension, value))
            if len(categories) > 1 and not dimension.multiple:
                problems.append(f"{name}: it has {len(categories)} categories, but takes one")
            if categories:
                labels[name] = categories
        return labels

    def _category(self, dimension: Dimension, value: str) -> str | None:
        """Return the category of a label; in an open dimension, others are taken as they are, except `none`."""
        key = dimension.name, value
        if key not in self._categories:
            text = " ".join(value.split())
            is_new = dimension.open and text.casefold() != NONE and len(text) <= LONGEST_NAME and text.isprintable()
            self._categories[key] = self._taxonomy.fold(*key) or (text if is_new else None)
        return self._categories[key]

    def _unknown(self, dimension: Dimension, value: str) -> str:
        names = self._taxonomy.names(dimension.name)
        if dimension.open:
            return f"{dimension.name}: {shown(value)} has more than {LONGEST_NAME} or unprintable characters"
        hint = closest(value, names) or f"; use one of {', '.join(names)}"
        return f"{dimension.name}: unknown category {shown(value)}{hint}, or map it"

    def _rater_answers(
        self, parts: Mapping[str, Sequence[Part]], problems: list[str]
    ) -> dict[str, tuple[bool, dict[str, str]]]:
        """Return whether each rater who has filled any of their cells sees a bug, and the labels as written."""
        answers: dict[str, tuple[bool, dict[str, str]]] = {}
        for rater, columns in self._described.raters.items():
            cells: dict[str, str] = {}
            for name in columns:
                column = f"{rater}.{name}"
                dimension = self._dimensions.get(column)
                joiner = dimension.joiner if dimension and dimension.multiple else "; "
                if values := [value or text for text, value in parts[column]]:
                    cells[name] = joiner.join(values)
            if cells:
                is_bug = _boolean(cells.pop(IS_BUG, "true"), f"{rater}.{IS_BUG}", problems)
                answers[rater] = is_bug, cells
        return answers


def _boolean(written: str, column: str, problems: list[str]) -> bool:
    """Return what a cell says; one that says neither adds a problem."""
    if written.lower() not in YES | NO:
        problems.append(f"{column}: {shown(written)} is neither true nor false; map what it means")
    return written.lower() in YES
