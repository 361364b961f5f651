"""The rows of a submitted table below its header, by column.

What belongs here: which cell belongs to which column, whatever the file's format. What doesn't: opening files
(file_reader.py) and what answers mean (validation.py).
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from dlbug_assets.ingest.csv_cells import unescape
from dlbug_assets.labeling.sheets.formats import RATE_BUGS
from dlbug_assets.protocol.names import closest, shown

#: The header is searched for in this number of rows.
_HEADER_ROWS = 20
_REQUIRED = ("item_id", "rater", "batch", "bug_index", "is_bug")
#: As in spreadsheets, with empty rows.
_MOST_ROWS = 1_048_576
#: The columns that an export only shows; beside the raters' answers to an adjudicator, as in `place A`.
_SHOWN = ("title", "link", "content", "accepted_answer", "bugs")
_OF_RATER = re.compile(r"(?:.+: )?(.+?)(?: [A-Z]{1,2})?")
#: What only Label Studio's exports as tables have, in which several answers are one cell of JSON.
_LABEL_STUDIO = {"annotationid", "annotator", "leadtime"}
_SEPARATORS = ",;\t"


class NotASheetError(Exception):
    """A file that is not a sheet, with the reason."""


class NoHeaderError(NotASheetError):
    """A table without a header."""

    def __init__(self) -> None:
        super().__init__("the header (item_id, rater, ..) is missing; start again from the exported sheet")


class TableRows:
    """The rows of a table, and which of its columns are not read.

    ``columns`` are to be read, ``questions`` those of them to fill in; ``people`` are the raters and the adjudicator.
    """

    def __init__(self, columns: Collection[str], questions: Collection[str], people: Collection[str]) -> None:
        self._names = {folded(name): name for name in (*columns, *questions)}
        self._questions = {folded(name) for name in (*questions, "bugs")}
        self._silent = {folded(name) for name in _SHOWN}
        self._people = set(people)
        #: The position of each column that is read, its further positions if it occurs more than once, and the columns
        #: that are not read, of which no cell was found yet.
        self._places: list[tuple[str, int]] = []
        self._repeated: dict[str, dict[int, bool]] = {}
        self._unread: dict[int, str] = {}
        self._width = 0
        self._differing: set[str] = set()
        #: Whether no cell of a table without a header was filled.
        self.is_empty = True
        #: What was not read, once all rows were.
        self.notes: list[str] = []

    def read(self, rows: Iterable[tuple[int, Sequence[str]]]) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the filled cells of each row by column, with its line; ``rows`` start with those above the header.

        A row with more cells than the header has a ``problem``. Raises :class:`NotASheetError` for a table that is not
        a sheet, and :class:`NoHeaderError` if it has no header.
        """
        is_below = False
        for count, (line, cells) in enumerate(rows, start=1):
            if count > _MOST_ROWS:
                raise NotASheetError(f"it has more than {_MOST_ROWS:,} rows; submit an exported sheet")
            if is_below:
                if any(cells) and (record := self._record(line, cells)):
                    yield line, record
            elif "itemid" in (names := [folded(cell) for cell in cells]):
                self._find_columns(cells, names)
                is_below = True
            elif any("itemid" in map(folded, parts) for parts in _joined(cells)):
                raise NotASheetError(
                    "its header is a single cell, 'item_id,rater,..'; save the exported sheet as CSV again, or as .xlsx"
                )
            else:
                self.is_empty &= not any(cells)
                if line > _HEADER_ROWS:
                    break
        if not is_below:
            raise NoHeaderError
        for name in self._differing:
            if sum(self._repeated[name].values()) > 1:
                raise NotASheetError(f"it has two columns {shown(name)} with different cells; remove one of them")

    def _suggestion(self, name: str) -> str:
        return closest(name, [known for known in self._names.values() if known not in _SHOWN])

    def _find_columns(self, cells: Sequence[str], names: Sequence[str]) -> None:
        if len(_LABEL_STUDIO.intersection(names)) > 1:
            raise NotASheetError(
                "it is a table that Label Studio exports, in which several answers are one cell; export the project as "
                "JSON"
            )
        missing = [name for name in _REQUIRED if folded(name) not in names]
        if missing:
            raise NotASheetError(f"the column {missing[0]} is missing; start again from the exported sheet")
        self._width = len(cells)
        for place, (cell, name) in enumerate(zip(cells, names, strict=True)):
            if name in self._names:
                column = self._names[name]
                if names.count(name) > 1:
                    self._repeated.setdefault(column, {})[place] = False
                else:
                    self._places.append((column, place))
            elif not self._is_shown(cell):
                self._unread[place] = cell.strip()

    def _is_shown(self, cell: str) -> bool:
        of_rater = _OF_RATER.fullmatch(cell.strip())
        return folded(cell) in self._silent or (of_rater is not None and folded(of_rater[1]) in self._questions)

    def _record(self, line: int, cells: Sequence[str]) -> dict[str, str]:
        width = len(cells)
        record = {
            name: unescape(cell) if cell[0] == "'" else cell
            for name, place in self._places
            if place < width and (cell := cells[place]) and not cell.isspace()
        }
        for name, places in self._repeated.items():
            self._read_repeated(record, cells, name, places)
        for place in [place for place in self._unread if place < width and cells[place].strip()]:
            name = self._unread.pop(place)
            described = f"{shown(name)} is not read{self._suggestion(name)}"
            self.notes.append(f"the column {described if name else f'{place + 1} has no name and is not read'}")
        if width > self._width and any(cell.strip() for cell in cells[self._width :]):
            record["problem"] = "it has more cells than the header; put cells with separators in quotes"
        if "rater" not in record and "batch" not in record and self._is_single_cell(record, cells):
            raise NotASheetError(
                f"line {line} is a single cell, or is separated by another character than the header; save the "
                "exported sheet as CSV again, or as .xlsx"
            )
        return record

    def _is_single_cell(self, record: Mapping[str, str], cells: Sequence[str]) -> bool:
        """Return whether a row without rater and batch has them in a cell that holds the whole row."""
        return any(True for _ in _joined([record.get("item_id", "")])) or any(
            self._people.intersection(map(str.strip, parts)) for parts in _joined(cells)
        )

    def _read_repeated(self, record: dict[str, str], cells: Sequence[str], name: str, places: dict[int, bool]) -> None:
        """Take the cell of a column that occurs more than once; note which of them are filled, and if they differ."""
        found = {place: cells[place].strip() if place < len(cells) else "" for place in places}
        for place, cell in found.items():
            places[place] |= bool(cell)
        if len(set(found.values())) > 1:
            self._differing.add(name)
        filled = next((cells[place] for place, cell in found.items() if cell), None)
        if filled:
            record[name] = unescape(filled)


def has_answers(record: Mapping[str, str], questions: Collection[str]) -> bool:
    """Return whether a row has answers; is_bug and place are none in the pass that rates bugs."""
    given = {"is_bug", "place"} if record.get("pass") == RATE_BUGS else set()
    return any(name in record for name in questions if name not in given)


def folded(name: str) -> str:
    """Return the name of a column without case, blanks, hyphens and underscores."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _joined(cells: Sequence[str]) -> Iterator[list[str]]:
    """Yield the parts of each cell that may hold several cells, as it has as many separators as a sheet at least."""
    for cell in cells:
        for separator in _SEPARATORS:
            if cell.count(separator) >= len(_REQUIRED) - 1:
                yield cell.split(separator)
