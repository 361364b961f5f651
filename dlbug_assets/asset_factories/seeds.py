"""The schema `reference` as assets: facts from CSV files, the taxonomy, and the study's own protocol."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from dlbug_assets.asset_factories.code_references import file_reference, function_reference
from dlbug_assets.asset_factories.code_versions import text_version
from dlbug_assets.asset_factories.metadata import check_specs
from dlbug_assets.asset_factories.tables import TableAssets, selected
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import SEEDS, display_path
from dlbug_assets.protocol.study import Study
from dlbug_assets.protocol.taxonomy import Taxonomy
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.rows import table_schema
from dlbug_assets.warehouse.table_specs import TableSpec


def seed_assets(tables: TableAssets, taxonomy: Taxonomy) -> dg.AssetsDefinition:
    """Create the schema `reference` as one multi-asset: its tables are small and change together.

    Raises :class:`DlbugError` for a table that has neither a CSV file nor a function.
    """
    specs = [tables.register(table) for table, spec in tables.specs.items() if spec.schema == "reference"]
    computed = study_tables(tables.study, taxonomy)
    missing = [spec for spec in specs if spec.table not in computed and not _seed(spec).is_file()]
    if missing:
        raise DlbugError(
            f"{missing[0].source}: {missing[0].table} has a description, but no {display_path(_seed(missing[0]))}"
        )

    @dg.multi_asset(
        name="reference",
        specs=[
            tables.asset_spec(spec, [], {"csv", "duckdb"}, _reference(spec), code_version=_code_version(spec, computed))
            for spec in specs
        ],
        check_specs=[check for spec in specs for check in check_specs(spec)],
        required_resource_keys={"warehouse"},
        can_subset=True,
    )
    def reference(context: dg.AssetExecutionContext) -> Any:
        warehouse: Warehouse = context.resources.warehouse
        frames = [(spec, _rows(spec, computed)) for spec in selected(context, specs)]
        yield from tables.events(
            [(warehouse.replace(spec, frame), {}) for spec, frame in frames], sum(frame.height for _, frame in frames)
        )

    return reference


def study_tables(study: Study, taxonomy: Taxonomy) -> dict[str, pl.DataFrame]:
    """Return the rows of reference.study, reference.libraries and reference.taxonomy, which the study defines."""
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
    libraries = [
        {"library": library.name, "position": position, "tags": list(library.tags)}
        for position, library in enumerate(study.libraries, start=1)
    ]
    categories = []
    counts: dict[str, int] = {}
    for category in taxonomy.categories:
        counts[category.dimension] = counts.get(category.dimension, 0) + 1
        categories.append(
            {
                "dimension": category.dimension,
                "code": category.code or None,
                "name": category.name,
                "aliases": list(category.aliases),
                "position": counts[category.dimension],
                "origin": category.origin,
            }
        )
    rows = {"reference.study": [protocol], "reference.libraries": libraries, "reference.taxonomy": categories}
    return {table: pl.DataFrame(of_table, schema=table_schema(table)) for table, of_table in rows.items()}


def _rows(spec: TableSpec, computed: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    if spec.table in computed:
        return computed[spec.table]
    # Everything as text: DuckDB casts to the types in schema.yml.
    return pl.read_csv(_seed(spec), infer_schema=False)


def _code_version(spec: TableSpec, computed: Mapping[str, pl.DataFrame]) -> str:
    if spec.table in computed:
        return text_version(computed[spec.table].write_json())
    return text_version(_seed(spec).read_text(encoding="utf-8"))


def _reference(spec: TableSpec) -> dict[str, Any]:
    if _seed(spec).is_file():
        return {"made_by": display_path(_seed(spec)), **file_reference(_seed(spec))}
    return function_reference(study_tables)


def _seed(spec: TableSpec) -> Path:
    return SEEDS / f"{spec.name}.csv"
