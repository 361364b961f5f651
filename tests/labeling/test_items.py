import hashlib
from collections import Counter
from datetime import datetime
from math import ceil

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dlbug_assets.labeling.items import ITEMS, order_queue, queue

WHEN = datetime(2017, 5, 4, 3, 2, 1)


def posts(numbers):
    return pl.DataFrame(
        [
            {"library": "Keras", "post_id": n, "title": f"Q{n}", "score": 9, "created_at": WHEN, "year": 2017,
             "code_blocks": 1, "code_chars": 9, "accepted_answer_id": None, "link": f"https://so/{n}"}
            for n in numbers
        ],
        schema={"library": pl.String, "post_id": pl.Int64, "title": pl.String, "score": pl.Int64,
                "created_at": pl.Datetime("us"), "year": pl.Int32, "code_blocks": pl.Int32, "code_chars": pl.Int32,
                "accepted_answer_id": pl.Int64, "link": pl.String},
    )  # fmt: skip


def commits(shas):
    return pl.DataFrame(
        [
            {"library": "Keras", "full_name": "a/b", "sha": sha, "sample_rank": 1, "title": "fix", "authored_at": WHEN,
             "year": 2017, "files_changed": 1, "additions": 1, "deletions": 0, "patch_excerpt": "+", "url": "https://gh"}
            for sha in shas
        ],
        schema={"library": pl.String, "full_name": pl.String, "sha": pl.String, "sample_rank": pl.Int32,
                "title": pl.String, "authored_at": pl.Datetime("us"), "year": pl.Int32, "files_changed": pl.Int32,
                "additions": pl.Int32, "deletions": pl.Int32, "patch_excerpt": pl.String, "url": pl.String},
    )  # fmt: skip


def test_items_of_posts_and_commits(study):
    items = queue(posts([11]), commits(["abc"]), study)
    assert items.schema == ITEMS
    assert items.rows() == [
        (
            "SO-Keras-11",
            "Stack Overflow",
            "Keras",
            "Q11",
            "https://so/11",
            1,
            1,
            5,
            WHEN,
            2017,
            None,
            None,
            11,
            None,
            None,
        ),
        ("GH-Keras-abc", "GitHub", "Keras", "fix", "https://gh", 1, 1, 5, WHEN, 2017, "a/b", "abc", None, None, None),
    ]


def test_items_are_ordered_by_a_seeded_hash(study):
    items = queue(posts(range(20)), commits([]), study)
    expected = sorted(
        (f"SO-Keras-{n}" for n in range(20)), key=lambda item: hashlib.sha256(f"7|queue|{item}".encode()).hexdigest()
    )
    assert items["item_id"].to_list() == expected
    assert items["position"].to_list() == list(range(1, 21))


def test_checkpoints_are_exact_percentages_per_source(make_study):
    # 7% of 100 is 7, although 0.07 * 100 is more in floats.
    items = queue(posts(range(100)), commits(["a", "b"]), make_study(checkpoints=(7, 50, 100)))
    counted = items.group_by("source", "checkpoint").len().sort("source", "checkpoint")
    assert counted.rows() == [
        ("GitHub", 7, 1),
        ("GitHub", 100, 1),
        ("Stack Overflow", 7, 7),
        ("Stack Overflow", 50, 43),
        ("Stack Overflow", 100, 50),
    ]


def test_each_item_goes_to_as_many_raters_as_the_study_sets_and_all_get_equally_many(make_study):
    six = make_study(raters=("ann", "bob", "cy", "dan", "eli", "fay"), raters_per_item=2)
    items = queue(posts(range(60)), commits(map(str, range(7))), six)
    assert set(items["raters"].list.len()) == {2}
    assert items["raters"].list.eval(pl.element().eq(pl.element().sort())).list.all().all()
    for number in range(1, items.height + 1):
        given_to = Counter(items["raters"].head(number).explode())
        assert max(given_to.values()) - min(given_to[rater] for rater in six.labeling.raters) <= 1
    # Every pair of raters shares some items.
    assert len({tuple(pair) for pair in items["raters"]}) == 15


def test_the_seed_decides_who_is_asked_and_frozen_items_keep_their_raters(make_study):
    three = make_study(raters=("ann", "bob", "cy"), raters_per_item=2)
    first = queue(posts(range(30)), commits([]), three)
    assert first.equals(queue(posts(range(30)), commits([]), three))
    other_seed = three.model_copy(update={"study": three.study.model_copy(update={"seed": 8})})
    seeds = [
        dict(queue(posts(range(30)), commits([]), each).select("item_id", "raters").rows())
        for each in (three, other_seed)
    ]
    assert seeds[0] != seeds[1]
    everyone = make_study(raters=("ann", "bob", "cy"))
    both = queue(posts(range(40)), commits([]), everyone, first)
    assert both.filter(pl.col("round") == 1).equals(first)
    assert both.filter(pl.col("round") == 2)["raters"].null_count() == 10


def test_an_empty_study_has_an_empty_queue(study):
    items = queue(posts([]), commits([]), study)
    assert items.is_empty()
    assert items.schema == ITEMS


@given(st.permutations(range(12)))
def test_the_queue_does_not_depend_on_the_order_of_its_input(study, numbers):
    assert queue(posts(numbers), commits([]), study).equals(queue(posts(range(12)), commits([]), study))


@given(st.integers(1, 300), st.integers(0, 60))
def test_checkpoints_cover_all_items(study, n_posts, n_commits):
    items = queue(posts(range(n_posts)), commits([str(n) for n in range(n_commits)]), study)
    for source, n in (("Stack Overflow", n_posts), ("GitHub", n_commits)):
        first = items.filter(pl.col("source") == source)["checkpoint"]
        assert not first.null_count()
        for percent in study.labeling.checkpoints:
            assert (first <= percent).sum() == ceil(percent * n / 100)


def test_ordering_a_queue_again_does_not_change_it(study):
    items = queue(posts(range(30)), commits(["a", "b", "c"]), study)
    assert order_queue(items.drop("round", "position", "checkpoint").reverse(), study).equals(items)
