"""Everything that Dagster sees of one study: assets, resources, jobs, schedules and sensors."""

import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg

import dlbug_assets.analysis.assets
import dlbug_assets.github.assets
import dlbug_assets.labeling.assets
import dlbug_assets.publishing.assets
import dlbug_assets.stackoverflow.assets
from dlbug_assets import releases
from dlbug_assets.asset_factories.seeds import seed_assets
from dlbug_assets.asset_factories.sql_models import load_models, sql_assets
from dlbug_assets.asset_factories.tables import TableAssets
from dlbug_assets.automation.jobs import automation, study_tags
from dlbug_assets.automation.orphaned_runs import run_lock
from dlbug_assets.automation.step_log import logs_in_the_event_log, progress
from dlbug_assets.clock import Clock
from dlbug_assets.errors import DlbugError
from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.sources import commit_source
from dlbug_assets.ingest.landing import Landing
from dlbug_assets.ingest.spark import VARIABLE
from dlbug_assets.layout import CHECKOUT, PACKAGE, Home, restrict_new_files
from dlbug_assets.protocol.study import Study, load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.stackoverflow.api.access import StackExchangeAccess
from dlbug_assets.stackoverflow.sources import post_source
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.table_specs import load_specs


def build_defs(study: Study, environ: Mapping[str, str], *, incomplete: bool = False) -> dg.Definitions:
    """Return the definitions of a study; ``environ`` has DLBUG_HOME, DLBUG_RELEASES and DLBUG_SPARK where they are set.

    ``incomplete`` samples commits of libraries with unread repositories, too. Raises :class:`DlbugError` for a model,
    description or taxonomy that cannot be used, naming file and line.
    """
    home = Home.of(study.name, environ)
    specs = load_specs(study=study)
    taxonomy = load_taxonomy(study)
    tables = TableAssets(study, specs)
    spark = environ.get(VARIABLE) or None

    @functools.cache
    def release() -> releases.Released:
        return releases.read(study, taxonomy, environ, home.releases)

    @dg.resource(description="The study's DuckDB files, under the writer's lease from the first write to the run's end")
    def warehouse(context: dg.InitResourceContext) -> Iterator[Warehouse]:
        with (
            logs_in_the_event_log(),
            run_lock(home.run_locks, str(context.run_id)),
            Warehouse(home, f"run {context.run_id}") as opened,
        ):
            yield opened

    assets = [
        seed_assets(tables, taxonomy),
        *sql_assets(tables, load_models(specs)),
        *dlbug_assets.stackoverflow.assets.assets(
            post_source(
                study,
                home.landing / "stackoverflow",
                home.secret_key,
                StackExchangeAccess.of(environ, home.quota),
                release,
                spark=spark,
            ),
            home.landing / "stackoverflow.lock",
            tables,
        ),
        *dlbug_assets.github.assets.assets(
            study,
            commit_source(
                study,
                Landing(home.landing / "github", Clock()),
                ApiAccess.of(environ, home.quota),
                home.clones,
                home.secret_key,
                release=release,
                spark=spark,
            ),
            home.landing / "github.lock",
            tables,
            incomplete=incomplete,
        ),
        *dlbug_assets.labeling.assets.assets(study, home.labels, tables, taxonomy, release),
        *dlbug_assets.analysis.assets.assets(tables, home.reconstructions),
    ]
    assets += dlbug_assets.publishing.assets.assets(study, home, tables)
    missing = sorted(set(specs) - tables.registered)
    if missing:
        raise DlbugError(f"{specs[missing[0]].source}: {missing[0]} is described, but no asset computes it")

    def in_the_study(spec: dg.AssetSpec) -> dg.AssetSpec:
        tags = {**study_tags(study), "stage": str(spec.group_name)}
        return spec.merge_attributes(tags=tags, metadata={"dagster/uri": _place(spec.key, home).as_uri()})

    tables_of_the_study = dg.Definitions(
        assets=dg.map_asset_specs(in_the_study, assets),
        resources={"warehouse": warehouse},
        loggers={"console": dg.colored_console_logger, "progress": progress},
        # Steps share one writing connection under one lease: in processes of their own they would wait for each other.
        executor=dg.in_process_executor,
    )
    corpora = [spec.key for asset in assets for spec in asset.specs if spec.partitions_def]
    return dg.Definitions.merge(tables_of_the_study, automation(study, home, corpora))


def _place(key: dg.AssetKey, home: Home) -> Path:
    """Return the file or folder in which users find what an asset makes: for a table, the published database."""
    stage, name = key.path
    return {"landing": home.landing / stage, "report": home.report / "index.html"}.get(name, home.published)


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of the study that DLBUG_STUDY names, for `dagster dev`, `dg dev` and `dg launch`."""
    restrict_new_files()
    return dg.Definitions.merge(
        build_defs(load_study(os.environ.get("DLBUG_STUDY", "sample"), os.environ), os.environ), *_scaffolded()
    )


def _scaffolded() -> list[dg.Definitions]:
    """Return what was scaffolded into dlbug_assets/defs of a checkout."""
    folder = PACKAGE / "defs"
    # Loading an empty folder takes half a second.
    if CHECKOUT is None or not any(path.name not in ("__init__.py", "__pycache__") for path in folder.iterdir()):
        return []
    return [dg.load_from_defs_folder(path_within_project=folder)]
