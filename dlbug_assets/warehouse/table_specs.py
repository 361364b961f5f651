"""Specs of tables: one validated TableSpec per table of a schema.yml, with the SQL of its checks.

``dbt_like_sql/<schema>/schema.yml`` describes every table of a schema, whether SQL or Python computes it: its columns
with their types, its grain, its tests. Descriptions, types and checks in DuckDB, in the UI and in the docs come from
here.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import MODELS, SCHEMAS, display_path

_LINE = "__line__"
#: libyaml's loader is ten times as fast, but not part of every build of PyYAML.
_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Column:
    """A column: its name, DuckDB type and description.

    An ``incidental`` column depends on when a row was computed or retrieved, so it differs from run to run and is not
    part of the table's data version.
    """

    name: str
    data_type: str
    description: str
    incidental: bool = False


@dataclass(frozen=True)
class Check:
    """A check: ``violations`` is a query that returns the violating rows.

    If a ``blocking`` check fails, the table is left unchanged. ``against`` is another table that the check reads.
    """

    name: str
    description: str
    violations: str
    blocking: bool = True
    against: str | None = None


@dataclass(frozen=True)
class TableSpec:
    """A table as schema.yml describes it.

    ``source`` is the path and line in schema.yml. The rows of a table with ``preview`` are shown with each
    materialization.
    """

    schema: str
    name: str
    description: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]
    checks: tuple[Check, ...]
    source: str
    preview: bool = False

    @property
    def table(self) -> str:
        """The qualified name: ``schema.table``."""
        return f"{self.schema}.{self.name}"

    @property
    def checked_against(self) -> set[str]:
        """The other tables that its checks read, which have to be computed first."""
        return {check.against for check in self.checks if check.against}

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)


class _LoaderWithLines(_SafeLoader):
    """A safe loader whose mappings store the line they begin at."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        mapping[_LINE] = node.start_mark.line + 1
        return mapping


class _Entry:
    """One mapping of a schema.yml, with the file and line for error messages."""

    def __init__(self, file: Path, content: Any, known: set[str], required: set[str], line: int = 1) -> None:
        self.file = file
        if not isinstance(content, dict):
            raise DlbugError(f"{display_path(file)}, line {line}: expected `key: value` pairs, not {content!r}")
        self.content = cast("dict[str, Any]", content)
        self.line: int = self.content.get(_LINE, line)
        unknown = set(self.content) - known - {_LINE}
        if unknown:
            raise self.error(f"unknown key {sorted(unknown)[0]!r}; known are {', '.join(sorted(known))}")
        for key in sorted(required):
            if not self.content.get(key):
                raise self.error(f"{self.content.get('name', 'this entry')!r} lacks a {key}")

    def error(self, message: str) -> DlbugError:
        return DlbugError(f"{display_path(self.file)}, line {self.line}: {message}")

    def __getitem__(self, key: str) -> Any:
        return self.content.get(key)

    @property
    def tests(self) -> list[Any]:
        return self["tests"] or []


@functools.cache
def load_specs(models: Path = MODELS) -> Mapping[str, TableSpec]:
    """Read every table that a schema.yml under ``models`` describes, by ``schema.table``.

    The seeds' tables are in the schema ``reference``. Raises :class:`DlbugError` that names file and line.
    """
    specs: dict[str, TableSpec] = {}
    for file in sorted(models.glob("*/schema.yml")):
        schema = "reference" if file.parent.name == "seeds" else file.parent.name
        if schema not in SCHEMAS:
            stages = ", ".join(SCHEMAS)
            raise DlbugError(f"{display_path(file)}: the folder {schema!r} is not a stage; stages are {stages}")
        for spec in _read(file, schema):
            if spec.table in specs:
                raise DlbugError(f"{spec.source}: {spec.table} is described twice, first at {specs[spec.table].source}")
            specs[spec.table] = spec
    return specs


def _read(file: Path, schema: str) -> Iterator[TableSpec]:
    try:
        # The loader is a SafeLoader: it constructs plain values only.
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_LoaderWithLines)  # noqa: S506
    except yaml.YAMLError as error:
        raise DlbugError(f"{display_path(file)}: not valid YAML: {error}") from None
    top = _Entry(file, content, {"version", "models"}, {"models"})
    for model in top["models"]:
        keys = {"name", "description", "grain", "columns"}
        entry = _Entry(file, model, keys | {"tests", "preview"}, keys, top.line)
        columns = [
            _Entry(
                file,
                column,
                {"name", "data_type", "description", "tests", "incidental"},
                {"name", "data_type", "description"},
            )
            for column in entry["columns"]
        ]
        names = [column["name"] for column in columns]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise entry.error(f"{entry['name']} has two columns {sorted(repeated)[0]!r}")
        missing = [name for name in entry["grain"] if name not in names]
        if missing:
            raise entry.error(f"the grain of {entry['name']} names {missing[0]!r}, which is not one of its columns")
        table = f"{schema}.{entry['name']}"
        checks = [*_grain_checks(table, entry["grain"])]
        # One check for all NOT NULL columns outside of the grain, so that the UI does not list one per column.
        filled = [column["name"] for column in columns if "not_null" in column.tests]
        if filled:
            checks.append(_not_null(table, filled))
        for column in columns:
            checks += [_column_check(column, table, test) for test in column.tests if test != "not_null"]
        checks += [_table_check(entry, table, test) for test in entry.tests]
        unique = {check.name: check for check in checks}
        yield TableSpec(
            schema=schema,
            name=entry["name"],
            description=_one_line(entry["description"]),
            grain=tuple(entry["grain"]),
            columns=tuple(
                Column(
                    c["name"],
                    c["data_type"],
                    _one_line(c["description"]),
                    incidental=bool(c["incidental"]),
                )
                for c in columns
            ),
            checks=tuple(unique.values()),
            source=f"{display_path(file)}, line {entry.line}",
            preview=bool(entry["preview"]),
        )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Any) -> str:
    return "'" + str(value).replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _grain_checks(table: str, grain: list[str]) -> Iterator[Check]:
    yield _not_null(table, grain)
    yield _unique(table, grain)


def _not_null(table: str, names: list[str]) -> Check:
    missing = " or ".join(f"{_quoted(name)} is null" for name in names)
    return Check(
        f"not_null_{'_'.join(names)}",
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} never NULL",
        f"select * from {table} where {missing}",
    )


def _unique(table: str, names: list[str]) -> Check:
    columns = ", ".join(map(_quoted, names))
    return Check(
        f"unique_{'_'.join(names)}",
        f"no two rows have the same {', '.join(names)}",
        f"select {columns}, count(*) as rows from {table} group by all having count(*) > 1",
    )


def _column_check(column: _Entry, table: str, test: Any) -> Check:
    name, given = column["name"], _options(test)
    if test == "unique":
        return _unique(table, [name])
    if "accepted_values" in given:
        options = _Entry(column.file, given["accepted_values"], {"values", "severity"}, {"values"}, column.line)
        values = ", ".join(_literal(value) for value in options["values"])
        return Check(
            f"accepted_values_{name}",
            f"{name} is one of {values}",
            f"select * from {table} where {_quoted(name)} not in ({values})",
            _blocking(options),
        )
    if "relationships" in given:
        options = _Entry(
            column.file, given["relationships"], {"to", "field", "where", "severity"}, {"to", "field"}, column.line
        )
        where = f" where {options['where']}" if options["where"] else ""
        return Check(
            f"relationships_{name}",
            f"every {name} exists in {options['to']}.{options['field']}{where}",
            f"select * from {table} where {_quoted(name)} is not null and {_quoted(name)} not in "
            f"(select {_quoted(options['field'])} from {options['to']}{where})",
            _blocking(options),
            options["to"],
        )
    raise column.error(
        f"unknown test {test!r} of {name}; known are not_null, unique, accepted_values, relationships "
        "(and expression, for the table)"
    )


def _options(test: Any) -> dict[str, Any]:
    """Return a test with options as a mapping of its name to them; empty for a test that is only a name."""
    return cast("dict[str, Any]", test) if isinstance(test, dict) else {}


def _table_check(entry: _Entry, table: str, test: Any) -> Check:
    given = _options(test)
    if "expression" in given:
        known = {"name", "sql", "severity", "description", "shows"}
        options = _Entry(entry.file, given["expression"], known, {"name", "sql"}, entry.line)
        selected = ", ".join(map(_quoted, options["shows"] or [])) or "*"
        return Check(
            options["name"],
            options["description"] or f"{options['sql']} holds for every row",
            f"select {selected} from {table} where not ({options['sql']})",
            _blocking(options),
        )
    if "unique" in given:
        return _unique(table, given["unique"])
    raise entry.error(f"unknown test {test!r} of the table; known are expression and unique")


def _blocking(options: _Entry) -> bool:
    severity = options["severity"] or "error"
    if severity not in ("error", "warn"):
        raise options.error(f"severity is 'error' or 'warn', not {severity!r}")
    return severity == "error"
