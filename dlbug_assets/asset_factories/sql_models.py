"""The SQL models under dbt_like_sql/ as assets.

One .sql file is one table: a single query in plain DuckDB with real table names, which runs unchanged in any shell.
Dependencies and column lineage are read from the query; descriptions, types and checks from schema.yml beside it.
"""

import graphlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError, TokenError
from sqlglot.lineage import lineage

from dlbug_assets.asset_factories.code_references import file_reference
from dlbug_assets.asset_factories.code_versions import text_version
from dlbug_assets.asset_factories.metadata import asset_key, check_specs, column_schema, markdown_table
from dlbug_assets.asset_factories.tables import TableAssets, upstream_tables
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import MACROS, MODELS, display_path
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.table_specs import TableSpec, described_tables

_DIALECT = "duckdb"


@dataclass(frozen=True)
class Model:
    """One .sql file: its table, its query, and the tables that it reads, each with the line of its first mention."""

    table: str
    file: Path
    sql: str
    reads: Mapping[str, int]

    @property
    def path(self) -> str:
        """The path of the file as messages show it."""
        return display_path(self.file)


def load_models(known: Mapping[str, TableSpec], folder: Path = MODELS) -> list[Model]:
    """Read every model under ``folder``, in the order of their names.

    ``known`` are the study's tables; models of tables that it does not have are left out. Raises :class:`DlbugError`,
    naming file and line, for a file that is not a single query, an unknown or unqualified table, a missing description,
    or a cycle.
    """
    left_out = described_tables(folder) - known.keys()
    files = [
        file
        for file in sorted(folder.glob("*/*.sql"))
        if file.parent.name != MACROS.name and f"{file.parent.name}.{file.stem}" not in left_out
    ]
    models = [_read(file, known) for file in files]
    by_table = {model.table: model for model in models}
    graph = {model.table: [table for table in model.reads if table in by_table] for model in models}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        cycle = list(reversed(error.args[1]))
        first = by_table[cycle[0]]
        raise DlbugError(
            f"{first.path}, line {first.reads[cycle[1]]}: a cycle, {' reads '.join(cycle)}; remove one of these"
        ) from None
    return models


def _read(file: Path, known: Mapping[str, TableSpec]) -> Model:
    table = f"{file.parent.name}.{file.stem}"
    sql = file.read_text(encoding="utf-8").strip()
    if table not in known:
        raise DlbugError(
            f"{display_path(file)}, line 1: {table} has no description; "
            f"add it to {display_path(file.parent / 'schema.yml')}"
        )
    query = _parse(file, sql)
    ctes = {cte.alias for cte in query.find_all(exp.CTE)}
    reads: dict[str, int] = {}
    for mention in query.find_all(exp.Table):
        if not isinstance(mention.this, exp.Identifier):  # a table function such as range()
            continue
        line = mention.this.meta.get("line", 1)
        if not mention.db:
            if mention.name not in ctes:
                raise DlbugError(
                    f"{display_path(file)}, line {line}: {mention.name!r} is not a CTE; write tables as schema.table"
                )
            continue
        name = f"{mention.db}.{mention.name}"
        if name not in known:
            raise DlbugError(f"{display_path(file)}, line {line}: unknown table {name}; no schema.yml describes it")
        if name == table:
            raise DlbugError(f"{display_path(file)}, line {line}: a cycle, {table} reads itself")
        reads[name] = min(line, reads.get(name, line))
    return Model(table, file, sql, dict(sorted(reads.items())))


def _parse(file: Path, sql: str) -> exp.Query:
    try:
        tokens = sqlglot.tokenize(sql, read=_DIALECT)
        for token, following in itertools.pairwise(tokens):
            if token.token_type == sqlglot.TokenType.SEMICOLON:
                raise DlbugError(
                    f"{display_path(file)}, line {following.line}: a second statement; a model is a single query"
                )
        query = sqlglot.parse_one(sql, dialect=_DIALECT)
    except TokenError as error:
        raise DlbugError(f"{display_path(file)}: not SQL: {error}") from None
    except ParseError as error:
        where = error.errors[0] if error.errors else {}
        line, found = where.get("line", 1), where.get("description", str(error))
        raise DlbugError(f"{display_path(file)}, line {line}: not SQL: {found}") from None
    if not isinstance(query, exp.Query):
        raise DlbugError(
            f"{display_path(file)}, line 1: a {query.key} statement; a model is a single query (select or with)"
        )
    return query


def column_origins(model: Model, specs: Mapping[str, TableSpec]) -> dict[str, list[tuple[str, str]]]:
    """Return, for each column, the (table, column) pairs it is computed from, sorted.

    A column that is computed from no other has an empty list. The result is empty for a query whose lineage sqlglot
    cannot trace (PIVOT, table functions).
    """
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for table in model.reads:
        spec = specs[table]
        schema.setdefault(spec.schema, {})[spec.name] = {column.name: column.data_type for column in spec.columns}
    try:
        # The trimmed queries would only label the nodes, at ten times the cost.
        nodes = lineage(None, model.sql, schema=schema, dialect=_DIALECT, trim_selects=False)
    except SqlglotError:
        return {}
    origins = {}
    for name, node in nodes.items():
        leaves = set()
        for leaf in node.walk():
            if isinstance(leaf.source, exp.Table) and leaf.source.db:
                leaves.add((f"{leaf.source.db}.{leaf.source.name}", leaf.name.split(".")[-1].strip('"')))
        origins[name] = sorted(leaf for leaf in leaves if leaf[1] in specs[leaf[0]].column_names)
    return origins


def sql_assets(tables: TableAssets, models: Sequence[Model]) -> list[dg.AssetsDefinition]:
    """Create one asset per model."""
    return [_asset(tables, model) for model in models]


def _asset(tables: TableAssets, model: Model) -> dg.AssetsDefinition:
    spec = tables.register(model.table)
    origins = {column: leaves for column, leaves in column_origins(model, tables.specs).items() if leaves}
    # The open-source UI shows the descriptions of columns but not their lineage, so the descriptions include it.
    from_where = {
        column: "from " + ", ".join(f"{source}.{name}" for source, name in leaves) for column, leaves in origins.items()
    }
    columns = {
        "dagster/column_schema": column_schema(spec, from_where),
        "dagster/column_lineage": dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(asset_key(source), name) for source, name in leaves]
                for column, leaves in origins.items()
            }
        ),
    }
    metadata = {
        "made_by": model.path,
        **file_reference(model.file),
        "sql": dg.MetadataValue.md(f"```sql\n{model.sql}\n```"),
        # Here as well, so that the UI shows the columns before the first materialization.
        "dagster/column_schema": columns["dagster/column_schema"],
    }

    @dg.multi_asset(
        name=model.table.replace(".", "__"),
        specs=[
            tables.asset_spec(
                spec,
                upstream_tables([spec], model.reads),
                {"sql", "duckdb"},
                metadata,
                code_version=text_version(model.sql),
            )
        ],
        check_specs=check_specs(spec),
        required_resource_keys={"warehouse"},
    )
    def table(context: dg.AssetExecutionContext) -> Any:
        warehouse: Warehouse = context.resources.warehouse
        written = warehouse.replace(spec, model.sql)
        preview = {"rows": markdown_table(warehouse.read(spec.table))} if spec.preview else {}
        rows_in = sum(warehouse.row_count(table) for table in model.reads)
        yield from tables.events([(written, {**columns, **preview})], rows_in)

    return table
