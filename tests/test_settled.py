"""When a run could come to nothing new."""

import dagster as dg
import pytest

from dlbug_assets.settled import made_from, remember, remembered
from dlbug_assets.study import load_study
from dlbug_assets.warehouse import Home

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


def test_it_is_the_same_until_something_that_tables_are_made_from_changes(instance, tmp_path):
    home = Home(tmp_path, "tiny")

    def digest(seed=7):
        path = tmp_path / "tiny.toml"
        path.write_text(STUDY.format(seed=seed), encoding="utf-8")
        return made_from(load_study(str(path)), home, instance, [POSTS, LANDING])

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
    inbox = home.labels / "inbox"
    inbox.mkdir(parents=True)
    (inbox / "100-ann.csv").write_text("item_id\n", encoding="utf-8")
    assert digest() != first


def ran(instance, run_id, job, status=dg.DagsterRunStatus.SUCCESS):
    instance.add_run(dg.DagsterRun(job_name=job, run_id=run_id, status=status))


def test_what_the_newest_run_was_made_from_is_remembered_but_for_refreshes(instance):
    assert remembered(instance, besides="refresh") is None
    ran(instance, "1", "whole_graph")
    assert remembered(instance, besides="refresh") is None
    remember(instance, "1", "digest")
    ran(instance, "2", "refresh")
    assert remembered(instance, besides="refresh") == "digest"
    # A part that somebody made by itself, or that failed: nobody knows what is there now.
    ran(instance, "3", "selection")
    assert remembered(instance, besides="refresh") is None
    ran(instance, "4", "whole_graph", dg.DagsterRunStatus.FAILURE)
    remember(instance, "4", "other")
    assert remembered(instance, besides="refresh") is None
