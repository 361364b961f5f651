"""The schema `reference` as assets: seeds (CSV facts), the taxonomy and the study itself."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from dlbug_assets.asset_factories.tables import TableAssets, check_specs, selected, source_code, source_of
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import SEEDS, display_path
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.table_specs import TableSpec


def seed_frames(tables: TableAssets, taxonomy: Taxonomy) -> Iterator[tuple[TableSpec, pl.DataFrame]]:
    """The rows of every table of the schema `reference`: the CSV facts, the taxonomy and the study's own protocol."""
    study = tables.study
    protocol = {
        "name": study.name,
        "title": study.study.title,
        "seed": study.study.seed,
        "hash": study.hash,
        "is_synthetic": study.is_synthetic,
        "posts_are_a_corpus": study.sources.posts != "artifact",
        "commits_are_a_corpus": study.sources.commits != "artifact",
        "min_score": study.selection.min_score,
        "require_code": study.selection.require_code,
        "created_from": study.selection.created_from,
        "created_until": study.selection.created_until,
        "kappa_target": study.labeling.kappa_target,
        "commits_per_library": study.selection.commits_per_library,
    }
    computed = {
        "reference.study": pl.DataFrame(
            [protocol], schema_overrides={"created_from": pl.Date, "created_until": pl.Date}
        ),
        "reference.libraries": pl.DataFrame(
            [
                {"library": library.name, "position": position, "tags": list(library.tags)}
                for position, library in enumerate(study.libraries, start=1)
            ]
        ),
        "reference.taxonomy": _taxonomy_frame(taxonomy),
    }
    for table, spec in tables.specs.items():
        if spec.schema == "reference":
            yield spec, computed[table] if table in computed else _csv(spec)


def _csv(spec: TableSpec) -> pl.DataFrame:
    file = SEEDS / f"{spec.name}.csv"
    if not file.is_file():
        raise DlbugError(f"{spec.source}: {spec.table} is described, but {display_path(file)} is not there")
    # Everything as text: DuckDB casts to the types that schema.yml says.
    return pl.read_csv(file, infer_schema=False)


def _taxonomy_frame(taxonomy: Taxonomy) -> pl.DataFrame:
    rows = []
    counts: dict[str, int] = {}
    for category in taxonomy.categories:
        counts[category.dimension] = counts.get(category.dimension, 0) + 1
        rows.append(
            {
                "dimension": category.dimension,
                "code": category.code or None,
                "name": category.name,
                "aliases": list(category.aliases),
                "position": counts[category.dimension],
                "origin": category.origin,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def _seed_source(spec: TableSpec) -> dict[str, Any]:
    file = SEEDS / f"{spec.name}.csv"
    if file.is_file():
        return {"made_by": display_path(file), **source_code(file)}
    return {**source_of(seed_frames), "made_by": "the study and its taxonomy"}


def seed_assets(tables: TableAssets, taxonomy: Taxonomy) -> dg.AssetsDefinition:
    """The schema `reference` as one multi-asset: its tables are small and always change together."""
    specs = [tables.claim(table) for table, spec in tables.specs.items() if spec.schema == "reference"]

    @dg.multi_asset(
        name="reference",
        specs=[tables.asset_spec(spec, [], {"csv", "duckdb"}, _seed_source(spec), partitioned=False) for spec in specs],
        check_specs=[check for spec in specs for check in check_specs(spec)],
        required_resource_keys={"warehouse"},
        can_subset=True,
    )
    def reference(context: dg.AssetExecutionContext) -> Any:
        warehouse: Warehouse = context.resources.warehouse
        chosen = selected(context, specs)
        frames = [(spec, frame) for spec, frame in seed_frames(tables, taxonomy) if spec in chosen]
        yield from tables.events(
            [(warehouse.replace(spec, frame), {}) for spec, frame in frames], sum(frame.height for _, frame in frames)
        )

    return reference
