"""SQL models as assets: dependencies and lineage are read from the query, and errors in it are reported on loading."""

import textwrap

import dagster as dg
import polars as pl
import pytest

from dlbug_assets.asset_factories.sql_models import column_origins, load_models, sql_assets
from dlbug_assets.asset_factories.tables import TableAssets
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.table_specs import load_specs

SCHEMA = """
version: 2
models:
  - name: counts
    description: One row per library.
    grain: [library]
    columns:
      - {name: library, data_type: VARCHAR, description: Its name}
      - {name: bugs, data_type: BIGINT, description: How many bugs}
  - name: shares
    description: One row per library.
    grain: [library]
    columns:
      - {name: library, data_type: VARCHAR, description: Its name}
      - {name: share, data_type: DOUBLE, description: "Share of all bugs, 0..1"}
  - name: bugs
    description: One row per bug.
    grain: [bug]
    columns:
      - {name: bug, data_type: BIGINT, description: Its number}
      - {name: library, data_type: VARCHAR, description: Where, tests: [accepted_values: {values: [Keras, Torch]}]}
"""

COUNTS = """
-- one row per library
select library, count(*) as bugs
from analysis.bugs
group by library
"""

SHARES = """
-- one row per library
with everything as (
    select sum(bugs) as bugs
    from analysis.counts
)

select
    counts.library,
    counts.bugs / everything.bugs as share
from analysis.counts as counts
cross join everything
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "analysis").mkdir()
    write(tmp_path, "schema.yml", SCHEMA)
    write(tmp_path, "counts.sql", COUNTS)
    write(tmp_path, "shares.sql", SHARES)
    return tmp_path


def write(folder, name, text):
    (folder / "analysis" / name).write_text(textwrap.dedent(text), encoding="utf-8")


def load(folder):
    return {model.table: model for model in load_models(load_specs(folder), folder)}


def load_error(folder, name, text):
    write(folder, name, text)
    with pytest.raises(DlbugError) as caught:
        load(folder)
    return str(caught.value)


def test_dependencies_are_the_tables_a_query_reads(folder):
    models = load(folder)
    assert dict(models["analysis.counts"].reads) == {"analysis.bugs": 3}
    assert dict(models["analysis.shares"].reads) == {"analysis.counts": 4}


def test_table_functions_and_pivots_are_not_dependencies(folder):
    write(
        folder,
        "counts.sql",
        """
        with numbers as (select * from range(3))
        select library, 1 as bugs from (pivot analysis.bugs on library using count(*)), numbers
        """,
    )
    assert list(load(folder)["analysis.counts"].reads) == ["analysis.bugs"]


def test_column_lineage_is_traced_through_ctes(folder):
    origins = column_origins(load(folder)["analysis.shares"], load_specs(folder))
    assert origins == {
        "library": [("analysis.counts", "library")],
        "share": [("analysis.counts", "bugs")],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1 as library, 2 as bugs;\nselect 2", "counts.sql, line 2: a second statement"),
        ("drop table analysis.bugs", "counts.sql, line 1: a drop statement; a model is a single query"),
        ("select *\nfrom analysis.bugz", "counts.sql, line 2: unknown table analysis.bugz"),
        ("select *\n\nfrom bugs", "counts.sql, line 3: 'bugs' is not a CTE; write tables as schema.table"),
        ("select *\nfrom analysis.counts", "counts.sql, line 2: a cycle, analysis.counts reads itself"),
        ("select library,\nfrom from", "counts.sql, line 2: not SQL"),
        ("select 'open", "counts.sql: not SQL"),
        (
            "select library, share as bugs\nfrom analysis.shares",
            "counts.sql, line 2: a cycle, analysis.counts reads analysis.shares reads analysis.counts",
        ),
    ],
)
def test_errors_in_models_are_reported_with_file_and_line(folder, text, expected):
    assert expected in load_error(folder, "counts.sql", text)


def test_a_model_without_a_description_is_an_error(folder):
    message = load_error(folder, "secrets.sql", "select 1 as x")
    assert "secrets.sql, line 1: analysis.secrets has no description; add it to " in message
    assert message.endswith("schema.yml")


@pytest.fixture
def materialized(folder, tmp_path):
    """Return a function that materializes the models over given bugs and returns Dagster's result."""
    home = Home(tmp_path / "home", "tiny")
    specs = load_specs(folder)

    @dg.resource
    def warehouse(_):
        with Warehouse(home, "a test") as opened:
            yield opened

    def run(bugs):
        tables = TableAssets(load_study("sample"), specs)

        def compute():
            return pl.DataFrame(bugs, schema=["bug", "library"], orient="row")

        return dg.materialize(
            [tables.table("analysis.bugs", compute=compute), *sql_assets(tables, load_models(specs, folder))],
            resources={"warehouse": warehouse},
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    return run


def test_models_run_in_order_and_record_rows_columns_and_lineage(materialized, tmp_path):
    result = materialized([(1, "Keras"), (2, "Keras"), (3, "Torch"), (4, "Keras")])
    assert result.success
    with Warehouse(Home(tmp_path / "home", "tiny"), "a test") as warehouse:
        assert sorted(warehouse.read("analysis.shares").rows()) == [("Keras", 0.75), ("Torch", 0.25)]
    metadata = result.asset_materializations_for_node("analysis__shares")[0].metadata
    assert metadata["dagster/row_count"].value == 2
    columns = {column.name: column for column in metadata["dagster/column_schema"].value.columns}
    assert columns["share"].type == "DOUBLE"
    assert columns["share"].description == "Share of all bugs, 0..1 [from analysis.counts.bugs]"
    lineage = metadata["dagster/column_lineage"].value.deps_by_column
    assert lineage["share"] == [dg.TableColumnDep(dg.AssetKey(["analysis", "counts"]), "bugs")]


def test_a_violated_check_fails_the_run_and_keeps_the_tables(materialized, tmp_path):
    materialized([(1, "Keras")])
    result = materialized([(1, "Keras"), (2, "Cafe")])
    assert not result.success
    failed = {check.check_name for check in result.get_asset_check_evaluations() if not check.passed}
    assert failed == {"accepted_values_library"}
    assert result.get_step_failure_events()[0].step_key == "analysis__bugs"
    message = result.get_step_failure_events()[0].step_failure_data.user_failure_data.description
    assert "analysis.bugs: check accepted_values_library" in message
    assert "{'bug': 2, 'library': 'Cafe'}" in message
    with Warehouse(Home(tmp_path / "home", "tiny"), "a test") as warehouse:
        assert warehouse.read("analysis.bugs").rows() == [(1, "Keras")]
        assert warehouse.read("analysis.counts").rows() == [("Keras", 1)]


def test_assets_have_description_group_kinds_dependencies_columns_and_sql(folder):
    specs = load_specs(folder)
    tables = TableAssets(load_study("sample"), specs)
    shares = {
        spec.key.to_user_string(): spec
        for definition in sql_assets(tables, load_models(specs, folder))
        for spec in definition.specs
    }["analysis/shares"]
    assert shares.description == "One row per library."
    assert shares.group_name == "analysis"
    assert shares.kinds == {"sql", "duckdb"}
    assert [dep.asset_key.to_user_string() for dep in shares.deps] == ["analysis/counts"]
    assert [column.name for column in shares.metadata["dagster/column_schema"].columns] == ["library", "share"]
    assert "cross join everything" in shares.metadata["sql"].value


def test_table_macros_are_not_models(folder):
    (folder / "macros").mkdir()
    (folder / "macros" / "share.sql").write_text("create macro share() as table select 1", encoding="utf-8")
    assert set(load(folder)) == {"analysis.counts", "analysis.shares"}
