"""Rows of a large dump, found by several processes: the same as by one, whatever happens to the helpers."""

import io
import random
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar
from unittest import mock

import pytest

from dlbug_assets.stackoverflow.dump import parallel_rows
from support.dump_extraction import Extract, InProcessHelper, in_parts
from support.dumps import HEAD, LINE, OLDER, answer, question


class RecordedHelper(parallel_rows._Helper):
    """A helper process that records which of its parts were used."""

    started: ClassVar[list["RecordedHelper"]] = []

    def __init__(self, path: Path, parts: list[tuple[int, int]], tags: Collection[str]) -> None:
        super().__init__(path, parts, tags)
        self.parts, self.part = parts, -1
        self.used: list[tuple[int, int]] = []
        self.started.append(self)

    def finishes_part(self) -> bool:
        self.part += 1
        is_usable = super().finishes_part()
        self.used += [self.parts[self.part]] * is_usable
        return is_usable

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None


@pytest.fixture
def helpers():
    with mock.patch.object(RecordedHelper, "started", []):
        yield RecordedHelper.started


#: Answers before and after their questions, near and far; truncated, planted and unusable rows, some followed by text.
MANY = [
    answer(1, 90), question(2, AcceptedAnswerId=60), question(3, "torch", Score=5), question(4, "python"),
    *(answer(number, number % 5) for number in range(5, 60)), question(60, "keras", "torch", notation=OLDER),
    answer(61, 2), answer(62, 60), question(1000000001), question(63)[:-20], answer(64, None), question(90),
    *(answer(number, number % 29) for number in range(91, 140)), answer(140, 2), question(1000000010) + "?",
    answer(141, 90), answer(142, 4) + "?", answer(143, 90, Score="?"), question(144, "lua")[:-9],
]  # fmt: skip


#: The answers that are selected for Keras: the first one, which precedes its question, follows the eighth that has it.
SELECTED = [*range(7, 60, 5), 61, 62, 1, 118, 140, 141, 143]


@pytest.fixture
def read_alone(tmp_path):
    """Return a function that reads rows in one process."""

    def read(rows: list[str]) -> Extract:
        (tmp_path / "alone").mkdir()
        with in_parts(1000, 1):
            return Extract(tmp_path / "alone")(*rows)

    return read


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_several_processes_find_the_same_as_one(tmp_path, read_alone, helpers, processes):
    alone = read_alone(MANY)
    with in_parts(1000, processes, RecordedHelper):
        extract = Extract(tmp_path)(*MANY)
    extract.assert_equal(alone)
    assert extract.answers() == SELECTED
    assert len(helpers) == processes - 1
    assert all(helper.used == helper.parts for helper in helpers)


@pytest.mark.parametrize(
    "order",
    [
        lambda rows: rows[::-1],
        lambda rows: random.Random(7).sample(rows, len(rows)),  # noqa: S311 - no secrets
        lambda rows: sorted(rows, key=lambda row: ' PostTypeId="2"' not in row),
    ],
    ids=["descending", "shuffled", "answers first"],
)
def test_rows_in_any_order_are_found_by_all_processes(tmp_path, read_alone, helpers, order):
    rows = order(MANY)
    alone = read_alone(rows)
    with in_parts(1000, 3, RecordedHelper):
        extract = Extract(tmp_path)(*rows)
    extract.assert_equal(alone)
    assert sorted(extract.answers()) == sorted(SELECTED)
    assert all(helper.used == helper.parts for helper in helpers)


def test_failing_helpers_do_not_change_the_result(tmp_path, read_alone, helpers, monkeypatch):
    alone = read_alone(MANY)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with in_parts(1000, 3, RecordedHelper):
        extract = Extract(tmp_path)(*MANY)
    extract.assert_equal(alone)
    assert [helper.used for helper in helpers] == [[], []]


class EndingHelper(InProcessHelper):
    """A helper that ends while it writes the summary of its second part."""

    def __init__(self, path: Path, parts: list[tuple[int, int]], tags: Collection[str]) -> None:
        super().__init__(path, parts, tags)
        self._summaries = io.BytesIO(self._summaries.read(parallel_rows._SUMMARY_BYTES + 8))


def test_helpers_that_end_midway_do_not_change_the_result(tmp_path, read_alone):
    alone = read_alone(MANY)
    with in_parts(1000, 3, EndingHelper):
        Extract(tmp_path)(*MANY).assert_equal(alone)


def test_helpers_that_cannot_be_started_do_not_change_the_result(tmp_path, read_alone, helpers, monkeypatch):
    alone = read_alone(MANY)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no such program"))
    with in_parts(1000, 3, RecordedHelper):
        extract = Extract(tmp_path)(*MANY)
    extract.assert_equal(alone)
    assert helpers == []


def test_small_file_is_read_by_one_process(tmp_path, helpers):
    with in_parts(1 << 20, 8, RecordedHelper):
        assert sorted(Extract(tmp_path)(*MANY).answers()) == sorted(SELECTED)
    assert helpers == []


def test_helpers_are_ended_if_reading_fails(tmp_path, helpers):
    extract = Extract(tmp_path)
    extract.path.write_text(HEAD + LINE.join([*MANY, question(145)]) + "<posts>" + LINE.join(MANY))
    with in_parts(1000, 3, RecordedHelper):
        assert extract.error() == f"{extract.path} contains several dumps. Name Stack Overflow's Posts.xml alone."
    assert [helper.is_running for helper in helpers] == [False, False]


def test_helper_imports_nothing_slow():
    code = f"import sys, {parallel_rows.__name__}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"polars", "duckdb", "dagster", "yaml", "requests"} & set(done.stdout.split()) == set()
