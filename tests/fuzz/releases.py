"""Files that others released: CSV, JSON and workbooks."""

import json
import random
import tempfile
from pathlib import Path
from typing import ClassVar

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.child_process import ChildProcess
from dlbug_assets.ingest.table_files import read_file
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.releases import label_rows
from dlbug_assets.releases.columns import ReleaseFiles, needed_columns
from fuzz.kind import Kind
from fuzz.mutations import mutate_bytes, mutate_cells, mutate_json
from support.released_studies import HEADER, ROWS, csv_text, records, study_of
from support.workbooks import workbook


class _Released(Kind):
    """A table of labels: rows that no category fits are refused, whatever else they are."""

    suffix: ClassVar[str]
    described: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        # As in releases.read, but one process for all files.
        self._child = ChildProcess(f"{read_file.__module__}:{read_file.__name__}", label_rows._LIMITS)
        with tempfile.TemporaryDirectory() as folder:
            self._study = study_of(Path(folder), {"file": f"bugs{self.suffix}", **self.described})
            self._taxonomy = load_taxonomy(self._study)

    def read(self, content: bytes, folder: Path) -> None:
        (release,) = self._study.releases
        release = release.model_copy(update={"path": str(folder)})
        (folder / f"bugs{self.suffix}").write_bytes(content)
        reader = label_rows._Reader(self._study, self._taxonomy, {})
        try:
            for table in ReleaseFiles(self._child, self._study, {}, folder).tables(release, needed_columns(release)):
                reader.read(release, table)
        except DlbugError as error:
            assert "ended with exit status" not in str(error), error
            raise
        found = reader.released().rows
        assert set(found["library"]) <= {"Alpha", "Beta"}
        assert set(found["symptom"].explode().drop_nulls()) <= {"Crash", "Hang"}


class ReleasedTables(_Released):
    """Released tables as CSV."""

    name = "released_tables"
    suffix = ".csv"

    def examples(self) -> list[bytes]:
        return [csv_text().encode(), csv_text(separator="\t").encode("utf-16")]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        if choose.random() < 0.5:
            return mutate_bytes(choose, content)
        cells = mutate_cells(choose, [list(row) for row in ROWS])
        return csv_text(cells).encode("utf-8", "surrogatepass")


class ReleasedJson(_Released):
    """Released tables as JSON."""

    name = "released_json"
    suffix = ".json"
    described: ClassVar[dict[str, str]] = {"rows": "$[*]"}

    def examples(self) -> list[bytes]:
        return [json.dumps(records()).encode()]

    def mutate(self, choose: random.Random, content: bytes) -> bytes:
        return mutate_json(choose, content) if choose.random() < 0.6 else mutate_bytes(choose, content)


class ReleasedWorkbooks(_Released):
    """Released tables as workbooks."""

    name = "released_workbooks"
    suffix = ".xlsx"

    def examples(self) -> list[bytes]:
        return [workbook({"Bugs": [HEADER, *ROWS], "Notes": [("a",)]})]
