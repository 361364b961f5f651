"""Collecting as a Dagster asset: what a source replies goes into landing, library by library, without the database.

A library that fails does not keep the others from being done: they are recorded as materialized, and what follows from
them may go on; then the step fails.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import dagster as dg
from pydantic import Field

from dlbug_assets.asset_factories.tables import OWNERS, TableAssets, asset_key, library_metadata
from dlbug_assets.ingest.http_client import UnreachableError
from dlbug_assets.ingest.landing import Collected
from dlbug_assets.warehouse.lease import Lease

logger = logging.getLogger(__name__)

#: The assets that collect, by their keys.
POSTS_LANDING = "stackoverflow.landing"
COMMITS_LANDING = "github.landing"
LANDINGS = (POSTS_LANDING, COMMITS_LANDING)


class Collect(Protocol):
    """How a source brings landing up to date; ``sweep`` asks the full question again."""

    def __call__(self, libraries: Sequence[str], *, sweep: bool) -> Iterator[Collected]: ...


class Collecting(dg.Config):
    """What a run may ask of collecting."""

    sweep: bool = Field(
        default=False,
        description="Ask the full question again instead of only what changed: finds scores that changed by votes "
        "alone, and deletions",
    )
    retries: int = Field(
        default=0,
        ge=0,
        description="How often to try again where no reply came: schedules do, as nobody sits and waits for them. "
        "Nothing else is tried again: it would fail again",
    )
    pause: float = Field(
        default=60, ge=0, description="Seconds before the first retry; each later one waits four times as long"
    )


def step_name(landing: str) -> str:
    """The name of the step that makes an asset."""
    return landing.replace(".", "__")


def landing_asset(landing: str, collect: Collect, lock: Path, tables: TableAssets) -> dg.AssetsDefinition:
    """The asset of a room's landing; ``lock`` lets one process at a time collect for a study."""
    room = landing.split(".", maxsplit=1)[0]

    @dg.multi_asset(
        name=step_name(landing),
        specs=[
            dg.AssetSpec(
                asset_key(landing),
                group_name=room,
                description=f"What the source replied, kept as it came: everything in {room} can be made of it again",
                kinds={"python", "json"},
                owners=OWNERS,
                partitions_def=tables.partitions,
                freshness_policy=tables.freshness,
                metadata={"made_by": f"dlbug_assets.{room}.sources"},
            )
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        # Not opened here; but with it a run shows that it is alive.
        required_resource_keys={"warehouse"},
        # Before whatever writes: collecting takes its time, and meanwhile others may have the database.
        op_tags={"dagster/priority": "1"},
    )
    def collecting(context: dg.AssetExecutionContext, config: Collecting) -> Any:
        shown: dict[str, dict[str, Any]] = {}
        failures = {}
        is_unreachable = False
        with Lease(lock, f"run {context.run.run_id}", what="collector's lease"):
            for collected in collect(context.partition_keys, sweep=config.sweep):
                if collected.failure is None:
                    shown[collected.library] = dict(collected.notes)
                    logger.info("%s: %s", collected.library, _line(collected.notes))
                else:
                    failures[collected.library] = str(collected.failure)
                    is_unreachable |= isinstance(collected.failure, UnreachableError)
        metadata = {**_totals(shown), **library_metadata(shown, {}), **tables.protocol}
        if is_unreachable and context.retry_number < config.retries:
            wait = config.pause * 4**context.retry_number
            logger.warning("no reply for %s: trying again in %.0f s", ", ".join(failures), wait)
            raise dg.RetryRequested(max_retries=config.retries, seconds_to_wait=wait)
        if failures:
            for library in shown:  # these are done, and what follows from them may go on
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


def _totals(shown: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a run's collections come to, for the UI to plot: requests, quota left, newest activity (where known)."""
    known: dict[str, list[Any]] = {}
    for notes in shown.values():
        for name in ("requests", "quota_left", "newest_activity"):
            if notes.get(name) is not None:
                known.setdefault(name, []).append(notes[name])
    ways: dict[str, Callable[[list[Any]], Any]] = {"requests": sum, "quota_left": min, "newest_activity": max}
    return {name: ways[name](values) for name, values in known.items()}


def _line(notes: Mapping[str, Any]) -> str:
    """Return a collection's notes in one line, for the log."""
    names = ("requests", "items", "questions", "answers", "repositories", "commits")
    counted = [f"{notes[name]} {name}" for name in names if name in notes]
    return ", ".join([str(notes["kind"]), *counted, *([str(notes["note"])] if "note" in notes else [])])
