"""The source that reads dumps: incomplete ones, those of other sites, and a second dump after a first one."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dlbug_assets.clock import Clock
from dlbug_assets.ingest.landing import Landing
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.dump.source import Dump
from dlbug_assets.warehouse.database import Warehouse
from support.collected_posts import TABLES, load_posts
from support.collection_checks import STUDY
from support.dumps import HEAD, LINE, answer, question

END = "\n</posts>\n"
BOTH = ["Keras", "Torch"]


class Dumps:
    """A study that reads one dump after the other, and its tables."""

    def __init__(self, folder: Path, warehouse) -> None:
        self.folder, self.warehouse = folder, warehouse
        self.path = folder / "Posts.xml"

    def source(self, site: str = "stackoverflow.com") -> Dump:
        sources = {"posts": "dump", "commits": "api", "labels": "files", "dump_path": self.path, "site": site}
        study = Study.model_validate(STUDY.model_dump() | {"sources": sources})
        return Dump(study, Landing(self.folder / "landing", Clock()), self.folder / "secret.key")

    def read(self, *rows: str, end: str = END, site: str = "stackoverflow.com", sweep: bool = False):
        """Write a dump and collect from it; return the outcomes by library."""
        self.path.write_text(HEAD + LINE.join(rows) + end)
        return {outcome.library: outcome for outcome in self.source(site).collect(BOTH, sweep=sweep)}

    def tables(self, site: str = "stackoverflow.com") -> dict[str, pl.DataFrame]:
        return load_posts(self.warehouse, self.source(site), BOTH)

    def posts(self, *columns: str, library: str = "Keras") -> list[tuple]:
        rows = self.tables()["raw_posts"].filter(pl.col("library") == library)
        return rows.sort("post_id").select("post_id", *columns).rows()

    def begun_at(self, number: int, library: str = "Keras") -> datetime:
        return self.source().landing.done(library, {"dump"})[number].begun_at


@pytest.fixture
def dumps(tmp_path, warehouse) -> Dumps:
    return Dumps(tmp_path, warehouse)


def torch(number: int) -> str:
    """Return the row of a question of the other library, so that none of its tags is missing."""
    return question(number, "torch")


# A second dump.


def test_question_that_no_longer_qualifies_is_out_of_scope_with_its_new_values(dumps):
    dumps.read(question(1), question(2), question(3), torch(9))
    dumps.tables()
    dumps.read(question(1), question(2, Score=1), question(3, "python"), torch(9))
    assert dumps.posts("in_scope", "score", "tags", "deleted_at") == [
        (1, True, 7, ["keras"], None),
        (2, False, 1, ["keras"], None),
        (3, False, 7, ["python"], None),
    ]


def test_question_that_is_gone_is_deleted_at_the_time_of_the_second_reading(dumps):
    dumps.read(question(1), question(2), answer(3, 2), torch(9))
    dumps.tables()
    dumps.read(question(1), torch(9))
    assert dumps.posts("in_scope", "deleted_at") == [(1, True, None), (2, False, dumps.begun_at(1))]
    assert dumps.tables()["raw_answers"]["answer_id"].to_list() == [3]
    dumps.read(question(1, ViewCount=1), torch(9))
    assert dumps.posts("in_scope", "deleted_at") == [(1, True, None), (2, False, dumps.begun_at(1))]


def test_deleted_question_that_is_back_is_in_scope_again(dumps):
    dumps.read(question(1), question(2), torch(9))
    dumps.read(question(1), torch(9))
    dumps.read(question(1), question(2), torch(9))
    assert dumps.posts("in_scope", "deleted_at") == [(1, True, None), (2, True, None)]


def test_question_whose_row_cannot_be_read_is_not_deleted(dumps):
    dumps.read(question(1), question(2), question(3), torch(9))
    dumps.read(question(1), question(2, Score="many"), question(3)[:-20], torch(9))
    assert dumps.posts("in_scope", "deleted_at") == [(1, True, None), (2, True, None), (3, True, None)]


def test_truncated_dump_deletes_nothing(dumps):
    dumps.read(question(1), question(2), torch(9))
    dumps.read(question(1, Score=8), torch(9), end="")
    assert dumps.posts("in_scope", "score", "deleted_at") == [(1, True, 8, None), (2, True, 7, None)]


def test_answers_are_those_of_the_latest_dump_with_the_question(dumps):
    dumps.read(question(1), question(2), answer(3, 1), answer(4, 2), answer(5, 1), torch(9))
    dumps.read(question(1), answer(4, 1), answer(5, 1, Body="new"), answer(6, 1), torch(9))
    answers = dumps.tables()["raw_answers"].sort("answer_id").select("answer_id", "post_id", "body_html").rows()
    assert answers == [(4, 1, "re 1"), (5, 1, "new"), (6, 1, "re 1")]


def test_question_that_lost_its_tag_keeps_its_answers_even_those_that_precede_it(dumps):
    dumps.read(question(2), answer(3, 2), torch(9))
    dumps.read(answer(3, 2), question(2, "python"), answer(4, 2), torch(9))
    assert dumps.tables()["raw_answers"]["answer_id"].sort().to_list() == [3, 4]


def test_loading_all_dumps_at_once_gives_the_rows_of_loading_each(dumps, tmp_path):
    first = [question(1), question(2, ViewCount="?"), answer(3, 2), torch(9)]
    second = [question(1, ViewCount="?", AnswerCount="?"), question(4, Score="?"), torch(9)]
    for rows in (first, second):
        dumps.read(*rows)
        step_by_step = dumps.tables()
    with Warehouse(Home(tmp_path / "another", "tiny"), "test") as dumps.warehouse:
        at_once = dumps.tables()
    for table in TABLES:
        assert_frame_equal(at_once[table], step_by_step[table])
    assert at_once["irregularities"].select("library", "number", "file", "position", "field").rows() == [
        ("Keras", 1, "Posts.xml", 1, "AnswerCount"),
        ("Keras", 2, "Posts.xml", 1, "ViewCount"),
        ("Keras", 3, "Posts.xml", 2, "Score"),
    ]
    assert len(at_once["collections"]) == 4


# Another site.


def test_links_point_to_the_site_of_the_dump(dumps):
    dumps.read(question(1), torch(9))
    dumps.tables()
    dumps.read(question(5), torch(9), site="ai.stackexchange.com")
    posts = dumps.tables("ai.stackexchange.com")["raw_posts"].select("post_id", "link").rows()
    assert posts == [
        (5, "https://ai.stackexchange.com/questions/5"),
        (9, "https://ai.stackexchange.com/questions/9"),
    ]


# Incomplete dumps.


def test_truncated_dump_is_unread(dumps):
    outcome = dumps.read(question(1), torch(2), end="")["Keras"]
    reason = "Posts.xml is truncated: it has been read up to the break, 2 rows; download it again"
    assert (outcome.failure, outcome.notes["unread"]) == (None, reason)
    rows = dumps.tables()["collections"].select("library", "state", "unread_reason").rows()
    assert rows == [("Keras", "unread", reason), ("Torch", "unread", reason)]
    again = {outcome.library: outcome for outcome in dumps.source().collect(BOTH, sweep=False)}["Keras"]
    assert again.notes["unread"] == reason


def test_tag_that_no_question_has_is_unread(dumps):
    outcomes = dumps.read(question(1), question(2, "python"))
    assert "unread" not in outcomes["Keras"].notes
    assert outcomes["Torch"].notes["unread"] == "no question in Posts.xml has the tag 'torch'; check its spelling"


def test_tag_that_an_earlier_dump_had_is_not_unread(dumps):
    dumps.read(question(1), torch(9))
    outcomes = dumps.read(question(1))
    assert "unread" not in outcomes["Torch"].notes
    assert dumps.posts("in_scope", library="Torch") == [(9, False)]


def test_tag_whose_questions_are_all_out_of_scope_is_read(dumps):
    assert "unread" not in dumps.read(question(1), question(9, "torch", Score=0))["Torch"].notes


def test_dump_with_tags_in_an_unknown_notation_is_refused(dumps):
    outcomes = dumps.read(question(1, Tags="keras,python"), question(2, Tags="torch"), answer(3, 1))
    for outcome in outcomes.values():
        assert str(outcome.failure) == (
            f"{dumps.path}: none of its 3 rows has tags in a known notation (<a><b> or |a|b|). "
            "Name the Posts.xml of a data dump, as downloaded."
        )


def test_dump_with_many_rows_that_cannot_be_read_is_unread(dumps):
    damaged = [question(number, Tags="keras,python") for number in range(100, 111)]
    outcomes = dumps.read(question(1), *damaged[:10], torch(9))
    assert "unread" not in outcomes["Keras"].notes
    outcomes = dumps.read(question(1), *damaged, torch(9))
    assert outcomes["Keras"].notes["unread"] == "11 of the 13 rows of Posts.xml cannot be read; see irregularities"
