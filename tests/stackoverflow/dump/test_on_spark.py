"""Extraction on Spark: exactly the same result as on this machine, wherever the file is split."""

import random
import tempfile
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dlbug_assets.errors import DlbugError
from dlbug_assets.stackoverflow.dump import extraction, on_spark
from dlbug_assets.stackoverflow.dump.extraction import DumpReading
from support.dump_extraction import KINDS
from support.dumps import HEAD, LINE, answer, dump_with_problems, question
from support.spark_cluster import local_session, needs_spark

LIBRARIES = {"Keras": ["keras"], "Torch": ["torch", "pytorch"], "None": ["unused-tag"]}
SCOPE = {"min_score": 6, "created_from": date(2017, 1, 1), "created_until": date(2017, 12, 31)}

pytestmark = [needs_spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    with local_session(tmp_path_factory.mktemp("conf")) as opened:
        yield opened


class Both:
    """Extracts from a file on this machine and on Spark."""

    def __init__(self, spark, folder: Path) -> None:
        self.spark, self.folder = spark, folder
        self.path = folder / "Posts.xml"
        self.known: dict[str, list[int]] = {}

    def local(self) -> tuple[DumpReading, dict[tuple[str, str], pl.DataFrame]]:
        return self._read(extraction.extract)

    def on_spark(self, split: int) -> tuple[DumpReading, dict[tuple[str, str], pl.DataFrame]]:
        self.spark.conf.set("spark.sql.files.maxPartitionBytes", str(split))
        return self._read(lambda *args, **options: on_spark.extract_in(self.spark, *args, **options))

    def assert_equal(self, content: bytes, split: int) -> DumpReading:
        self.path.write_bytes(content)
        reading, frames = self.local()
        found_reading, found_frames = self.on_spark(split)
        assert found_reading == reading
        for key, frame in frames.items():
            assert_frame_equal(found_frames[key], frame)
        return reading

    def _read(self, extract):
        out = Path(tempfile.mkdtemp(dir=self.folder))
        folders = {name: out / name for name in LIBRARIES}
        for folder in folders.values():
            folder.mkdir()
        reading = extract(self.path, LIBRARIES, folders, known=self.known, **SCOPE)
        files = {(kind, name): sorted(folders[name].glob(f"{kind}-*")) for kind in KINDS for name in LIBRARIES}
        return reading, {key: pl.concat(map(pl.read_parquet, paths)) for key, paths in files.items()}


@pytest.fixture
def both(spark, tmp_path: Path) -> Both:
    return Both(spark, tmp_path)


@pytest.mark.parametrize(
    ("options", "split"),
    [
        ({}, 1 << 20),
        ({"notation": "<a><b>", "line": "\r\n  ", "mark": b"\xef\xbb\xbf"}, 5_003),
        ({"line": "", "end": '<row Id="5'}, 8_009),
        ({"line": "\n", "mark": b"\xef\xbb\xbf", "end": "<row "}, 5_009),
    ],
    ids=["one split", "older notation", "no line ends", "cut after the mark"],
)
def test_dump_with_problems_yields_the_same_as_locally(both, options, split):
    reading = both.assert_equal(dump_with_problems(300, **options), split)
    assert reading.planted == 2
    assert reading.irregular > 15
    assert min(reading.questions["Keras"], reading.answers["Keras"], reading.answers["Torch"]) > 5
    assert reading.complete == ("end" not in options)


def test_split_boundaries_do_not_matter(both):
    """Cover every way to cut the mark of a row by a split."""
    asked = question(5)
    rows = [answer(4, 5), asked, answer(6, 5), asked, answer(6, 5), "<row ", answer(7, 5)]
    content = (HEAD + "\n".join(rows) + "</posts>").encode()
    for split in (61, 67, 150):
        assert both.assert_equal(content, split).rows == 7


@pytest.mark.parametrize(
    "order",
    [
        lambda rows: rows[::-1],
        lambda rows: random.Random(5).sample(rows, len(rows)),  # noqa: S311 - no secrets
        lambda rows: sorted(rows, key=lambda row: ' PostTypeId="2"' not in row),
    ],
    ids=["descending", "shuffled", "answers first"],
)
def test_rows_may_have_any_order(both, order):
    head, *rows = dump_with_problems(200).decode().removesuffix("</posts>").split("<row")
    both.known = {"Keras": [102, 105, 108, 111, 114, 117, 999_999], "Torch": [120, 123]}
    reading = both.assert_equal("".join([head, *(f"<row{row}" for row in order(rows)), "</posts>"]).encode(), 8_009)
    assert reading.absent["Keras"] == [999_999]
    assert min(reading.questions["Keras"], reading.answers["Keras"]) > 5


def test_layouts_and_forbidden_characters_yield_the_same_as_locally(both):
    comment = f"<!-- <row <posts> {'terms of use ' * 900} -->"
    rows = [
        question(1).replace("<row ", "<row\n"),
        question(2, "torch").replace('"', "'"),
        answer(3, 9).replace('" ', '"\n'),
        question(9, Body="&#0;").replace("&amp;", "&"),
        answer(4, 9).replace("<row ", "<rows "),
        "<Row Id='5' />",
        answer(6, 2),
    ]
    content = f"<?xml version='1.0'?>{comment}<posts xmlns:xsi='urn:xsi'>{LINE.join(rows)}</posts>"
    reading = both.assert_equal(content.encode(), 1 << 20)
    assert (reading.rows, reading.irregular) == (6, 3)
    assert list(reading.questions.values()) == [2, 1, 0]
    assert list(reading.answers.values()) == [1, 1, 0]


def test_comment_with_rows_that_is_longer_than_a_block_is_rejected(both):
    both.path.write_text(f"<!-- {'<row ' * 200} --><posts>{question(1)}</posts>")
    with pytest.raises(DlbugError, match="begins with a comment that contains rows and is longer than"):
        both.on_spark(200)


def test_name_that_looks_like_a_pattern_is_literal(both):
    both.path = both.folder / "posts [1-9]* {a}?.xml"
    assert both.assert_equal((HEAD + question(1) + "</posts>").encode(), 1 << 20).rows == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"hello", "is not a Posts.xml: it does not begin with <posts>"),
        (b'<?xml version="1.0"?><users><row Id="1" /></users>', "is not a Posts.xml: it does not begin with <posts>"),
        (b"<posts></posts>", "has no rows"),
        (2 * (HEAD + question(1) + "</posts>").encode(), "contains several dumps"),
    ],
)
def test_file_that_is_not_a_dump_is_rejected(both, content, reason):
    both.path.write_bytes(content)
    with pytest.raises(DlbugError) as error:
        both.on_spark(1 << 20)
    assert str(error.value).startswith(f"{both.path} {reason}. Name ")


def test_missing_file_or_folder_is_named(both):
    with pytest.raises(DlbugError) as error:
        both.on_spark(1 << 20)
    assert str(error.value).startswith(f"{both.path} does not exist (where Spark looks for it). Name ")
    (both.path / "inside").mkdir(parents=True)
    (both.path / "inside.xml").write_text("<posts>")
    with pytest.raises(DlbugError) as error:
        both.on_spark(1 << 20)
    assert str(error.value).startswith(f"{both.path} is not a file. Name ")
