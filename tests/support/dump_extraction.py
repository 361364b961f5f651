"""Extract from a dump in tests: in one process, or in parts without starting any."""

import io
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dlbug_assets.errors import DlbugError
from dlbug_assets.stackoverflow.dump import extraction, parallel_rows
from support.dumps import HEAD, LINE

LIBRARIES = {"Keras": ["keras"], "Torch": ["torch", "pytorch"]}
KINDS = ("questions", "answers", "irregularities")


class Extract:
    """Writes a dump to a file, extracts from it, and reads the resulting files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "Posts.xml"

    def __call__(self, *rows: str) -> "Extract":
        return self.from_content(HEAD + LINE.join(rows) + "\n</posts>\n")

    def from_content(self, content: str | bytes, **options: Any) -> "Extract":
        self.path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.read(**options)

    def read(self, libraries: Mapping[str, Sequence[str]] = LIBRARIES, **options: Any) -> "Extract":
        scope = {"min_score": 6, "created_from": None, "created_until": None} | options
        self.out = Path(tempfile.mkdtemp(dir=self.folder))
        folders = {name: self.out / name for name in libraries}
        for folder in folders.values():
            folder.mkdir()
        self.reading = extraction.extract(self.path, libraries, folders, **scope)
        return self

    def error(self) -> str:
        """Return the message of the error that reading raises."""
        with pytest.raises(DlbugError) as error:
            self.read()
        return str(error.value)

    def frame(self, kind: str, library: str = "Keras") -> pl.DataFrame:
        return pl.concat(pl.read_parquet(path) for path in sorted((self.out / library).glob(f"{kind}-*.parquet")))

    def questions(self, library: str = "Keras") -> list[int]:
        return self.frame("questions", library)["post_id"].to_list()

    def answers(self, library: str = "Keras") -> list[int]:
        return self.frame("answers", library)["answer_id"].to_list()

    def irregularities(self, library: str = "Keras") -> list[tuple]:
        return self.frame("irregularities", library).rows()

    def assert_equal(self, other: "Extract") -> None:
        """Assert that two extractions have the same rows, in the same order, and the same counts."""
        for library in LIBRARIES:
            for kind in KINDS:
                assert_frame_equal(self.frame(kind, library), other.frame(kind, library))
        assert self.reading == other.reading


class InProcessHelper(parallel_rows._Helper):
    """A helper without a process of its own, so that thousands of them take no time."""

    def __init__(self, path: Path, parts: Iterable[tuple[int, int]], tags: Collection[str]) -> None:
        self._indexes, self._summaries = tempfile.TemporaryFile(), io.BytesIO()  # noqa: SIM115 - __exit__ closes it
        self._end = 0
        self._process = mock.Mock()
        with suppress(DlbugError):
            parallel_rows.scan(path, parts, tags, self._indexes, self._summaries)
        self._summaries.seek(0)


@contextmanager
def in_parts(size: int, processes: int = 9, helper: type[parallel_rows._Helper] = InProcessHelper) -> Iterator[None]:
    """Cut a file into parts for one helper per ``size`` bytes, up to a number of processes."""
    patched = {"_WORTH_A_PROCESS": size, "_MOST_PROCESSES": processes, "_Helper": helper}
    with mock.patch.multiple(parallel_rows, **patched), mock.patch.object(os, "cpu_count", lambda: processes):
        yield
