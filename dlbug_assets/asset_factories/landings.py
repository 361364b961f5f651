"""Landings as Dagster assets: they store the replies of a source, library by library, without opening the database.

A library that fails does not stop the others: they are recorded as materialized, so that downstream assets can run, and
then the step fails.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import dagster as dg
from pydantic import Field

from dlbug_assets.asset_factories.code_references import function_reference
from dlbug_assets.asset_factories.code_versions import source_version
from dlbug_assets.asset_factories.metadata import asset_key, library_metadata
from dlbug_assets.asset_factories.tables import OWNERS, TableAssets
from dlbug_assets.ingest.http_client import UnreachableError
from dlbug_assets.ingest.landing import Collected
from dlbug_assets.warehouse.lease import Lease

logger = logging.getLogger(__name__)

#: The assets that collect, by their keys.
POSTS_LANDING = "stackoverflow.landing"
COMMITS_LANDING = "github.landing"
LANDINGS = (POSTS_LANDING, COMMITS_LANDING)


class Collect(Protocol):
    """A function that collects for one corpus."""

    def __call__(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]:
        """Bring the landing up to date, library by library; ``sweep`` repeats the full query."""
        ...


class CollectionConfig(dg.Config):
    """Run configuration of the collecting step."""

    sweep: bool = Field(
        default=False,
        description="Repeat the full query instead of asking only for changes: finds scores that changed through votes "
        "alone, and deletions",
    )
    retries: int = Field(
        default=0,
        ge=0,
        description="Number of retries if no reply was received; schedules use it, because nobody is waiting for them. "
        "Other failures are not retried: they would fail again",
    )
    pause: float = Field(
        default=60, ge=0, description="Seconds before the first retry; each later retry waits four times as long"
    )


def step_name(landing: str) -> str:
    """Return the name of the step that materializes an asset."""
    return landing.replace(".", "__")


def landing_asset(landing: str, collect: Collect, lock: Path, tables: TableAssets) -> dg.AssetsDefinition:
    """Create the landing asset of a corpus; ``lock`` lets one process at a time collect for a study."""
    corpus = landing.split(".", maxsplit=1)[0]

    @dg.multi_asset(
        name=step_name(landing),
        specs=[
            dg.AssetSpec(
                asset_key(landing),
                group_name=corpus,
                description=f"Raw replies of the source, unchanged: all tables of {corpus} can be rebuilt from them",
                kinds={"python", "json"},
                owners=OWNERS,
                partitions_def=tables.partitions,
                freshness_policy=tables.freshness,
                code_version=source_version(collect),
                metadata=function_reference(collect),
            )
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        # Not used here, but the resource holds the run's lock, which shows that the run is alive.
        required_resource_keys={"warehouse"},
        # Before any step that writes: collecting takes long, and other runs can use the database meanwhile.
        op_tags={"dagster/priority": "1"},
    )
    def collecting(context: dg.AssetExecutionContext, config: CollectionConfig) -> Any:
        notes: dict[str, dict[str, Any]] = {}
        failures = {}
        is_unreachable = False
        with Lease(lock, f"run {context.run.run_id}", what="collector's lease"):
            for collected in collect(context.partition_keys, sweep=config.sweep):
                if collected.failure is None:
                    notes[collected.library] = dict(collected.notes)
                    logger.info("%s: %s", collected.library, _line(collected.notes))
                else:
                    failures[collected.library] = str(collected.failure)
                    is_unreachable |= isinstance(collected.failure, UnreachableError)
        metadata = {**_totals(notes), **library_metadata(notes, {}), **tables.protocol}
        if is_unreachable and context.retry_number < config.retries:
            wait = config.pause * 4**context.retry_number
            logger.warning("no reply for %s: trying again in %.0f s", ", ".join(failures), wait)
            raise dg.RetryRequested(max_retries=config.retries, seconds_to_wait=wait)
        if failures:
            for library in notes:  # these are complete, so downstream assets can use them
                yield dg.AssetMaterialization(asset_key(landing), metadata=metadata, partition=library)
            reasons = dict.fromkeys(failures.values())
            raise dg.Failure(
                "; ".join(
                    f"{', '.join(library for library in failures if failures[library] == reason)}: {reason}"
                    for reason in reasons
                ),
                allow_retries=False,
            )
        yield dg.MaterializeResult(asset_key=asset_key(landing), metadata=metadata)

    return collecting


def _totals(notes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the totals of a run that the UI plots: requests, quota left, newest activity (where known)."""
    aggregates: dict[str, Callable[[list[Any]], Any]] = {"requests": sum, "quota_left": min, "newest_activity": max}
    totals = {}
    for name, aggregate in aggregates.items():
        known = [of_library[name] for of_library in notes.values() if of_library.get(name) is not None]
        if known:
            totals[name] = aggregate(known)
    return totals


def _line(notes: Mapping[str, Any]) -> str:
    """Return a collection's notes in one line, for the log."""
    names = ("requests", "items", "questions", "answers", "repositories", "commits")
    counted = [f"{notes[name]} {name}" for name in names if name in notes]
    return ", ".join([str(notes["kind"]), *counted, *([str(notes["note"])] if "note" in notes else [])])
