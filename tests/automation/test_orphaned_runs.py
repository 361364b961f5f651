"""Orphaned runs are marked as failed; runs that are alive, or are just starting, are not."""

import subprocess
import sys
import textwrap

import dagster as dg
import pytest

from dlbug_assets.automation.orphaned_runs import fail_orphaned_runs, run_lock

#: A run that holds its lock and never ends.
ENDLESS = """
    import sys, time
    from pathlib import Path
    import dagster as dg
    from dlbug_assets.automation.orphaned_runs import run_lock

    @dg.op
    def endless():
        print("running", flush=True)
        time.sleep(600)

    @dg.job
    def job():
        endless()

    with dg.DagsterInstance.from_config(sys.argv[1]) as instance, run_lock(Path(sys.argv[2]), sys.argv[3]):
        job.execute_in_process(instance=instance, run_id=sys.argv[3])
"""
RUN_ID = "6a3e9c52-0000-4000-8000-000000000001"


@pytest.fixture
def dagster_home(tmp_path):
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    return home


@pytest.fixture
def instance(dagster_home):
    with dg.DagsterInstance.from_config(str(dagster_home)) as opened:
        yield opened


@pytest.fixture
def running(dagster_home):
    """Yield the process of an endless run."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ENDLESS), dagster_home, dagster_home / "run_locks", RUN_ID],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "running\n"
    yield process
    process.kill()
    process.communicate(timeout=60)


@pytest.mark.slow
def test_a_run_is_marked_as_failed_after_its_process_has_ended(instance, dagster_home, running):
    run_locks = dagster_home / "run_locks"
    assert fail_orphaned_runs(instance, run_locks) == []
    assert instance.get_run_by_id(RUN_ID).status == dg.DagsterRunStatus.STARTED
    running.kill()
    running.wait(timeout=60)
    assert fail_orphaned_runs(instance, run_locks) == [RUN_ID]
    assert instance.get_run_by_id(RUN_ID).status == dg.DagsterRunStatus.FAILURE
    last = instance.all_logs(RUN_ID)[-1]
    assert last.message.startswith("The process of this run ended unexpectedly: it was killed, or the machine went")
    assert fail_orphaned_runs(instance, run_locks) == []
    assert list(run_locks.iterdir()) == []


def test_the_lock_of_an_unknown_run_is_kept_while_it_is_held(instance, dagster_home):
    run_locks = dagster_home / "run_locks"
    with run_lock(run_locks, RUN_ID):
        assert fail_orphaned_runs(instance, run_locks) == []
        assert [path.name for path in run_locks.iterdir()] == [RUN_ID]
    # Killed before the instance knew the run.
    assert fail_orphaned_runs(instance, run_locks) == []
    assert list(run_locks.iterdir()) == []


def test_several_processes_of_a_run_may_hold_its_lock(tmp_path):
    with run_lock(tmp_path, RUN_ID), run_lock(tmp_path, RUN_ID):
        assert [path.name for path in tmp_path.iterdir()] == [RUN_ID]
