"""Who is asked what: the raters of each item, and the posts of a sampled dimension."""

import polars as pl
import pytest

from dlbug_assets.labeling.asked import asked_raters, sampled_items
from dlbug_assets.labeling.units import UNITS
from dlbug_assets.protocol.study import sample_rank


@pytest.fixture(scope="module")
def study(make_study):
    """Return a study that asks two posts per library about stages."""
    dimensions = [
        {**dimension.model_dump(), "asked_of": {"posts_per_library": 2 if dimension.name == "stage" else 99}}
        if dimension.name in {"stage", "antipattern"}
        else dimension
        for dimension in make_study().dimensions
    ]
    return make_study(dimensions=dimensions)


@pytest.fixture
def sampled(make_items, study):
    """Return the items that are sampled for stages, if the bugs of these items were frozen in these batches."""

    def stages(frozen_in):
        items = make_items(dict.fromkeys(("SO-1", "SO-2", "SO-3", "SO-4", "GH-1"), 5))
        rows = [(item, 1, None, "agreement", batch) for item, batch in frozen_in.items()]
        return sampled_items(items, pl.DataFrame(rows, schema=UNITS, orient="row"), study)["stage"]

    return stages


def test_every_rater_is_asked_about_an_item_without_raters_of_its_own(make_items, make_study):
    three = make_study(raters=("zoe", "ann", "bob"))
    items = make_items({"SO-2": 5, "SO-1": 5}).with_columns(
        raters=pl.Series([None, ["zoe", "bob"]], dtype=pl.List(pl.String))
    )
    assert asked_raters(items, three).rows() == [
        ("SO-2", "zoe"), ("SO-2", "ann"), ("SO-2", "bob"), ("SO-1", "zoe"), ("SO-1", "bob"),
    ]  # fmt: skip


def test_nobody_is_asked_about_an_item_with_an_empty_list_of_raters(make_items, study):
    items = make_items({"SO-1": 5}).with_columns(raters=pl.Series([[]], dtype=pl.List(pl.String)))
    assert asked_raters(items, study).is_empty()


def test_raters_who_have_left_the_study_are_not_asked(make_items, make_study):
    items = make_items({"SO-1": 5}).with_columns(raters=pl.Series([["ann", "cid"]], dtype=pl.List(pl.String)))
    assert asked_raters(items, make_study(raters=("ann", "bob"))).rows() == [("SO-1", "ann")]


def test_no_post_is_sampled_before_its_bugs_are_frozen(sampled):
    assert sampled({}) == set()


def test_posts_with_frozen_bugs_are_sampled_commits_are_not(sampled):
    assert sampled({"SO-2": 5, "GH-1": 5}) == {"SO-2"}


def test_of_one_batch_the_seed_decides_and_later_batches_displace_nothing(sampled, study):
    (dimension,) = (each for each in study.asked if each.name == "stage")
    posts = ["SO-1", "SO-2", "SO-3", "SO-4"]
    first, second, *_, last = sorted(posts, key=lambda item: sample_rank(study, dimension, item))
    assert sampled(dict.fromkeys(posts, 5)) == {first, second}
    assert sampled(dict.fromkeys(posts, 10) | {last: 5}) == {last, first}


def test_dimensions_have_samples_of_their_own(make_items, study):
    items = make_items(dict.fromkeys(("SO-1", "SO-2", "SO-3"), 5))
    rows = [(item, 1, None, "agreement", 5) for item in items["item_id"]]
    sampled = sampled_items(items, pl.DataFrame(rows, schema=UNITS, orient="row"), study)
    assert {name: len(posts) for name, posts in sampled.items()} == {"stage": 2, "antipattern": 3}
