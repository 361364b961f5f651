"""Read one submitted file: the function of a child process under limits, which loads little else.

What belongs here: the rows of a file as texts, and what was not read. What doesn't: what they mean (submissions.py,
validation.py).
"""

import itertools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlbug_assets.ingest.workbooks.failed_formulas import ERROR_VALUE
from dlbug_assets.labeling.sheets.formats import LONGEST_SHOWN
from dlbug_assets.labeling.sheets.inbox import LARGEST_FILE, unreadable_error
from dlbug_assets.labeling.sheets.reading import label_studio_export
from dlbug_assets.labeling.sheets.reading.table_rows import NoHeaderError, NotASheetError, TableRows, has_answers
from dlbug_assets.labeling.sheets.reading.text_rows import text_rows
from dlbug_assets.labeling.sheets.reading.workbook_sheets import workbook_sheets
from dlbug_assets.protocol.names import shown

_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")
#: More filled rows than a batch of any study has.
_MOST_FILLED_ROWS = 250_000
#: As in spreadsheets. A row with a longer answer is rejected, the others of its file are not.
_LONGEST_ANSWER = 32_767
#: How much of a longer answer the rejected row shows.
_SHOWN = 100
#: The first characters of error values.
_ERRORS = ("#", "E")
#: The rows of one line of the reply.
_ROWS_PER_LINE = 100

#: The line of a row in its file, and its filled cells by column.
_Row = tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class _Asked:
    """What is to be read: the columns, which of them are answers, and what joins several texts of one."""

    columns: Collection[str]
    questions: Mapping[str, str]
    people: Collection[str]
    #: What was not read, or assumed, once all rows were read.
    notes: list[str] = field(default_factory=list)

    def table(self) -> TableRows:
        return TableRows(self.columns, self.questions, self.people)


def read_file(
    path: str, columns: Collection[str], questions: Mapping[str, str], people: Collection[str]
) -> Iterator[bytes]:
    """Yield the rows of a file as lines of JSON.

    Each line is a list of rows: the number of the row's line in the file, and its filled cells, by column, of those in
    ``columns``. A row that cannot be parsed has a ``problem``. The last line is an object: ``reason``, why the file is
    not a sheet, or null, and ``notes``, texts on what was not read or was assumed. With a reason, no row counts.
    ``questions`` are the columns to fill in, with what joins several answers; other cells are cut to
    :data:`LONGEST_SHOWN` characters. ``people`` are the raters and the adjudicator, who may be annotators in Label
    Studio. Raises :class:`DlbugError` if the file cannot be opened.
    """
    file, asked, reason = Path(path), _Asked(columns, questions, people), None
    try:
        rows = _limited(_rows(file, asked), questions)
        while some := list(itertools.islice(rows, _ROWS_PER_LINE)):
            yield _json(some)
    except NotASheetError as error:
        reason = str(error)
    except OSError as error:
        raise unreadable_error(file, error) from None
    yield _json({"reason": reason, "notes": asked.notes})


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _limited(rows: Iterable[_Row], questions: Collection[str]) -> Iterator[_Row]:
    """Yield the rows with shortened cells; those with an answer that cannot be one have a problem.

    Raises NotASheetError for too many rows.
    """
    for count, (line, record) in enumerate(rows, start=1):
        if count > _MOST_FILLED_ROWS:
            raise NotASheetError(f"it has more than {_MOST_FILLED_ROWS:,} filled rows; submit an exported sheet")
        unusual = [name for name, cell in record.items() if len(cell) > LONGEST_SHOWN or cell[:1] in _ERRORS]
        problems = [f"{name}: {problem}" for name in unusual if (problem := _shortened(record, name, questions))]
        yield line, {"problem": problems[0], **record} if problems else record


def _shortened(record: dict[str, str], name: str, questions: Collection[str]) -> str | None:
    """Cut a cell that is too long; return the problem with an answer that cannot be one."""
    cell = record[name]
    if name not in questions:
        if name != "problem":
            record[name] = cell[:LONGEST_SHOWN]
    elif len(cell) > _LONGEST_ANSWER:
        record[name] = cell[:_SHOWN]
        return f"it has more than {_LONGEST_ANSWER:,} characters; shorten it"
    elif ERROR_VALUE.fullmatch(cell):
        return f"its formula failed ({cell}); write the text after an apostrophe"
    return None


def _rows(path: Path, asked: _Asked) -> Iterator[_Row]:
    """Yield the rows of a file, each with its line number. Raises NotASheetError for a file that is not a sheet."""
    suffix = path.suffix.lower()
    if suffix in _ARCHIVES:
        raise NotASheetError("it is an archive; unpack it and submit the sheets in it")
    if suffix not in _READERS:
        kind = f"with the suffix {suffix}" if suffix else "without a suffix"
        raise NotASheetError(f"files {kind} are not read; submit .xlsx, .ods, .csv, .tsv or .json")
    if path.stat().st_size > LARGEST_FILE:
        raise NotASheetError(f"the file is larger than {LARGEST_FILE >> 20} MiB; submit an exported sheet")
    yield from _READERS[suffix](path, asked)


def _text_file(path: Path, asked: _Asked) -> Iterator[_Row]:
    table = asked.table()
    guessed, rows = text_rows(path)
    yield from table.read(rows)
    asked.notes.extend([f"its text was read as {guessed}"] if guessed else [])
    asked.notes.extend(table.notes)


def _workbook(path: Path, asked: _Asked) -> Iterator[_Row]:
    """Yield the rows of the sheet with answers, or else of the first with a header."""
    sheets: dict[str, list[_Row]] = {}
    notes: dict[str, list[str]] = {}
    others: list[str] = []
    for name, cells in workbook_sheets(path):
        table = asked.table()
        try:
            sheets[name] = list(table.read(cells))
        except NoHeaderError:
            others += [] if table.is_empty else [name]
        notes[name] = table.notes
    if not sheets:
        raise NoHeaderError
    answered = [name for name, rows in sheets.items() if any(has_answers(row, asked.questions) for _, row in rows)]
    if len(answered) > 1:
        names = ", ".join(map(shown, answered))
        raise NotASheetError(
            f"its sheets {names} all have answers; keep those that count in one, and delete the others"
        )
    read = answered[0] if answered else next(iter(sheets))
    yield from sheets[read]
    others += [name for name, rows in sheets.items() if rows and name != read]
    asked.notes.extend(f"the sheet {shown(name)} is not read" for name in others)
    asked.notes.extend(notes[read])


def _label_studio(path: Path, asked: _Asked) -> Iterator[_Row]:
    export = label_studio_export.Export(asked.columns, asked.questions, asked.people)
    try:
        yield from export.rows(path.read_bytes())
    except ValueError as error:
        raise NotASheetError(f"not a valid Label Studio export: {error}; export the project as JSON") from None
    asked.notes.extend(export.notes)


_READERS: dict[str, Callable[[Path, _Asked], Iterator[_Row]]] = {
    ".xlsx": _workbook, ".ods": _workbook, ".csv": _text_file, ".tsv": _text_file, ".txt": _text_file,
    ".json": _label_studio,
}  # fmt: skip
