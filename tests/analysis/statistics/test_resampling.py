"""Draws against plain loops and full enumerations."""

import itertools
import math

import numpy as np
import polars as pl
import pytest

from dlbug_assets.analysis.statistics.resampling import (
    bootstrap_counts,
    cluster_table,
    generator,
    filter_clusters,
    percentile_limits,
    shuffled_bugs,
)

SO, GH = "Stack Overflow", "GitHub"
SCHEMA = ["source", "library", "cluster", "dimension", "category", "bugs"]


def test_a_generator_depends_on_the_seed_and_on_what_it_is_for():
    first, same, other = (generator(1, *what).random() for what in (("a", "b"), ("a", "b"), ("a", "c")))

    assert first == same
    assert len({first, other, generator(2, "a", "b").random()}) == 3


def test_a_repository_with_bugs_of_two_libraries_is_one_cluster_where_both_count():
    rows = pl.DataFrame(
        [
            (GH, "Keras", "a/a", "effect", "Crash", 2),
            (GH, "Caffe", "a/a", "effect", "Hang", 1),
            (SO, "Keras", "a/a", "effect", "Crash", 1),
            (GH, "Keras", "b/b", "effect", "Crash", 4),
            (GH, "Keras", "b/b", "stage", "Training", 4),
        ],
        schema=SCHEMA,
        orient="row",
    )
    categories = pl.Series(["Crash", "Hang", "Unknown"])

    def table(source, library):
        return cluster_table(filter_clusters(rows, source, library, "effect"), categories).tolist()

    assert table(GH, "Keras") == [[2, 0, 0], [4, 0, 0]]
    assert table(GH, "All") == [[2, 1, 0], [4, 0, 0]]
    assert sorted(table("both", "All")) == [[1, 0, 0], [2, 1, 0], [4, 0, 0]]
    assert table(SO, "Caffe") == []


def test_bootstrap_draws_as_many_clusters_as_there_are_each_whole():
    table = np.array([[1, 0], [0, 10], [0, 10], [100, 0]])

    drawn = bootstrap_counts(table, generator(1, "a"), resamples=500)

    assert drawn.shape == (500, 2)
    ones, hundreds = drawn[:, 0] % 100, drawn[:, 0] // 100
    assert (ones + hundreds + drawn[:, 1] // 10 == 4).all()


def test_bootstrap_of_patterns_is_that_of_single_clusters():
    """Mean and variance against drawing one cluster after the other, in plain Python."""
    random = np.random.default_rng(3)
    table = random.integers(0, 3, size=(30, 3))
    table[0] = [9, 0, 1]

    ours = bootstrap_counts(table, generator(1, "a"), resamples=20_000)
    plain = np.array([table[random.integers(0, 30, size=30)].sum(axis=0) for _ in range(20_000)])

    assert ours.mean(axis=0) == pytest.approx(plain.mean(axis=0), rel=0.01)
    assert np.cov(ours.T) == pytest.approx(np.cov(plain.T), rel=0.1, abs=0.5)
    assert ours.mean(axis=0) == pytest.approx(table.sum(axis=0), rel=0.01)
    assert ours.var(axis=0) == pytest.approx(30 * table.var(axis=0), rel=0.05)


def test_percentiles_leave_out_what_is_undefined():
    assert percentile_limits(np.array([np.nan, *range(101)])) == (2.5, 97.5)
    assert percentile_limits(np.array([np.nan])) == (None, None)


def test_bugs_are_shuffled_between_two_groups_as_often_as_all_orders_give_them():
    labels = [0, 0, 0, 1, 1, 2, 2]
    shuffled: dict[tuple[int, ...], int] = {}
    for chosen in itertools.combinations(range(7), 4):
        of_second = tuple(sum(labels[place] == column for place in chosen) for column in range(3))
        shuffled[of_second] = shuffled.get(of_second, 0) + 1

    drawn = shuffled_bugs(np.array([3, 2, 2]), 4, 50_000, generator(1, "a"))

    assert (drawn.sum(axis=1) == 4).all()
    found = dict.fromkeys(shuffled, 0)
    for row in map(tuple, drawn.tolist()):
        found[row] += 1
    for row, ways in shuffled.items():
        assert found[row] / 50_000 == pytest.approx(ways / math.comb(7, 4), abs=0.01)
