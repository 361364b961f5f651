"""Where tables come from, up to the raw tables, for every study that ships."""

import pytest

from dlbug_assets.cli.mcp.lineage import Lineage
from dlbug_assets.protocol.study import load_study, shipped_studies
from dlbug_assets.warehouse.table_specs import load_specs


@pytest.mark.parametrize("study", shipped_studies())
def test_every_table_has_an_origin_and_lineage_ends_at_what_reads_nothing(study, tmp_path):
    lineage = Lineage(load_study(study), {"DLBUG_HOME": str(tmp_path)})
    tables = load_specs(study=load_study(study))
    assert tables.keys() <= lineage.origins.keys()
    assert [table for table in tables if not lineage.origins[table].made_by] == []
    for table in tables:
        upstream = list(lineage.upstream(table))
        assert len(upstream) == len(set(upstream))
        assert table not in upstream
        assert {read for each in (table, *upstream) for read in lineage.origins[each].reads} == set(upstream)


def test_a_model_has_its_sql_and_columns_and_a_function_its_docstring(tmp_path):
    lineage = Lineage(load_study("sample"), {"DLBUG_HOME": str(tmp_path)})
    funnel = lineage.origins["stackoverflow.funnel"]
    assert funnel.made_by == "dbt_like_sql/stackoverflow/funnel.sql"
    assert funnel.code.startswith("-- one row per library")
    assert set(funnel.reads) == {"reference.libraries", "stackoverflow.screening"}
    assert funnel.columns["library"] == ("reference.libraries.library",)
    clusters = lineage.origins["analysis.clusters"]
    assert clusters.made_by == "dlbug_assets.analysis.clusters.clusters"
    assert clusters.code.startswith("Return ")
    assert clusters.columns == {}
    assert "analysis.cluster_counts" in lineage.downstream("analysis.clusters")
