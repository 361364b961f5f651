"""The definitions that Dagster loads: a snapshot of assets, checks and jobs, and the effect of a violated check."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dlbug_assets.asset_factories.tables import TableAssets
from dlbug_assets.definitions import build_defs
from dlbug_assets.layout import SCHEMAS
from dlbug_assets.protocol.study import load_study, shipped_studies
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.rows import PartitionRows
from dlbug_assets.warehouse.table_specs import load_specs

SPECS = load_specs(study=load_study("sample"))
SNAPSHOT = Path(__file__).parent / "definitions.json"

#: The tables that users rely on.
CONTRACT = """
stackoverflow.raw_posts stackoverflow.raw_answers stackoverflow.candidate_posts
github.repositories github.fix_commits github.sampled_commits
labeling.items labeling.units labeling.rater_labels labeling.rejected_labels labeling.kappa_checkpoints
labeling.category_kappa labeling.disagreements labeling.labels
analysis.dataset_summary analysis.bug_type_distribution analysis.root_cause_distribution analysis.effect_distribution
analysis.stage_distribution analysis.antipattern_distribution analysis.source_comparison
analysis.root_cause_by_bug_type analysis.library_correlation analysis.yearly_evolution analysis.findings
analysis.finding_verdicts analysis.replication_diff analysis.source_tests analysis.trends analysis.finding_sensitivity
analysis.repeat_agreement publishing.study_info
""".split()  # noqa: SIM905 - one line each would be longer


@pytest.fixture(scope="module")
def definitions(tmp_path_factory) -> dg.Definitions:
    return build_defs(load_study("sample"), {"DLBUG_HOME": str(tmp_path_factory.mktemp("home"))})


def snapshot_of(definitions: dg.Definitions) -> dict[str, object]:
    graph = definitions.resolve_asset_graph()
    assets = {
        spec.key.to_user_string(): {
            "group": spec.group_name,
            "kinds": sorted(spec.kinds),
            "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
            "partitioned": spec.partitions_def is not None,
            "checks": sorted(key.name for key in graph.asset_check_keys if key.asset_key == spec.key),
        }
        for spec in sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key)
    }
    return {"assets": assets, "jobs": sorted(job.name for job in definitions.resolve_all_job_defs())}


def test_the_definitions_are_those_of_the_snapshot(definitions):
    found = snapshot_of(definitions)
    if os.environ.get("DLBUG_WRITE_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(SNAPSHOT.read_text(encoding="utf-8")), (
        "the graph changed; if that is intended, update the snapshot with DLBUG_WRITE_SNAPSHOT=1"
    )


@pytest.mark.slow
def test_they_load_with_warnings_as_errors():
    program = (
        "import os; import dagster as dg; from dlbug_assets.definitions import build_defs; "
        "from dlbug_assets.protocol.study import load_study; "
        "dg.Definitions.validate_loadable(build_defs(load_study('sample'), os.environ))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=120)


@pytest.mark.parametrize("study", shipped_studies())
def test_every_shipped_study_loads(study, tmp_path):
    dg.Definitions.validate_loadable(build_defs(load_study(study), {"DLBUG_HOME": str(tmp_path)}))


def test_every_asset_has_description_owner_kinds_and_the_group_of_its_schema(definitions):
    for spec in definitions.resolve_all_asset_specs():
        assert spec.description
        assert spec.owners == ["team:dlbug"]
        assert spec.kinds
        assert spec.group_name == spec.key.path[0]
        assert spec.group_name in SCHEMAS


def test_every_asset_refers_to_the_code_that_computes_it(definitions):
    for spec in definitions.resolve_all_asset_specs():
        (place,) = spec.metadata["dagster/code_references"].code_references
        file = Path(place.file_path)
        line = file.read_text(encoding="utf-8").splitlines()[place.line_number - 1]
        if file.suffix == ".py":
            assert line.lstrip().startswith(("@", "def "))
            assert file.name != "assets.py"
        else:
            assert file.suffix in (".sql", ".csv")
            assert file.parent.name in (spec.key.path[0], "seeds", "published")


def test_made_by_names_the_function_that_computes(definitions):
    made_by = {spec.key.to_user_string(): spec.metadata["made_by"] for spec in definitions.resolve_all_asset_specs()}
    assert made_by["publishing/report"] == "dlbug_assets.publishing.report.report_files"
    assert made_by["publishing/database"] == "dlbug_assets.warehouse.database.Warehouse.publish"
    assert made_by["analysis/trends"] == "dlbug_assets.analysis.trends.trends"
    assert made_by["labeling/units"] == "dlbug_assets.labeling.units.units"


def test_every_table_of_the_contract_is_an_asset(definitions):
    assets = {".".join(spec.key.path) for spec in definitions.resolve_all_asset_specs()}
    assert set(CONTRACT) <= assets


def test_the_published_database_depends_on_every_table(definitions):
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    upstream = {dep.asset_key.to_user_string() for dep in specs["publishing/database"].deps}
    tables = {key for key, spec in specs.items() if "dagster/table_name" in spec.metadata}
    assert upstream == tables
    assert tables == {f"{spec.schema}/{spec.name}" for spec in SPECS.values()}


def test_a_table_depends_on_those_that_it_is_checked_against(definitions):
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    for table, checked_against in {
        "labeling/rater_labels": "labeling/items",
        "github/repositories": "reference/libraries",
    }.items():
        assert checked_against in {dep.asset_key.to_user_string() for dep in specs[table].deps}


@pytest.mark.slow
@pytest.mark.parametrize("violation", ["missing grain", "repeated row"])
def test_a_violation_in_a_table_fails_it_and_skips_everything_downstream(violation, home):
    """Violate the grain of every table; nothing downstream may run, and the tables keep their content."""
    # Without checks against other tables: those tables would have to be materialized first.
    independent = {
        table: dataclasses.replace(spec, checks=tuple(check for check in spec.checks if not check.against))
        for table, spec in SPECS.items()
    }
    tables = TableAssets(load_study("sample"), independent)
    before = {table: _one_row(SPECS[table], 1) for table in CONTRACT}

    @dg.resource
    def warehouse(_):
        with Warehouse(home, "a test") as opened:
            yield opened

    def violating(table):
        spec, row = SPECS[table], _one_row(SPECS[table], 2)
        missing = row.with_columns(pl.lit(None).alias(name) for name in spec.grain)

        def broken():
            return missing if violation == "missing grain" else pl.concat([row, row])

        return tables.table(table, compute=broken)

    reached = []

    def downstream_of(table):
        @dg.asset(name=f"after_{table.replace('.', '_')}", deps=[dg.AssetKey(table.split("."))])
        def downstream():
            reached.append(table)

        return downstream

    with Warehouse(home, "a test") as opened:
        for table, spec in SPECS.items():
            opened.replace(dataclasses.replace(spec, checks=()), before.get(table, _one_row(spec, 1)))
    result = dg.materialize(
        [*map(violating, CONTRACT), *map(downstream_of, CONTRACT)],
        resources={"warehouse": warehouse},
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert not result.success
    assert reached == []
    failed = {(check.asset_key, check.check_name) for check in result.get_asset_check_evaluations() if not check.passed}
    kind = "not_null" if violation == "missing grain" else "unique"
    grains = {table: "_".join(SPECS[table].grain) for table in CONTRACT}
    assert failed >= {(dg.AssetKey(table.split(".")), f"{kind}_{grain}") for table, grain in grains.items()}
    with Warehouse(home, "a test") as opened:
        for table, rows in before.items():
            assert_frame_equal(opened.read(table), rows, check_dtypes=False)


def test_tables_after_a_rejected_one_of_the_same_corpus_are_not_written(home):
    """The last table of a corpus lists what is loaded; it must not list rows that were rejected."""
    names = ("github.repositories", "github.fix_commits", "github.collections")
    grains = {table: dataclasses.replace(SPECS[table], checks=SPECS[table].checks[:2]) for table in names}

    @dg.resource
    def warehouse(_):
        with Warehouse(home, "a test") as opened:
            yield opened

    def load(commits):
        rows = {SPECS[table].name: _one_row(SPECS[table], 1) for table in names} | {"fix_commits": commits}

        def compute(library, read_current):
            return {name: PartitionRows.appending(frame) for name, frame in rows.items()}

        asset = TableAssets(load_study("sample"), grains).partitioned_table(*names, compute=compute)
        return dg.materialize([asset], partition_key="Keras", resources={"warehouse": warehouse}, raise_on_error=False)

    commit = _one_row(SPECS["github.fix_commits"], 1)
    rejected = load(pl.concat([commit, commit]))
    assert not rejected.success
    materialized = [event.asset_key for event in rejected.get_asset_materialization_events()]
    assert materialized == [dg.AssetKey(["github", "repositories"])]
    with Warehouse(home, "a test") as opened:
        assert [opened.exists(table) for table in names] == [True, False, False]
    assert load(commit).success


def _one_row(spec, number) -> pl.DataFrame:
    """Return a row with a value in every column; only the grain matters here."""
    values = {
        "VARCHAR": str(number), "DOUBLE": number / 2, "BOOLEAN": True, "BIGINT": number, "INTEGER": number,
        "VARCHAR[]": [str(number)],
    }  # fmt: skip
    return pl.DataFrame({column.name: [values.get(column.data_type)] for column in spec.columns})


def test_assets_and_jobs_are_tagged_with_the_study_and_whether_it_is_synthetic(definitions):
    tags = {"study": "sample", "synthetic": "true"}
    for spec in definitions.resolve_all_asset_specs():
        assert {name: spec.tags[name] for name in ("study", "synthetic", "stage")} == tags | {"stage": spec.group_name}
    for job in definitions.resolve_all_job_defs():
        if not job.name.startswith("__"):  # Dagster's own
            assert tags.items() <= job.run_tags.items(), job.name


def test_the_address_of_an_asset_is_where_users_find_it(tmp_path):
    found = build_defs(load_study("sample"), {"DLBUG_HOME": str(tmp_path)}).resolve_all_asset_specs()
    addresses = {spec.key.to_user_string(): spec.metadata["dagster/uri"] for spec in found}
    assert addresses["analysis/findings"] == addresses["publishing/database"] == f"file://{tmp_path}/sample.duckdb"
    assert addresses["publishing/report"] == f"file://{tmp_path}/sample/report/index.html"
    assert addresses["github/landing"] == f"file://{tmp_path}/sample/landing/github"
