"""When a run could come to nothing new."""

import os

import dagster as dg
import pytest

from dlbug_assets.cli.staleness import input_fingerprint, last_fingerprint, record_fingerprint, submitted_files
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import load_study
from support.clocks import ManualClock

POSTS, LANDING = dg.AssetKey(["stackoverflow", "raw_posts"]), dg.AssetKey(["stackoverflow", "landing"])


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


STUDY = """
[study]
name = "tiny"
title = "Tiny"
seed = {seed}
[[libraries]]
name = "Keras"
tags = ["keras"]
repositories = "topic:keras"
[sources]
posts = "api"
commits = "api"
labels = "files"
[labeling]
raters = ["ann", "bob"]
adjudicator = "eve"
"""


def loaded(instance, key, version):
    instance.report_runless_asset_event(dg.AssetMaterialization(key, tags={"dagster/data_version": version}))


def test_it_is_the_same_until_something_that_tables_are_made_from_changes(instance, tmp_path, monkeypatch):
    def digest(seed=7, files=()):
        path = tmp_path / "tiny.toml"
        path.write_text(STUDY.format(seed=seed), encoding="utf-8")
        return input_fingerprint(load_study(str(path)), files, instance, [POSTS, LANDING])

    loaded(instance, POSTS, "one")
    first = digest()
    loaded(instance, POSTS, "one")
    loaded(instance, LANDING, "whatever")
    assert digest() == first
    assert digest(seed=8) != first
    loaded(instance, POSTS, "two")
    assert digest() != first
    loaded(instance, POSTS, "one")
    assert digest() == first
    assert digest(files=[("100-ann.csv", 8, 1)]) != first
    monkeypatch.setattr("dlbug_assets.cli.staleness.code_digest", lambda: "other")
    assert digest() != first


def test_files_of_people_are_complete_sheets_and_frozen_rounds(tmp_path):
    home, clock = Home(tmp_path, "tiny"), ManualClock()
    inbox, queue = home.labels / "inbox", home.labels / "queue"
    assert submitted_files(home, clock) == []
    for folder in (inbox, queue):
        folder.mkdir(parents=True)
    sheet = inbox / "100-ann.csv"
    sheet.write_text("item_id\n", encoding="utf-8")
    now = clock.now().timestamp()
    os.utime(sheet, (now, now))
    # An editor's lock file, and a sheet that may still be growing: a run would leave it for later.
    (inbox / ".#100-ann.csv").symlink_to("ann@desk:1")
    assert submitted_files(home, clock) == []
    clock.advance(hours=1)
    assert submitted_files(home, clock) == [("100-ann.csv", 8, sheet.stat().st_mtime_ns)]
    frozen = queue / "round-001.parquet"
    frozen.write_bytes(b"1")
    assert submitted_files(home, clock)[1] == ("round-001.parquet", 1, frozen.stat().st_mtime_ns)


def ran(instance, run_id, job, status=dg.DagsterRunStatus.SUCCESS):
    instance.add_run(dg.DagsterRun(job_name=job, run_id=run_id, status=status))


def test_what_the_newest_run_was_made_from_is_remembered_but_for_refreshes(instance):
    assert last_fingerprint(instance, besides="refresh") is None
    ran(instance, "1", "whole_graph")
    assert last_fingerprint(instance, besides="refresh") is None
    record_fingerprint(instance, "1", "digest")
    ran(instance, "2", "refresh")
    assert last_fingerprint(instance, besides="refresh") == "digest"
    # A part that somebody made by itself, or that failed: nobody knows what is there now.
    ran(instance, "3", "selection")
    assert last_fingerprint(instance, besides="refresh") is None
    ran(instance, "4", "whole_graph", dg.DagsterRunStatus.FAILURE)
    record_fingerprint(instance, "4", "other")
    assert last_fingerprint(instance, besides="refresh") is None
