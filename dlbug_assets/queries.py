"""Ad-hoc SQL on the published database, read-only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.warehouse import Home, open_published


@contextmanager
def asking(home: Home) -> Iterator[Callable[[str], pl.DataFrame]]:
    """Queries on the published database, as frames. Raises :class:`DlbugError` where there is none yet."""
    connection = open_published(home)
    try:
        yield lambda query: connection.sql(query).pl()
    finally:
        connection.close()


def answer(home: Home, query: str, output_format: str, output: Path | None) -> None:
    """Answer one query as table, csv, json or parquet, on the terminal or into a file.

    Raises :class:`DlbugError` for SQL that DuckDB refuses, and for parquet without a file.
    """
    if output_format == "parquet" and output is None:
        raise DlbugError("parquet is binary: say where to with --output FILE")
    connection = open_published(home)
    try:
        relation = connection.sql(query)
        if relation is None:
            return
        if output_format == "table":
            if output is None:
                print(relation)
            else:
                output.write_text(f"{relation}\n", encoding="utf-8")
            return
        frame = relation.pl()
        target = output if output is not None else sys.stdout.buffer
        if output_format == "csv":
            frame.write_csv(target)
        elif output_format == "json":
            frame.write_json(target)
        else:
            frame.write_parquet(target)
    except duckdb.Error as error:
        raise DlbugError(f"the query failed: {str(error).strip()}") from None
    except OSError as error:
        raise DlbugError(f"cannot write {output}: {error.strerror}") from None
    finally:
        connection.close()


def prompt(home: Home) -> None:
    """Read queries from the terminal, each ended by a semicolon, until an end of input or .quit."""
    open_published(home).close()  # says at once where there is nothing to ask
    print(f"{home.published}, read-only. End a query with ;  .quit leaves.")
    pending = ""
    while True:
        try:
            line = input("dlbug> " if not pending else "  ...> ")
        except EOFError:
            print()
            return
        if not pending and line.strip() in (".quit", ".exit"):
            return
        pending = f"{pending}\n{line}".strip()
        if pending.endswith(";"):
            try:
                answer(home, pending, "table", None)
            except DlbugError as error:
                print(f"error: {error}", file=sys.stderr)
            pending = ""
