"""Table macros for common questions, stored in the database: each is a file of dbt_like_sql/macros/, named after it.

The comment at the beginning of a file becomes the comment of its macro.
"""

import re
from pathlib import Path

import duckdb

from dlbug_assets.layout import MACROS, SCHEMAS

_TABLE = re.compile(rf"\b(?:{'|'.join(SCHEMAS)})\.\w+")


def macro_files(folder: Path = MACROS) -> list[Path]:
    """Return the files of the macros, in the order of their names."""
    return sorted(folder.glob("*.sql"))


def stored_macros(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names of the table macros in the current database."""
    found = connection.execute(
        "select function_name from duckdb_functions() "
        "where function_type = 'table_macro' and database_name = current_database()"
    ).fetchall()
    return {name for (name,) in found}


def create_macros(connection: duckdb.DuckDBPyConnection, folder: Path = MACROS) -> None:
    """Replace the macros of the current database by those of ``folder`` whose tables it has."""
    for name in stored_macros(connection):
        connection.execute(f'drop macro table "{name}"')
    found = connection.execute(
        "select schema_name || '.' || table_name from duckdb_tables() where database_name = current_database()"
    ).fetchall()
    tables = {table for (table,) in found}
    for file in macro_files(folder):
        sql = file.read_text(encoding="utf-8")
        comment, statement = _split(sql)
        if tables.issuperset(_TABLE.findall(statement)):
            connection.execute(statement)
            text = comment.replace("'", "''")
            connection.execute(f"comment on macro table {file.stem} is '{text}'")


def _split(sql: str) -> tuple[str, str]:
    """Return the comment at the beginning, as one line, and the rest."""
    lines = sql.splitlines()
    first = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    return " ".join(line.removeprefix("--").strip() for line in lines[:first]), "\n".join(lines[first:])
