"""Assets have code versions, and a table whose code changed is materialized again."""

import dataclasses

import dagster as dg
import pytest

import dlbug_assets.definitions
from dlbug_assets.asset_factories.metadata import asset_key
from dlbug_assets.asset_factories.sql_models import load_models
from dlbug_assets.definitions import build_defs
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.table_specs import load_specs

STUDY = load_study("sample")
CHANGED = "analysis.label_counts"


@pytest.fixture
def definitions(tmp_path):
    return build_defs(STUDY, {"DLBUG_HOME": str(tmp_path)})


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """Return the definitions after an edit of one SQL model."""

    def load_changed(specs):
        models = load_models(specs)
        assert CHANGED in {model.table for model in models}
        return [
            dataclasses.replace(model, sql=f"{model.sql}\nlimit 100") if model.table == CHANGED else model
            for model in models
        ]

    monkeypatch.setattr(dlbug_assets.definitions, "load_models", load_changed)
    return build_defs(STUDY, {"DLBUG_HOME": str(tmp_path)})


def code_versions(definitions):
    return {".".join(spec.key.path): spec.code_version for spec in definitions.resolve_all_asset_specs()}


def test_every_asset_has_a_code_version(definitions):
    versions = code_versions(definitions)
    assert versions.keys() > load_specs().keys()
    assert [asset for asset, version in versions.items() if not version] == []


def test_a_change_of_a_model_changes_the_code_version_of_its_table_only(definitions, changed):
    before, after = code_versions(definitions), code_versions(changed)
    assert [asset for asset in before if after[asset] != before[asset]] == [CHANGED]


def test_a_table_whose_code_version_changed_is_requested_with_everything_downstream(definitions, changed):
    with dg.DagsterInstance.ephemeral() as instance:
        for spec in definitions.resolve_all_asset_specs():
            for partition in STUDY.library_names if spec.partitions_def else [None]:
                instance.report_runless_asset_event(dg.AssetMaterialization(spec.key, partition=partition))
        before = dg.evaluate_automation_conditions(definitions, instance)
        unchanged = dg.evaluate_automation_conditions(definitions, instance, cursor=before.cursor)
        after = dg.evaluate_automation_conditions(changed, instance, cursor=unchanged.cursor)

    assert (before.total_requested, unchanged.total_requested) == (0, 0)
    downstream = dg.AssetSelection.assets(asset_key(CHANGED)).downstream().resolve(changed.resolve_asset_graph())
    requested = [key for key in changed.resolve_asset_graph().get_all_asset_keys() if after.get_num_requested(key)]
    assert set(requested) == downstream
    assert {asset_key(CHANGED), asset_key("publishing.database")} < downstream
