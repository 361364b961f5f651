"""Clusters: repositories that share commits, posts of several libraries, items."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dlbug_assets.analysis.clusters import clusters
from dlbug_assets.labeling.bug_labels import full_schema
from dlbug_assets.protocol.study import load_study

STUDY = load_study("islam2019")
SO, GH = STUDY.source_names


def _clusters(*bugs):
    rows = [
        {"bug_id": str(place), "source": GH, "library": "Keras", "item_id": "item"} | bug
        for place, bug in enumerate(bugs)
    ]
    return clusters(pl.DataFrame(rows, schema=full_schema(STUDY)), STUDY)["cluster"].to_list()


def test_bugs_of_a_repository_are_one_cluster_also_in_two_libraries():
    assert _clusters(
        {"repository": "b/b", "item_id": "1"}, {"repository": "b/b", "item_id": "2", "library": "Caffe"},
        {"repository": "a/a", "item_id": "3"},
    ) == ["b/b", "b/b", "a/a"]  # fmt: skip


def test_repositories_that_share_a_commit_are_one_cluster_also_through_a_third():
    assert _clusters(
        {"repository": "c/fork", "commit_sha": "1"}, {"repository": "b/origin", "commit_sha": "1"},
        {"repository": "b/origin", "commit_sha": "2"}, {"repository": "a/fork", "commit_sha": "2"},
        {"repository": "d/other", "commit_sha": "3"}, {"repository": "e/unknown"}, {"repository": "f/unknown"},
    ) == ["a/fork", "a/fork", "a/fork", "a/fork", "d/other", "e/unknown", "f/unknown"]  # fmt: skip


def test_a_post_in_two_libraries_is_one_cluster():
    post = {"source": SO, "link": "posts/1"}
    assert _clusters(post | {"item_id": "k"}, post | {"library": "Torch", "item_id": "t"}) == ["posts/1", "posts/1"]


def test_clusters_are_within_a_source():
    same = {"repository": "a/a", "commit_sha": "1"}
    assert _clusters(same, same | {"source": SO, "repository": "b/b"}) == ["a/a", "b/b"]


def test_without_a_repository_and_a_link_the_item_is_the_cluster():
    assert _clusters({"item_id": "1"}, {"item_id": "1"}, {"item_id": "2"}) == ["1", "1", "2"]


def test_bugs_of_other_libraries_and_an_empty_study_have_no_clusters():
    assert _clusters({"library": "Chainer"}) == []
    assert _clusters() == []


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(1, 5)), max_size=12))
def test_two_bugs_are_in_one_cluster_if_and_only_if_commits_connect_their_repositories(bugs):
    found = _clusters(*({"repository": str(name), "commit_sha": sha and str(sha)} for name, sha in bugs))

    reached = [{place} for place in range(len(bugs))]
    for _ in bugs:
        for place in range(len(bugs)):
            for other in range(len(bugs)):
                near = bugs[place][0] == bugs[other][0] or (bugs[place][1] and bugs[place][1] == bugs[other][1])
                if near:
                    reached[place] |= reached[other]
    for place in range(len(bugs)):
        assert [found[other] == found[place] for other in range(len(bugs))] == [
            other in reached[place] for other in range(len(bugs))
        ]
