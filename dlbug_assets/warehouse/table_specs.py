"""Specs of tables: one validated TableSpec per table of a schema.yml, with the SQL of its checks.

``dbt_like_sql/<schema>/schema.yml`` describes every table of a schema, whether SQL or Python computes it: its columns
with their types, its grain, its tests. Descriptions, types and checks in DuckDB, in the UI and in the docs come from
here. A study's published/schema.yml describes the tables of the numbers that its paper prints.

Tables and columns may depend on the study:

- ``each: dimensions`` (or asked, required, sources, second_source) repeats a table or column for each dimension of the
  study (that raters and releases label; that every bug has; each source), with {dimension}, {title}, {data_type} (or
  {source}, {source_name}) replaced in its texts.
- ``needs`` leaves out a table, or one of its tests or columns, in studies that have fewer ``sources`` (not exactly
  ``two_sources``), lack one of these ``dimensions``, or have no ``claims`` or ``published`` numbers.
- ``$dimensions``, ``$asked``, ``$required`` and ``$sources`` in lists of values stand for the study's.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import yaml

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import MODELS, SCHEMAS, display_path
from dlbug_assets.protocol.names import slug
from dlbug_assets.protocol.study import Study

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

    If a ``blocking`` check fails, the table is left unchanged. ``against`` are other tables that the check reads.
    """

    name: str
    description: str
    violations: str
    blocking: bool = True
    against: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableSpec:
    """A table as schema.yml describes it.

    ``source`` is the path and line in schema.yml. The rows of a table with ``preview`` are shown with each
    materialization. A table that ``is_history`` keeps rows of earlier publications.
    """

    schema: str
    name: str
    description: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]
    checks: tuple[Check, ...]
    source: str
    preview: bool = False
    is_history: bool = False

    @property
    def table(self) -> str:
        """The qualified name: ``schema.table``."""
        return f"{self.schema}.{self.name}"

    @property
    def checked_against(self) -> set[str]:
        """The other tables that its checks read, which have to be computed first."""
        return {table for check in self.checks for table in check.against}

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


def load_specs(models: Path = MODELS, study: Study | None = None) -> Mapping[str, TableSpec]:
    """Read every table that a schema.yml under ``models`` describes, by ``schema.table``.

    The seeds' tables are in the schema ``reference``. Without a study, tables that depend on one are left out, and so
    are checks that do. Raises :class:`DlbugError` that names file and line.
    """
    return _load_specs(models, None if study is None else _Shape.of(study))


@dataclass(frozen=True)
class _Shape:
    """What tables depend on: dimensions with title and type, sources, and further descriptions of tables."""

    dimensions: tuple[tuple[str, str, str], ...]
    asked: tuple[str, ...]
    required: tuple[str, ...]
    sources: tuple[str, ...]
    has_claims: bool
    published: Path | None

    @classmethod
    def of(cls, study: Study) -> Self:
        types = ((each.name, each.title, "VARCHAR[]" if each.multiple else "VARCHAR") for each in study.dimensions)
        published = study.files.published / "schema.yml" if study.files.published else None
        return cls(
            tuple(types),
            study.asked_names,
            study.required_names,
            study.source_names,
            study.files.claims is not None,
            published if published and published.is_file() else None,
        )

    def has(self, needs: Mapping[str, Any]) -> bool:
        """Return whether a study has what a table needs."""
        return (
            len(self.sources) >= needs.get("sources", 0)
            and (len(self.sources) == 2 or not needs.get("two_sources"))  # noqa: PLR2004
            and {name for name, _, _ in self.dimensions}.issuperset(needs.get("dimensions", ()))
            and (self.has_claims or not needs.get("claims"))
            and (self.published is not None or not needs.get("published"))
        )

    def values(self, kind: str) -> list[dict[str, str]]:
        """Return what replaces the placeholders of an ``each``, once per repetition."""
        if kind in ("sources", "second_source"):
            chosen = self.sources[1:2] if kind == "second_source" else self.sources
            return [{"source": slug(name), "source_name": name} for name in chosen]
        names = {"dimensions": [name for name, _, _ in self.dimensions], "asked": self.asked,
                  "required": self.required}[kind]  # fmt: skip
        return [
            {"dimension": name, "title": title, "data_type": data_type}
            for name, title, data_type in self.dimensions
            if name in names
        ]

    def names(self, placeholder: str) -> list[str]:
        """Return what a placeholder in a list of values stands for."""
        kind = placeholder.removeprefix("$")
        return [value["source_name" if kind == "sources" else "dimension"] for value in self.values(kind)]


@functools.cache
def _load_specs(models: Path, shape: _Shape | None) -> Mapping[str, TableSpec]:
    specs: dict[str, TableSpec] = {}
    files = {file: "reference" if file.parent.name == "seeds" else file.parent.name
             for file in sorted(models.glob("*/schema.yml"))}  # fmt: skip
    if shape and shape.published:
        files[shape.published] = "reference"
    for file, schema in files.items():
        if schema not in SCHEMAS:
            stages = ", ".join(SCHEMAS)
            raise DlbugError(f"{display_path(file)}: the folder {schema!r} is not a stage; stages are {stages}")
        for spec in _read(file, schema, shape):
            if spec.table in specs:
                raise DlbugError(f"{spec.source}: {spec.table} is described twice, first at {specs[spec.table].source}")
            specs[spec.table] = spec
    return specs


def described_tables(models: Path = MODELS) -> frozenset[str]:
    """Return the tables (``schema.table``) that a schema.yml under ``models`` describes for some study."""
    described: set[str] = set()
    for file in models.glob("*/schema.yml"):
        schema = "reference" if file.parent.name == "seeds" else file.parent.name
        described |= {f"{schema}.{model['name']}" for model in _content(file)["models"]}
    return frozenset(described)


@functools.cache
def _content(file: Path) -> Any:
    try:
        # The loader is a SafeLoader: it constructs plain values only.
        return yaml.load(file.read_text(encoding="utf-8"), Loader=_LoaderWithLines)  # noqa: S506
    except yaml.YAMLError as error:
        raise DlbugError(f"{display_path(file)}: not valid YAML: {error}") from None


def _repeated(entries: Any, shape: _Shape | None) -> Iterator[Any]:
    """Yield the entries of a list for one study: repeated where they have ``each``, left out where it lacks something.

    Without a study, entries that depend on one are left out.
    """
    for entry in entries or ():
        given = _options(entry)
        if not {"each", "needs"} & given.keys():
            yield entry
        elif shape and shape.has(given.get("needs", {})):
            rest = {key: value for key, value in given.items() if key not in ("each", "needs")}
            kind = given.get("each")
            yield from [_replaced(rest, values) for values in shape.values(kind)] if kind else [rest]


def _replaced(content: Any, values: Mapping[str, str]) -> Any:
    """Return content of YAML with the placeholders in its texts replaced."""
    if isinstance(content, str):
        return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), content)
    if isinstance(content, list):
        return [_replaced(each, values) for each in cast("list[Any]", content)]
    if isinstance(content, dict):
        return {key: _replaced(value, values) for key, value in cast("dict[Any, Any]", content).items()}
    return content


def _without_study(models: Any) -> Iterator[Any]:
    """Yield the tables whose columns do not depend on a study, whether or not a study has them."""
    for model in models:
        given = _options(model)
        if "each" not in given and not any("each" in _options(column) for column in given.get("columns") or ()):
            yield {key: value for key, value in given.items() if key != "needs"} or model


def _read(file: Path, schema: str, shape: _Shape | None) -> Iterator[TableSpec]:
    top = _Entry(file, _content(file), {"version", "models"}, {"models"})
    for model in _repeated(top["models"], shape) if shape else _without_study(top["models"]):
        keys = {"name", "description", "grain", "columns"}
        entry = _Entry(file, model, keys | {"tests", "preview", "history"}, keys, top.line)
        columns = [
            _Entry(
                file,
                column,
                {"name", "data_type", "description", "tests", "incidental"},
                {"name", "data_type", "description"},
            )
            for column in _repeated(entry["columns"], shape)
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
            tests = _repeated((test for test in column.tests if test != "not_null"), shape)
            checks += [check for test in tests if (check := _column_check(column, table, test, shape))]
        checks += [_table_check(entry, table, test) for test in _repeated(entry.tests, shape)]
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
            is_history=bool(entry["history"]),
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


def _column_check(column: _Entry, table: str, test: Any, shape: _Shape | None) -> Check | None:
    """Return the check of a test, None if it depends on the study and there is none."""
    name, given = column["name"], _options(test)
    if test == "unique":
        return _unique(table, [name])
    if "accepted_values" in given:
        options = _Entry(column.file, given["accepted_values"], {"values", "severity"}, {"values"}, column.line)
        placeholders = {value for value in options["values"] if str(value).startswith("$")}
        if placeholders and shape is None:
            return None
        expanded = (shape.names(value) if shape and value in placeholders else [value] for value in options["values"])
        values = ", ".join(_literal(value) for names in expanded for value in names)
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
            (options["to"],),
        )
    raise column.error(
        f"unknown test {test!r} of {name}; known are not_null, unique, accepted_values, relationships "
        "(and expression, for the table)"
    )


def _options(test: Any) -> dict[str, Any]:
    """Return an entry of YAML as a mapping, a test by its name; empty for one that is only a name."""
    return cast("dict[str, Any]", test) if isinstance(test, dict) else {}


def _table_check(entry: _Entry, table: str, test: Any) -> Check:
    given = _options(test)
    if "expression" in given:
        known = {"name", "sql", "severity", "description", "shows", "against"}
        options = _Entry(entry.file, given["expression"], known, {"name", "sql"}, entry.line)
        selected = ", ".join(map(_quoted, options["shows"] or [])) or "*"
        return Check(
            options["name"],
            options["description"] or f"{options['sql']} holds for every row",
            f"select {selected} from {table} where not ({options['sql']})",
            _blocking(options),
            tuple(options["against"] or ()),
        )
    if "unique" in given:
        return _unique(table, given["unique"])
    raise entry.error(f"unknown test {test!r} of the table; known are expression and unique")


def _blocking(options: _Entry) -> bool:
    severity = options["severity"] or "error"
    if severity not in ("error", "warn"):
        raise options.error(f"severity is 'error' or 'warn', not {severity!r}")
    return severity == "error"
