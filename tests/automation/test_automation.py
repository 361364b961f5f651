"""What happens by itself: what follows a change, what does not, and when a refresh is tried again or left out."""

import itertools

import dagster as dg
import pytest

from dlbug_assets.asset_factories.landings import landing_asset
from dlbug_assets.asset_factories.tables import TableAssets, asset_key
from dlbug_assets.automation.schedules import REFRESH
from dlbug_assets.definitions import build_defs
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.http_client import UnreachableError
from dlbug_assets.ingest.landing import Collected
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.database import Warehouse

pytestmark = pytest.mark.slow

STUDY = load_study("sample")


class Followed:
    """The study's definitions with a history that tests write; each look is one of the daemon's."""

    def __init__(self, environ, instance) -> None:
        self.definitions = build_defs(STUDY, environ)
        self.instance = instance
        self.specs = {spec.key: spec for spec in self.definitions.resolve_all_asset_specs()}
        self.cursor = None
        self.versions = itertools.count()

    def make(self, *keys: dg.AssetKey, libraries=STUDY.library_names, version=None) -> None:
        """Make tables, each time with other content or with that of a ``version``."""
        for key in keys:
            tags = {"dagster/data_version": version or f"version {next(self.versions)}"}
            for library in libraries if self.specs[key].partitions_def else [None]:
                self.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=library, tags=tags))

    def make_everything(self) -> None:
        self.make(*self.definitions.resolve_asset_graph().toposorted_asset_keys)
        assert self.look() == {}

    def refuse(self, table: str) -> None:
        """Have a blocking check of a table fail."""
        graph = self.definitions.resolve_asset_graph()
        key = min(
            key for key in graph.asset_check_keys if key.asset_key == asset_key(table) and graph.get(key).blocking
        )
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(key.asset_key, key.name, passed=False, metadata={})
        )

    def look(self) -> dict[str, set[str | None]]:
        """What is asked for now: tables (schema.name) and libraries."""
        result = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        asked = {}
        for key, spec in self.specs.items():
            partitions = result.get_requested_partitions(key)
            if partitions:
                asked[".".join(key.path)] = set(partitions) if spec.partitions_def else {None}
        return asked


@pytest.fixture
def followed(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Followed({"DLBUG_HOME": str(tmp_path)}, instance)


def test_where_nothing_was_made_nothing_is_asked_for(followed):
    assert followed.look() == {}
    assert followed.look() == {}


def test_what_was_made_in_order_is_not_made_again(followed):
    followed.make_everything()
    followed.make_everything()
    assert followed.look() == {}


def test_a_library_that_landed_is_loaded_then_everything_that_follows_is_made_and_published_once(followed):
    followed.make_everything()
    followed.make(asset_key("stackoverflow.landing"), libraries=["Keras"])
    loading = followed.look()
    assert loading["stackoverflow.raw_posts"] == {"Keras"}
    assert set(loading) == {f"stackoverflow.{n}" for n in ("raw_posts", "raw_answers", "irregularities", "collections")}
    followed.make(*map(asset_key, loading), libraries=["Keras"])
    follows = followed.look()
    assert {"stackoverflow.screening", "labeling.items", "analysis.finding_verdicts", "publishing.report"} <= set(
        follows
    )
    assert follows["publishing.database"] == {None}
    assert not any(table.startswith(("github.", "reference.")) for table in follows)
    order = followed.definitions.resolve_asset_graph().toposorted_asset_keys
    followed.make(*[key for key in order if ".".join(key.path) in follows])
    assert followed.look() == {}


def test_what_tells_the_same_as_before_is_followed_by_nothing(followed):
    followed.make_everything()
    followed.make(asset_key("labeling.labels"), version="as they are")
    changed = followed.look()
    assert "analysis.label_counts" in changed
    followed.make(*[key for key in followed.specs if ".".join(key.path) in changed])
    assert followed.look() == {}
    followed.make(asset_key("labeling.labels"), version="as they are")
    assert followed.look() == {}


def test_what_changed_while_nobody_looked_is_followed_all_the_same(followed):
    followed.make_everything()
    labels = asset_key("labeling.labels")
    followed.make(labels, version="new")
    followed.make(labels, version="new")
    assert "analysis.label_counts" in followed.look()


def test_any_table_that_changes_is_published(followed):
    followed.make_everything()
    followed.make(asset_key("analysis.repeats"))
    assert followed.look() == {"publishing.report": {None}, "publishing.database": {None}}


def test_a_library_that_was_never_collected_keeps_nobody_waiting(followed):
    order = followed.definitions.resolve_asset_graph().toposorted_asset_keys
    assert followed.look() == {}
    collected = [library for library in STUDY.library_names if library != "Torch"]
    followed.make(*[key for key in order if followed.specs[key].partitions_def], libraries=collected)
    followed.make(*[key for key in order if key.path[0] == "reference"])
    assert "labeling.items" in followed.look()


def test_a_table_that_its_checks_refused_waits_and_so_does_the_publication(followed):
    followed.make_everything()
    followed.refuse("stackoverflow.candidate_posts")
    followed.make(asset_key("stackoverflow.screening"))
    asked = followed.look()
    assert "stackoverflow.candidate_posts" not in asked
    assert "publishing.database" not in asked


def test_a_refresh_is_left_out_while_the_one_before_it_runs():
    definitions = build_defs(load_study("live"), {})
    schedule = definitions.resolve_schedule_def("refresh")
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(instance)
        assert len(schedule.evaluate_tick(context).run_requests) == 1
        job = definitions.resolve_job_def(REFRESH)
        running = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        tick = schedule.evaluate_tick(context)
        assert tick.run_requests == []
        assert tick.skip_message == f"the one before it is not over yet: run {running.run_id}"
        instance.report_run_failed(running)
        assert len(schedule.evaluate_tick(context).run_requests) == 1


class Source:
    """Fails so often for Keras, then collects; Torch is always there."""

    def __init__(self, *failures: DlbugError) -> None:
        self.failures = list(failures)
        self.asked = 0

    def __call__(self, libraries, *, sweep):
        self.asked += 1
        failure = self.failures.pop(0) if self.failures else None
        yield Collected("Keras", {"kind": "full"}, failure)
        yield Collected("Torch", {"kind": "full"})


def collected(source: Source, home, **config) -> dg.ExecuteInProcessResult:
    tables = TableAssets(STUDY, {})
    landing = landing_asset("stackoverflow.landing", source, home.landing / "lock", tables)
    with dg.instance_for_test() as instance:
        return dg.materialize(
            [landing],
            resources={"warehouse": Warehouse(home, "a test")},
            run_config={"ops": {"stackoverflow__landing": {"config": {"pause": 0, **config}}}},
            tags={"dagster/asset_partition_range_start": "Keras", "dagster/asset_partition_range_end": "Torch"},
            raise_on_error=False,
            instance=instance,
        )


NO_REPLY = UnreachableError("no whole reply")


def test_no_reply_is_tried_again_as_often_as_asked_for(home):
    source = Source(NO_REPLY, NO_REPLY)
    assert collected(source, home, retries=3).success
    assert source.asked == 3


def test_no_reply_for_good_fails_in_the_end(home):
    source = Source(*[NO_REPLY] * 9)
    assert not collected(source, home, retries=2).success
    assert source.asked == 3


@pytest.mark.parametrize(("failure", "retries"), [(DlbugError("a reply that makes no sense"), 3), (NO_REPLY, 0)])
def test_nothing_else_is_tried_again_nor_where_somebody_waits(failure, retries, home):
    source = Source(failure)
    assert not collected(source, home, retries=retries).success
    assert source.asked == 1
