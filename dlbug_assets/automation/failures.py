"""Failures that a user can fix, in the event log: the message alone, which the UI shows first."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from dlbug_assets.errors import DlbugError

_CLASS = f"{DlbugError.__module__}.{DlbugError.__qualname__}: "


def _chain(error: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    """Yield an error and its causes, the root cause last."""
    while error:
        yield error
        error = error.cause


def failure_message(event: dg.DagsterEvent) -> str:
    """Return the message of a failed step: that of a failure that a user can fix, or the root cause with its class."""
    *_, root = ("no reason recorded", *(each.message.strip() for each in _chain(event.step_failure_data.error)))
    return _fixable_message(event) or root


def without_trace(entry: dg.EventLogEntry) -> dg.EventLogEntry:
    """Return an entry of the event log; if it is a failure that a user can fix, with its message and no stack trace.

    These are :class:`DlbugError` and `dagster.Failure`. Other errors keep their traces, which lead to the fault.
    """
    event = entry.dagster_event
    return entry._replace(dagster_event=_without_trace(event)) if event else entry


def _without_trace(event: dg.DagsterEvent) -> dg.DagsterEvent:
    if event.event_type == dg.DagsterEventType.STEP_FAILURE:
        message = _fixable_message(event)
        return _replace(event, error=_untraced(message)) if message else event
    if event.event_type == dg.DagsterEventType.RUN_FAILURE:
        # A run whose process was killed has failed in no step, and may have no data at all.
        first = event.job_failure_data.first_step_failure_event if event.event_specific_data else None
        message = first and _fixable_message(first)
        if first and message:
            return _replace(event, error=_untraced(message), first_step_failure_event=_without_trace(first))
    return event


def _replace(event: dg.DagsterEvent, **changes: Any) -> dg.DagsterEvent:
    data: Any = event.event_specific_data
    return event._replace(event_specific_data=data._replace(**changes))


def _fixable_message(event: dg.DagsterEvent) -> str | None:
    """Return the message of a failed step that a user can fix, None for other failures."""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    messages = (each.message.strip() for each in _chain(failure.error))
    return next((message.removeprefix(_CLASS) for message in messages if message.startswith(_CLASS)), None)


def _untraced(message: str) -> SerializableErrorInfo:
    return SerializableErrorInfo(message=message, stack=[], cls_name=None)
