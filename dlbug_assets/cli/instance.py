"""The study's Dagster instance: its dagster.yaml, its storage, and errors in either."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import dagster as dg
import yaml
from sqlalchemy.exc import SQLAlchemyError

from dlbug_assets.atomic_files import write_atomically
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
event_log_storage:
  module: dlbug_assets.automation.event_log
  class: EventLog
  config: {base_dir: %s}
"""


#: Beside dagster.yaml, whose settings of the same name it replaces: an operator's own (storage, run_launcher ..).
_LOCAL = "dagster.local.yaml"
#: Settings that say where histories are: with a storage for all of them there is no other one for events.
_STORAGE = ("storage", "event_log_storage")


@contextmanager
def prepared_instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """The instance of the study, made where it is missing; the runs in it whose process is gone are marked as failed.
    Its dagster.yaml is ours; what an operator sets is in dagster.local.yaml. Raises :class:`DlbugError`."""
    try:
        home.dagster_home.mkdir(parents=True, exist_ok=True)
        config = home.dagster_home / "dagster.yaml"
        # The folder that Dagster's own event log would take.
        settings = _DAGSTER_YAML % json.dumps(str(home.dagster_home.resolve() / "history" / "runs"))
        settings = _with_local(settings, home.dagster_home / _LOCAL)
        if not config.exists() or config.read_text(encoding="utf-8") != settings:
            write_atomically(config, settings.encode())  # another process may be reading it
        if not os.access(home.dagster_home, os.W_OK):
            raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))
    except OSError as error:
        raise DlbugError(
            f"cannot write {home.dagster_home}: {error.strerror}. "
            "Make the folder writable (or free disk space), or set DLBUG_HOME to another one."
        ) from None
    # Two that make its tables at the same time would fail each other.
    lease = Lease(home.dagster_home / "history.lock", f"process {os.getpid()}", what="history of runs")
    with ExitStack() as opened:
        with lease:
            instance = opened.enter_context(_history(home.dagster_home))
            fail_orphaned_runs(instance, home.run_locks)
        yield instance


def _with_local(settings: str, local: Path) -> str:
    """Dagster's settings as an operator wants them."""
    if not local.exists():
        return settings
    try:
        own = yaml.safe_load(local.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DlbugError(f"{local} is no YAML: {error}") from None
    if not isinstance(own, dict):
        raise DlbugError(f"{local}: settings are written as in dagster.yaml, name by name")
    ours = yaml.safe_load(settings)
    if not own.keys().isdisjoint(_STORAGE):
        ours = {name: value for name, value in ours.items() if name not in _STORAGE}
    return f"# Made of {_LOCAL}: change that.\n{yaml.safe_dump(ours | own, sort_keys=False)}"


@contextmanager
def _history(dagster_home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance; raises :class:`DlbugError` where what happens cannot be written down: then a run cannot go on."""
    local = dagster_home / _LOCAL
    try:
        with _instance(dagster_home) as instance:
            yield instance
    except (SQLAlchemyError, OSError, *_errors_of_servers()) as error:
        if isinstance(error, OSError) and error.filename and dagster_home not in Path(error.filename).parents:
            raise DlbugError(f"cannot use {error.filename}: {error.strerror}. Mend that, and run again.") from None
        reason = str(getattr(error.__cause__ or error, "orig", error)).strip()
        if local.exists():
            raise DlbugError(
                f"cannot write the history of runs where {local} says: {reason}. The published database is untouched. "
                "See that the database server is up and the settings are right, and run again."
            ) from None
        raise DlbugError(
            f"cannot write the history of runs in {dagster_home}: {reason}. The published database is untouched. "
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
        raise DlbugError(f"{local}: Dagster cannot take these settings: {problem}") from None


def _errors_of_servers() -> tuple[type[Exception], ...]:
    """What Dagster's storage in PostgreSQL raises where it cannot reach the server, if it is installed."""
    if find_spec("dagster_postgres") is None:
        return ()
    from dagster_postgres.utils import DagsterPostgresException  # noqa: PLC0415

    return (DagsterPostgresException,)


def schedules_on(home: Home) -> set[str]:
    """The names of the schedules that are switched on. Raises :class:`DlbugError` where the history cannot be read."""
    if not (home.dagster_home / "dagster.yaml").exists():
        return set()
    with _history(home.dagster_home) as instance:
        return {state.name for state in instance.all_instigator_state() if state.is_running}
