"""Submitted files as another reader sees them: no row with an answer is lost, it is read, or a problem, or refused."""

import csv
import io
import json
import random
import zipfile
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.child_process import ChildProcess
from dlbug_assets.ingest.workbooks.failed_formulas import ZIP_ERRORS
from dlbug_assets.labeling.sheets import submissions
from dlbug_assets.labeling.sheets.reading import file_reader
from fuzz.kind import Kind
from fuzz.mutations import mutate_bytes, mutate_cells, mutate_json, nasty
from support.released_studies import ods
from support.workbooks import workbook

QUESTIONS = {"is_bug": "; ", "root_cause": "; ", "place": "; ", "comment": "; "}
PEOPLE = ("ann", "bob")
HEADER = ["item_id", "rater", "batch", "bug_index", "title", "is_bug", "root_cause", "place", "comment", "pass"]
COLUMNS = [name for name in HEADER if name not in QUESTIONS]
COMMENTS = ("schließlich gelöst", "ошибка в слое", "张量的形状不正确", "très élevé", "plain, with; signs")
#: Texts in answers that spreadsheets treat specially.
TYPED = ("3/4", "=loss", "1e5", "'=x", "none", "#NAME?", "Err:508", "line 1\nline 2", "a,b;c\td,e,f,ann,g", '"')
ROWS = [
    [f"SO-{number}", "ann", "5", "1", f"Title {number}", "true", "Typo" * (number % 2), f"line {number}", "", "units"]
    for number in range(8)
]
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"

#: The number of a row in its file, and its filled cells, by column; a column that occurs twice has several.
_Seen = tuple[int, dict[str, set[str]]]


class _Files(Kind):
    """Files of one format."""

    suffix: ClassVar[str]

    def __init__(self) -> None:
        # As in submissions.read, but one process for all files.
        name = f"{file_reader.__name__}:{file_reader.read_file.__name__}"
        self._child = ChildProcess(name, replace(submissions._LIMITS, seconds=self.seconds - 1))

    @abstractmethod
    def seen(self, content: bytes) -> Iterable[_Seen]:
        """Return the rows with answers that another reader finds."""

    def read(self, content: bytes, folder: Path) -> None:
        path = folder / f"5-ann{self.suffix}"
        path.write_bytes(content)
        asked = {"columns": HEADER, "questions": QUESTIONS, "people": PEOPLE}
        *pieces, last = io.BytesIO(b"".join(self._child.call(path=str(path), **asked)))
        outcome = json.loads(last)
        if outcome["reason"]:
            raise DlbugError(outcome["reason"])
        found: dict[int, list[dict[str, str]]] = {}
        for line, record in (row for piece in pieces for row in json.loads(piece)):
            found.setdefault(line, []).append(record)
        for line, answers in self.seen(content):
            rows = found.get(line, [])
            is_read = any(self.has(row, answers) for row in rows)
            assert is_read or any("problem" in row for row in rows), f"line {line}, {answers}: {rows}"

    def has(self, row: Mapping[str, str], answers: Mapping[str, set[str]]) -> bool:
        """Return whether a row has the answers."""
        return all(_plain(row.get(name, "")) in {*map(_plain, cells)} for name, cells in answers.items())


def _plain(text: str) -> str:
    """Return a text without the apostrophe before formulas and without the white space that formats change."""
    return " ".join(text.split()).lstrip("'")


def _mutated(choose: random.Random) -> list[list[str]]:
    """Return a sheet with other cells, columns, rows or headers."""
    rows = [list(row) for row in ROWS]
    for row in choose.sample(rows, 3):
        row[8] = choose.choice((*COMMENTS, *TYPED))
        row[7] = choose.choice((*TYPED, row[7]))
    if choose.random() < 0.6:
        rows = mutate_cells(choose, rows)
    table = [list(HEADER), *rows]
    match choose.randrange(8):
        case 0:  # another order of columns
            order = choose.sample(range(len(HEADER)), len(HEADER))
            table = [[row[place] if place < len(row) else "" for place in order] for row in table]
        case 1:  # another spelling of a column
            place = choose.randrange(len(HEADER))
            table[0][place] = choose.choice((str.upper, str.title, lambda name: name.replace("_", " ")))(HEADER[place])
        case 2:  # one more column
            name = choose.choice((*HEADER, "notes", "", "Place", nasty(choose)))
            table = [[*row, name if row is table[0] else choose.choice(("", "x"))] for row in table]
        case 3:  # one column less
            place = choose.randrange(len(HEADER))
            table = [row[:place] + row[place + 1 :] for row in table]
        case 4:  # rows above
            table = [[nasty(choose)] * choose.randint(0, 3) for _ in range(choose.randint(1, 4))] + table
        case _:
            pass
    return table


def _answers(table: Iterable[tuple[int, Sequence[str]]]) -> Iterator[_Seen]:
    """Yield the rows with answers below the first header."""
    header: list[str] | None = None
    for line, cells in table:
        if header is None:
            names = ["".join(part for part in cell.lower() if part not in " _-") for cell in cells]
            header = names if "itemid" in names else None
            continue
        answers: dict[str, set[str]] = {}
        for name, cell in zip(header, cells, strict=False):
            question = {"isbug": "is_bug", "rootcause": "root_cause"}.get(name, name)
            if question in QUESTIONS and cell.strip():
                answers.setdefault(question, set()).add(cell)
        if answers:
            yield line, answers


class RowsOfText(_Files):
    """CSV files, in the encodings and with the separators of spreadsheets."""

    name = "rows_of_csv"
    suffix = ".csv"

    def examples(self) -> list[bytes]:
        return [_csv([HEADER, *ROWS], ",").encode("utf-8-sig"), _csv([HEADER, *ROWS], "\t").encode("utf-16")]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        way = choose.random()
        if way < 0.2:
            return mutate_bytes(choose, content)
        table = _mutated(choose)
        separator = choose.choice(",;\t")
        text = _csv(table, separator, choose.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
        if way < 0.3:  # separated by another character than the header, or a single cell
            rest = _csv(table[1:], choose.choice(",;\t"))
            text = _csv(table[:1], separator) + choose.choice((rest, _csv([[row] for row in rest.splitlines()], ",")))
        encodings = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1251", "cp1252", "gb18030", "mac_roman")
        encoded = text.encode(choose.choice(encodings), "replace")
        return encoded[: choose.randint(0, len(encoded))] if way > 0.9 else encoded

    def seen(self, content: bytes) -> Iterator[_Seen]:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:4]:
            encoding = "utf-16" if content[0] > 0x7F else "utf-16-be" if content[0] == 0 else "utf-16-le"
        else:
            encoding = "utf-8-sig"
        try:
            text, is_known = content.decode(encoding), True
        except UnicodeDecodeError:
            # Which characters are meant is not known, but which cells there are is.
            text, is_known = content.decode("latin-1"), False
        for separator in ",;\t":
            rows = list(_answers(_numbered(text, separator)))
            for line, answers in rows:
                yield line, answers if is_known else {k: v for k, v in answers.items() if all(map(str.isascii, v))}


def _csv(table: Sequence[Sequence[str]], separator: str, quoting: Any = csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, quoting=quoting).writerows(table)
    return text.getvalue().encode("utf-8", "replace").decode()


def _numbered(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    line = 1
    for cells in reader:
        yield line, cells
        line = reader.line_num + 1


class _Workbooks(_Files):
    """Workbooks with more sheets than the one that was exported."""

    @abstractmethod
    def write(self, sheets: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
        """Return a workbook."""

    @abstractmethod
    def tables(self, content: bytes) -> Iterator[list[tuple[int, list[str]]]]:
        """Yield the rows of each sheet, as the standard library reads them."""

    def examples(self) -> list[bytes]:
        return [self.write({"instructions": [["Fill in"]], "labels": [HEADER, *ROWS], "lists": [["true"]]})]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        if choose.random() < 0.1:
            return mutate_bytes(choose, content)
        blank = [[*row[:5], "", "", "", "", row[9]] for row in ROWS]
        others = {
            "labels": _mutated(choose),
            "labels (2)": choose.choice(([HEADER, *blank], _mutated(choose))),
            "Export Summary": [["Table", "Rows"], ["labels", "8"]],
            "codebook": [["dimension", "category"]],
        }
        names = choose.sample(list(others), choose.randint(1, len(others)))
        return self.write({name: [[_as_xml(cell) for cell in row[:10]] for row in others[name]] for name in names})

    def seen(self, content: bytes) -> Iterator[_Seen]:
        try:
            tables = list(self.tables(content))
        except (*ZIP_ERRORS, ElementTree.ParseError, KeyError):
            return
        for table in tables:
            yield from _answers(table)


def _as_xml(cell: str) -> str:
    return "".join(each if each.isprintable() or each in "\t\n" else "?" for each in cell)


class RowsOfWorkbooks(_Workbooks):
    """Workbooks of Excel."""

    name = "rows_of_xlsx"
    suffix = ".xlsx"

    def write(self, sheets: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
        return workbook(sheets)

    def tables(self, content: bytes) -> Iterator[list[tuple[int, list[str]]]]:
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            for name in book.namelist():
                if name.startswith("xl/worksheets/"):
                    rows = ElementTree.fromstring(book.read(name)).iter(f"{_MAIN}row")  # noqa: S314 - our own
                    yield [(int(row.get("r", "0")), _cells(row)) for row in rows]


def _cells(row: ElementTree.Element) -> list[str]:
    """Return the cells of columns A to Z."""
    cells = [""] * 26
    for cell in row.iter(f"{_MAIN}c"):
        cells[ord(cell.get("r", "A")[0]) - ord("A")] = "".join(cell.itertext())
    return cells


class RowsOfOpenDocument(_Workbooks):
    """Workbooks of LibreOffice."""

    name = "rows_of_ods"
    suffix = ".ods"

    def write(self, sheets: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
        return ods({name: [[escape(cell) for cell in row] for row in table] for name, table in sheets.items()})

    def tables(self, content: bytes) -> Iterator[list[tuple[int, list[str]]]]:
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            document = ElementTree.fromstring(book.read("content.xml"))  # noqa: S314 - our own
        for table in document.iter(f"{_TABLE}table"):
            rows = table.iter(f"{_TABLE}table-row")
            yield [
                (number, ["".join(cell.itertext()) for cell in row.iter(f"{_TABLE}table-cell")])
                for number, row in enumerate(rows, start=1)
            ]


class RowsOfLabelStudio(_Files):
    """Label Studio's exports, of one annotator or of several."""

    name = "rows_of_labelstudio"
    suffix = ".json"

    def examples(self) -> list[bytes]:
        emails = ("ann@example.org", "bob@example.org")
        one, several = [_tasks(accounts) for accounts in ([1], [{"id": n, "email": e} for n, e in enumerate(emails)])]
        return [json.dumps(one).encode(), json.dumps(several).encode()]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        return (mutate_bytes if choose.random() < 0.2 else mutate_json)(choose, content)

    def seen(self, content: bytes) -> Iterator[_Seen]:
        try:
            tasks = json.loads(content)
        except (ValueError, RecursionError):
            return
        for number, task in enumerate(tasks if isinstance(tasks, list) else [], start=1):
            found = task.get("annotations") if isinstance(task, dict) else None
            annotations = found if isinstance(found, list) else []
            newest: dict[str, dict[str, Any]] = {}
            for each in annotations:
                if isinstance(each, dict) and not each.get("was_cancelled"):
                    by = json.dumps(each.get("completed_by"))
                    if by not in newest or _changed_at(each) >= _changed_at(newest[by]):
                        newest[by] = each
            if len(newest) == len(annotations):  # who has labelled a task twice is another question
                for each in newest.values():
                    if texts := set(_texts(each)):
                        yield number, {"": texts}

    def has(self, row: Mapping[str, str], answers: Mapping[str, set[str]]) -> bool:
        return any(text in cell for text in answers[""] for cell in row.values())


def _changed_at(annotation: Mapping[str, Any]) -> str:
    return str(annotation.get("updated_at") or "")


def _texts(annotation: Mapping[str, Any]) -> Iterator[str]:
    """Yield the answers that are texts."""
    results = annotation.get("result")
    for result in results if isinstance(results, list) else []:
        value = result.get("value") if isinstance(result, dict) else None
        for kind in ("choices", "text"):
            texts = value.get(kind) if isinstance(value, dict) else None
            for text in texts if isinstance(texts, list) else []:
                if isinstance(text, str) and text.strip() and "\\ud" not in json.dumps(text):
                    yield text


def _tasks(accounts: Sequence[Any]) -> list[Any]:
    return [
        {
            "id": number,
            "data": {name: cell for name, cell in zip(HEADER, row, strict=True) if name in COLUMNS},
            "annotations": [
                {
                    "completed_by": account,
                    "was_cancelled": False,
                    "updated_at": f"2026-03-0{number + 1}T10:00:00Z",
                    "result": [
                        {"from_name": "is_bug", "value": {"choices": [row[5]]}},
                        {"from_name": "place", "value": {"text": [row[7], f"also {row[7]}"]}},
                        {"from_name": "comment", "value": {"text": [f"by {account}"]}},
                    ],
                }
                for account in accounts
            ],
            "drafts": [],
            "predictions": [],
        }
        for number, row in enumerate(ROWS)
    ]
