"""Fingerprints of a run's inputs: what changes them, and which of them counts as the last."""

import os

import dagster as dg
import pytest

from dlbug_assets.cli.staleness import input_fingerprint, last_fingerprint, record_fingerprint, submitted_files
from dlbug_assets.labeling.imported.archive import receive_final
from dlbug_assets.labeling.imported.history import FINAL
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


def materialize(instance, key, version):
    instance.report_runless_asset_event(dg.AssetMaterialization(key, tags={"dagster/data_version": version}))


def test_the_fingerprint_changes_if_and_only_if_an_input_of_tables_changes(instance, tmp_path, monkeypatch):
    def digest(seed=7, files=()):
        path = tmp_path / "tiny.toml"
        path.write_text(STUDY.format(seed=seed), encoding="utf-8")
        return input_fingerprint(load_study(str(path)), files, instance, [POSTS, LANDING])

    materialize(instance, POSTS, "one")
    first = digest()
    materialize(instance, POSTS, "one")
    materialize(instance, LANDING, "whatever")
    assert digest() == first
    assert digest(seed=8) != first
    materialize(instance, POSTS, "two")
    assert digest() != first
    materialize(instance, POSTS, "one")
    assert digest() == first
    assert digest(files=[("100-ann.csv", 8, 1)]) != first
    monkeypatch.setattr("dlbug_assets.cli.staleness.code_digest", lambda: "other")
    assert digest() != first


def test_submitted_files_are_complete_sheets_and_frozen_rounds(tmp_path):
    home, clock = Home(tmp_path, "tiny"), ManualClock()
    inbox, queue = home.labels / "inbox", home.labels / "queue"
    assert submitted_files(home, clock) == []
    for folder in (inbox, queue):
        folder.mkdir(parents=True)
    sheet = inbox / "100-ann.csv"
    sheet.write_text("item_id\n", encoding="utf-8")
    now = clock.now().timestamp()
    os.utime(sheet, (now, now))
    # An editor's lock file, and a sheet that may still be being written: a run leaves them out.
    (inbox / ".#100-ann.csv").symlink_to("ann@desk:1")
    assert submitted_files(home, clock) == []
    clock.advance(hours=1)
    assert submitted_files(home, clock) == [("100-ann.csv", 8, sheet.stat().st_mtime_ns)]
    frozen = queue / "round-001.parquet"
    frozen.write_bytes(b"1")
    assert submitted_files(home, clock)[1] == ("round-001.parquet", 1, frozen.stat().st_mtime_ns)


def test_imported_final_labels_are_submitted_files(tmp_path):
    home = Home(tmp_path, "tiny")
    for name in ("bugs.csv", "map.toml"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    version = receive_final(tmp_path / "bugs.csv", tmp_path / "map.toml", home.labels / FINAL, ManualClock())
    assert submitted_files(home, ManualClock()) == [("bugs.csv", 1, version.path.stat().st_mtime_ns)]


def add_run(instance, run_id, job, status=dg.DagsterRunStatus.SUCCESS):
    instance.add_run(dg.DagsterRun(job_name=job, run_id=run_id, status=status))


def test_the_last_fingerprint_is_that_of_the_newest_run_except_refreshes(instance):
    assert last_fingerprint(instance, ignoring="refresh") is None
    add_run(instance, "1", "whole_graph")
    assert last_fingerprint(instance, ignoring="refresh") is None
    record_fingerprint(instance, "1", "digest")
    add_run(instance, "2", "refresh")
    assert last_fingerprint(instance, ignoring="refresh") == "digest"
    # After a run of a selection, or a failed one, the state of the tables is unknown.
    add_run(instance, "3", "selection")
    assert last_fingerprint(instance, ignoring="refresh") is None
    add_run(instance, "4", "whole_graph", dg.DagsterRunStatus.FAILURE)
    record_fingerprint(instance, "4", "other")
    assert last_fingerprint(instance, ignoring="refresh") is None
