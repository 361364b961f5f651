"""The event log: Dagster's own files, through connections that stay open."""

import signal
import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from dlbug_assets.automation.event_log import EventLog
from dlbug_assets.cli.instance import prepared_instance


@dg.asset(check_specs=[dg.AssetCheckSpec("full", asset="posts")])
def posts():
    yield dg.MaterializeResult(metadata={"dagster/row_count": 3})
    yield dg.AssetCheckResult(passed=True, check_name="full")


def runs_logged(storage, run_id):
    return [(record.storage_id, record.event_log_entry) for record in storage.get_records_for_run(run_id).records]


@pytest.fixture
def folder(home):
    with prepared_instance(home):
        return home.dagster_home


def test_the_studys_instance_uses_it_and_dagsters_own_class_reads_the_same_events(folder):
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        assert type(instance.event_log_storage) is EventLog
        run = dg.materialize([posts], instance=instance)
        logged = runs_logged(instance.event_log_storage, run.run_id)
        (check,) = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey("posts"), "full"), limit=5
        )
    kinds = [entry.dagster_event_type for _, entry in logged if entry.is_dagster_event]
    assert kinds[-1] is dg.DagsterEventType.RUN_SUCCESS
    assert kinds.count(dg.DagsterEventType.ASSET_MATERIALIZATION) == 1
    theirs = SqliteEventLogStorage(str(folder / "history" / "runs"))
    assert runs_logged(theirs, run.run_id) == logged
    assert theirs.get_asset_check_execution_history(check.key, limit=5) == [check]


def test_it_continues_a_log_of_dagsters_own_class(folder):
    settings = (folder / "dagster.yaml").read_text()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        assert type(instance.event_log_storage) is SqliteEventLogStorage
        first = dg.materialize([posts], instance=instance)
    (folder / "dagster.yaml").write_text(settings)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        second = dg.materialize([posts], instance=instance)
        found = instance.fetch_materializations(dg.AssetKey("posts"), limit=5).records
        assert [record.event_log_entry.run_id for record in found] == [second.run_id, first.run_id]


@pytest.mark.slow
def test_at_most_eight_files_stay_open_and_none_after_the_instance_is_closed(folder):
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        runs = [dg.materialize([posts], instance=instance).run_id for _ in range(10)]
        storage = instance.event_log_storage
        assert isinstance(storage, EventLog)
        assert len(storage._engines) == 8
        # Files that were closed are opened again.
        assert {len(runs_logged(storage, run)) for run in runs} == {len(runs_logged(storage, runs[0]))}
    # When the last connection closes, SQLite deletes its write-ahead log.
    assert list((folder / "history" / "runs").glob("*-wal")) == []


_KILLED = """
import os, signal, sys
import dagster as dg

@dg.asset
def posts():
    os.kill(os.getpid(), signal.SIGKILL)

with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    dg.materialize([posts], instance=instance)
"""


@pytest.mark.slow
def test_events_of_a_killed_process_are_kept(folder):
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(folder)], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        (run,) = instance.get_runs()
        kinds = [entry.dagster_event_type for _, entry in runs_logged(instance.event_log_storage, run.run_id)]
    assert kinds[-2:] == [dg.DagsterEventType.LOGS_CAPTURED, dg.DagsterEventType.STEP_START]


def test_a_moved_home_keeps_its_history(home, tmp_path):
    with prepared_instance(home) as instance:
        run = dg.materialize([posts], instance=instance)
    moved = type(home)(tmp_path / "elsewhere", home.study)
    home.root.rename(moved.root)
    with prepared_instance(moved) as instance:
        assert [found.run_id for found in instance.get_runs()] == [run.run_id]
        assert runs_logged(instance.event_log_storage, run.run_id)
