"""The rows of the release as tables of the pipeline."""

import polars as pl
import pytest

from dlbug_assets import releases
from dlbug_assets.releases import Released
from support import workbooks
from support.release import KERAS_SO, STUDY, TORCH_GITHUB, read
from support.workbooks import COMMIT, LABELS, SHA, label_sheet


@pytest.fixture
def released(tmp_path) -> Released:
    fork = COMMIT.replace("someone", "other")
    return read(
        workbooks.release(
            tmp_path,
            {
                KERAS_SO: label_sheet(KERAS_SO, (7, *LABELS), (8, *LABELS), (7, "Data Bug", *LABELS[1:])),
                "SO/TF_SO_Final.xlsx": label_sheet("SO/TF_SO_Final.xlsx", (7, "API Bug", "API Change", None)),
                TORCH_GITHUB: label_sheet(
                    TORCH_GITHUB,
                    (f"{COMMIT}#L1", *LABELS),
                    (fork, "Crash", "API Change (APIC)", "Logic Bug"),
                    (COMMIT, *LABELS),
                    (f"{COMMIT}#L1", *LABELS),
                ),
            },
        )
    )


def test_items_are_distinct_within_a_library(released):
    items = releases.items(released)
    assert items["item_id"].to_list() == ["SO-Keras-7", "SO-Keras-8", "SO-Tensorflow-7", f"GH-Torch-{SHA}"]
    assert items.row(3, named=True) == {
        "item_id": f"GH-Torch-{SHA}",
        "source": "GitHub",
        "library": "Torch",
        "title": None,
        "link": f"{COMMIT}#L1",
        "created_at": None,
        "year": None,
        "repository": "someone/project",
        "commit_sha": SHA,
        "post_id": None,
    }
    assert items.schema["created_at"] == pl.Datetime("us")
    assert items.schema["year"] == pl.Int32


def test_every_row_is_a_bug_numbered_within_its_item(released):
    labels = releases.labels(released, STUDY)
    assert labels["bug_id"].to_list() == [
        "SO-Keras-7#1",
        "SO-Keras-8#1",
        "SO-Keras-7#2",
        "SO-Tensorflow-7#1",
        *(f"GH-Torch-{SHA}#{n}" for n in (1, 2, 3, 4)),
    ]
    expected = {
        "bug_id": f"GH-Torch-{SHA}#2",
        "item_id": f"GH-Torch-{SHA}",
        "source": "GitHub",
        "library": "Torch",
        "bug_index": 2,
        "bug_type": "Structural Logic Bug",
        "root_cause": "API Change",
        "effect": "Crash",
        "stage": None,
        "antipattern": None,
        "created_at": None,
        "year": None,
        "repository": "other/project",
        "commit_sha": SHA,
        "decided_by": "artifact",
        "bug_type_as_written": "Logic Bug",
        "root_cause_as_written": "API Change (APIC)",
        "effect_as_written": "Crash",
        "link": COMMIT.replace("someone", "other"),
        "provenance": f"{TORCH_GITHUB}, sheet Sheet1, row 3",
    }
    assert labels.select(list(expected)).row(5, named=True) == expected


def test_the_place_of_a_unit_is_its_link(released):
    units = releases.units(released)
    assert units.columns == ["item_id", "bug_index", "place", "frozen_by", "frozen_in"]
    assert units.row(2) == ("SO-Keras-7", 2, "https://stackoverflow.com/questions/7", "artifact", None)
    assert units.schema["frozen_in"] == pl.Int32


def test_posts_have_only_ids_and_links(released):
    posts = releases.posts(released, "Keras")
    assert dict(posts.schema) == {
        "library": pl.String,
        "post_id": pl.Int64,
        "title": pl.String,
        "body_html": pl.String,
        "tags": pl.List(pl.String),
        "score": pl.Int64,
        "view_count": pl.Int64,
        "answer_count": pl.Int64,
        "accepted_answer_id": pl.Int64,
        "created_at": pl.Datetime("us"),
        "last_activity_at": pl.Datetime("us"),
        "owner_hash": pl.String,
        "link": pl.String,
        "content_license": pl.String,
        "in_scope": pl.Boolean,
        "deleted_at": pl.Datetime("us"),
    }
    known = posts.select("library", "post_id", "link", "in_scope")
    assert known.rows() == [("Keras", n, f"https://stackoverflow.com/questions/{n}", True) for n in (7, 8)]
    assert posts.drop(known.columns).null_count().row(0) == (2,) * 12
    assert releases.posts(released, "Caffe").is_empty()


def test_commits_are_distinct_repository_and_sha_pairs(released):
    assert releases.commits(released, "Torch").rows(named=True) == [
        {"library": "Torch", "full_name": name, "sha": SHA, "url": f"https://github.com/{name}/commit/{SHA}"}
        for name in ("someone/project", "other/project")
    ]
    assert releases.commits(released, "Keras").is_empty()


def test_irregularities_are_counted(released):
    assert releases.data_quality(released, STUDY) == {
        "label_rows": 8,
        "rows_set_aside": 0,
        "rows_with_swapped_columns": 1,
        "empty_cells": 1,
        "labels_spelled_otherwise": 2,
        "labels_mapped": 1,
        "keys_that_a_joined_release_lacks": 0,
        "distinct_items": 4,
        "rows_that_repeat_a_link": 2,
        "rows_that_repeat_link_and_labels": 1,
    }


def test_an_empty_release_has_empty_tables(tmp_path):
    released = read(workbooks.release(tmp_path))
    labels = releases.labels(released, STUDY)
    assert releases.items(released).is_empty()
    assert labels.is_empty()
    assert releases.units(released).is_empty()
    assert set(releases.data_quality(released, STUDY).values()) == {0}
