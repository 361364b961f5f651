"""A synthetic corpus of a study with dimensions of its own: labels by its printed numbers, or evenly."""

from collections import Counter
from datetime import datetime

import polars as pl
import pytest

from dlbug_assets.labeling.items import queue
from dlbug_assets.labeling.sheets import validation
from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy
from dlbug_assets.sample import posts, raters
from dlbug_assets.sample.published import published
from dlbug_assets.sample.truth import true_bugs

STUDY = """
[study]
name = "synthetic"
title = "Synthetic"
seed = 4
[[dimensions]]
name = "symptom"
required = true
[[dimensions]]
name = "causes"
multiple = true
[[dimensions]]
name = "cause_group"
rolls_up = "causes"
[[dimensions]]
name = "trigger"
open = true
[[dimensions]]
name = "surprise"
asked_of = {posts_per_library = 5}
[[libraries]]
name = "Agents"
tags = "agents"
[sources]
posts = "sample"
labels = "sample"
[labeling]
raters = ["ann", "bob"]
adjudicator = "eve"
checkpoints = [20, 40, 100]
"""
TAXONOMY = """dimension,name,parent
symptom,Crash,
symptom,Hang,
symptom,Wrong output,
causes,Null check,Logic
causes,Race,Concurrency
causes,Deadlock,Concurrency
causes,Typo,Logic
surprise,Yes,
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "taxonomy.csv").write_text(TAXONOMY, encoding="utf-8")
    return tmp_path


def queue_of(study):
    """Return the queue of a study's posts."""
    found = posts.posts(study, "Agents").filter(pl.col("body_html").str.contains("<pre"))
    nothing = pl.DataFrame(
        schema=dict.fromkeys(("library", "sha", "title", "url", "full_name"), pl.String)
        | {"authored_at": pl.Datetime("us"), "year": pl.Int32}
    )
    return queue(found.with_columns(year=pl.col("created_at").dt.year()), nothing, study)


def test_without_printed_numbers_labels_are_drawn_evenly_from_the_taxonomy(folder):
    study = load_study(folder)
    items = queue_of(study)
    assert items.height == 200
    found = true_bugs(study, items, load_taxonomy(study))
    bugs = [bug for of_item in found.values() for bug in of_item]
    assert 35 <= len(bugs) <= 65
    symptoms = Counter(bug.labels["symptom"] for bug in bugs)
    assert set(symptoms) == {"Crash", "Hang", "Wrong output"}
    assert min(symptoms.values()) >= 5
    sets = [bug.labels["causes"].split("; ") for bug in bugs]
    assert {len(names) for names in sets} == {1, 2, 3}
    order = ["Null check", "Race", "Deadlock", "Typo"]
    assert all(names == sorted(set(names), key=order.index) for names in sets)
    assert {name for bug in bugs for name in bug.labels} == {"symptom", "causes", "surprise"}
    # Which posts are asked about it depends on whose bugs are frozen first.
    assert {bug.labels["surprise"] for bug in bugs} == {"Yes"}


def test_raters_submit_rows_that_are_all_valid(folder):
    study = load_study(folder)
    items, taxonomy = queue_of(study), load_taxonomy(study)
    rows = raters.rater_rows(study, items, taxonomy)
    assert rows.columns == ["item_id", "rater", "batch", "pass", "bug_index", "is_bug", "symptom", "causes", "trigger",
                            "surprise", "place", "comment"]  # fmt: skip
    files = rows.with_columns(
        labelled_at=None,
        received_at=datetime(2026, 1, 1),
        file=pl.format("{}-{}-{}.csv", "batch", "rater", "pass"),
        line=pl.int_range(2, pl.len() + 2),
    )
    labels, rejected = validation.validate(files, items, study, taxonomy)
    assert rejected.is_empty()
    assert labels.height == rows.height
    assert set(labels["causes"].drop_nulls().list.len()) == {1, 2, 3}
    rated = labels.filter(pl.col("pass") == "dimensions")
    assert set(rated["trigger"]) == {"none"}
    surprised = rated.filter(pl.col("rater") == "ann", pl.col("surprise").is_not_null())
    assert surprised["item_id"].n_unique() == 5


def test_printed_sizes_and_shares_are_weights(folder):
    (folder / "published").mkdir()
    shares = "library,source,dimension,category,percent\nAgents,Stack Overflow,symptom,Hang,100\n"
    (folder / "published" / "shares.csv").write_text(shares, encoding="utf-8")
    sizes = "library,source,items\nAgents,Stack Overflow,40\n"
    (folder / "published" / "sizes.csv").write_text(sizes, encoding="utf-8")
    with (folder / "study.toml").open("a", encoding="utf-8") as file:
        file.write('[[published]]\nfile = "shares.csv"\n[[published]]\nfile = "sizes.csv"\nunit = "items"\n')
    study = load_study(folder)
    items = queue_of(study)
    assert items.height == 40
    bugs = [bug for of_item in true_bugs(study, items, load_taxonomy(study)).values() for bug in of_item]
    assert {bug.labels["symptom"] for bug in bugs} == {"Hang"}


def test_the_numbers_that_are_most_like_a_bug_are_its_weights():
    numbers = published(load_study("sample"))
    of_year = numbers.weights("bug_type", "Caffe", "Stack Overflow", 2015, {})
    assert (of_year["Structural Logic Bug"], sum(of_year.values())) == (29.9, pytest.approx(100, abs=1))
    of_library = numbers.weights("bug_type", "Caffe", "GitHub", 2015, {})
    assert of_library == numbers.weights("bug_type", "Caffe", "GitHub", 2016, {})
    within = numbers.weights("root_cause", "Keras", "Stack Overflow", 2016, {"bug_type": "Data Bug"})
    assert within["Absence of type checking"] == 36.6
    # Stages are printed for Stack Overflow only.
    assert numbers.weights("stage", "Keras", "GitHub", 2016, {})["Data Preparation"] == 35.2
    assert numbers.size("Keras", "GitHub", "bugs") == 348
    assert numbers.size("Another", "GitHub", "items") == 100
