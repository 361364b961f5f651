"""Queries on the published database, by the commands that make sheets, status and packages of it."""

import duckdb
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.queries import asking
from dlbug_assets.warehouse import Home


@pytest.fixture
def home(tmp_path):
    """A study of which only the items are published."""
    home = Home(tmp_path, "tiny")
    with duckdb.connect(str(home.published)) as connection:
        connection.execute("create schema labeling")
        connection.execute("create table labeling.items as select 'SO-1-Keras' as item_id")
    return home


def test_answers_are_frames(home):
    with asking(home) as ask:
        assert ask("from labeling.items").rows() == [("SO-1-Keras",)]


def test_a_table_that_was_never_made_is_named_with_the_cure(home):
    cure = "has to be made first: run the study once without --select"
    with asking(home) as ask, pytest.raises(DlbugError, match=f"name rater_labels does not exist! .* {cure}"):
        ask("from labeling.rater_labels")
