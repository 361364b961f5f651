"""The warehouse: a table changes whole or not at all, and what people open is replaced whole."""

import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.frames import query_frames
from dlbug_assets.warehouse.lease import Lease
from dlbug_assets.warehouse.published import open_published
from dlbug_assets.warehouse.table_specs import Check, Column, TableSpec
from support.small_disks import mount, unmount

MIB = 2**20
SPEC = TableSpec(
    schema="analysis",
    name="bugs",
    description="One row per bug; it's small",
    grain=("bug",),
    columns=(Column("bug", "BIGINT", "Its number"), Column("library", "VARCHAR", "Its library")),
    checks=(
        Check("unique_bug", "no two rows agree", "select bug from analysis.bugs group by bug having count(*) > 1"),
        Check("known", "library is known", "select * from analysis.bugs where library = 'Nope'", blocking=False),
    ),
    source="here",
)


def bugs(*rows):
    return pl.DataFrame(rows, schema={"bug": pl.Int64, "library": pl.String}, orient="row")


def content(warehouse):
    return sorted(warehouse.read("analysis.bugs").rows())


def test_a_table_is_what_was_written_with_its_types_and_comments(warehouse):
    written = warehouse.replace(SPEC, pl.DataFrame({"library": ["Keras"], "bug": ["7"]}))
    assert (written.row_count, written.accepted) == (1, True)
    assert content(warehouse) == [(7, "Keras")]
    described = warehouse.read("select column_name, comment from duckdb_columns() where table_name = 'bugs'").rows()
    assert described == [("bug", "Its number"), ("library", "Its library")]
    tables = warehouse.read("select comment from duckdb_tables() where table_name = 'bugs'").rows()
    assert tables == [("One row per bug; it's small",)]


def test_a_select_makes_a_table_as_well(warehouse):
    assert warehouse.replace(SPEC, "-- one row\nselect 'Torch' as library, 1 as bug").row_count == 1
    assert content(warehouse) == [(1, "Torch")]


#: A list cannot go to disk: this needs some 60 MiB.
LARGE = "select len(list(n || ' is a number')) as bug, 'Keras' as library from range(1000000) t(n)"


@pytest.fixture
def narrow(home):
    """A warehouse whose DuckDB has little memory."""
    with Warehouse(home, "a test", memory=16 * MIB) as opened:
        yield opened


def test_what_does_not_fit_into_memory_gets_more_for_as_long_as_it_takes(narrow, caplog):
    caplog.set_level(logging.INFO)
    assert narrow.replace(SPEC, LARGE).accepted
    assert content(narrow) == [(1_000_000, "Keras")]
    assert caplog.messages[:2] == [f"DuckDB ran out of memory: trying again with {size} MiB" for size in (32, 64)]
    assert narrow.read("select current_setting('memory_limit') as limit").item() == "16.0 MiB"
    assert narrow.read(f"select bug from ({LARGE})").item() == 1_000_000


def test_what_does_not_fit_into_half_of_the_machines_is_said_with_the_cure(narrow, monkeypatch):
    narrow.replace(SPEC, bugs((1, "Keras")))
    monkeypatch.setattr("dlbug_assets.warehouse.database._MOST_MEMORY", 32 * MIB)
    with pytest.raises(DlbugError, match=r"^writing analysis\.bugs: .* run the study on a larger one"):
        narrow.replace(SPEC, LARGE)
    assert content(narrow) == [(1, "Keras")]
    assert narrow.read("select current_setting('memory_limit') as limit").item() == "16.0 MiB"


def test_a_violated_check_leaves_the_table_as_it_was(warehouse):
    warehouse.replace(SPEC, bugs((1, "Keras")))
    written = warehouse.replace(SPEC, bugs((2, "Keras"), (2, "Torch")))
    assert written.accepted is False
    outcome = {outcome.check.name: outcome for outcome in written.outcomes}["unique_bug"]
    assert (outcome.violations, outcome.sample) == (1, "{'bug': 2}")
    assert content(warehouse) == [(1, "Keras")]


def test_a_check_that_does_not_block_lets_the_table_in(warehouse):
    written = warehouse.replace(SPEC, bugs((1, "Nope")))
    assert written.accepted is True
    assert [outcome.passed for outcome in written.outcomes] == [True, False]
    assert content(warehouse) == [(1, "Nope")]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (pl.DataFrame({"bug": [1]}), "analysis.bugs: what was computed lacks library"),
        (pl.DataFrame({"bug": [1], "library": ["x"], "color": [1]}), "has also color"),
        (pl.DataFrame({"bug": ["one"], "library": ["x"]}), "writing analysis.bugs: Conversion Error"),
    ],
)
def test_rows_that_do_not_fit_change_nothing(warehouse, frame, expected):
    warehouse.replace(SPEC, bugs((1, "Keras")))
    with pytest.raises(DlbugError, match=expected):
        warehouse.replace(SPEC, frame)
    assert content(warehouse) == [(1, "Keras")]
    warehouse.replace(SPEC, bugs((2, "Torch")))
    assert content(warehouse) == [(2, "Torch")]


def test_a_part_replaces_the_outdated_rows_only(warehouse):
    warehouse.replace_part(SPEC, bugs((1, "Keras"), (2, "Keras")), "library = ?", ["Keras"])
    warehouse.replace_part(SPEC, bugs((3, "Torch")), "library = ?", ["Torch"])
    written = warehouse.replace_part(SPEC, bugs((4, "Keras")), "library = ?", ["Keras"])
    assert written.row_count == 2
    assert content(warehouse) == [(3, "Torch"), (4, "Keras")]


def test_a_part_that_violates_a_check_changes_nothing(warehouse):
    warehouse.replace_part(SPEC, bugs((1, "Keras")), "library = ?", ["Keras"])
    assert warehouse.replace_part(SPEC, bugs((2, "Torch"), (2, "Torch")), "library = ?", ["Torch"]).accepted is False
    assert content(warehouse) == [(1, "Keras")]


def test_a_row_with_the_key_of_one_that_comes_is_replaced(warehouse):
    warehouse.replace_part(SPEC, bugs((1, "Keras"), (2, "Keras")), "false", [])
    warehouse.replace_part(SPEC, bugs((2, "Torch")), "false", [])
    assert content(warehouse) == [(1, "Keras"), (2, "Torch")]


def test_frames_may_come_one_after_the_other(warehouse):
    warehouse.replace_part(SPEC, bugs((1, "Keras"), (9, "Keras")), "false", [])
    frames = (bugs((number, "Keras")) for number in (1, 2, 3))
    written = warehouse.replace_part(SPEC, frames, "library = ?", ["Keras"])
    assert (written.rows_received, written.row_count) == (3, 3)
    assert content(warehouse) == [(1, "Keras"), (2, "Keras"), (3, "Keras")]


def test_frames_that_stop_half_way_change_nothing(warehouse):
    warehouse.replace_part(SPEC, bugs((1, "Keras")), "false", [])

    def frames():
        yield bugs((2, "Keras"))
        raise DlbugError("the source broke off")

    with pytest.raises(DlbugError, match="the source broke off"):
        warehouse.replace_part(SPEC, frames(), "library = ?", ["Keras"])
    assert content(warehouse) == [(1, "Keras")]


def test_rows_of_a_table_that_is_being_made_can_be_asked_for(warehouse):
    assert warehouse.current_rows(SPEC, "bug in (select unnest(?))", [[1]]).rows() == []
    warehouse.replace_part(SPEC, bugs((1, "Keras"), (2, "Keras")), "false", [])
    assert warehouse.current_rows(SPEC, "bug in (select unnest(?))", [[2, 3]]).rows() == [(2, "Keras")]


def test_a_table_of_another_version_is_not_mixed_with_this_ones(warehouse):
    warehouse.connection.execute("create table analysis.bugs (bug BIGINT)")
    with pytest.raises(DlbugError, match="made by another version of dlbug. Delete that file"):
        warehouse.replace_part(SPEC, bugs((1, "Keras")), "library = ?", ["Keras"])


def test_a_table_that_was_never_made_is_named_with_what_makes_it(warehouse):
    with pytest.raises(DlbugError, match=r"reading reference.libraries: .* does not exist! .* once without --select"):
        warehouse.read("reference.libraries")


def test_publishing_replaces_the_file_and_readers_keep_theirs(warehouse, home):
    warehouse.replace(SPEC, bugs((1, "Keras")))
    warehouse.publish()
    reader = open_published(home)
    warehouse.replace(SPEC, bugs((2, "Torch")))
    warehouse.publish()
    assert reader.execute("select bug from analysis.bugs").fetchall() == [(1,)]
    reader.close()
    newer = open_published(home)
    assert newer.execute("select bug from analysis.bugs").fetchall() == [(2,)]
    newer.close()
    assert {path.name for path in home.root.iterdir()} == {"tiny", "tiny.duckdb"}


def test_the_published_file_is_read_only_for_readers(warehouse, home):
    warehouse.replace(SPEC, bugs((1, "Keras")))
    warehouse.publish()
    reader = open_published(home)
    with pytest.raises(duckdb.InvalidInputException):
        reader.execute("delete from analysis.bugs")
    reader.close()


def test_the_published_file_opens_in_duckdbs_own_shell(warehouse, home):
    warehouse.replace(SPEC, bugs((1, "Keras")))
    path = warehouse.publish()
    shell = Path(sys.executable).parent / "duckdb"
    result = subprocess.run(
        [shell, "-readonly", "-csv", path, "from analysis.bugs"], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.splitlines() == ["bug,library", "1,Keras"]


def test_nothing_published_yet_is_said_with_its_cure(home):
    with pytest.raises(DlbugError, match="tiny.duckdb is not there yet. `dlbug run --study tiny` makes it"):
        open_published(home)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with (
        pytest.raises(DlbugError, match="cannot write .*writer.lock: Not a directory"),
        Warehouse(Home(tmp_path / "file", "tiny"), "a test") as warehouse,
    ):
        warehouse.read("select 1")


def test_a_file_that_is_no_database_is_named(home):
    home.folder.mkdir(parents=True)
    home.working.write_bytes(b"not a database" * 1000)
    with (
        pytest.raises(DlbugError, match="working.duckdb.*not a valid DuckDB database"),
        Warehouse(home, "a test") as warehouse,
    ):
        warehouse.read("select 1")


def test_a_folder_whose_name_speaks_of_locks_is_no_other_program(tmp_path):
    home = Home(tmp_path / "sherlock", "blocks")
    home.working.mkdir(parents=True)
    with (
        pytest.raises(DlbugError, match=r"sherlock/.*Check that the disk has room"),
        Warehouse(home, "a test") as warehouse,
    ):
        warehouse.read("select 1")


def program(text: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process that runs the given program."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )


WRITER = """
    import logging, sys
    from pathlib import Path
    from dlbug_assets.layout import Home
    from dlbug_assets.warehouse.database import Warehouse
    from test_warehouse import SPEC, bugs
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    with Warehouse(Home(Path(sys.argv[1]), "tiny"), sys.argv[2]) as warehouse:
        warehouse.replace(SPEC, bugs((int(sys.argv[3]), sys.argv[2])))
        print("writing", flush=True)
        sys.stdin.readline()
        warehouse.publish()
"""


def test_two_writers_wait_for_each_other_and_name_the_holder(home):
    first = program(WRITER, home.root, "first", 1)
    assert first.stdout.readline() == "writing\n"
    second = program(WRITER, home.root, "second", 2)
    waiting = second.stdout.readline()
    assert waiting.startswith(f"waiting for the writer's lease, held by first (process {first.pid} on ")
    first.communicate("go\n", timeout=60)
    assert second.stdout.readline() == "writing\n"
    second.communicate("go\n", timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    reader = open_published(home)
    assert reader.execute("from analysis.bugs").fetchall() == [(2, "second")]
    reader.close()


def test_who_gives_the_lease_back_and_wants_it_again_comes_behind_those_who_wait(home):
    with Lease(home.lock, "first"):
        second = program(WRITER, home.root, "second", 2)
        assert second.stdout.readline().startswith("waiting")
    # Who waits looks from time to time: whoever asks right away would always be quicker.
    with pytest.raises(DlbugError, match="still held"), Lease(home.lock, "first again", patience=0):
        pass
    second.communicate("go\n", timeout=60)
    assert second.returncode == 0


def test_the_lease_of_a_killed_writer_is_free_again(home):
    writer = program(WRITER, home.root, "doomed", 1)
    assert writer.stdout.readline() == "writing\n"
    writer.kill()
    writer.communicate(timeout=60)
    with Warehouse(home, "heir", patience=5) as warehouse:
        warehouse.replace(SPEC, bugs((2, "heir")))
        assert content(warehouse) == [(2, "heir")]


def test_a_wait_that_is_too_long_names_holder_and_cure(home):
    writer = program(WRITER, home.root, "slow", 1)
    assert writer.stdout.readline() == "writing\n"
    with (
        pytest.raises(DlbugError, match=rf"still held by slow \(process {writer.pid} .*end that process"),
        Warehouse(home, "hasty", patience=0.3) as warehouse,
    ):
        warehouse.read("select 1")
    writer.communicate("go\n", timeout=60)


def test_a_program_that_has_the_working_database_open_is_named(home):
    with Warehouse(home, "a test") as warehouse:
        warehouse.read("select 1")
    intruder = program(
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.readline()",
        home.working,
    )
    assert intruder.stdout.readline() == "open\n"
    with (
        pytest.raises(DlbugError, match=rf"is locked by another program \(PID {intruder.pid}\). Close that program"),
        Warehouse(home, "a test") as warehouse,
    ):
        warehouse.read("select 1")
    intruder.communicate("go\n", timeout=60)


ANALYST = """
    import sys
    from pathlib import Path
    from dlbug_assets.layout import Home
    from dlbug_assets.warehouse.published import open_published
    connection = open_published(Home(Path(sys.argv[1]), "tiny"))
    print("open", flush=True)
    for line in sys.stdin:
        print(connection.execute("select min(bug), max(bug), count(*) from analysis.bugs").fetchall(), flush=True)
"""


def test_an_analyst_with_the_file_open_neither_blocks_a_run_nor_is_broken_by_it(home):
    with Warehouse(home, "a test") as warehouse:
        warehouse.replace(SPEC, bugs((0, "Keras"), (1, "Keras")))
        warehouse.publish()
        analyst = program(ANALYST, home.root)
        assert analyst.stdout.readline() == "open\n"
        for number in range(2, 12):
            warehouse.replace(SPEC, bugs((number, "Keras"), (number + 1, "Keras")))
            warehouse.publish()
            analyst.stdin.write("again\n")
            analyst.stdin.flush()
            assert analyst.stdout.readline() == "[(0, 1, 2)]\n"
        _, complaints = analyst.communicate(timeout=60)
        assert analyst.returncode == 0, complaints


def test_a_full_disk_is_said_and_the_old_publication_stays(tmp_path):
    home = Home(tmp_path / "disk", "tiny")
    mount(home.root, "size=8m")
    try:
        with Warehouse(home, "a test") as warehouse:
            warehouse.replace(SPEC, bugs((1, "Keras")))
            warehouse.publish()
        filler = home.root / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb") as file:
            while True:
                file.write(os.urandom(1 << 16))
                file.flush()
        with (
            pytest.raises(DlbugError, match=r"(?s)No space left.*room|Free some disk space"),
            Warehouse(home, "a test") as warehouse,
        ):
            many = pl.DataFrame({"bug": range(200_000), "library": [os.urandom(8).hex() for _ in range(200_000)]})
            warehouse.replace(SPEC, many)
            warehouse.publish()
        reader = open_published(home)
        assert reader.execute("from analysis.bugs").fetchall() == [(1, "Keras")]
        reader.close()
        filler.unlink()
        with Warehouse(home, "a test") as warehouse:
            assert content(warehouse) == [(1, "Keras")]
    finally:
        unmount(home.root)


def test_a_read_only_folder_is_said_and_the_old_publication_stays(tmp_path):
    home = Home(tmp_path / "disk", "tiny")
    mount(home.root)
    try:
        with Warehouse(home, "a test") as warehouse:
            warehouse.replace(SPEC, bugs((1, "Keras")))
            warehouse.publish()
        mount(home.root, "remount,ro")
        with (
            pytest.raises(DlbugError, match="Read-only file system. Make the folder writable or set DLBUG_HOME"),
            Warehouse(home, "a test") as warehouse,
        ):
            warehouse.replace(SPEC, bugs((2, "Torch")))
        reader = open_published(home)
        assert reader.execute("from analysis.bugs").fetchall() == [(1, "Keras")]
        reader.close()
    finally:
        unmount(home.root)


def test_a_query_can_be_asked_of_frames_that_stand_in_for_tables():
    tables = {"labeling.labels": bugs((1, "Keras"), (2, "Caffe")), "reference.libraries": bugs((9, "Keras"))}
    query = "select labels.bug from labeling.labels join reference.libraries using (library)"

    assert query_frames(query, tables).rows() == [(1,)]
