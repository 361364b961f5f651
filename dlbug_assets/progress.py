"""Progress on the terminal: one line per step, instead of Dagster's full event log."""

import logging
import sys

import dagster as dg

_SHOWN = {
    dg.DagsterEventType.STEP_SUCCESS: "done",
    dg.DagsterEventType.STEP_FAILURE: "FAILED",
    dg.DagsterEventType.STEP_SKIPPED: "skipped",
}


class _StepLines(logging.Handler):
    """Prints a line for each finished step, and what the steps themselves say from the level info on."""

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is None:
            if record.levelno != logging.INFO:  # Dagster's own remarks; ours are on this level
                return
            line = f"  {'':8}{meta.get('orig_message', record.getMessage())}"
        elif event.event_type in _SHOWN:
            step = (event.step_key or "").replace("__", ".", 1)
            line = f"  {_SHOWN[event.event_type]:8}{step}"
            if event.event_type == dg.DagsterEventType.STEP_SUCCESS:
                line += f"  {event.step_success_data.duration_ms / 1000:.1f} s"
        else:
            return
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


@dg.logger(description="One line per finished step")
def progress(init_context: dg.InitLoggerContext) -> logging.Logger:
    """A logger for the command line."""
    del init_context  # it has no options
    logger = logging.Logger("dlbug.progress", logging.DEBUG)
    logger.addHandler(_StepLines())
    return logger
