"""The writer's lease: one process writes, others wait; a killed process releases it."""

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.lease import Lease
from dlbug_assets.warehouse.published import open_published
from support.tiny_tables import SPEC, WRITER, Program, bugs, content


def test_a_second_writer_waits_and_logs_the_holder(home):
    first = Program(WRITER, home.root, "first", 1)
    assert first.read_line() == "writing\n"
    second = Program(WRITER, home.root, "second", 2)
    waiting = second.read_line()
    assert waiting.startswith(f"waiting for the writer's lease, held by first (process {first.pid} on ")
    assert first.finish() == (0, "")
    assert second.read_line() == "writing\n"
    assert second.finish() == (0, "")
    reader = open_published(home)
    assert reader.execute("from analysis.bugs").fetchall() == [(2, "second")]
    reader.close()


def test_a_process_that_releases_the_lease_queues_behind_those_that_wait(home):
    with Lease(home.lock, "first"):
        second = Program(WRITER, home.root, "second", 2)
        assert second.read_line().startswith("waiting")
    # Waiting processes poll, so that without the queue, a process that asks again at once would win.
    with pytest.raises(DlbugError, match="still held"), Lease(home.lock, "first again", timeout=0):
        pass
    assert second.finish() == (0, "")


def test_the_lease_of_a_killed_writer_is_released(home):
    writer = Program(WRITER, home.root, "doomed", 1)
    assert writer.read_line() == "writing\n"
    writer.kill()
    writer.finish()
    with Warehouse(home, "heir", timeout=5) as warehouse:
        warehouse.replace(SPEC, bugs((2, "heir")))
        assert content(warehouse) == [(2, "heir")]


def test_a_timeout_names_the_holder_and_the_fix(home):
    writer = Program(WRITER, home.root, "slow", 1)
    assert writer.read_line() == "writing\n"
    with (
        pytest.raises(DlbugError, match=rf"still held by slow \(process {writer.pid} .*end that process"),
        Warehouse(home, "hasty", timeout=0.3) as warehouse,
    ):
        warehouse.read("select 1")
    writer.finish()


def test_a_program_that_has_the_working_database_open_is_named(home):
    with Warehouse(home, "a test") as warehouse:
        warehouse.read("select 1")
    intruder = Program(
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.readline()",
        home.working,
    )
    assert intruder.read_line() == "open\n"
    with (
        pytest.raises(DlbugError, match=rf"is locked by another program \(PID {intruder.pid}\). Close that program"),
        Warehouse(home, "a test") as warehouse,
    ):
        warehouse.read("select 1")
    intruder.finish()
