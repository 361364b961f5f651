"""Step logs on the terminal: one line per step, instead of Dagster's full event log."""

import functools
import json
import logging
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from dlbug_assets.asset_factories.metadata import ROWS_IN, ROWS_OUT
from dlbug_assets.automation.run_progress import current_progress

_OUTCOMES = {
    dg.DagsterEventType.STEP_SUCCESS: "done",
    dg.DagsterEventType.STEP_FAILURE: "FAILED",
    dg.DagsterEventType.STEP_SKIPPED: "skipped",
}


class _StepLines(logging.Handler):
    """A handler that prints a line for each finished step, and what the steps log on the levels INFO and WARNING."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._stderr = terminal()
        self._rows_in: dict[str, int] = {}
        self._rows_out: defaultdict[str, dict[dg.AssetKey | None, int]] = defaultdict(dict)

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        progress = current_progress()
        if event is not None and progress is not None:
            progress.follow(event, meta["run_id"])
        if event is None:
            if record.levelno in (logging.INFO, logging.WARNING):  # Dagster's own messages are on DEBUG
                self._write(meta, {"message": meta.get("orig_message", record.getMessage())})
        elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            self._count(event)
        elif event.event_type in _OUTCOMES:
            self._write(meta, {"step": (event.step_key or "").replace("__", ".", 1), **self._outcome(event)})

    def _count(self, event: dg.DagsterEvent) -> None:
        metadata = event.step_materialization_data.materialization.metadata
        step, rows_in, rows_out = str(event.step_key), metadata.get(ROWS_IN), metadata.get(ROWS_OUT)
        if isinstance(rows_in, dg.IntMetadataValue):
            self._rows_in[step] = rows_in.value or 0
        if isinstance(rows_out, dg.IntMetadataValue):
            # Not added up: each partition's materialization has the row count of the whole table.
            self._rows_out[step][event.asset_key] = rows_out.value or 0

    def _outcome(self, event: dg.DagsterEvent) -> dict[str, Any]:
        outcome: dict[str, Any] = {"outcome": _OUTCOMES[event.event_type]}
        if event.event_type == dg.DagsterEventType.STEP_FAILURE:
            source = event.step_failure_data.error_source
            if source is not None and source.name == "INTERRUPT":
                outcome["outcome"] = "stopped"
        if event.event_type == dg.DagsterEventType.STEP_SUCCESS:
            if event.step_key in self._rows_in:
                outcome["rows_in"] = self._rows_in[event.step_key]
            if event.step_key in self._rows_out:
                outcome["rows_out"] = sum(self._rows_out[event.step_key].values())
            outcome["seconds"] = round(event.step_success_data.duration_ms / 1000, 1)
        return outcome

    def _write(self, meta: dict[str, Any], entry: dict[str, Any]) -> None:
        if self._as_json:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = json.dumps({"time": now, "run": meta.get("run_id"), **entry}, ensure_ascii=False)
        else:
            line = _line(entry)
        progress = current_progress()
        if progress is not None:
            progress.print(line)
            return
        os.write(self._stderr, f"{line}\n".encode(errors="backslashreplace"))


@functools.cache
def terminal() -> int:
    """Return a copy of the file descriptor of standard error, taken before any step runs.

    While a step runs, standard error is redirected into a file.
    """
    return os.dup(sys.stderr.fileno())


def _line(entry: dict[str, Any]) -> str:
    if "message" in entry:
        return f"  {'':8}{entry['message']}"
    rows = [f"{entry[name]:,} rows {way}" for name, way in (("rows_in", "in"), ("rows_out", "out")) if name in entry]
    seconds = [f"{entry['seconds']:.1f} s"] if "seconds" in entry else []
    return "  ".join([f"  {entry['outcome']:8}{entry['step']}", *([", ".join(rows)] if rows else []), *seconds])


class _ToDagster(logging.Handler):
    """A handler that forwards records to those that Dagster adds to its own logger while a step runs."""

    def emit(self, record: logging.LogRecord) -> None:
        for handler in tuple(dg.get_dagster_logger().handlers):
            handler.handle(record)


@contextmanager
def logs_in_the_event_log() -> Iterator[None]:
    """Record what this package logs at INFO or above in the run's event log, as messages of the current step.

    That includes records from other threads. Dagster captures its own logger in every instance, but those of libraries
    only if dagster.yaml lists them (``managed_python_loggers``). If it lists ours, Dagster itself drops the second copy
    of a record.
    """
    logger = logging.getLogger("dlbug_assets")
    handler, level = _ToDagster(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


_FORMATS = dg.Enum("LogFormat", [dg.EnumValue("text"), dg.EnumValue("json")])


@dg.logger(config_schema={"format": dg.Field(_FORMATS, default_value="text")}, description="One line per finished step")
def progress(init_context: dg.InitLoggerContext) -> logging.Logger:
    """Return the logger of the command line, which prints text or one JSON object per line (time in UTC)."""
    logger = logging.Logger("dlbug.progress", logging.DEBUG)
    logger.addHandler(_StepLines(as_json=init_context.logger_config["format"] == "json"))
    return logger
