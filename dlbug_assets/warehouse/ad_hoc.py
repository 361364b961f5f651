"""Queries from outside on the published database: run in a process of its own, reading nothing else, within limits.

What belongs here: what a query may contain, and how its result becomes bytes. What doesn't: the limits that the kernel
enforces (ingest/child_process.py) and where the bytes go (cli/sql/).
"""

import contextlib
import io
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import duckdb
import polars as pl
from duckdb import StatementType

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.warehouse.frames import create_tables, to_frame
from dlbug_assets.warehouse.macros import stored_macros
from dlbug_assets.warehouse.published import open_published

_MAX_WIDTH = 60
_THREADS = 2
_PIECE = 1 << 18
_NESTED = ("list", "array", "struct", "tuple", "map", "union")
#: Types whose values are texts, in which anybody may have written anything.
_TEXTS = ("varchar", "enum", "blob", "variant")
#: A string in JSON, or a number that DuckDB writes although JSON does not have it.
_STRING_OR_INVALID_NUMBER = re.compile(rb'("(?:[^"\\]|\\.)*")|-?(?:NaN|Infinity)')
_READING = "a query can only read: SELECT, FROM, WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW, PIVOT and EXPLAIN"
#: The nodes of a query that reads. A WITH clause may also hold COPY, INSERT, UPDATE and DELETE.
_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_WRITING_WORDS = {"copy", "insert", "update", "delete", "merge"}
#: The table functions that read nothing but the database, and take no query as text. All others except the database's
#: own macros are refused: most read files, one executes a query that is hidden in JSON, and some take addresses in
#: memory.
_TABLE_FUNCTIONS = {
    "range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "summary",
    "histogram", "histogram_values", "test_all_types", "test_vector_types", "icu_calendar_names", "pg_timezone_names",
    "duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_functions", "duckdb_indexes", "duckdb_keywords",
    "duckdb_memory", "duckdb_schemas", "duckdb_settings", "duckdb_tables", "duckdb_types", "duckdb_views",
    "pragma_database_size", "pragma_show", "pragma_storage_info", "pragma_table_info", "pragma_version",
}  # fmt: skip
#: The error, the types of the nodes, the table functions, and the tables and operators in the syntax tree of a query.
_TREE = """select json_extract_string(tree, '$.error_message'), json_extract_string(tree, '$..type'),
json_extract_string(tree, '$..function.function_name'), json_extract(tree, '$..qualified_name.path')
from (select json_serialize_sql(?) as tree)"""
_EXPLAIN = re.compile(r"explain\s+(?:analyze\s+)?(?![\s(])", re.IGNORECASE)


def run(
    root: str, study: str, query: str, *, output_format: str, rows: int | None, truncated: str, memory: str,
    spill: int, folder: str, escaped_start: str,
) -> Iterator[bytes]:  # fmt: skip
    """Yield the result of a query as table, csv, json or parquet, in pieces of the format's bytes.

    The study's published database is found from ``root`` (:class:`Home`). ``rows`` is the largest number of rows, None
    for all, except in a table: one that has more rows is followed by a piece with the text ``truncated``. ``memory`` is
    DuckDB's memory limit, ``spill`` the most bytes of temporary files in ``folder``. In CSV, an apostrophe precedes
    texts that match the expression ``escaped_start``. Raises :class:`DlbugError` for SQL that DuckDB or these rules
    refuse, and for a query that needs more memory or larger files.
    """
    home = Home(Path(root), study)
    connection = open_published(home)
    descriptors = os.pipe()
    reader, writer = os.fdopen(descriptors[0], "rb"), os.fdopen(descriptors[1], "wb")
    spill = min(spill, shutil.disk_usage(folder).free // 2)
    # The result leaves DuckDB through this pipe, the only file that it may open beside its temporary ones.
    pipe = f"/dev/fd/{writer.fileno()}"
    try:
        for setting, value in {
            "allowed_paths": [pipe], "temp_directory": folder, "max_temp_directory_size": f"{spill}B",
            "memory_limit": memory, "threads": _THREADS, "enable_external_access": False, "lock_configuration": True,
        }.items():  # fmt: skip
            connection.execute(f"set {setting} = ?", [value])
        statements = [statement.query for statement in _readable(connection, query, home.published.name)]
        if output_format == "table":
            assert rows is not None  # noqa: S101 - nobody reads a table without end
            for statement in statements:
                yield from _table(connection.sql(statement), rows, truncated)
            return
        if len(statements) != 1:
            raise DlbugError(f"{output_format} holds the result of one query, these are {len(statements)}")
        relation = connection.sql(statements[0])
        relation = relation if rows is None else relation.limit(rows)
        # As in a table, column names become unique.
        relation = relation.project("*")
        if output_format == "json":
            lines = relation.set_alias("answer").project("cast(to_json(answer) as varchar)")

            def write_lines() -> None:
                # A line is one value without line breaks, so that nothing has to be quoted.
                lines.write_csv(pipe, header=False, sep="\n", quotechar="", escapechar="", use_tmp_file=False)

            with _writing(write_lines, writer):
                yield from _json_array(reader)
            return
        if output_format == "csv":
            texts = relation.project(_as_text(relation, escaped_start))
            writing = _writing(lambda: texts.write_csv(pipe, quotechar='"', use_tmp_file=False), writer)
        else:
            writing = _writing(lambda: relation.write_parquet(pipe, use_tmp_file=False), writer)
        with writing:
            while piece := reader.read1(_PIECE):
                yield piece
    except duckdb.OutOfMemoryException as error:
        first = str(error).splitlines()[0]
        if "max_temp_directory_size" in str(error):
            raise DlbugError(f"the query writes more than {spill >> 20} MiB of temporary files ({first})") from None
        raise DlbugError(f"the query needs more than {memory}: allow more with --memory ({first})") from None
    except duckdb.Error as error:
        raise DlbugError(f"the query failed: {str(error).strip()}") from None
    finally:
        connection.close()
        reader.close()
        writer.close()


def tables_read(query: str) -> set[str]:
    """Return the tables (``schema.table``) that a query reads.

    Raises :class:`DlbugError` for more than one query, and for one that does more than read tables.
    """
    with duckdb.connect(":memory:") as connection:
        try:
            statements = _readable(connection, query, ":memory:")
        except duckdb.Error as error:
            raise DlbugError(f"the query failed: {str(error).strip()}") from None
        if len(statements) != 1 or statements[0].type != StatementType.SELECT:
            raise DlbugError("not a single query that begins with SELECT, FROM, WITH or VALUES")
        ((_, _, _, paths),) = connection.execute(_TREE, [statements[0].query]).fetchall()
    # A name without a schema is that of a common table expression.
    return {".".join(path) for path in map(json.loads, paths) if len(path) > 1}


def query_within_limits(
    query: str, tables: Mapping[str, pl.DataFrame], *, rows: int, seconds: float, memory: str
) -> pl.DataFrame:
    """Return the first rows of a query on copies of tables (``schema.table``), with nothing else to read or write.

    Raises :class:`DlbugError` for a query that fails, takes longer, or needs more memory.
    """
    with duckdb.connect(":memory:", config={"memory_limit": memory, "temp_directory": "", "threads": 1}) as connection:
        create_tables(connection, tables)
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        timer = threading.Timer(seconds, connection.interrupt)
        timer.start()
        try:
            return to_frame(connection.sql(query).limit(rows))
        except duckdb.InterruptException:
            raise DlbugError(f"the query runs longer than {seconds:.0f} seconds") from None
        except duckdb.Error as error:
            raise DlbugError(f"the query failed: {str(error).strip()}") from None
        finally:
            timer.cancel()


def _readable(connection: duckdb.DuckDBPyConnection, query: str, database: str) -> list[duckdb.Statement]:
    """Return the statements of a query. Raises :class:`DlbugError` for one that does more than read the database."""
    statements = connection.extract_statements(query)
    for statement in statements:
        _check(connection, statement, database)
    return statements


def _check(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, database: str) -> None:
    text = statement.query.strip()
    if statement.type == StatementType.EXPLAIN:
        explain = _EXPLAIN.match(text)
        if explain is None:
            raise DlbugError("EXPLAIN with options is refused: begin with EXPLAIN or EXPLAIN ANALYZE")
        # EXPLAIN ANALYZE executes what it explains.
        _readable(connection, text[explain.end() :], database)
    elif statement.type == StatementType.SELECT:
        _check_nodes(connection, text, database)
    elif statement.type == StatementType.MULTI:
        _check_words(connection, text)
    else:
        word = re.match("[a-z]+", text.lower())
        raise DlbugError(f"{word[0].upper() if word else statement.type.name} is refused: {_READING}")


def _check_nodes(connection: duckdb.DuckDBPyConnection, text: str, database: str) -> None:
    """Look for what does not read in the syntax tree, as DuckDB itself parses it."""
    ((error, types, functions, tables),) = connection.execute(_TREE, [text]).fetchall()
    if error is not None:
        raise DlbugError(f"the query failed: Parser Error: {error}")
    for node in types:
        if node.endswith("_NODE") and node not in _READING_NODES:
            raise DlbugError(f"{node.split('_')[0]} is refused: {_READING}")
    allowed = _TABLE_FUNCTIONS | stored_macros(connection) if functions else _TABLE_FUNCTIONS
    for function in functions:
        if function.lower() not in allowed:
            raise DlbugError(f"{function}() is refused: a query reads tables of the published database only")
    for table in tables:
        name = ".".join(json.loads(table))
        if name.endswith(database) or ("/" in name and re.search(r"\w", name)):
            raise DlbugError(f"the file {name} is refused: a query reads tables of the published database only")


def _check_words(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Look for what does not read in the words: DuckDB returns no tree of a PIVOT that has to look up its columns."""
    kinds = "('table', 'table_macro', 'pragma')"
    functions = connection.execute(
        f"select distinct function_name from duckdb_functions() where function_type in {kinds} and internal"
    ).fetchall()
    refused = _WRITING_WORDS | {name for (name,) in functions} - _TABLE_FUNCTIONS
    if found := refused.intersection(re.findall(r"\w+", text.lower())):
        raise DlbugError(
            f"PIVOT with the word {min(found)} is refused, wherever it stands: list the columns, as in ON x IN (1, 2)"
        )


@contextlib.contextmanager
def _writing(write: Callable[[], None], writer: BinaryIO) -> Generator[None, None, None]:
    """Write into the pipe in another thread, close it, and raise what was raised there."""
    errors: list[duckdb.Error] = []

    def work() -> None:
        try:
            write()
        except duckdb.Error as error:
            errors.append(error)
        finally:
            writer.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join()
    for error in errors:
        raise error


def _json_array(reader: io.BufferedReader) -> Iterator[bytes]:
    """Yield an array of the objects that the lines contain, with null for NaN and infinity."""
    before = b"["
    parts: list[bytes] = []
    while piece := reader.read1(_PIECE):
        complete, newline, rest = piece.rpartition(b"\n")
        if newline:
            rows = b"".join([*parts, complete]).replace(b"\n", b",\n")
            if b"NaN" in rows or b"Infinity" in rows:
                rows = _STRING_OR_INVALID_NUMBER.sub(lambda found: found[1] or b"null", rows)
            yield before + rows
            before, parts = b",\n", []
        parts.append(rest)
    yield b"]\n" if before == b",\n" else b"[]\n"


def _as_text(relation: duckdb.DuckDBPyRelation, escaped_start: str) -> str:
    """Return a projection that casts every column to text, lists and structs to JSON, and escapes names and texts."""
    columns: list[str] = []
    for name, dtype in zip(relation.columns, relation.types, strict=True):
        text = f"cast({f'to_json({_quoted(name)})' if dtype.id in _NESTED else _quoted(name)} as varchar)"
        if dtype.id in _TEXTS:
            pattern = escaped_start.replace("'", "''")
            text = rf"regexp_replace({text}, '{pattern}', '''\0')"
        header = re.sub(escaped_start, r"'\g<0>", name)
        columns.append(f"{text} as {_quoted(header)}")
    return ", ".join(columns)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _table(relation: duckdb.DuckDBPyRelation | None, rows: int, truncated: str) -> Iterator[bytes]:
    """Yield the first rows of a result as DuckDB prints them; nothing for a statement without a result."""
    if relation is None:
        return
    # One row more than is printed shows whether there are more, without counting them all.
    result = relation.limit(rows + 1).materialize()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        result.limit(rows).show(max_rows=max(rows, 1), max_col_width=_MAX_WIDTH)
    yield printed.getvalue().encode()
    if len(result) > rows:
        yield truncated.encode()
