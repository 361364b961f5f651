"""Tables as Dagster assets: what all of them have in common, whether SQL or Python computes them.

Keys, groups, descriptions, columns and checks come from the table's spec (schema.yml). The function that computes the
rows takes the frames it reads as arguments and returns frames. Checks run in the step that writes the table, in its
transaction: where a blocking one fails, the table keeps its content and the step fails.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from dlbug_assets.asset_factories.code_references import function_reference
from dlbug_assets.asset_factories.code_versions import source_version
from dlbug_assets.asset_factories.metadata import (
    ROWS_IN,
    ROWS_OUT,
    asset_key,
    check_result,
    check_specs,
    column_schema,
    library_metadata,
    rendered,
    violation,
)
from dlbug_assets.clock import utc_naive
from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.cron import longest_interval
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.database import Warehouse, WriteResult
from dlbug_assets.warehouse.rows import Columns, PartitionRows, Rows
from dlbug_assets.warehouse.table_specs import TableSpec

logger = logging.getLogger(__name__)

OWNERS = ["team:dlbug"]

_CONDITION = dg.AutomationCondition
#: Materialize a table again once its code or the data version of an upstream asset changed, provided that every
#: upstream asset exists (some partitions of a corpus are enough) and none is being materialized. If a blocking check
#: failed, the table and everything downstream wait: bad data is neither retried nor published beside newer tables.
FOLLOW_UPSTREAM = (
    (
        _CONDITION.any_deps_match(_CONDITION.data_version_changed() | _CONDITION.will_be_requested())
        | _CONDITION.code_version_changed()
    ).since_last_handled()  # pyright: ignore[reportAttributeAccessIssue] - Dagster declares it for one kind of key only
    & _CONDITION.all_deps_match(~_CONDITION.missing() | _CONDITION.will_be_requested())
    & ~_CONDITION.any_deps_in_progress()
    & ~_CONDITION.in_progress()
    & ~_CONDITION.any_checks_match(_CONDITION.check_failed(), blocking_only=True)
    & ~_CONDITION.any_deps_match(_CONDITION.any_checks_match(_CONDITION.check_failed(), blocking_only=True))
).with_label("follow upstream")

Events = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


@dataclass
class _Corpus:
    """What a step wrote to one partitioned table, by library."""

    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)

    def record(self, library: str, part: PartitionRows, written: WriteResult) -> None:
        counts = {"rows written": written.rows_received, **part.counts}
        self.notes[library] = {**counts, **part.notes}
        for name, value in counts.items():
            self.totals[name] = self.totals.get(name, 0) + value
        self.last = written

    def has_received(self, library: str) -> bool:
        """Return whether the library that was written last had any rows."""
        return library in self.notes and self.last.rows_received > 0

    def line(self, library: str) -> str:
        """Return the counts of a library in one line, for the log."""
        counts = {name: value for name, value in self.notes[library].items() if name in self.totals}
        return f"{self.last.spec.name}: {', '.join(f'{value} {name}' for name, value in counts.items())}"

    def metadata(self) -> dict[str, Any]:
        return library_metadata(self.notes, self.totals)


class TableAssets:
    """The factory of the assets of one study's tables; each table is registered once."""

    def __init__(self, study: Study, specs: Mapping[str, TableSpec]) -> None:
        self.study = study
        self.specs = specs
        #: Metadata of every materialization: the version of the study's protocol.
        self.protocol = {"study_hash": study.hash}
        self.partitions = dg.StaticPartitionsDefinition(list(study.library_names))
        self.registered: set[str] = set()
        #: For the corpora of a study that follows a source: one missed refresh is a warning, two more are a failure.
        self.freshness = None
        if study.follows_a_source:
            interval = longest_interval(study.schedule.refresh)
            self.freshness = dg.FreshnessPolicy.time_window(warn_window=1.5 * interval, fail_window=3 * interval)

    def spec(self, table: str) -> TableSpec:
        """Return the spec of a table; raises :class:`DlbugError` where no schema.yml describes it."""
        if table not in self.specs:
            schema = table.split(".", maxsplit=1)[0]
            raise DlbugError(f"{table} has no description: add it to dbt_like_sql/{schema}/schema.yml")
        return self.specs[table]

    def register(self, table: str) -> TableSpec:
        """Return the spec of a table for the asset that computes it; raises :class:`DlbugError` the second time."""
        if table in self.registered:
            raise DlbugError(f"two assets compute {table}: remove one of them")
        self.registered.add(table)
        return self.spec(table)

    def asset_spec(
        self,
        spec: TableSpec,
        reads: Sequence[str],
        kinds: set[str],
        metadata: Mapping[str, Any],
        *,
        code_version: str,
        partitioned: bool = False,
    ) -> dg.AssetSpec:
        """Return the table's asset as Dagster shows it, columns included."""
        return dg.AssetSpec(
            key=asset_key(spec.table),
            deps=[asset_key(table) for table in reads],
            group_name=spec.schema,
            description=spec.description,
            kinds=kinds,
            owners=OWNERS,
            code_version=code_version,
            partitions_def=self.partitions if partitioned else None,
            automation_condition=FOLLOW_UPSTREAM if reads else None,
            freshness_policy=self.freshness if partitioned else None,
            metadata={
                "dagster/table_name": spec.table,
                "dagster/column_schema": column_schema(spec),
                "described_in": spec.source,
                **metadata,
            },
        )

    def table(
        self, *tables: str, compute: Callable[..., Any], reads: Mapping[str, str | Columns] | None = None
    ) -> dg.AssetsDefinition:
        """Create the asset of a table, or of several that are computed together.

        ``compute`` gets each table of ``reads`` (or some of its columns) as the argument of that name. It returns the
        rows of the one table (a frame or :class:`Rows`), or a mapping of table name (without schema) to rows.
        """
        specs = [self.register(table) for table in tables]
        inputs = dict(reads or {})

        def run(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Events:
            frames = {name: warehouse.read(str(source)) for name, source in inputs.items()}
            computed = compute(**frames)
            by_name = computed if isinstance(computed, Mapping) else {specs[0].name: computed}
            written = []
            for spec in selected(context, specs):
                rows = by_name[spec.name]
                rows = rows if isinstance(rows, Rows) else Rows(rows)
                written.append((warehouse.replace(spec, rows.frame), rendered(rows.metadata)))
            yield from self.events(written, sum(frame.height for frame in frames.values()))

        read = [source.table if isinstance(source, Columns) else source for source in inputs.values()]
        return self._multi_asset(compute, specs, read, run, partitioned=False)

    def history(self, table: str, *, compute: Callable[..., Any], reads: Mapping[str, str]) -> dg.AssetsDefinition:
        """Create the asset of a table that keeps what earlier publications said.

        ``compute`` gets each table of ``reads`` as the argument of that name, the table's rows in the published
        database as ``published``, and the run's start (UTC) and identifier as ``moment`` and ``run_id``. It returns a
        frame. The history continues from the published rows: a run whose publication failed leaves no trace, and
        deleting the working database loses nothing.
        """
        spec = self.register(table)

        def run(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Events:
            frames = {name: warehouse.read(source) for name, source in reads.items()}
            started = context.instance.get_run_stats(context.run_id).start_time
            assert started is not None  # noqa: S101 - the step is part of the run
            rows = compute(
                **frames,
                published=warehouse.published_rows(spec),
                moment=utc_naive(datetime.fromtimestamp(started, UTC)),
                run_id=context.run_id,
            )
            rows_in = sum(frame.height for frame in frames.values())
            yield from self.events([(warehouse.replace(spec, rows), {})], rows_in)

        return self._multi_asset(compute, [spec], list(reads.values()), run, partitioned=False)

    def partitioned_table(
        self,
        *tables: str,
        compute: Callable[..., Any],
        reads: Mapping[str, str] | None = None,
        after: Sequence[str] = (),
    ) -> dg.AssetsDefinition:
        """Create the asset of a table, or of several that are computed together, partitioned by library.

        ``compute`` is called once per library of the run with ``library``, ``read_current``
        (:data:`dlbug_assets.warehouse.rows.ReadCurrent`) and the frames of ``reads``. It returns
        :class:`PartitionRows`, or a mapping of table name (without schema) to them. ``after`` are assets that it needs
        and that are not tables.
        """
        specs = [self.register(table) for table in tables]
        inputs = dict(reads or {})

        def run(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Events:
            frames = {name: warehouse.read(table) for name, table in inputs.items()}
            # All of them, whichever the run selects: tables that are computed together refer to each other.
            corpora = {spec.table: _Corpus() for spec in specs}

            def read_current(table: str, condition: str, params: Sequence[Any]) -> pl.DataFrame:
                return warehouse.current_rows(self.spec(table), condition, params)

            for library in context.partition_keys:
                computed = compute(library=library, read_current=read_current, **frames)
                if not _write_library(library, computed, corpora, specs, warehouse):
                    break  # the step fails; the libraries after this one keep what they have
            chosen = selected(context, specs)
            reached = [(spec, corpora[spec.table]) for spec in specs if corpora[spec.table].notes]
            yield from self.events(
                [
                    (corpus.last, corpus.metadata())
                    for spec, corpus in reached
                    if spec in chosen or not corpus.last.accepted
                ],
                sum(corpus.totals["rows written"] for _, corpus in reached),
                # A change in one of the tables counts as a change of all.
                version=" ".join(corpus.last.version for _, corpus in reached),
            )

        return self._multi_asset(compute, specs, [*inputs.values(), *after], run, partitioned=True)

    def events(
        self,
        written: Sequence[tuple[WriteResult, Mapping[str, Any]]],
        rows_in: int,
        version: str | None = None,
    ) -> Events:
        """Yield the materializations and check results of one step's writes.

        ``rows_in`` is the number of rows that the step read or received; ``version`` replaces the data version of each
        table. Raises dg.Failure if a blocking check failed.
        """
        rejected = []
        for result, metadata in written:
            checks = [check_result(result.spec, outcome) for outcome in result.outcomes]
            if result.accepted:
                yield dg.MaterializeResult(
                    asset_key=asset_key(result.spec.table),
                    metadata={ROWS_OUT: result.row_count, ROWS_IN: rows_in, **self.protocol, **metadata},
                    check_results=checks,
                    data_version=dg.DataVersion(result.version if version is None else version),
                )
            else:
                # Only the check results: the table was not materialized.
                yield from checks
                rejected.append(result)
        violations = [
            violation(result.spec, outcome)
            for result in rejected
            for outcome in result.outcomes
            if not outcome.passed and outcome.check.blocking
        ]
        if violations:
            raise dg.Failure("; ".join(violations), allow_retries=False)

    def _multi_asset(
        self,
        compute: Callable[..., Any],
        specs: Sequence[TableSpec],
        reads: Sequence[str],
        run: Callable[[dg.AssetExecutionContext, Warehouse], Events],
        *,
        partitioned: bool,
    ) -> dg.AssetsDefinition:
        upstream = upstream_tables(specs, reads)
        metadata, code_version = function_reference(compute), source_version(compute)

        @dg.multi_asset(
            name=specs[0].table.replace(".", "__"),
            specs=[
                self.asset_spec(
                    spec,
                    upstream,
                    {"python", "duckdb"},
                    metadata,
                    code_version=code_version,
                    partitioned=partitioned,
                )
                for spec in specs
            ],
            check_specs=[check for spec in specs for check in check_specs(spec)],
            required_resource_keys={"warehouse"},
            can_subset=len(specs) > 1,
            backfill_policy=dg.BackfillPolicy.single_run() if partitioned else None,
        )
        def table(context: dg.AssetExecutionContext) -> Any:
            yield from run(context, context.resources.warehouse)

        return table


def _write_library(
    library: str,
    computed: Any,
    corpora: Mapping[str, _Corpus],
    specs: Sequence[TableSpec],
    warehouse: Warehouse,
) -> bool:
    """Write what was computed for one library, table by table; return whether every table accepted its rows."""
    accepted = True
    for spec in specs:
        part: PartitionRows = computed if len(specs) == 1 else computed[spec.name]
        written = warehouse.replace_part(spec, part.frame, part.outdated, part.params)
        corpora[spec.table].record(library, part, written)
        accepted = written.accepted
        if not accepted:
            break  # the tables after it describe what was accepted
    lines = [corpus.line(library) for corpus in corpora.values() if corpus.has_received(library)]
    logger.info("%s: %s", library, "; ".join(lines) or "nothing to write")
    return accepted


def upstream_tables(specs: Sequence[TableSpec], reads: Iterable[str]) -> list[str]:
    """Return the tables that must exist before ``specs``, which are computed together.

    These are the tables that they read and those that their checks refer to.
    """
    against = {table for spec in specs for table in spec.checked_against} - {spec.table for spec in specs}
    return sorted({*reads, *against})


def selected(context: dg.AssetExecutionContext, specs: Sequence[TableSpec]) -> list[TableSpec]:
    """Return the tables of a step that the run selects: tables computed together can be materialized one by one."""
    return [spec for spec in specs if asset_key(spec.table) in context.selected_asset_keys]
