"""Read-only access to the published database."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.warehouse.errors import explain_errors

if TYPE_CHECKING:
    import polars as pl


def open_published(home: Home) -> duckdb.DuckDBPyConnection:
    """Return a read-only connection to the published database. Raises :class:`DlbugError` if it does not exist yet."""
    if not home.published.is_file():
        raise DlbugError(f"{home.published} does not exist yet. `dlbug run --study {home.study}` creates it.")
    with explain_errors("opening the published database", home.published):
        return duckdb.connect(str(home.published), read_only=True)


@contextmanager
def published_query(home: Home) -> Generator[Callable[[str], "pl.DataFrame"], None, None]:
    """Provide a function that returns the rows of a query on the published database.

    Raises :class:`DlbugError` if the database, or a table of the query, does not exist yet.
    """
    from dlbug_assets.warehouse.frames import to_frame  # noqa: PLC0415 - `dlbug sql` starts sooner without Polars

    connection = open_published(home)

    def run_query(query: str) -> "pl.DataFrame":
        with explain_errors("querying the published database", home.published):
            return to_frame(connection.sql(query))

    try:
        yield run_query
    finally:
        connection.close()
