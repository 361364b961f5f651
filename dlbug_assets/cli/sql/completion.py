"""What completes a word of a query: tables, columns, macros and keywords of the published database."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from dlbug_assets.cli.sql.answer import Bounds, query_process, result
from dlbug_assets.layout import Home

#: What ends a word; a dot does not.
DELIMITERS = " \t\n()[]{},;:=<>!+-*/%|'\""
_COMMANDS = (".exit", ".help", ".quit", ".tables")
_NAMES = """
select 'column' as kind, schema_name || '.' || table_name as "owner", column_name as "name"
from duckdb_columns() where not internal
union all
select 'macro', null, function_name from duckdb_functions() where not internal
union all
select 'keyword', null, keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'
union all
select 'keyword', null, unnest(['by', 'explain', 'partition', 'over'])
order by all"""
_IN_FROM = re.compile(r"\b(?:from|join|describe|summarize)\s+$", re.IGNORECASE)
_MENTION = re.compile(r"\b(\w+\.\w+)(?:\s+(?:as\s+)?(\w+))?", re.IGNORECASE)


@dataclass(frozen=True)
class Completion:
    """The names of a database: columns by table (``schema.table``), macros, and keywords in lower case."""

    columns: Mapping[str, Collection[str]]
    macros: Collection[str]
    keywords: Collection[str]

    @classmethod
    def of(cls, home: Home) -> Self:
        """Return those of the published database. Raises :class:`DlbugError` if it does not exist yet."""
        bounds = Bounds()  # not those of the user's queries, which may limit the rows
        with query_process(bounds) as process:
            names = json.loads(b"".join(result(process, home, _NAMES, "json", bounds)))
        columns: dict[str, list[str]] = {}
        for each in names:
            if each["kind"] == "column":
                columns.setdefault(each["owner"], []).append(each["name"])
        macros, keywords = ([each["name"] for each in names if each["kind"] == kind] for kind in ("macro", "keyword"))
        return cls(columns, macros, keywords)

    def candidates(self, word: str, statement: str) -> list[str]:
        """Return what the word can become, sorted; ``statement`` is the query so far, which includes it.

        After FROM and the like, these are tables and macros; after the name or alias of a table and a dot, its columns.
        Otherwise they are tables, macros, keywords (in upper case after upper case), and the columns of the tables that
        the query mentions; if it mentions none, those of all.
        """
        if statement.strip() == word and word.startswith("."):
            return [command for command in _COMMANDS if command.startswith(word)]
        mentioned = {
            name.lower(): table
            for table, alias in _MENTION.findall(statement)
            if table.lower() in self.columns
            for name in (table, alias or table)
        }
        folded = word.lower()
        tables = [table for table in self.columns if table.startswith(folded)]
        macros = {f"{macro}(" for macro in self.macros}
        owner, dot, _ = word.rpartition(".")
        if _IN_FROM.search(statement.removesuffix(word)):
            found = macros
        elif dot:
            table = mentioned.get(owner.lower(), owner).lower()
            found = {f"{owner}.{column}" for column in self.columns.get(table, ())}
        else:
            of_tables = [table.lower() for table in mentioned.values()] or list(self.columns)
            found = {column for table in of_tables for column in self.columns[table]}
            found |= macros | {keyword.upper() if word.isupper() else keyword for keyword in self.keywords}
        return sorted({*tables, *(name for name in found if name.lower().startswith(folded))})
