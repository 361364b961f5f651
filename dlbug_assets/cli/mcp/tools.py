"""The tools of the server: list and describe tables, query them, explain a number."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dlbug_assets.cli.mcp.answers import (
    CheckDescription,
    ColumnDescription,
    Explanation,
    Macro,
    Rows,
    Step,
    Table,
    TableDescription,
    Tables,
    UsedBy,
)
from dlbug_assets.cli.mcp.claims import CLAIMS, uses
from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.names import closest
from dlbug_assets.protocol.study import Study
from dlbug_assets.publishing.study_info import notice
from dlbug_assets.warehouse.table_specs import TableSpec, load_specs

if TYPE_CHECKING:
    from dlbug_assets.cli.mcp.lineage import Lineage

#: Rows of an explained number.
_MOST_EXPLAINED = 20
_MOST_CLAIMS = 1000
#: Lists and structs within each other.
_MOST_DEPTH = 100
_TOO_DEEP = f"values of the result are nested more than {_MOST_DEPTH} levels deep: select parts of them"
_TABLES = """select schema_name || '.' || table_name as "table", estimated_size as "rows",
coalesce(comment, '') as description from duckdb_tables() order by all"""
_MACROS = """select function_name || '(' || array_to_string(parameters, ', ') || ')' as "call",
coalesce(comment, '') as description from duckdb_functions() where not internal order by all"""
_JUDGED = "select 1 from duckdb_tables() where schema_name = 'analysis' and table_name = 'claims'"

#: Returns the first rows of a query, given how many.
Ask = Callable[[str, int], Rows]
Scalar = str | int | float | bool | None


class Catalog:
    """What is known about the tables of a study beside their rows; ``environ`` is that of the process."""

    def __init__(self, study: Study, environ: Mapping[str, str]) -> None:
        self.study = study
        self.specs = load_specs(study=study)
        self._environ = environ

    @functools.cached_property
    def lineage(self) -> "Lineage":
        """The lineage, from Dagster's asset graph, which takes seconds to load: only what needs it waits."""
        from dlbug_assets.cli.mcp.lineage import Lineage  # noqa: PLC0415

        return Lineage(self.study, self._environ)

    def spec(self, table: str) -> TableSpec:
        """Return the spec of a table; raises :class:`DlbugError` for an unknown one, with the most similar name."""
        if table not in self.specs:
            raise DlbugError(f"there is no table {table!r}{closest(table, self.specs)}; list_tables has all of them")
        return self.specs[table]

    def list_tables(self, ask: Ask) -> Tables:
        """Return all tables and macros that are published."""
        return Tables(
            study=f"{self.study.name}: {self.study.study.title}",
            notice=notice(self.study),
            tables=[Table(**row) for row in ask(_TABLES, _MOST_CLAIMS).rows],
            macros=[Macro(**row) for row in ask(_MACROS, _MOST_CLAIMS).rows],
        )

    def describe_table(self, table: str) -> TableDescription:
        """Return what one row is, columns, checks and lineage."""
        spec, origin = self.spec(table), self.lineage.origins[table]
        return TableDescription(
            table=table,
            description=spec.description,
            grain=list(spec.grain),
            columns=[
                ColumnDescription(
                    name=column.name,
                    data_type=column.data_type,
                    description=column.description,
                    computed_from=list(origin.columns.get(column.name, ())),
                )
                for column in spec.columns
            ],
            checks=[
                CheckDescription(name=check.name, description=check.description, is_blocking=check.blocking)
                for check in spec.checks
            ],
            made_by=origin.made_by,
            reads=list(origin.reads),
            read_by=self.lineage.downstream(table),
        )

    def explain(self, table: str, column: str | None, where: Mapping[str, Scalar], ask: Ask) -> Explanation:
        """Return where a table, a column, or the numbers in the rows that ``where`` selects come from."""
        spec, origin = self.spec(table), self.lineage.origins[table]
        described = {each.name: each.description for each in spec.columns}
        for name in (*([column] if column else []), *where):
            if name not in described:
                raise DlbugError(f"{table} has no column {name!r}{closest(name, described)}")
        query = None
        if where:
            shown = [*dict.fromkeys((*spec.grain, column))] if column else ["*"]
            query = f"select {', '.join(map(_quoted, shown))} from {table} where {_condition(where)}"
        upstream = list(self.lineage.upstream(table))
        return Explanation(
            subject=f"{table}.{column}" if column else table,
            description=described[column] if column else spec.description,
            query=query,
            rows=ask(query, _MOST_EXPLAINED) if query else None,
            made_by=origin.made_by,
            code=origin.code,
            computed_from=list(origin.columns.get(column, ()) if column else ()) or list(origin.reads),
            upstream=[self._step(each) for each in upstream],
            claims=self._claims(table, column, where, ask),
        )

    def _step(self, name: str) -> Step:
        origin = self.lineage.origins[name]
        return Step(table=name, made_by=origin.made_by, reads=list(origin.reads))

    def _claims(self, table: str, column: str | None, where: Mapping[str, Scalar], ask: Ask) -> list[UsedBy]:
        """Return the claims that use the numbers; none if the study has no claims, or they are not judged yet."""
        if "analysis.claims" not in self.specs or not ask(_JUDGED, 1).rows:
            return []
        names = {each.name for each in self.study.dimensions}
        of_table = next((name for name in names if table == f"analysis.{name}_distribution"), None)
        dimension = _text(where.get("dimension")) or of_table or (column if column in names else None)
        category = _text(where.get("category")) or _text(where.get(dimension or ""))
        is_input = table in self.lineage.upstream("analysis.claims")
        return [
            UsedBy(**row)
            for row in ask(CLAIMS, _MOST_CLAIMS).rows
            if uses(row.pop("definition"), table, dimension, category, is_input=is_input)
        ]


def as_rows(content: bytes, most: int) -> Rows:
    """Return the first rows of a JSON array that may have one more.

    Raises :class:`DlbugError` for values that are nested so deeply that they cannot be written again.
    """
    try:
        rows: list[dict[str, Any]] = json.loads(content)
    except RecursionError:
        raise DlbugError(_TOO_DEEP) from None
    level: list[Any] = [rows]
    for _ in range(_MOST_DEPTH):
        nested = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [value for values in nested for value in values]
    if level:
        raise DlbugError(_TOO_DEEP)
    return Rows(rows=rows[:most], truncated=len(rows) > most)


def _condition(where: Mapping[str, Scalar]) -> str:
    return " and ".join(f"{_quoted(name)} is not distinct from {_literal(value)}" for name, value in where.items())


def _quoted(name: str) -> str:
    return name if name == "*" else '"' + name.replace('"', '""') + '"'


def _literal(value: Scalar) -> str:
    """Return a value of JSON, which only a text writes differently, as SQL."""
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else json.dumps(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
