"""Collecting posts into landing, and loading raw_posts and raw_answers from there, partitioned by library.

candidate_posts and the funnel are SQL.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from dlbug_assets.lease import Lease
from dlbug_assets.stackoverflow.sources import PostSource
from dlbug_assets.table_assets import OWNERS, Part, TableAssets, asset_key, library_metadata

LANDING = "stackoverflow.landing"


class Collecting(dg.Config):
    """What a run may ask of collecting."""

    sweep: bool = Field(
        default=False,
        description="Ask the full question again instead of only what changed: finds scores that changed by votes "
        "alone, and deletions",
    )


def assets(source: PostSource, lock: Path, tables: TableAssets) -> list[dg.AssetsDefinition]:
    """The room's Python assets; ``lock`` lets one process at a time collect for a study."""

    @dg.multi_asset(
        name=LANDING.replace(".", "__"),
        specs=[
            dg.AssetSpec(
                asset_key(LANDING),
                group_name="stackoverflow",
                description="Raw replies of the source, kept as they came: everything in stackoverflow can be made of "
                "them again",
                kinds={"python", "json"},
                owners=OWNERS,
                partitions_def=tables.partitions,
                metadata={"made_by": f"{PostSource.__module__}.PostSource.collect"},
            )
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        # Before whatever writes: collecting takes its time, and meanwhile others may have the database.
        op_tags={"dagster/priority": "1"},
    )
    def landing(context: dg.AssetExecutionContext, config: Collecting) -> Any:
        shown: dict[str, dict[str, Any]] = {}
        failures = {}
        with Lease(lock, f"run {context.run_id}", context.log.info, what="collector's lease"):
            for collected in source.collect(context.partition_keys, context.log.info, sweep=config.sweep):
                if collected.failure is None:
                    shown[collected.library] = dict(collected.notes)
                    context.log.info(f"{collected.library}: {_line(collected.notes)}")
                else:
                    failures[collected.library] = str(collected.failure)
        metadata = {**_totals(shown), **library_metadata(shown, {})}
        if failures:
            for library in shown:  # these are done, and what follows from them may go on
                yield dg.AssetMaterialization(asset_key(LANDING), metadata=metadata, partition=library)
            reasons = dict.fromkeys(failures.values())
            raise dg.Failure(
                "; ".join(
                    f"{', '.join(library for library in failures if failures[library] == reason)}: {reason}"
                    for reason in reasons
                ),
                allow_retries=False,
            )
        yield dg.MaterializeResult(asset_key=asset_key(LANDING), metadata=metadata)

    @tables.by_library(
        "stackoverflow.raw_posts",
        "stackoverflow.raw_answers",
        "stackoverflow.irregularities",
        "stackoverflow.collections",  # the last one: what stands there counts as loaded
        reads={"libraries": "reference.libraries"},
        after=[LANDING],
    )
    def raw_posts(library: str, own: Any, **_: Any) -> dict[str, Part]:
        return source.load(library, own)

    return [landing, raw_posts]


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
    """What there is to say of a collection on the terminal."""
    counted = [f"{notes[name]} {name}" for name in ("requests", "items", "questions", "answers") if name in notes]
    return ", ".join([str(notes["kind"]), *counted, *([str(notes["note"])] if "note" in notes else [])])
