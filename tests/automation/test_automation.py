"""Automation: what a change requests, and when a refresh is retried or skipped."""

import itertools

import dagster as dg
import pytest

from dlbug_assets.asset_factories.landings import landing_asset
from dlbug_assets.asset_factories.metadata import asset_key
from dlbug_assets.asset_factories.tables import TableAssets
from dlbug_assets.automation.schedules import REFRESH
from dlbug_assets.definitions import build_defs
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.http_client import UnreachableError
from dlbug_assets.ingest.landing import Collected
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.database import Warehouse

pytestmark = pytest.mark.slow

STUDY = load_study("sample")


class Daemon:
    """The study's definitions with a history that tests write; each tick is one of the daemon's."""

    def __init__(self, environ, instance) -> None:
        self.definitions = build_defs(STUDY, environ)
        self.instance = instance
        self.specs = {spec.key: spec for spec in self.definitions.resolve_all_asset_specs()}
        self.cursor = None
        self.versions = itertools.count()

    def materialize(self, *keys: dg.AssetKey, libraries=STUDY.library_names, version=None) -> None:
        """Record materializations, each with a new data version or with ``version``."""
        for key in keys:
            tags = {"dagster/data_version": version or f"version {next(self.versions)}"}
            for library in libraries if self.specs[key].partitions_def else [None]:
                self.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=library, tags=tags))

    def materialize_everything(self) -> None:
        self.materialize(*self.definitions.resolve_asset_graph().toposorted_asset_keys)
        assert self.tick() == {}

    def fail_check(self, table: str) -> None:
        """Record a failure of a blocking check of a table."""
        graph = self.definitions.resolve_asset_graph()
        key = min(
            key for key in graph.asset_check_keys if key.asset_key == asset_key(table) and graph.get(key).blocking
        )
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(key.asset_key, key.name, passed=False, metadata={})
        )

    def tick(self) -> dict[str, set[str | None]]:
        """Evaluate the automation conditions; return the requested tables (schema.name) with their libraries."""
        result = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        requested = {}
        for key, spec in self.specs.items():
            partitions = result.get_requested_partitions(key)
            if partitions:
                requested[".".join(key.path)] = set(partitions) if spec.partitions_def else {None}
        return requested


@pytest.fixture
def daemon(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Daemon({"DLBUG_HOME": str(tmp_path)}, instance)


def test_nothing_is_requested_while_nothing_was_materialized(daemon):
    assert daemon.tick() == {}
    assert daemon.tick() == {}


def test_materializations_in_topological_order_request_nothing(daemon):
    daemon.materialize_everything()
    daemon.materialize_everything()
    assert daemon.tick() == {}


def test_a_landed_library_is_loaded_and_then_everything_downstream_is_materialized_once(daemon):
    daemon.materialize_everything()
    daemon.materialize(asset_key("stackoverflow.landing"), libraries=["Keras"])
    loading = daemon.tick()
    assert loading["stackoverflow.raw_posts"] == {"Keras"}
    assert set(loading) == {f"stackoverflow.{n}" for n in ("raw_posts", "raw_answers", "irregularities", "collections")}
    daemon.materialize(*map(asset_key, loading), libraries=["Keras"])
    downstream = daemon.tick()
    some = {"stackoverflow.screening", "labeling.items", "analysis.finding_verdicts", "publishing.report"}
    assert some <= downstream.keys()
    assert downstream["publishing.database"] == {None}
    assert not any(table.startswith(("github.", "reference.")) for table in downstream)
    order = daemon.definitions.resolve_asset_graph().toposorted_asset_keys
    daemon.materialize(*[key for key in order if ".".join(key.path) in downstream])
    assert daemon.tick() == {}


def test_an_unchanged_data_version_requests_nothing(daemon):
    daemon.materialize_everything()
    daemon.materialize(asset_key("labeling.labels"), version="same")
    changed = daemon.tick()
    assert "analysis.label_counts" in changed
    daemon.materialize(*[key for key in daemon.specs if ".".join(key.path) in changed])
    assert daemon.tick() == {}
    daemon.materialize(asset_key("labeling.labels"), version="same")
    assert daemon.tick() == {}


def test_several_changes_between_two_ticks_request_what_is_downstream(daemon):
    daemon.materialize_everything()
    labels = asset_key("labeling.labels")
    daemon.materialize(labels, version="new")
    daemon.materialize(labels, version="new")
    assert "analysis.label_counts" in daemon.tick()


def test_a_change_of_any_table_requests_publication(daemon):
    daemon.materialize_everything()
    daemon.materialize(asset_key("analysis.repeats"))
    assert daemon.tick() == {"publishing.report": {None}, "publishing.database": {None}}


def test_a_library_that_was_never_collected_does_not_hold_back_others(daemon):
    order = daemon.definitions.resolve_asset_graph().toposorted_asset_keys
    assert daemon.tick() == {}
    collected = [library for library in STUDY.library_names if library != "Torch"]
    daemon.materialize(*[key for key in order if daemon.specs[key].partitions_def], libraries=collected)
    daemon.materialize(*[key for key in order if key.path[0] == "reference"])
    assert "labeling.items" in daemon.tick()


def test_a_table_whose_check_failed_is_not_requested_nor_is_the_publication(daemon):
    daemon.materialize_everything()
    daemon.fail_check("stackoverflow.candidate_posts")
    daemon.materialize(asset_key("stackoverflow.screening"))
    requested = daemon.tick()
    assert "stackoverflow.candidate_posts" not in requested
    assert "publishing.database" not in requested


def test_a_refresh_is_skipped_while_the_previous_one_is_running():
    definitions = build_defs(load_study("live"), {})
    schedule = definitions.resolve_schedule_def("refresh")
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(instance)
        assert len(schedule.evaluate_tick(context).run_requests or []) == 1
        job = definitions.resolve_job_def(REFRESH)
        running = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        tick = schedule.evaluate_tick(context)
        assert tick.run_requests == []
        assert tick.skip_message == f"the previous refresh is still running: run {running.run_id}"
        instance.report_run_failed(running)
        assert len(schedule.evaluate_tick(context).run_requests or []) == 1


class Source:
    """A source that fails for Keras once per given failure and then works; it always works for Torch."""

    def __init__(self, *failures: DlbugError) -> None:
        self.failures = list(failures)
        self.calls = 0

    def collect(self, libraries, *, sweep):
        self.calls += 1
        failure = self.failures.pop(0) if self.failures else None
        yield Collected("Keras", {"kind": "full"}, failure)
        yield Collected("Torch", {"kind": "full"})


def collected(source: Source, home, **config) -> dg.ExecuteInProcessResult:
    tables = TableAssets(STUDY, {})
    landing = landing_asset("stackoverflow.landing", source.collect, home.landing / "lock", tables)
    with dg.instance_for_test() as instance:
        return dg.materialize(
            [landing],
            resources={"warehouse": Warehouse(home, "a test")},
            run_config={"ops": {"stackoverflow__landing": {"config": {"pause": 0, **config}}}},
            tags={"dagster/asset_partition_range_start": "Keras", "dagster/asset_partition_range_end": "Torch"},
            raise_on_error=False,
            instance=instance,
        )


NO_REPLY = UnreachableError("no complete reply")


def test_a_missing_reply_is_retried_up_to_the_configured_number(home):
    source = Source(NO_REPLY, NO_REPLY)
    assert collected(source, home, retries=3).success
    assert source.calls == 3


def test_a_missing_reply_fails_the_run_after_the_last_retry(home):
    source = Source(*[NO_REPLY] * 9)
    assert not collected(source, home, retries=2).success
    assert source.calls == 3


@pytest.mark.parametrize(("failure", "retries"), [(DlbugError("malformed reply"), 3), (NO_REPLY, 0)])
def test_other_failures_and_runs_without_retries_are_not_retried(failure, retries, home):
    source = Source(failure)
    assert not collected(source, home, retries=retries).success
    assert source.calls == 1
