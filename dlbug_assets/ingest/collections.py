"""Tables of collections, and collecting library by library, as the sources of both corpora do it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from dlbug_assets.clock import parse_timestamp
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.http_client import UnreachableError
from dlbug_assets.ingest.landing import Collected, Collection, Landing
from dlbug_assets.ingest.quota import DeferredError
from dlbug_assets.warehouse.rows import PartitionRows, ReadCurrent, table_schema


def loaded_collections(table: str, landing: Landing, library: str, read_current: ReadCurrent) -> list[str]:
    """Return the names of the collections that a library's tables were loaded from; ``table`` lists them.

    Raises :class:`DlbugError` where one is missing from landing: tables loaded from the rest would lose its rows.
    """
    loaded = read_current(table, "library = ?", [library])["collection"].sort().to_list()
    landing.require(library, loaded)
    return loaded


def collection_rows(
    table: str, library: str, done: Sequence[Collection], columns: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> PartitionRows:
    """Return the rows of a table of collections.

    ``columns`` returns the columns that the corpus adds, given the summary of a collection.
    """
    rows: list[dict[str, Any]] = []
    for collection in done:
        summary = collection.done  # a file, read once
        rows.append(
            {
                "library": library,
                "collection": collection.name,
                "kind": collection.kind,
                "begun_at": collection.begun_at,
                "finished_at": parse_timestamp(summary["finished_at"]),
                "requests": summary.get("requests", 0),
                "quota_left": summary.get("quota_left"),
                **columns(summary),
            }
        )
    return PartitionRows.replacing(pl.DataFrame(rows, schema=table_schema(table)), library)


def nothing_to_collect(libraries: Sequence[str]) -> Iterator[Collected]:
    """Yield an empty collection per library: the rows of the sample source are generated when they are loaded."""
    for library in libraries:
        yield Collected(library, {"kind": "generated on loading"})


def look_up_while_reachable(
    libraries: Sequence[str], look_up: Callable[[str], Mapping[str, Any]], missing: str
) -> Iterator[Collected]:
    """Look up what a release does not contain, library by library, until the API cannot be reached.

    Being unreachable is not a failure: the study runs without what is ``missing``.
    """
    unreachable = False
    for library in libraries:
        if unreachable:
            yield Collected(library, {"kind": "not looked up"})
            continue
        try:
            yield Collected(library, look_up(library))
        except (UnreachableError, DeferredError) as error:
            unreachable = True
            yield Collected(library, {"kind": "not looked up", "note": f"{missing} stay as they are: {error}"})
        except DlbugError as error:
            yield Collected(library, {}, error)
