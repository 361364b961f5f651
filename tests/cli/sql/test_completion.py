"""Completion at the prompt of `dlbug sql`: what a word of a query can become."""

import duckdb
import pytest

from dlbug_assets.cli.sql.completion import Completion
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home

COMPLETION = Completion(
    {
        "labeling.items": ["item_id", "library"],
        "labeling.labels": ["bug_id", "item_id", "bug_type"],
        "analysis.clusters": ["bug_id", "cluster", "shared"],
    },
    ["share"],
    ["select", "set", "limit", "like"],
)


@pytest.mark.parametrize(
    ("word", "statement", "candidates"),
    [
        ("se", "se", ["select", "set"]),
        ("SE", "SE", ["SELECT", "SET"]),
        ("sh", "from sh", ["share("]),
        ("sh", "from labeling.items\nJOIN  sh", ["share("]),
        ("sh", "select sh", ["share(", "shared"]),
        ("", "describe ", ["analysis.clusters", "labeling.items", "labeling.labels", "share("]),
        ("lab", "from lab", ["labeling.items", "labeling.labels"]),
        ("labeling.l", "from labeling.l", ["labeling.labels"]),
        ("Labeling.L", "from Labeling.L", ["labeling.labels"]),
        ("bug", "select bug", ["bug_id", "bug_type"]),
        ("bug", "from analysis.clusters\nselect bug", ["bug_id"]),
        ("li", "select li", ["library", "like", "limit"]),
        ("li", "from labeling.labels li", ["like", "limit"]),
        ("l.b", "from labeling.labels as l where l.b", ["l.bug_id", "l.bug_type"]),
        ("L.b", "from labeling.labels l join analysis.clusters c on L.b", ["L.bug_id", "L.bug_type"]),
        ("labeling.items.i", "from labeling.items where labeling.items.i", ["labeling.items.item_id"]),
        ("x.", "from labeling.labels as l where x.", []),
        ("nothing", "select nothing", []),
        (".t", ".t", [".tables"]),
        (".", "  .", [".exit", ".help", ".quit", ".tables"]),
        (".t", "select .t", []),
    ],
)
def test_a_word_becomes_a_table_column_macro_or_keyword(word, statement, candidates):
    assert COMPLETION.candidates(word, statement) == candidates


def test_names_are_those_of_the_published_database(tmp_path):
    home = Home(tmp_path, "tiny")
    with duckdb.connect(str(home.published)) as connection:
        connection.execute("create schema labeling; create table labeling.items as select 1 as item_id, 2 as position")
        connection.execute("create macro first_items() as table from labeling.items")
    completion = Completion.of(home)
    assert completion.columns == {"labeling.items": ["item_id", "position"]}
    assert completion.macros == ["first_items"]
    assert {"select", "join", "by", "qualify"} < set(completion.keywords)


def test_without_a_published_database_there_is_nothing_to_complete(tmp_path):
    with pytest.raises(DlbugError, match="does not exist yet"):
        Completion.of(Home(tmp_path, "tiny"))
