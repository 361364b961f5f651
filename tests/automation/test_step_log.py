"""Log lines of steps are recorded in Dagster's event log and printed on the terminal, once in each."""

import json
import logging
import re
import threading
from contextlib import nullcontext

import dagster as dg
import pytest

from dlbug_assets.automation import step_log

logger = logging.getLogger("dlbug_assets.a_module")
LOGGED = [("INFO", "3 posts of Keras"), ("WARNING", "no reply"), ("INFO", "from a thread")]


@dg.resource
def warehouse(_):
    with step_log.logs_in_the_event_log():
        yield


@dg.asset(required_resource_keys={"warehouse"})
def posts() -> None:
    logger.debug("too much detail")
    logger.info("%d posts of %s", 3, "Keras")
    logger.warning("no reply")
    thread = threading.Thread(target=logger.info, args=["from a thread"])
    thread.start()
    thread.join()


@pytest.fixture(params=["ephemeral", "dlbug_assets", "root"])
def instance(request):
    """Yield an instance by default settings, and some whose dagster.yaml has Dagster capture our loggers as well."""
    if request.param == "ephemeral":
        settings = nullcontext(dg.DagsterInstance.ephemeral())
    else:
        settings = dg.instance_for_test(
            overrides={"python_logs": {"managed_python_loggers": [request.param], "python_log_level": "INFO"}}
        )
    with settings as opened:
        yield opened


@pytest.fixture
def run(tmp_path, monkeypatch, instance):
    """Return a function that materializes the asset.

    It returns the messages in the event log (step, level, text) and the terminal's lines.
    """

    def materialized(log_format):
        terminal = tmp_path / "terminal"
        with terminal.open("wb") as file:
            monkeypatch.setattr(step_log, "terminal", file.fileno)
            job = dg.Definitions(
                assets=[posts],
                resources={"warehouse": warehouse},
                loggers={"progress": step_log.progress},
                executor=dg.in_process_executor,
                jobs=[dg.define_asset_job("everything")],
            ).resolve_job_def("everything")
            config = {"loggers": {"progress": {"config": {"format": log_format}}}}
            run_id = job.execute_in_process(instance=instance, run_config=config).run_id
        entries = [entry for entry in instance.all_logs(run_id) if not entry.is_dagster_event]
        logged = [(entry.step_key, logging.getLevelName(entry.level), entry.user_message) for entry in entries]
        return [entry for entry in logged if entry[1] != "DEBUG"], terminal.read_text(encoding="utf-8").splitlines()

    return materialized


def test_lines_are_recorded_in_the_event_log_and_on_the_terminal_once(run):
    logged, lines = run("text")
    assert logged == [("posts", level, text) for level, text in LOGGED]
    assert lines[:-1] == [f"          {text}" for _, text in LOGGED]
    assert re.fullmatch(r"  done    posts  \d\.\d s", lines[-1])


def test_lines_in_json_have_the_messages_of_the_step(run):
    _, lines = run("json")
    assert [json.loads(line).get("message") for line in lines] == [*(text for _, text in LOGGED), None]


def test_the_handler_is_removed_after_the_run():
    package = logging.getLogger("dlbug_assets")
    before = package.handlers[:], package.level
    with step_log.logs_in_the_event_log():
        assert (len(package.handlers), package.level) == (len(before[0]) + 1, logging.INFO)
        logger.info("not in a step")
    assert (package.handlers, package.level) == before
