"""Submitted files: CSV, workbooks and Label Studio's exports."""

import io
import json
import random
import re
import zipfile
import zlib
from abc import abstractmethod
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.child_process import ChildProcess
from dlbug_assets.labeling.sheets import inbox, submissions
from dlbug_assets.labeling.sheets.reading import file_reader
from dlbug_assets.labeling.sheets.submitted_rows import SubmittedRows
from dlbug_assets.labeling.sheets.validation import validate
from dlbug_assets.labeling.sheets.writing.csv_format import to_csv
from dlbug_assets.protocol.taxonomy import load_taxonomy
from fuzz.kind import Kind
from fuzz.mutations import mutate_bytes, mutate_cells, mutate_json
from fuzz.tables import csv_bytes, csv_table
from support.clocks import ManualClock
from support.filled_sheets import Loop, exported, items_of, labelling_study
from support.workbooks import workbook

_STUDY = labelling_study(checkpoints=(100,))
_ITEMS = items_of(8, _STUDY)
_TAXONOMY = load_taxonomy(_STUDY)


@cache
def _filled() -> Any:
    """Return ann's sheet with an answer in each row."""
    empty = Loop(_STUDY, _TAXONOMY, _ITEMS, Path("nowhere"))
    sheet = empty.due()["100-ann"]
    answers = [{"is_bug": number % 2 == 0, "place": f"line {number}"} for number in range(len(sheet.rows))]
    return replace(sheet, rows=tuple(row | answer for row, answer in zip(sheet.rows, answers, strict=True)))


class _Submissions(Kind):
    """Files that a rater submits: answers about items of which nothing was changed are accepted."""

    suffix: ClassVar[str]

    def __init__(self) -> None:
        # As in submissions.read, but one process for all files.
        name = f"{file_reader.__name__}:{file_reader.read_file.__name__}"
        self._child = ChildProcess(name, replace(submissions._LIMITS, seconds=self.seconds - 1))

    @abstractmethod
    def _untouched(self, content: bytes) -> set[str]:
        """Return the items in a file of which nothing was changed; none where more than items was."""

    def read(self, content: bytes, folder: Path) -> None:
        path = folder / f"100-ann{self.suffix}"
        path.write_bytes(content)
        inbox.receive([path], folder / "received", ManualClock())
        (version,) = inbox.versions(folder / "received")
        reader = SubmittedRows(self._child, folder / "replies", _ITEMS, _STUDY)
        reader.read(version)
        labels, _ = validate(pl.concat(reader.rows), _ITEMS, _STUDY, _TAXONOMY)
        for _, line, _, reason, _ in reader.unreadable:
            if line == 0:
                assert "ended with exit status" not in reason, reason
                raise DlbugError(reason)
        untouched = self._untouched(content)
        assert untouched <= set(labels["item_id"]), f"{untouched - set(labels['item_id'])} are lost"


def _items_in(entries: list[Any], originals: list[Any], mentioned: str) -> set[str]:
    """Return the items of original entries, unless another entry mentions them, too."""
    same = [entry for entry in entries if entry in originals]
    return {item for item in _ITEMS["item_id"] if mentioned.count(item) == 1 and any(item in str(e) for e in same)}


class Sheets(_Submissions):
    """Sheets as CSV."""

    name = "sheets"
    suffix = ".csv"

    def examples(self) -> list[bytes]:
        return [to_csv(_filled())]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        if choose.random() < 0.3:
            return mutate_bytes(choose, content)
        head, *rows = csv_table(content)
        return csv_bytes([head, *mutate_cells(choose, rows)])

    def _untouched(self, content: bytes) -> set[str]:
        originals = csv_table(self.examples()[0])
        try:
            rows = csv_table(content)
        except UnicodeDecodeError:
            return set()
        # Cells in quotes that were written by this fuzzer, in contrast to quotes that bytes were inserted into.
        if not rows or rows[0] != originals[0] or csv_bytes(rows) != content.removeprefix(b"\xef\xbb\xbf"):
            return set()
        return _items_in(rows, originals, content.decode())


class Workbooks(_Submissions):
    """Sheets as workbooks."""

    name = "workbooks"
    suffix = ".xlsx"

    def examples(self) -> list[bytes]:
        return [_packed(_parts(workbook({"labels": csv_table(to_csv(_filled())), "lists": [["a"]]})))]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        way = choose.random()
        if way < 0.2:
            return mutate_bytes(choose, content)
        if way < 0.6:
            head, *rows = csv_table(to_csv(_filled()))
            cells = [[_as_xml(cell) for cell in row] for row in mutate_cells(choose, rows)]
            return _packed(_parts(workbook({"labels": [head, *cells], "lists": [["a"]]})))
        parts = _parts(content)
        name = choose.choice(list(parts))
        parts[name] = mutate_bytes(choose, parts[name])
        return _packed(parts)

    def _untouched(self, content: bytes) -> set[str]:
        original = _parts(self.examples()[0])
        try:
            parts = _parts(content)
        except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, EOFError, OSError):  # nothing is known
            return set()
        sheet = "xl/worksheets/sheet1.xml"
        if {**parts, sheet: b""} != {**original, sheet: b""} or sheet not in parts:
            return set()
        (outside, rows), (original_outside, originals) = _rows(parts[sheet]), _rows(original[sheet])
        if outside != original_outside or not rows or rows[0] != originals[0] or b'<row r="1"' not in parts[sheet]:
            return set()
        return _items_in(rows, originals, "".join(rows))


def _as_xml(cell: str) -> str:
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", cell)


def _parts(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(parts: dict[str, bytes]) -> bytes:
    """Return a zip file, the same at any time."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _rows(sheet: bytes) -> tuple[str, list[str]]:
    """Return what is outside of the rows of a sheet, and its rows without their numbers."""
    text = sheet.decode("utf-8", "replace")
    rows = re.findall(r"<row\b.*?</row>", text, re.DOTALL)
    return re.sub(r"<row\b.*?</row>", "", text, flags=re.DOTALL), [re.sub(r'\br="[A-Z]*\d+"', "", row) for row in rows]


class LabelStudio(_Submissions):
    """Label Studio's exports."""

    name = "labelstudio"
    suffix = ".json"

    def examples(self) -> list[bytes]:
        return [exported(_filled(), _TAXONOMY)]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        return (mutate_bytes if choose.random() < 0.3 else mutate_json)(choose, content)

    def _untouched(self, content: bytes) -> set[str]:
        try:
            tasks = json.loads(content)
        except (ValueError, RecursionError):
            return set()
        if not isinstance(tasks, list):
            return set()
        originals = json.loads(self.examples()[0])
        return _items_in(
            tasks, originals, "".join(str(task.get("data") if isinstance(task, dict) else task) for task in tasks)
        )
