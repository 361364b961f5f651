"""Reading the data dump on Spark: exactly what reading it here gives, wherever it is cut into splits."""

import tempfile
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.spark import session
from dlbug_assets.stackoverflow.dump import extraction, on_spark
from dlbug_assets.stackoverflow.dump.extraction import DumpReading
from support.dumps import BEGIN, answer, question, trapped
from support.spark_cluster import needs_spark, variables

LIBRARIES = {"Keras": ["keras"], "Torch": ["torch", "pytorch"], "None": ["nobody-asks"]}
SCOPE = {"min_score": 6, "created_from": date(2017, 1, 1), "created_until": date(2017, 12, 31)}
KINDS = ("questions", "answers", "irregularities")

pytestmark = [needs_spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables(tmp_path_factory.mktemp("conf"), 1 << 20).items():
            patch.setenv(name, value)
        with session("local[2]") as opened:
            yield opened


class Both:
    """Reads a file here and there."""

    def __init__(self, spark, folder: Path) -> None:
        self.spark, self.folder = spark, folder
        self.path = folder / "Posts.xml"

    def here(self) -> tuple[DumpReading, dict[tuple[str, str], pl.DataFrame]]:
        return self._read(extraction.extract)

    def there(self, split: int) -> tuple[DumpReading, dict[tuple[str, str], pl.DataFrame]]:
        self.spark.conf.set("spark.sql.files.maxPartitionBytes", str(split))
        return self._read(lambda *given, **more: on_spark.extract_in(self.spark, *given, **more))

    def are_the_same(self, content: bytes, split: int) -> DumpReading:
        self.path.write_bytes(content)
        reading, frames = self.here()
        on_spark, found = self.there(split)
        assert on_spark == reading
        for place, frame in frames.items():
            assert_frame_equal(found[place], frame)
        return reading

    def _read(self, extract):
        out = Path(tempfile.mkdtemp(dir=self.folder))
        folders = {name: out / name for name in LIBRARIES}
        for folder in folders.values():
            folder.mkdir()
        reading = extract(self.path, LIBRARIES, folders, **SCOPE)
        files = {(kind, name): sorted(folders[name].glob(f"{kind}-*")) for kind in KINDS for name in LIBRARIES}
        return reading, {place: pl.concat(map(pl.read_parquet, own)) for place, own in files.items()}


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
    ids=["one split", "older notation", "no line ends", "cut behind the mark"],
)
def test_a_dump_with_every_trap_gives_what_it_gives_here(both, options, split):
    reading = both.are_the_same(trapped(300, **options), split)
    assert reading.planted == 2
    assert reading.irregular > 15
    assert min(reading.questions["Keras"], reading.answers["Keras"], reading.answers["Torch"]) > 5
    assert reading.complete == ("end" not in options)


def test_it_makes_no_difference_where_the_splits_end(both):
    """As many splits as there are ways to cut the mark of a row, and more."""
    asked = question(5, "|keras|")
    rows = [answer(4, 5), asked, answer(6, 5), asked, answer(6, 5), "<row ", answer(7, 5)]
    content = (BEGIN + "\n".join(rows) + "</posts>").encode()
    for split in (61, 67, 150):
        assert both.are_the_same(content, split).rows == 7


def test_answers_before_their_question_that_do_not_fit_into_memory_are_gone_through_again(both, monkeypatch):
    monkeypatch.setattr(extraction, "_EARLY_ANSWER_BYTES", 100)
    content = BEGIN + "".join([answer(1, 8), answer(2, 8), question(8, "|keras|"), answer(9, 8)]) + "</posts>"
    assert both.are_the_same(content.encode(), 1 << 20).answers["Keras"] == 3


def test_a_name_that_looks_like_a_pattern_is_a_name(both):
    both.path = both.folder / "posts [1-9]* {a}?.xml"
    assert both.are_the_same((BEGIN + question(1, "|keras|") + "</posts>").encode(), 1 << 20).rows == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"hello", "is not a Posts.xml: it does not begin with <posts>"),
        (b'<?xml version="1.0"?><users><row Id="1" /></users>', "is not a Posts.xml: it does not begin with <posts>"),
        (b"<posts></posts>", "has no rows"),
        (2 * (BEGIN + question(1, "|keras|") + "</posts>").encode(), "contains several dumps"),
    ],
)
def test_a_file_that_is_no_dump_is_refused(both, content, complaint):
    both.path.write_bytes(content)
    with pytest.raises(DlbugError) as error:
        both.there(1 << 20)
    assert str(error.value).startswith(f"{both.path} {complaint}. Name ")


def test_what_is_not_there_or_a_folder_is_named(both):
    with pytest.raises(DlbugError) as error:
        both.there(1 << 20)
    assert str(error.value).startswith(f"{both.path} does not exist (where Spark looks for it). Name ")
    (both.path / "inside").mkdir(parents=True)
    (both.path / "inside.xml").write_text("<posts>")
    with pytest.raises(DlbugError) as error:
        both.there(1 << 20)
    assert str(error.value).startswith(f"{both.path} is not a file. Name ")
