"""The study's Dagster instance: its dagster.yaml, its storage, and their errors."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import dagster as dg
import yaml
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from dlbug_assets.atomic_files import is_full, write_atomically
from dlbug_assets.automation.orphaned_runs import fail_orphaned_runs
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.warehouse.lease import Lease

_DAGSTER_YAML = """\
telemetry: {enabled: false}
nux: {enabled: false}
concurrency:
  runs: {max_concurrent_runs: 4}
  pools: {default_limit: 1, granularity: op}
run_retries: {enabled: true, max_retries: 1, retry_on_asset_or_op_failure: false}
run_monitoring: {enabled: true}
instance_class:
  module: dlbug_assets.automation.instance
  class: StudyInstance
event_log_storage:
  module: dlbug_assets.automation.event_log
  class: EventLog
  config: {base_dir: %s}
compute_logs:
  module: dlbug_assets.automation.step_output
  class: StepOutput
  config: {base_dir: %s}
"""

#: An operator's own settings (storage, run_launcher ..): they replace those of the same name in dagster.yaml beside it.
_LOCAL = "dagster.local.yaml"
#: Settings of storage: an operator's `storage` holds the events too, so our `event_log_storage` is dropped with it.
_STORAGE = ("storage", "event_log_storage")


@contextmanager
def prepared_instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """Open the study's instance, after creating it if necessary and marking its orphaned runs as failed.

    Its dagster.yaml is generated; operators put their settings into dagster.local.yaml. Raises :class:`DlbugError` for
    settings that Dagster rejects, and if the instance cannot be written.
    """
    try:
        home.dagster_home.mkdir(parents=True, exist_ok=True)
        config = home.dagster_home / "dagster.yaml"
        # The folders that Dagster's own classes would use.
        folders = (home.dagster_home.resolve() / "history" / "runs", home.dagster_home.resolve() / "storage")
        settings = _DAGSTER_YAML % tuple(json.dumps(str(folder)) for folder in folders)
        settings = _with_local(settings, home.dagster_home / _LOCAL)
        if not config.exists() or config.read_text(encoding="utf-8") != settings:
            write_atomically(config, settings.encode())  # atomically: another process may be reading it
        if not os.access(home.dagster_home, os.W_OK):
            raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))
    except OSError as error:
        raise DlbugError(
            f"cannot write {home.dagster_home}: {error.strerror}. "
            "Make the folder writable (or free disk space), or set DLBUG_HOME to another one."
        ) from None
    # Two processes that create its tables at the same time would both fail.
    lease = Lease(home.dagster_home / "history.lock", f"process {os.getpid()}", what="history of runs")
    with ExitStack() as opened:
        with lease:
            instance = opened.enter_context(_history(home.dagster_home))
            fail_orphaned_runs(instance, home.run_locks)
        yield instance


def _with_local(settings: str, local: Path) -> str:
    """Return the settings, replaced by those of the operator where both have them."""
    if not local.exists():
        return settings
    try:
        local_settings = yaml.safe_load(local.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DlbugError(f"{local} is not valid YAML: {error}") from None
    if not isinstance(local_settings, dict):
        raise DlbugError(f"{local} is not a mapping: write settings as in dagster.yaml, name: value")
    ours = yaml.safe_load(settings)
    if not local_settings.keys().isdisjoint(_STORAGE):
        ours = {name: value for name, value in ours.items() if name not in _STORAGE}
    merged = yaml.safe_dump(ours | local_settings, sort_keys=False)
    return f"# Generated from {_LOCAL}: edit that file instead.\n{merged}"


@contextmanager
def _history(dagster_home: Path) -> Iterator[dg.DagsterInstance]:
    """Open the instance; raises :class:`DlbugError` if its history of runs cannot be read or written."""
    local = dagster_home / _LOCAL
    try:
        with _instance(dagster_home) as instance:
            yield instance
    except (SQLAlchemyError, OSError, *_server_errors()) as error:
        if isinstance(error, OSError) and error.filename and dagster_home not in Path(error.filename).parents:
            raise DlbugError(f"cannot use {error.filename}: {error.strerror}. Fix that, and run again.") from None
        cause = error if isinstance(error, DBAPIError) else error.__cause__ or error
        reason = str(getattr(cause, "orig", cause)).strip()
        if local.exists():
            raise DlbugError(
                f"cannot write the history of runs to the storage in {local}: {reason}. "
                "The published database is unchanged. Check the database server and the settings, and run again."
            ) from None
        if is_full(dagster_home):
            reason = "the disk is full"
        raise DlbugError(
            f"cannot write the history of runs in {dagster_home}: {reason}. The published database is unchanged. "
            "Free some disk space or make the folder writable (or set DLBUG_HOME to another one), and run again."
        ) from None


def _instance(dagster_home: Path) -> dg.DagsterInstance:
    try:
        return dg.DagsterInstance.from_config(str(dagster_home))
    except (dg.DagsterError, ImportError) as error:
        local = dagster_home / _LOCAL
        if not local.exists():
            raise
        problem = error.errors[0].message if isinstance(error, dg.DagsterInvalidConfigError) else str(error)
        problem = problem.partition("\nStack Trace:")[0].strip()
        raise DlbugError(f"{local}: Dagster rejects these settings: {problem}") from None


def _server_errors() -> tuple[type[Exception], ...]:
    """Return the errors that Dagster's storage in PostgreSQL raises if it cannot reach the server."""
    if find_spec("dagster_postgres") is None:
        return ()
    from dagster_postgres.utils import DagsterPostgresException  # noqa: PLC0415 # pyright: ignore[reportMissingImports]

    return (DagsterPostgresException,)


def running_schedules(home: Home) -> set[str]:
    """Return the names of the running schedules; raises :class:`DlbugError` if the instance cannot be read."""
    if not (home.dagster_home / "dagster.yaml").exists():
        return set()
    with _history(home.dagster_home) as instance:
        return {state.name for state in instance.all_instigator_state() if state.is_running}
