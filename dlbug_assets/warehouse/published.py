"""Read-only access to the published database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import duckdb
import polars as pl

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.warehouse.errors import explain_errors
from dlbug_assets.warehouse.frames import to_frame


def open_published(home: Home) -> duckdb.DuckDBPyConnection:
    """A read-only connection to the published database; raises :class:`DlbugError` where there is none yet."""
    if not home.published.is_file():
        raise DlbugError(f"{home.published} is not there yet. `dlbug run --study {home.study}` makes it.")
    with explain_errors("opening the published database", home.published):
        return duckdb.connect(str(home.published), read_only=True)


@contextmanager
def published_query(home: Home) -> Iterator[Callable[[str], pl.DataFrame]]:
    """Queries on the published database, as frames. Raises :class:`DlbugError` where there is none yet, or not all that
    is asked for."""
    connection = open_published(home)

    def ask(query: str) -> pl.DataFrame:
        with explain_errors("asking the published database", home.published):
            return to_frame(connection.sql(query))

    try:
        yield ask
    finally:
        connection.close()
