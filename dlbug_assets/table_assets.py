"""A table as a Dagster asset: what all tables have in common, whether SQL or Python makes them.

Keys, groups, descriptions, columns and checks come from the table's spec (schema.yml); the function that makes the
rows gets the frames it reads as arguments and returns frames. Checks run in the step that writes the table, in its
transaction: where a blocking one fails, the table stays as it was and the step fails.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.study import Study
from dlbug_assets.table_specs import TableSpec
from dlbug_assets.warehouse import CheckOutcome, Warehouse, Written

OWNERS = ["team:dlbug"]

Events = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


@dataclass(frozen=True)
class Rows:
    """What a function made: the rows of one table, with metadata to show beside them in the UI."""

    frame: pl.DataFrame
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """The rows of one library: they replace those that satisfy ``outdated`` (a condition with ? for ``params``)."""

    frame: pl.DataFrame
    outdated: str
    params: Sequence[Any]


def asset_key(table: str) -> dg.AssetKey:
    """`schema.table` as the asset key schema/table."""
    return dg.AssetKey(table.split("."))


class TableAssets:
    """Makes the assets of one study from functions; remembers which tables have a maker."""

    def __init__(self, study: Study, specs: Mapping[str, TableSpec]) -> None:
        self.study = study
        self.specs = specs
        self.partitions = dg.StaticPartitionsDefinition(list(study.library_names))
        self.made: set[str] = set()

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
            metadata={
                "dagster/table_name": spec.table,
                "dagster/column_schema": column_schema(spec),
                "described_in": spec.source,
                **metadata,
            },
        )

    def whole(
        self, *tables: str, reads: Mapping[str, str] | None = None, kinds: frozenset[str] = frozenset({"python"})
    ) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
        """Decorator: the function gets each table of ``reads`` as the frame of that argument's name and returns the
        rows of the one table (a frame or :class:`Rows`), or a mapping of table name (without schema) to rows."""
        inputs = dict(reads or {})

        def make(function: Callable[..., Any]) -> dg.AssetsDefinition:
            specs = [self.claim(table) for table in tables]

            def run(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Events:
                made = function(**{name: warehouse.read(table) for name, table in inputs.items()})
                by_name = {specs[0].name: made} if len(specs) == 1 else made
                written = []
                for spec in selected(context, specs):
                    rows = by_name[spec.name]
                    rows = rows if isinstance(rows, Rows) else Rows(rows)
                    written.append((warehouse.replace(spec, rows.frame), rows.metadata))
                yield from events(written)

            return self._multi_asset(function, specs, list(inputs.values()), set(kinds), run, partitioned=False)

        return make

    def by_library(
        self, *tables: str, reads: Mapping[str, str] | None = None, kinds: frozenset[str] = frozenset({"python"})
    ) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
        """Decorator for corpora, which are partitioned by library: the function is called once per library of the
        run, with ``library`` and the frames of ``reads``, and returns a :class:`Part` (or a mapping of them)."""
        inputs = dict(reads or {})

        def make(function: Callable[..., Any]) -> dg.AssetsDefinition:
            specs = [self.claim(table) for table in tables]

            def run(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Events:
                frames = {name: warehouse.read(table) for name, table in inputs.items()}
                chosen = selected(context, specs)
                written: dict[str, Written] = {}
                collected: dict[str, dict[str, int]] = {spec.table: {} for spec in chosen}
                for library in context.partition_keys:
                    made = function(library=library, **frames)
                    by_name = {specs[0].name: made} if len(specs) == 1 else made
                    for spec in chosen:
                        part = by_name[spec.name]
                        written[spec.table] = warehouse.replace_part(spec, part.frame, part.outdated, part.params)
                        collected[spec.table][library] = part.frame.height
                        context.log.info(f"{spec.table}: {part.frame.height} rows of {library}")
                yield from events(
                    [(written[spec.table], {"rows_by_library": collected[spec.table]}) for spec in chosen]
                )

            return self._multi_asset(function, specs, list(inputs.values()), set(kinds), run, partitioned=True)

        return make

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
        metadata = {"made_by": f"{function.__module__}.{function.__name__}"}

        @dg.multi_asset(
            name=specs[0].table.replace(".", "__"),
            specs=[
                self.asset_spec(spec, reads, kinds | {"duckdb"}, metadata, partitioned=partitioned) for spec in specs
            ],
            check_specs=[check for spec in specs for check in check_specs(spec)],
            required_resource_keys={"warehouse"},
            can_subset=len(specs) > 1,
            backfill_policy=dg.BackfillPolicy.single_run() if partitioned else None,
        )
        def table(context: dg.AssetExecutionContext) -> Any:
            yield from run(context, context.resources.warehouse)

        return table


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


def events(written: Sequence[tuple[Written, Mapping[str, Any]]]) -> Events:
    """What Dagster is told of the writes of one step; raises dg.Failure where a blocking check failed."""
    refused = []
    for result, metadata in written:
        checks = [_check_result(result.spec, outcome) for outcome in result.outcomes]
        if result.is_in:
            yield dg.MaterializeResult(
                asset_key=asset_key(result.spec.table),
                metadata={"dagster/row_count": result.row_count, **metadata},
                check_results=checks,
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
