"""Failures in the event log: those that a user can fix are a message, others keep their traces."""

import dagster as dg
import pytest

from dlbug_assets.automation.failures import failure_message
from dlbug_assets.cli.instance import prepared_instance
from dlbug_assets.errors import DlbugError


@dg.asset
def unreadable():
    try:
        int("x")
    except ValueError as error:
        raise DlbugError("ann.csv, row 3: 'x' is not a number: write digits") from error


@dg.asset
def rejected():
    raise dg.Failure("posts: 2 rows without a title", allow_retries=False)


@dg.asset
def faulty():
    return {}["title"]


def failures(home, asset):
    """Return the error that the run of an asset stored for its step and for itself, and the message of its result."""
    with prepared_instance(home) as instance:
        run = dg.materialize([asset], instance=instance, raise_on_error=False)
        (step,) = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
        (whole,) = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    step_failure = step.event_log_entry.get_dagster_event().step_failure_data
    run_failure = whole.event_log_entry.get_dagster_event().job_failure_data
    (event,) = [event for event in run.all_events if event.event_type == dg.DagsterEventType.STEP_FAILURE]
    return step_failure.error, run_failure.error, failure_message(event)


@pytest.mark.parametrize(
    ("asset", "message"),
    [
        (unreadable, "ann.csv, row 3: 'x' is not a number: write digits"),
        (rejected, "posts: 2 rows without a title"),
    ],
    ids=["DlbugError", "Failure"],
)
def test_a_failure_that_a_user_can_fix_is_stored_as_its_message(home, asset, message):
    step, run, shown = failures(home, asset)
    assert step.to_string() == message
    assert run.to_string() == message
    assert shown == message


def test_another_failure_keeps_its_trace(home):
    step, run, shown = failures(home, faulty)
    assert 'return {}["title"]' in step.to_string()
    assert 'return {}["title"]' in run.to_string()
    assert shown == "KeyError: 'title'"


def test_a_run_whose_process_was_killed_is_reported_with_its_message(home):
    with prepared_instance(home) as instance:
        run = instance.create_run_for_job(dg.Definitions([faulty]).resolve_implicit_global_asset_job_def())
        instance.report_run_failed(run, "The process of this run ended unexpectedly")
        found = instance.get_run_by_id(run.run_id)
        (whole,) = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    assert found.status is dg.DagsterRunStatus.FAILURE
    assert whole.event_log_entry.get_dagster_event().message == "The process of this run ended unexpectedly"
