"""The schema `reference` as assets: the study's protocol and taxonomy, and CSV files.

Those of a study have the numbers that its paper prints, those in dbt_like_sql/seeds facts that all studies share.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from dlbug_assets.asset_factories.code_references import file_reference, function_reference
from dlbug_assets.asset_factories.code_versions import text_version
from dlbug_assets.asset_factories.metadata import check_specs
from dlbug_assets.asset_factories.tables import TableAssets, selected
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import MODELS, display_path
from dlbug_assets.protocol.claims import claim_rows, study_claims
from dlbug_assets.protocol.published_cells import published_cells
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
    files = _files([spec for spec in specs if spec.table not in computed], tables.study)
    for spec in specs:
        if spec.table not in computed and spec.table not in files:
            raise DlbugError(f"{spec.source}: {spec.table} has a description, but no {spec.name}.csv beside it")

    @dg.multi_asset(
        name="reference",
        specs=[
            tables.asset_spec(
                spec, [], {"csv", "duckdb"}, _reference(spec, files), code_version=_code_version(spec, computed, files)
            )
            for spec in specs
        ],
        check_specs=[check for spec in specs for check in check_specs(spec)],
        required_resource_keys={"warehouse"},
        can_subset=True,
    )
    def reference(context: dg.AssetExecutionContext) -> Any:
        warehouse: Warehouse = context.resources.warehouse
        frames = [(spec, _rows(spec, computed, files)) for spec in selected(context, specs)]
        yield from tables.events(
            [(warehouse.replace(spec, frame), {}) for spec, frame in frames], sum(frame.height for _, frame in frames)
        )

    return reference


def study_tables(study: Study, taxonomy: Taxonomy) -> dict[str, pl.DataFrame]:
    """Return the rows of the tables of the schema `reference` that every study defines."""
    protocol = {
        "name": study.name,
        "title": study.study.title,
        "seed": study.study.seed,
        "hash": study.hash,
        "is_synthetic": study.is_synthetic,
        "posts_are_a_corpus": study.sources.posts not in ("release", None),
        "commits_are_a_corpus": study.sources.commits not in ("release", None),
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
    sources = [{"source": name, "position": position} for position, name in enumerate(study.source_names, start=1)]
    dimensions = [
        {
            "dimension": dimension.name,
            "title": dimension.title,
            "question": dimension.question,
            "position": position,
            "is_asked": dimension.is_asked,
            "is_required": dimension.required,
            "is_multiple": dimension.multiple,
            "is_open": dimension.open,
            "rolls_up": dimension.rolls_up,
            "before": dimension.before,
        }
        for position, dimension in enumerate(study.dimensions, start=1)
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
                "parent": category.parent or None,
            }
        )
    codebook = [
        {
            "dimension": category.dimension,
            "category": category.name,
            "definition": category.definition,
            "example": category.example or None,
        }
        for category in taxonomy.categories
        if category.definition
    ]
    rows = {
        "study": [protocol],
        "libraries": libraries,
        "sources": sources,
        "dimensions": dimensions,
        "taxonomy": categories,
        "codebook": codebook,
        "taxonomy_mappings": [dataclasses.asdict(mapping) for mapping in taxonomy.mappings],
        "claims": claim_rows(study_claims(study, taxonomy)),
        "published_cells": published_cells(study, taxonomy),
    }
    schemas = {name: table_schema(f"reference.{name}") for name in rows}
    return {f"reference.{name}": pl.DataFrame(of_table, schema=schemas[name]) for name, of_table in rows.items()}


def _files(specs: Iterable[TableSpec], study: Study) -> dict[str, Path]:
    """Return the CSV files of tables: of facts that all studies share, or of numbers that the study's paper prints."""
    folders = [folder for folder in (study.files.published, MODELS / "seeds") if folder]
    places = ((spec.table, folder / f"{spec.name}.csv") for spec in specs for folder in folders)
    return {table: file for table, file in places if file.is_file()}


def _rows(spec: TableSpec, computed: Mapping[str, pl.DataFrame], files: Mapping[str, Path]) -> pl.DataFrame:
    if spec.table in computed:
        return computed[spec.table]
    # Everything as text: DuckDB casts to the types in schema.yml.
    return pl.read_csv(files[spec.table], infer_schema=False)


def _code_version(spec: TableSpec, computed: Mapping[str, pl.DataFrame], files: Mapping[str, Path]) -> str:
    if spec.table in computed:
        return text_version(computed[spec.table].write_json())
    return text_version(files[spec.table].read_text(encoding="utf-8"))


def _reference(spec: TableSpec, files: Mapping[str, Path]) -> dict[str, Any]:
    if spec.table in files:
        return {"made_by": display_path(files[spec.table]), **file_reference(files[spec.table])}
    return function_reference(study_tables)
