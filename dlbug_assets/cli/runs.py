"""Runs from the command line: the jobs that the UI launches, in this process and in the same instance."""

import functools
import gc
import operator
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import dagster as dg
from rich.console import Console

from dlbug_assets.asset_factories.landings import LANDINGS, step_name
from dlbug_assets.asset_factories.metadata import asset_key
from dlbug_assets.automation.failures import failure_message
from dlbug_assets.automation.jobs import WHOLE_GRAPH
from dlbug_assets.automation.orphaned_runs import run_lock
from dlbug_assets.automation.run_progress import drawn_progress
from dlbug_assets.automation.schedules import RANGE_END, RANGE_START, REFRESH
from dlbug_assets.automation.step_log import terminal
from dlbug_assets.cli.instance import prepared_instance
from dlbug_assets.cli.options import open_home
from dlbug_assets.cli.printing.next_step import command
from dlbug_assets.cli.printing.summary import print_summary
from dlbug_assets.cli.staleness import input_fingerprint, last_fingerprint, record_fingerprint, submitted_files
from dlbug_assets.cli.stopping import raise_if_stopped
from dlbug_assets.cli.studies.known import record_path
from dlbug_assets.clock import Clock
from dlbug_assets.definitions import build_defs
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import Study


@dataclass(frozen=True)
class StepFailure:
    """A failed step and its error message."""

    step: str
    message: str


def run_and_report(
    study: Study,
    select: str | None,
    *,
    libraries: Sequence[str] | None = None,
    sweep: bool = False,
    incomplete: bool = False,
    log_format: str = "text",
) -> None:
    """Materialize a study, or ``select`` of it, and print its summary and what failed.

    The arguments are those of :func:`run_study`. Raises :class:`DlbugError` if a step failed.
    """
    home = open_home(study)
    click.echo(f"Study {study.name}: {study.study.title}", err=True)
    before = _version_of(home.published)
    failures = run_study(
        study,
        os.environ,
        select=select,
        libraries=libraries,
        sweep=sweep,
        incomplete=incomplete,
        log_format=log_format,
    )
    is_published = _version_of(home.published) != before
    if select is None and (is_published or not failures):
        if not is_published:
            click.echo(f"Nothing has changed since {home.published} was published.")
        print_summary(study, home, Console())
    if failures:
        # A message that several steps share is printed once.
        for message in dict.fromkeys(failure.message for failure in failures):
            steps = ", ".join(failure.step for failure in failures if failure.message == message)
            click.echo(f"error: {steps}: {message}", err=True)
        if is_published:
            published = "Everything that succeeded is published"
        else:
            published = "The published database is unchanged" if before else "Nothing was published"
        raise DlbugError(
            f"{len(failures)} of the run's steps failed. {published}. "
            "Fix the errors above and run the same command again; it resumes."
        )
    if select is not None:
        click.echo(f"Database: {home.published}")
        click.echo(f"Next:     {command('sql', '--study', study.name)}")


def _version_of(path: Path) -> int | None:
    """Return a number that changes when the file is replaced, or None if there is no file."""
    return path.stat().st_mtime_ns if path.is_file() else None


@contextmanager
def _frozen_garbage() -> Iterator[None]:
    """Exclude the objects that exist already from garbage collection while the context is open.

    All of them live until the end of the run. They are unfrozen after it, or the libraries below DuckDB would report
    leaks when the process ends.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def run_study(
    study: Study,
    environ: Mapping[str, str],
    *,
    select: str | None = None,
    libraries: Sequence[str] | None = None,
    sweep: bool = False,
    incomplete: bool = False,
    log_format: str = "text",
) -> list[StepFailure]:
    """Materialize a study and publish it; return the failed steps.

    ``select`` (Dagster's selection syntax) and ``libraries`` narrow it down, ``sweep`` repeats the full query of the
    sources, ``incomplete`` samples commits of libraries with unread repositories, too, and ``log_format`` (text, json)
    is that of the log on the terminal. Libraries that could not be collected do not hold back the others. If a study
    follows a source and nothing else has changed since the last complete run, its corpora are refreshed first;
    everything else is materialized only if they changed. The home records where the study is. Raises
    :class:`DlbugError` for a selection or library that does not exist.
    """
    ranges = contiguous_ranges(study.library_names, libraries or study.library_names)
    definitions = build_defs(study, environ, incomplete=incomplete)
    chosen = None
    if select is not None:
        chosen = _parse_selection(select, definitions) | dg.AssetSelection.assets("publishing/database")
    # Corpora only: everything downstream is materialized with the last range.
    corpora = dg.AssetSelection.groups("reference") | _corpora(definitions)
    if chosen is not None:
        corpora &= chosen
    home = Home.of(study.name, environ)
    failures: list[StepFailure] = []
    # A program reads the log in JSON, even on a terminal.
    drawn_on = {} if log_format == "json" else environ
    with prepared_instance(home) as instance, drawn_progress(instance, terminal(), drawn_on), _frozen_garbage():
        record_path(study, home)
        runs = _Runs(definitions, instance, home.run_locks, study.library_names, sweep=sweep, log_format=log_format)
        corpus_keys = _corpus_keys(definitions)
        files = submitted_files(home, Clock())
        fingerprint = input_fingerprint(study, files, instance, corpus_keys)
        is_current = (
            select is None
            and not incomplete  # which may sample more from the same inputs
            and home.published.exists()
            and last_fingerprint(instance, ignoring=REFRESH) == fingerprint
        )
        if is_current and study.follows_a_source:
            for libraries_of_run in ranges:
                failures += runs.run(None, libraries_of_run, job_name=REFRESH, then_downstream=False)
            if input_fingerprint(study, files, instance, corpus_keys) == fingerprint:
                return failures
            rest = dg.AssetSelection.all() - _corpora(definitions)
            failures += runs.run(rest, ranges[-1], then_downstream=True)
        else:
            for libraries_of_run in ranges[:-1]:
                failures += runs.run(corpora, libraries_of_run, then_downstream=False)
            failures += runs.run(chosen, ranges[-1], then_downstream=True)
        if select is None and not failures:
            record_fingerprint(instance, runs.last, input_fingerprint(study, files, instance, corpus_keys))
    return failures


def contiguous_ranges(known: Sequence[str], wanted: Sequence[str]) -> list[tuple[str, str]]:
    """Return the wanted libraries as the fewest ranges (first, last) of neighbours in the study's order.

    Dagster runs ranges of partitions, so libraries that are not neighbours need separate runs. Raises
    :class:`DlbugError` for a library that the study does not have.
    """
    unknown = [library for library in wanted if library not in known]
    if unknown:
        raise DlbugError(f"unknown library {unknown[0]!r}: this study has {', '.join(known)}")
    positions = sorted({known.index(library) for library in wanted})
    ranges: list[tuple[int, int]] = []
    for position in positions:
        if ranges and ranges[-1][1] == position - 1:
            ranges[-1] = (ranges[-1][0], position)
        else:
            ranges.append((position, position))
    return [(known[first], known[last]) for first, last in ranges]


def _corpus_keys(definitions: dg.Definitions) -> list[dg.AssetKey]:
    return [spec.key for spec in definitions.resolve_all_asset_specs() if spec.partitions_def is not None]


def _corpora(definitions: dg.Definitions) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*_corpus_keys(definitions))


def _parse_selection(select: str, definitions: dg.Definitions) -> dg.AssetSelection:
    try:
        with warnings.catch_warnings():
            # Dagster's selection parser calls a beta function of its own.
            warnings.simplefilter("ignore", dg.BetaWarning)
            selection = dg.AssetSelection.from_string(select)
        keys = selection.resolve(definitions.resolve_asset_graph())
    except dg.DagsterError as error:
        raise DlbugError(f"--select {select!r}: {error}") from None
    if not keys:
        raise DlbugError(f"--select {select!r} selects nothing. Examples: 'group:analysis', 'key:\"labeling/items\"+'")
    return dg.AssetSelection.assets(*keys)


class _Runs:
    """The runs of one command, one after the other; ``last`` is the id of the run that was started last."""

    last: str

    def __init__(
        self,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        run_locks: Path,
        libraries: Sequence[str],
        *,
        sweep: bool,
        log_format: str,
    ) -> None:
        self._definitions = definitions
        self._instance = instance
        self._run_locks = run_locks
        self._libraries = libraries
        self._sweep = sweep
        self._log_format = log_format
        self._collected: dict[str, set[str]] = {landing: set() for landing in LANDINGS}

    def run(
        self,
        selection: dg.AssetSelection | None,
        libraries: tuple[str, str],
        *,
        job_name: str = WHOLE_GRAPH,
        then_downstream: bool,
    ) -> list[StepFailure]:
        """Run a job, or ``selection`` of it, for a range of libraries; return the failed steps.

        If some libraries could not be collected, the corpora of the others are loaded in runs of their own. Assets
        downstream of the corpora follow in another one if ``then_downstream``.
        """
        result = self._execute(selection, libraries, job_name)
        failures = list(_failures(result))
        failed = [landing for landing in LANDINGS if any(failure.step == landing for failure in failures)]
        collected = {landing: _collected(result, landing) for landing in LANDINGS}
        for landing, names in collected.items():
            self._collected[landing] |= set(names)
        # Everything downstream needs both corpora: without any library of one of them, nothing can follow.
        if not failed or not all(self._collected[landing] for landing in failed):
            return failures
        everything = selection or dg.AssetSelection.all()
        downstream = [
            dg.AssetSelection.assets(asset_key(landing)).downstream(include_self=False) & everything
            for landing in failed
        ]
        corpora = _corpora(self._definitions)
        for landing, following in zip(failed, downstream, strict=True):
            for libraries_of_run in contiguous_ranges(self._libraries, collected[landing]):
                failures += _failures(self._execute(following & corpora, libraries_of_run))
        if then_downstream:
            rest = functools.reduce(operator.or_, downstream) - corpora
            failures += _failures(self._execute(rest, libraries))
        return failures

    def _execute(
        self, selection: dg.AssetSelection | None, libraries: tuple[str, str], job_name: str = WHOLE_GRAPH
    ) -> dg.ExecuteInProcessResult:
        job = self._definitions.resolve_job_def(job_name)
        keys = None
        if selection is not None:
            keys = sorted(selection.resolve(self._definitions.resolve_asset_graph()))
        config: dict[str, Any] = {"loggers": {"progress": {"config": {"format": self._log_format}}}}
        if self._sweep:
            collecting = [landing for landing in LANDINGS if keys is None or asset_key(landing) in keys]
            config["ops"] = {step_name(landing): {"config": {"sweep": True}} for landing in collecting}
        run_id = self.last = str(uuid.uuid4())
        # The user of the command sees that it failed: the daemon must not retry it.
        tags = {RANGE_START: libraries[0], RANGE_END: libraries[1], "dagster/max_retries": "0"}
        with run_lock(self._run_locks, run_id):
            result = job.execute_in_process(
                instance=self._instance,
                run_config=config,
                tags=tags,
                raise_on_error=False,
                run_id=run_id,
                asset_selection=keys,
            )
        raise_if_stopped()
        return result


def _collected(result: dg.ExecuteInProcessResult, landing: str) -> list[str]:
    """Return the libraries that landed in a run."""
    return [
        str(event.partition)
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key == asset_key(landing)
    ]


def _failures(result: dg.ExecuteInProcessResult) -> Iterator[StepFailure]:
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.STEP_FAILURE:
            step = (event.step_key or "").replace("__", ".", 1)
            yield StepFailure(step, failure_message(event))
    if not result.success and not any(e.event_type == dg.DagsterEventType.STEP_FAILURE for e in result.all_events):
        yield StepFailure("the run", "failed before its first step; see its log with `dlbug ui`")
