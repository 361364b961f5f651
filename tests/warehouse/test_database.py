"""The working database: a table changes as a whole or not at all."""

import logging

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.table_specs import Column, TableSpec
from support.tiny_tables import SPEC, bugs, content

MIB = 2**20


def test_a_table_has_the_written_rows_with_types_and_comments_of_the_spec(warehouse):
    written = warehouse.replace(SPEC, pl.DataFrame({"library": ["Keras"], "bug": ["7"]}))
    assert (written.row_count, written.accepted) == (1, True)
    assert content(warehouse) == [(7, "Keras")]
    described = warehouse.read("select column_name, comment from duckdb_columns() where table_name = 'bugs'").rows()
    assert described == [("bug", "Its number"), ("library", "Its library")]
    tables = warehouse.read("select comment from duckdb_tables() where table_name = 'bugs'").rows()
    assert tables == [("One row per bug; it's small",)]


def test_a_table_can_be_written_from_a_select(warehouse):
    assert warehouse.replace(SPEC, "-- one row\nselect 'Torch' as library, 1 as bug").row_count == 1
    assert content(warehouse) == [(1, "Torch")]


#: Lists cannot be spilled to disk: this needs about 60 MiB.
LARGE = "select len(list(n || ' is a number')) as bug, 'Keras' as library from range(1000000) t(n)"


@pytest.fixture
def low_memory(home):
    """Yield a warehouse with a low memory limit."""
    with Warehouse(home, "a test", memory=16 * MIB) as opened:
        yield opened


def test_a_statement_that_runs_out_of_memory_is_retried_with_a_higher_limit(low_memory, caplog):
    caplog.set_level(logging.INFO)
    assert low_memory.replace(SPEC, LARGE).accepted
    assert content(low_memory) == [(1_000_000, "Keras")]
    assert caplog.messages[:2] == [f"DuckDB ran out of memory: retrying with {size} MiB" for size in (32, 64)]
    assert low_memory.read("select current_setting('memory_limit') as limit").item() == "16.0 MiB"
    assert low_memory.read(f"select bug from ({LARGE})").item() == 1_000_000


def test_a_statement_that_needs_more_than_half_of_the_machines_memory_fails_with_the_fix(low_memory, monkeypatch):
    low_memory.replace(SPEC, bugs((1, "Keras")))
    monkeypatch.setattr("dlbug_assets.warehouse.database._MOST_MEMORY", 32 * MIB)
    with pytest.raises(DlbugError, match=r"^writing analysis\.bugs: .* run the study on a larger one"):
        low_memory.replace(SPEC, LARGE)
    assert content(low_memory) == [(1, "Keras")]
    assert low_memory.read("select current_setting('memory_limit') as limit").item() == "16.0 MiB"


def test_a_violated_check_leaves_the_table_unchanged(warehouse):
    warehouse.replace(SPEC, bugs((1, "Keras")))
    written = warehouse.replace(SPEC, bugs((2, "Keras"), (2, "Torch")))
    assert written.accepted is False
    outcome = {outcome.check.name: outcome for outcome in written.outcomes}["unique_bug"]
    assert (outcome.violations, outcome.sample) == (1, "{'bug': 2}")
    assert content(warehouse) == [(1, "Keras")]


def test_a_violated_check_that_does_not_block_is_reported_only(warehouse):
    written = warehouse.replace(SPEC, bugs((1, "Nope")))
    assert written.accepted is True
    assert [outcome.passed for outcome in written.outcomes] == [True, False]
    assert content(warehouse) == [(1, "Nope")]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (pl.DataFrame({"bug": [1]}), "analysis.bugs: the computed rows lack library"),
        (pl.DataFrame({"bug": [1], "library": ["x"], "color": [1]}), "also have color"),
        (pl.DataFrame({"bug": ["one"], "library": ["x"]}), "writing analysis.bugs: Conversion Error"),
    ],
)
def test_rows_that_do_not_match_the_spec_are_rejected(warehouse, frame, expected):
    warehouse.replace(SPEC, bugs((1, "Keras")))
    with pytest.raises(DlbugError, match=expected):
        warehouse.replace(SPEC, frame)
    assert content(warehouse) == [(1, "Keras")]
    warehouse.replace(SPEC, bugs((2, "Torch")))
    assert content(warehouse) == [(2, "Torch")]


def test_a_partition_replaces_only_the_outdated_rows(warehouse):
    warehouse.replace_part(SPEC, bugs((1, "Keras"), (2, "Keras")), "library = ?", ["Keras"])
    warehouse.replace_part(SPEC, bugs((3, "Torch")), "library = ?", ["Torch"])
    written = warehouse.replace_part(SPEC, bugs((4, "Keras")), "library = ?", ["Keras"])
    assert written.row_count == 2
    assert content(warehouse) == [(3, "Torch"), (4, "Keras")]


def test_a_partition_that_violates_a_check_changes_nothing(warehouse):
    warehouse.replace_part(SPEC, bugs((1, "Keras")), "library = ?", ["Keras"])
    assert warehouse.replace_part(SPEC, bugs((2, "Torch"), (2, "Torch")), "library = ?", ["Torch"]).accepted is False
    assert content(warehouse) == [(1, "Keras")]


def test_rows_with_the_key_of_an_incoming_row_are_replaced(warehouse):
    warehouse.replace_part(SPEC, bugs((1, "Keras"), (2, "Keras")), "false", [])
    warehouse.replace_part(SPEC, bugs((2, "Torch")), "false", [])
    assert content(warehouse) == [(1, "Keras"), (2, "Torch")]


def test_a_partition_can_be_an_iterator_of_frames(warehouse):
    warehouse.replace_part(SPEC, bugs((1, "Keras"), (9, "Keras")), "false", [])
    frames = (bugs((number, "Keras")) for number in (1, 2, 3))
    written = warehouse.replace_part(SPEC, frames, "library = ?", ["Keras"])
    assert (written.rows_received, written.row_count) == (3, 3)
    assert content(warehouse) == [(1, "Keras"), (2, "Keras"), (3, "Keras")]


def test_an_iterator_of_frames_that_fails_changes_nothing(warehouse):
    warehouse.replace_part(SPEC, bugs((1, "Keras")), "false", [])

    def frames():
        yield bugs((2, "Keras"))
        raise DlbugError("the source broke off")

    with pytest.raises(DlbugError, match="the source broke off"):
        warehouse.replace_part(SPEC, frames(), "library = ?", ["Keras"])
    assert content(warehouse) == [(1, "Keras")]


def test_current_rows_can_be_read_before_and_after_the_first_write(warehouse):
    assert warehouse.current_rows(SPEC, "bug in (select unnest(?))", [[1]]).rows() == []
    warehouse.replace_part(SPEC, bugs((1, "Keras"), (2, "Keras")), "false", [])
    assert warehouse.current_rows(SPEC, "bug in (select unnest(?))", [[2, 3]]).rows() == [(2, "Keras")]


def test_a_table_with_other_columns_is_rejected(warehouse):
    warehouse.connection.execute("create table analysis.bugs (bug BIGINT)")
    with pytest.raises(DlbugError, match="written by another version of dlbug. Delete that file"):
        warehouse.replace_part(SPEC, bugs((1, "Keras")), "library = ?", ["Keras"])


def test_reading_a_missing_table_fails_with_the_fix(warehouse):
    with pytest.raises(DlbugError, match=r"reading reference.libraries: .* does not exist! .* once without --select"):
        warehouse.read("reference.libraries")


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with (
        pytest.raises(DlbugError, match="cannot write .*writer.lock: Not a directory"),
        Warehouse(Home(tmp_path / "file", "tiny"), "a test") as warehouse,
    ):
        warehouse.read("select 1")


def test_a_file_that_is_not_a_database_is_an_error(home):
    home.folder.mkdir(parents=True)
    home.working.write_bytes(b"not a database" * 1000)
    with (
        pytest.raises(DlbugError, match="working.duckdb.*not a valid DuckDB database"),
        Warehouse(home, "a test") as warehouse,
    ):
        warehouse.read("select 1")


def test_a_path_that_contains_lock_is_not_mistaken_for_a_lock(tmp_path):
    home = Home(tmp_path / "sherlock", "blocks")
    home.working.mkdir(parents=True)
    with (
        pytest.raises(DlbugError, match=r"sherlock/.*Check that the disk has space left"),
        Warehouse(home, "a test") as warehouse,
    ):
        warehouse.read("select 1")


TIMED = TableSpec(
    schema="analysis",
    name="timed",
    description="One row per bug",
    grain=("bug",),
    columns=(Column("bug", "BIGINT", "Its number"), Column("read_at", "BIGINT", "When", incidental=True)),
    checks=(),
    source="here",
)


def test_the_data_version_ignores_the_order_of_rows_and_the_values_of_incidental_columns(warehouse):
    def version(*rows):
        return warehouse.replace(TIMED, pl.DataFrame(rows, schema=["bug", "read_at"], orient="row")).version

    first = version((1, 10), (2, 10))
    assert version((2, 30), (1, 20)) == first
    assert version((1, 10), (2, None)) != first
    assert version((1, 10), (3, 10)) != first
    assert version((1, 10)) != first


LOG = TableSpec(
    schema="analysis",
    name="log",
    description="One row per library and visit",
    grain=("library", "visit"),
    columns=(
        Column("library", "VARCHAR", "Its library"),
        Column("visit", "BIGINT", "Its number", incidental=True),
        Column("state", "VARCHAR", "What was seen"),
    ),
    checks=(),
    source="here",
)


def test_the_data_version_of_a_log_changes_with_what_was_seen_last_and_not_with_repetitions(warehouse):
    seen = []

    def version(library, *states):
        seen.extend((library, len(seen) + 1, state) for state in states)
        return warehouse.replace(LOG, pl.DataFrame(seen, schema=["library", "visit", "state"], orient="row")).version

    empty = version("Keras")
    read = version("Keras", "read")
    assert read != empty
    assert version("Keras", "read", "read") == read
    unread = version("Keras", "unread")
    assert unread != read
    assert version("Keras", "unread") == unread
    again = version("Keras", "read")
    assert again not in (read, unread)
    assert version("Keras", "read") == again
    assert version("Torch", "read") != again
