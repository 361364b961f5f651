"""The study's instance: runs that this process executes belong to the code location, with any storage."""

import dagster as dg
import pytest
import yaml
from dagster._core.storage.tags import TagType, get_tag_type

from dlbug_assets.automation.instance import CODE_LOCATION, StudyInstance
from dlbug_assets.cli.instance import prepared_instance
from dlbug_assets.cli.staleness import record_fingerprint
from dlbug_assets.layout import WORKSPACE


@dg.asset
def posts():
    pass


@pytest.mark.parametrize("storage", [{}, {"storage": {"sqlite": {"base_dir": "elsewhere"}}}], ids=["ours", "local"])
def test_a_run_of_the_command_has_the_code_location_and_keeps_its_tags(home, storage):
    home.dagster_home.mkdir(parents=True)
    if storage:
        storage["storage"]["sqlite"]["base_dir"] = str(home.dagster_home / "elsewhere")
        (home.dagster_home / "dagster.local.yaml").write_text(yaml.safe_dump(storage))
    job = dg.Definitions([posts], jobs=[dg.define_asset_job("whole_graph")]).resolve_job_def("whole_graph")
    with prepared_instance(home) as instance:
        assert type(instance) is StudyInstance
        executed = job.execute_in_process(instance=instance, tags={"study": "sample"})
        run = instance.get_run_by_id(executed.run_id)
    origin = run.remote_job_origin
    assert origin.job_name == "whole_graph"
    assert origin.repository_origin.get_label() == f"__repository__@{CODE_LOCATION}"
    assert run.tags["dagster/code_location"] == CODE_LOCATION
    assert run.tags["study"] == "sample"


def test_the_code_location_is_the_one_that_the_workspace_loads():
    (loaded,) = yaml.safe_load(WORKSPACE.read_text(encoding="utf-8"))["load_from"]
    assert loaded["python_module"]["location_name"] == CODE_LOCATION


def test_the_ui_hides_the_fingerprint_of_a_run(home):
    with prepared_instance(home) as instance:
        run = dg.materialize([posts], instance=instance)
        record_fingerprint(instance, run.run_id, "0" * 64)
        (tag,) = [name for name, value in instance.get_run_by_id(run.run_id).tags.items() if value == "0" * 64]
    assert get_tag_type(tag) is TagType.HIDDEN
