"""A table as a Dagster asset: what all tables have in common, whether SQL or Python makes them.

Keys, groups, descriptions, columns and checks come from the table's spec (schema.yml); the function that makes the
rows gets the frames it reads as arguments and returns frames. Checks run in the step that writes the table, in its
transaction: where a blocking one fails, the table stays as it was and the step fails.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.cron import longest_interval
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.checks import CheckOutcome
from dlbug_assets.warehouse.database import Warehouse, WriteResult
from dlbug_assets.warehouse.rows import Columns, Part, Rows
from dlbug_assets.warehouse.table_specs import TableSpec

logger = logging.getLogger(__name__)

OWNERS = ["team:dlbug"]

#: Metadata of a materialization: rows that the step read or received, and rows of the table now.
ROWS_IN, ROWS_OUT = "rows in", "dagster/row_count"

_CONDITION = dg.AutomationCondition
#: An asset follows what it is made of: it is made again once something upstream tells something else (data versions say
#: so), everything upstream is there (some libraries of a corpus are enough) and nothing upstream is being made. Where a
#: blocking check refused a table, it waits, and so does what lies downstream: bad data is not tried again, and not
#: published beside newer tables.
FOLLOW_UPSTREAM = (
    _CONDITION.any_deps_match(_CONDITION.data_version_changed() | _CONDITION.will_be_requested()).since_last_handled()
    & _CONDITION.all_deps_match(~_CONDITION.missing() | _CONDITION.will_be_requested())
    & ~_CONDITION.any_deps_in_progress()
    & ~_CONDITION.in_progress()
    & ~_CONDITION.any_checks_match(_CONDITION.check_failed(), blocking_only=True)
    & ~_CONDITION.any_deps_match(_CONDITION.any_checks_match(_CONDITION.check_failed(), blocking_only=True))
).with_label("follows")

Events = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


@dataclass
class _Corpus:
    """What was written of a table, library by library."""

    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)

    def take(self, library: str, part: Part, written: WriteResult) -> None:
        counts = {"rows written": written.rows_received, **part.counts}
        self.shown[library] = {**counts, **part.notes}
        for name, value in counts.items():
            self.totals[name] = self.totals.get(name, 0) + value
        self.last = written

    def has_received(self, library: str) -> bool:
        """Whether there was anything to write of a library, the one that was written last."""
        return library in self.shown and self.last.rows_received > 0

    def line(self, library: str) -> str:
        """What was written of a library, for the terminal."""
        counts = {name: value for name, value in self.shown[library].items() if name in self.totals}
        return f"{self.last.spec.name}: {', '.join(f'{value} {name}' for name, value in counts.items())}"

    def metadata(self) -> dict[str, Any]:
        return library_metadata(self.shown, self.totals)


def library_metadata(shown: Mapping[str, Mapping[str, Any]], totals: Mapping[str, int]) -> dict[str, Any]:
    """What there is to say per library, as a table for the UI, and totals, which the UI plots over time."""
    plotted = {name.replace(" ", "_"): value for name, value in totals.items()}
    rows = [{"library": library, **of_library} for library, of_library in shown.items()]
    return {**plotted, "by_library": markdown_table(pl.DataFrame(rows, infer_schema_length=None, strict=False))}


def markdown_table(rows: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Rows as a table in Markdown, which the UI shows."""
    lines = [rows.columns, ["---"] * rows.width]
    lines += [["" if value is None else str(value) for value in row] for row in rows.iter_rows()]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def asset_key(table: str) -> dg.AssetKey:
    """`schema.table` as the asset key schema/table."""
    return dg.AssetKey(table.split("."))


def source_code(file: Path, line: int = 1) -> dict[str, Any]:
    """Metadata by which the UI opens the file that makes an asset in the reader's editor."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        place = dg.LocalFileCodeReference(file_path=str(file), line_number=line)
        return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[place])}


def source_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The same for a function."""
    code = function.__code__
    return {
        "made_by": f"{function.__module__}.{function.__name__}",
        **source_code(Path(code.co_filename), code.co_firstlineno),
    }


class TableAssets:
    """Makes the assets of one study from functions; remembers which tables have a maker."""

    def __init__(self, study: Study, specs: Mapping[str, TableSpec]) -> None:
        self.study = study
        self.specs = specs
        #: Metadata of every materialization: which protocol it was made by.
        self.protocol = {"study_hash": study.hash}
        self.partitions = dg.StaticPartitionsDefinition(list(study.library_names))
        self.made: set[str] = set()
        #: Of the corpora of a study that follows a source: a refresh that was missed shows, two more are a failure.
        self.freshness = None
        if study.follows_a_source:
            interval = longest_interval(study.schedule.refresh)
            self.freshness = dg.FreshnessPolicy.time_window(warn_window=1.5 * interval, fail_window=3 * interval)

    def spec(self, table: str) -> TableSpec:
        """The spec of a table; raises :class:`DlbugError` where no schema.yml describes it."""
        if table not in self.specs:
            schema = table.split(".", maxsplit=1)[0]
            raise DlbugError(f"{table} has no description: add it to dbt_like_sql/{schema}/schema.yml")
        return self.specs[table]

    def claim(self, table: str) -> TableSpec:
        """The spec of a table for its maker; a table has one maker."""
        if table in self.made:
            raise DlbugError(f"{table} is made twice: a table has one maker")
        self.made.add(table)
        return self.spec(table)

    def asset_spec(
        self, spec: TableSpec, reads: Sequence[str], kinds: set[str], metadata: Mapping[str, Any], *, partitioned: bool
    ) -> dg.AssetSpec:
        """The table's asset as Dagster shows it, columns included."""
        return dg.AssetSpec(
            key=asset_key(spec.table),
            deps=[asset_key(table) for table in reads],
            group_name=spec.schema,
            description=spec.description,
            kinds=kinds,
            owners=OWNERS,
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

    def whole(
        self,
        *tables: str,
        reads: Mapping[str, str | Columns] | None = None,
        kinds: frozenset[str] = frozenset({"python"}),
    ) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
        """Decorator: the function gets each table of ``reads`` (or some columns of it) as the frame of that
        argument's name and returns the rows of the one table (a frame or :class:`Rows`), or a mapping of table name
        (without schema) to rows."""
        inputs = dict(reads or {})

        def make(function: Callable[..., Any]) -> dg.AssetsDefinition:
            specs = [self.claim(table) for table in tables]

            def run(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Events:
                frames = {name: warehouse.read(str(source)) for name, source in inputs.items()}
                made = function(**frames)
                by_name = {specs[0].name: made} if len(specs) == 1 else made
                written = []
                for spec in selected(context, specs):
                    rows = by_name[spec.name]
                    rows = rows if isinstance(rows, Rows) else Rows(rows)
                    written.append((warehouse.replace(spec, rows.frame), rows.metadata))
                yield from self.events(written, sum(frame.height for frame in frames.values()))

            read = [source.table if isinstance(source, Columns) else source for source in inputs.values()]
            return self._multi_asset(function, specs, read, set(kinds), run, partitioned=False)

        return make

    def by_library(
        self,
        *tables: str,
        reads: Mapping[str, str] | None = None,
        after: Sequence[str] = (),
        kinds: frozenset[str] = frozenset({"python"}),
    ) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
        """Decorator for corpora, which are partitioned by library: the function is called once per library of the
        run, with ``library``, ``own`` (an :data:`ReadCurrent`) and the frames of ``reads``, and returns a :class:`Part` (or
        a mapping of them). ``after`` are assets it needs that are no tables."""
        inputs = dict(reads or {})

        def make(function: Callable[..., Any]) -> dg.AssetsDefinition:
            specs = [self.claim(table) for table in tables]

            def run(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Events:
                frames = {name: warehouse.read(table) for name, table in inputs.items()}
                # All of them, whichever the run selects: tables that are made together tell of each other.
                corpora = {spec.table: _Corpus() for spec in specs}

                def own(table: str, condition: str, params: Sequence[Any]) -> pl.DataFrame:
                    return warehouse.current_rows(self.spec(table), condition, params)

                for library in context.partition_keys:
                    made = function(library=library, own=own, **frames)
                    is_in = True
                    for spec in specs:
                        part: Part = made if len(specs) == 1 else made[spec.name]
                        written = warehouse.replace_part(spec, part.frame, part.outdated, part.params)
                        corpora[spec.table].take(library, part, written)
                        is_in = written.accepted
                        if not is_in:
                            break  # the tables after it tell what of it was taken in
                    lines = [corpus.line(library) for corpus in corpora.values() if corpus.has_received(library)]
                    logger.info("%s: %s", library, "; ".join(lines) or "nothing to write")
                    if not is_in:
                        break  # the step fails; the libraries after this one keep what they have
                chosen = selected(context, specs)
                reached = [(spec, corpora[spec.table]) for spec in specs if corpora[spec.table].shown]
                yield from self.events(
                    [
                        (corpus.last, corpus.metadata())
                        for spec, corpus in reached
                        if spec in chosen or not corpus.last.accepted
                    ],
                    sum(corpus.totals["rows written"] for _, corpus in reached),
                    # How they came about is news where what came about is.
                    version=" ".join(corpus.last.version for _, corpus in reached),
                )

            return self._multi_asset(function, specs, [*inputs.values(), *after], set(kinds), run, partitioned=True)

        return make

    def events(
        self,
        written: Sequence[tuple[WriteResult, Mapping[str, Any]]],
        rows_in: int,
        version: str | None = None,
    ) -> Events:
        """What Dagster is told of the writes of one step, which read or received so many rows; raises dg.Failure where
        a blocking check failed. The data version of each table is its own, or the ``version`` of all that were made."""
        refused = []
        for result, metadata in written:
            checks = [_check_result(result.spec, outcome) for outcome in result.outcomes]
            if result.accepted:
                yield dg.MaterializeResult(
                    asset_key=asset_key(result.spec.table),
                    metadata={ROWS_OUT: result.row_count, ROWS_IN: rows_in, **self.protocol, **metadata},
                    check_results=checks,
                    data_version=dg.DataVersion(result.version if version is None else version),
                )
            else:
                # The check results alone: the table was not materialized, it stayed as it was.
                yield from checks
                refused.append(result)
        complaints = [
            _complaint(result.spec, outcome)
            for result in refused
            for outcome in result.outcomes
            if not outcome.passed and outcome.check.blocking
        ]
        if complaints:
            raise dg.Failure("; ".join(complaints), allow_retries=False)

    def _multi_asset(
        self,
        function: Callable[..., Any],
        specs: Sequence[TableSpec],
        reads: Sequence[str],
        kinds: set[str],
        run: Callable[[dg.AssetExecutionContext, Warehouse], Events],
        *,
        partitioned: bool,
    ) -> dg.AssetsDefinition:
        metadata = source_of(function)
        before = upstream_tables(specs, reads)

        @dg.multi_asset(
            name=specs[0].table.replace(".", "__"),
            specs=[
                self.asset_spec(spec, before, kinds | {"duckdb"}, metadata, partitioned=partitioned) for spec in specs
            ],
            check_specs=[check for spec in specs for check in check_specs(spec)],
            required_resource_keys={"warehouse"},
            can_subset=len(specs) > 1,
            backfill_policy=dg.BackfillPolicy.single_run() if partitioned else None,
        )
        def table(context: dg.AssetExecutionContext) -> Any:
            yield from run(context, context.resources.warehouse)

        return table


def upstream_tables(specs: Sequence[TableSpec], reads: Iterable[str]) -> list[str]:
    """What has to be made before some tables that are made together: what their maker reads, and what they are checked
    against."""
    against = {table for spec in specs for table in spec.checked_against} - {spec.table for spec in specs}
    return sorted({*reads, *against})


def selected(context: dg.AssetExecutionContext, specs: Sequence[TableSpec]) -> list[TableSpec]:
    """Those of a step's tables that the run asks for: tables made together can be materialized one by one."""
    return [spec for spec in specs if asset_key(spec.table) in context.selected_asset_keys]


def check_specs(spec: TableSpec) -> list[dg.AssetCheckSpec]:
    """The checks of a table as Dagster shows them."""
    return [
        dg.AssetCheckSpec(
            check.name, asset=asset_key(spec.table), description=check.description, blocking=check.blocking
        )
        for check in spec.checks
    ]


def column_schema(spec: TableSpec, origins: Mapping[str, str] | None = None) -> dg.TableSchema:
    """Columns for the UI; ``origins`` (column -> where it comes from) goes into the descriptions."""
    origins = origins or {}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=column.data_type,
                description=f"{column.description} [{origins[column.name]}]"
                if origins.get(column.name)
                else column.description,
            )
            for column in spec.columns
        ]
    )


def _complaint(spec: TableSpec, outcome: CheckOutcome) -> str:
    return (
        f"{spec.table}: check {outcome.check.name} ({outcome.check.description}) is violated by "
        f"{outcome.violations} rows, such as {outcome.sample}. The table keeps its previous content."
    )


def _check_result(spec: TableSpec, outcome: CheckOutcome) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"violations": outcome.violations, "query": outcome.check.violations}
    if not outcome.passed:
        metadata["sample"] = outcome.sample
    return dg.AssetCheckResult(
        asset_key=asset_key(spec.table),
        check_name=outcome.check.name,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if outcome.check.blocking else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
