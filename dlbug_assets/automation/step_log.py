"""Progress on the terminal: one line per step, instead of Dagster's full event log."""

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

from dlbug_assets.asset_factories.tables import ROWS_IN, ROWS_OUT

_SHOWN = {
    dg.DagsterEventType.STEP_SUCCESS: "done",
    dg.DagsterEventType.STEP_FAILURE: "FAILED",
    dg.DagsterEventType.STEP_SKIPPED: "skipped",
}


class _StepLines(logging.Handler):
    """Prints a line for each finished step, and what the steps themselves log on the levels INFO and WARNING."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._terminal = _terminal()
        self._rows_in: dict[str, int] = {}
        self._rows_out: defaultdict[str, dict[dg.AssetKey | None, int]] = defaultdict(dict)

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is None:
            if record.levelno in (logging.INFO, logging.WARNING):  # Dagster's own messages are on DEBUG
                self._write(meta, {"says": meta.get("orig_message", record.getMessage())})
        elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            self._count(event)
        elif event.event_type in _SHOWN:
            self._write(meta, {"step": (event.step_key or "").replace("__", ".", 1), **self._outcome(event)})

    def _count(self, event: dg.DagsterEvent) -> None:
        metadata = event.step_materialization_data.materialization.metadata
        if ROWS_IN in metadata:
            self._rows_in[event.step_key] = metadata[ROWS_IN].value
        if ROWS_OUT in metadata:
            # A table that is made in parts says each time how many rows it has as a whole.
            self._rows_out[event.step_key][event.asset_key] = metadata[ROWS_OUT].value

    def _outcome(self, event: dg.DagsterEvent) -> dict[str, Any]:
        found: dict[str, Any] = {"outcome": _SHOWN[event.event_type]}
        if event.event_type == dg.DagsterEventType.STEP_SUCCESS:
            if event.step_key in self._rows_in:
                found["rows_in"] = self._rows_in[event.step_key]
            if event.step_key in self._rows_out:
                found["rows_out"] = sum(self._rows_out[event.step_key].values())
            found["seconds"] = round(event.step_success_data.duration_ms / 1000, 1)
        return found

    def _write(self, meta: dict[str, Any], said: dict[str, Any]) -> None:
        if self._as_json:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = json.dumps({"time": now, "run": meta.get("run_id"), **said}, ensure_ascii=False)
        else:
            line = _line(said)
        os.write(self._terminal, f"{line}\n".encode(errors="backslashreplace"))


@functools.cache
def _terminal() -> int:
    """Where standard error leads before any step runs: while one does, Dagster catches it and has another process pass
    it on, which it may end before the last lines are through."""
    return os.dup(sys.stderr.fileno())


def _line(said: dict[str, Any]) -> str:
    if "says" in said:
        return f"  {'':8}{said['says']}"
    rows = [f"{said[name]:,} rows {way}" for name, way in (("rows_in", "in"), ("rows_out", "out")) if name in said]
    seconds = [f"{said['seconds']:.1f} s"] if "seconds" in said else []
    return "  ".join([f"  {said['outcome']:8}{said['step']}", *([", ".join(rows)] if rows else []), *seconds])


class _ToDagster(logging.Handler):
    """Hands records on to the handlers that Dagster puts on its own logger while a step runs."""

    def emit(self, record: logging.LogRecord) -> None:
        for handler in tuple(dg.get_dagster_logger().handlers):
            handler.handle(record)


@contextmanager
def logs_in_the_event_log() -> Iterator[None]:
    """Within a run: put what this package logs from INFO on into the run's event log, as messages of the current step,
    from whichever thread it comes.

    Dagster captures its own logger in every instance, but those of libraries only where dagster.yaml lists them
    (``managed_python_loggers``). Where it lists ours, Dagster itself drops the second copy of a record.
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
    """A logger for the command line: for people, or one JSON object a line (time in UTC)."""
    logger = logging.Logger("dlbug.progress", logging.DEBUG)
    logger.addHandler(_StepLines(as_json=init_context.logger_config["format"] == "json"))
    return logger
