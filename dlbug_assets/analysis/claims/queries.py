"""Claims that a SQL query decides (query): which tables it reads, and the row that it returns.

The query comes with the study's folder, so that it runs on copies of the tables, with nothing else to read or write.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence

import polars as pl

from dlbug_assets.analysis.claims.notation import Notation
from dlbug_assets.analysis.claims.readings import Reading
from dlbug_assets.analysis.claims.tally import NotTestable
from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.claims import Claim, QueryClaim
from dlbug_assets.protocol.names import closest
from dlbug_assets.warehouse.ad_hoc import query_within_limits, tables_read

COLUMNS = ("computed", "holds", "bugs")

#: Seconds and memory after which a query is stopped.
_SECONDS, _MEMORY = 60.0, "1GB"
#: Tables that are made of claims, and the schema of those that are made after them.
_DEPENDENT = ("analysis.claims", "analysis.findings", "analysis.finding_", "publishing.")


def queried_tables(claims: Sequence[Claim], known: Collection[str]) -> set[str]:
    """Return the tables (``schema.table``) that the claims' queries read.

    Raises :class:`DlbugError` that names the claim for a query that does more than read, and for unknown tables.
    """
    found: set[str] = set()
    readable = [table for table in known if not table.startswith(_DEPENDENT)]
    for place, claim in enumerate(claims):
        if isinstance(claim, QueryClaim):
            with _naming(place):
                tables = tables_read(claim.query)
            for table in sorted(tables):
                if table not in readable:
                    raise DlbugError(
                        f"{_key(place)}: {table} is not a table that claims can be made of{closest(table, readable)}: "
                        "name a table of the study as schema.table"
                    )
            found |= tables
    return found


def query_reading(claim: QueryClaim, place: int, tables: Mapping[str, pl.DataFrame]) -> Reading:
    """Return what a claim's query says of ``tables`` (``schema.table`` -> rows).

    ``place`` is the claim's in claims.toml, from 0. Raises :class:`NotTestable` if ``computed`` or ``holds`` is NULL,
    and :class:`DlbugError` that names the claim for a query that fails, runs too long or does not return one row
    ``computed``, ``holds``, ``bugs``.
    """
    with _naming(place):
        copies = {table: tables[table] for table in tables_read(claim.query)}
        rows = query_within_limits(claim.query, copies, rows=2, seconds=_SECONDS, memory=_MEMORY)
        if tuple(rows.columns) != COLUMNS:
            raise DlbugError(f"the query returns {', '.join(rows.columns)}: select {', '.join(COLUMNS)}")
        if rows.height != 1:
            number = "no row" if rows.height == 0 else "more than one row"
            raise DlbugError(f"the query returns {number}: a claim needs exactly one")
        computed, holds, bugs = rows.row(0)
        if computed is None or holds is None:
            raise NotTestable("the query returns NULL")
        if not isinstance(holds, bool):
            raise DlbugError(f"holds is {holds!r}: return true or false")
        if not isinstance(bugs, int) or bugs < 0:
            raise DlbugError(f"bugs is {bugs!r}: return the number of bugs that the claim rests on")
    reproduced = Notation(claim).as_printed(str(computed))
    return Reading(
        str(computed), reproduced, holds, f"the query states that it {'holds' if holds else 'does not hold'}",
        bugs, bugs, "a query on the study's tables", "a query decides",
    )  # fmt: skip


@contextlib.contextmanager
def _naming(place: int) -> Iterator[None]:
    """Name the claim in the messages of errors."""
    try:
        yield
    except DlbugError as error:
        raise DlbugError(f"{_key(place)}: {error}") from None


def _key(place: int) -> str:
    return f"claims.toml: claims.{place}.query"
