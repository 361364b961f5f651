"""Resampling compared with plain loops and full enumerations."""

import itertools
import math

import numpy as np
import polars as pl
import pytest

from dlbug_assets.analysis.statistics.resampling import (
    bootstrap_counts,
    cluster_table,
    filter_clusters,
    generator,
    percentile_limits,
    shuffled_bugs,
    shuffled_members,
    shuffled_tables,
)
from dlbug_assets.warehouse.rows import table_schema

SO, GH = "Stack Overflow", "GitHub"


def test_a_generator_depends_on_the_seed_and_its_purpose():
    first, same, other = (generator(1, *what).random() for what in (("a", "b"), ("a", "b"), ("a", "c")))

    assert first == same
    assert len({first, other, generator(2, "a", "b").random()}) == 3


def test_a_repository_with_bugs_of_two_libraries_is_one_cluster_of_all_libraries():
    rows = pl.DataFrame(
        [
            (GH, "Keras", "a/a", "effect", "Crash", 2, 2),
            (GH, "Caffe", "a/a", "effect", "Hang", 1, 1),
            (SO, "Keras", "a/a", "effect", "Crash", 1, 1),
            (GH, "Keras", "b/b", "effect", "Crash", 4, 4),
            (GH, "Keras", "b/b", "stage", "Training", 4, 4),
        ],
        schema=table_schema("analysis.cluster_counts"),
        orient="row",
    )
    categories = pl.Series(["Crash", "Hang", "Unknown"])

    def table(source, library):
        return cluster_table(filter_clusters(rows, source, library, "effect"), categories).tolist()

    assert table(GH, "Keras") == [[2, 0, 0, 2], [4, 0, 0, 4]]
    assert table(GH, "All") == [[2, 1, 0, 3], [4, 0, 0, 4]]
    assert sorted(table("both", "All")) == [[1, 0, 0, 1], [2, 1, 0, 3], [4, 0, 0, 4]]
    assert table(SO, "Caffe") == []


def test_a_bug_with_several_categories_counts_once_in_the_total_of_its_cluster():
    rows = pl.DataFrame(
        [("Mail", "Ebb", "a/a", "trick", "A", 2, 2), ("Mail", "Ebb", "a/a", "trick", "B", 1, 2),
         ("Mail", "Flow", "a/a", "trick", "A", 1, 1)],
        schema=table_schema("analysis.cluster_counts"), orient="row",
    )  # fmt: skip

    table = cluster_table(filter_clusters(rows, "both", "All", "trick"), pl.Series(["A", "B"]))

    assert table.tolist() == [[3, 1, 3]]


def test_each_resample_has_as_many_whole_clusters_as_the_data():
    table = np.array([[1, 0], [0, 10], [0, 10], [100, 0]])

    counts = bootstrap_counts(table, generator(1, "a"), resamples=500)

    assert counts.shape == (500, 2)
    ones, hundreds = counts[:, 0] % 100, counts[:, 0] // 100
    assert (ones + hundreds + counts[:, 1] // 10 == 4).all()


def test_resampling_patterns_equals_resampling_clusters_one_by_one():
    """Compare mean and variance with sampling one cluster after the other."""
    random = np.random.default_rng(3)
    table = random.integers(0, 3, size=(30, 3))
    table[0] = [9, 0, 1]

    by_pattern = bootstrap_counts(table, generator(1, "a"), resamples=20_000)
    one_by_one = np.array([table[random.integers(0, 30, size=30)].sum(axis=0) for _ in range(20_000)])

    assert by_pattern.mean(axis=0) == pytest.approx(one_by_one.mean(axis=0), rel=0.01)
    assert np.cov(by_pattern.T) == pytest.approx(np.cov(one_by_one.T), rel=0.1, abs=0.5)
    assert by_pattern.mean(axis=0) == pytest.approx(table.sum(axis=0), rel=0.01)
    assert by_pattern.var(axis=0) == pytest.approx(30 * table.var(axis=0), rel=0.05)


def test_percentiles_ignore_undefined_values():
    assert percentile_limits(np.array([np.nan, *range(101)])) == (2.5, 97.5)
    assert percentile_limits(np.array([np.nan])) == (None, None)


def test_shuffled_bugs_have_the_frequencies_of_all_orders():
    labels = [0, 0, 0, 1, 1, 2, 2]
    expected: dict[tuple[int, ...], int] = {}
    for chosen in itertools.combinations(range(7), 4):
        of_second = tuple(sum(labels[place] == column for place in chosen) for column in range(3))
        expected[of_second] = expected.get(of_second, 0) + 1

    rows = shuffled_bugs(np.array([3, 2, 2]), 4, 50_000, generator(1, "a"))

    assert (rows.sum(axis=1) == 4).all()
    found = dict.fromkeys(expected, 0)
    for row in map(tuple, rows.tolist()):
        found[row] += 1
    for row, ways in expected.items():
        assert found[row] / 50_000 == pytest.approx(ways / math.comb(7, 4), abs=0.01)


def test_random_tables_of_three_groups_have_the_frequencies_of_all_orders():
    groups, labels = [2, 1, 2], [0, 0, 1, 1, 1]
    expected: dict[tuple[int, ...], int] = {}
    for order in itertools.permutations(labels):
        key = (*np.bincount(order[:2], minlength=2), *np.bincount(order[2:3], minlength=2),
               *np.bincount(order[3:], minlength=2))  # fmt: skip
        expected[key] = expected.get(key, 0) + 1

    tables = shuffled_tables(np.array(groups), np.array([2, 3]), 50_000, generator(1, "a"))

    assert tables.shape == (50_000, 3, 2)
    found, frequencies = np.unique(tables.reshape(-1, 6), axis=0, return_counts=True)
    shares = {tuple(row): n / 50_000 for row, n in zip(found.tolist(), frequencies, strict=True)}
    assert shares == {key: pytest.approx(ways / math.factorial(5), abs=0.01) for key, ways in expected.items()}


@pytest.mark.parametrize("sizes", [(3, 4), (3, 2, 4)])
def test_shuffled_groups_have_as_many_whole_clusters_as_the_data(sizes):
    frequencies = np.array([sum(sizes) - 4, 1, 3])

    batches = list(shuffled_members(np.array(sizes), frequencies, 250, generator(1, "a")))

    shuffled = np.concatenate(batches)
    assert shuffled.shape == (250, len(sizes), 3)
    assert (shuffled.sum(axis=2) == sizes).all()
    assert (shuffled.sum(axis=1) == frequencies).all()
    assert len(np.unique(shuffled, axis=0)) > 1
