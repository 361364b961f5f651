import numpy as np
import polars as pl
import pytest
from scipy.stats import t as student_t

from dlbug_assets.analysis.distributions import distribution
from dlbug_assets.analysis.statistics.clusters import with_cluster_intervals
from dlbug_assets.warehouse.rows import table_schema
from support.small_studies import GH, SO

FOUR = {"effect": ("Crash", "Hang", "Unknown", "Data Corruption")}


def _clustered(label_counts, clusters, source=GH):
    """Return the distribution of effects of one library from (cluster, {category: bugs})."""
    rows = [
        (source, "Keras", name, "effect", category, n, sum(bugs.values()))
        for name, bugs in clusters
        for category, n in bugs.items()
    ]
    frame = pl.DataFrame(rows, schema=table_schema("analysis.cluster_counts"), orient="row")
    totals: dict[str, int] = {}
    for *_, category, n, _ in rows:
        totals[category] = totals.get(category, 0) + n
    counts = label_counts({"effect": {(source, "Keras"): totals}}, ("Keras",), FOUR)
    return with_cluster_intervals(distribution(counts, "effect"), frame, "effect")


def _row(rows, category, source=GH):
    return rows.filter(source=source, library="Keras", category=category).row(0, named=True)


def _wilson(share, effective, clusters):
    """Return Wilson's limits of a share with an effective number of bugs, by the t distribution."""
    t = student_t.ppf(0.975, clusters - 1)
    # The roots of (share - x)^2 = t^2 x (1 - x) / effective.
    return np.sort(np.roots([1 + t**2 / effective, -2 * share - t**2 / effective, share**2])).tolist()


def test_independent_bugs_have_a_design_effect_of_one(label_counts):
    clusters = [(str(n), {"Crash" if n % 4 else "Hang": 1}) for n in range(400)]

    crash = _row(_clustered(label_counts, clusters), "Crash")

    assert crash["clusters"] == 400
    assert crash["design_effect"] == pytest.approx(400 / 399)
    assert crash["effective_n"] == pytest.approx(399)
    assert [crash["cluster_low"], crash["cluster_high"]] == pytest.approx(_wilson(0.75, 399, 400))


def test_clusters_of_five_equal_bugs_have_a_design_effect_of_five(label_counts):
    clusters = [(str(n), {"Crash" if n % 2 else "Hang": 5}) for n in range(100)]

    crash = _row(_clustered(label_counts, clusters), "Crash")

    assert (crash["design_effect"], crash["effective_n"]) == (pytest.approx(500 / 99), pytest.approx(99))
    assert [crash["cluster_low"], crash["cluster_high"]] == pytest.approx(_wilson(0.5, 99, 100))


def test_the_design_effect_is_at_least_that_of_linearization(label_counts):
    """Compare with Taylor linearization of the ratio of two sums over clusters (Cochran 1977, section 6.5)."""
    random = np.random.default_rng(11)
    sizes = random.integers(1, 8, size=150)
    crashes = np.array([random.binomial(n, random.beta(1, 1)) for n in sizes])
    clusters = [
        (str(i), {"Crash": int(c), "Hang": int(n - c)}) for i, (c, n) in enumerate(zip(crashes, sizes, strict=True))
    ]

    crash = _row(_clustered(label_counts, clusters), "Crash")

    share = crashes.sum() / sizes.sum()
    variance = 150 * np.var(crashes - share * sizes, ddof=1) / sizes.sum() ** 2
    linearized = variance / (share * (1 - share) / sizes.sum())
    assert linearized <= crash["design_effect"] * (1 + 1e-9)
    assert crash["design_effect"] == pytest.approx(linearized, rel=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_limits_are_within_0_and_1_and_hold_the_share(label_counts, seed):
    random = np.random.default_rng(seed)
    tables = random.multinomial(random.integers(1, 40, size=5), random.dirichlet([0.3, 0.1, 0.05, 0.02]))
    clusters = [(str(place), dict(zip(FOUR["effect"], map(int, row), strict=True))) for place, row in enumerate(tables)]

    for row in _clustered(label_counts, clusters).filter(source=GH).iter_rows(named=True):
        assert 0 <= row["cluster_low"] <= row["share"] <= row["cluster_high"] <= 1
        assert row["design_effect"] >= 1
        assert row["effective_n"] == pytest.approx(row["total"] / row["design_effect"])


def test_undefined_intervals_are_null_with_a_reason(label_counts):
    one = _clustered(label_counts, [("a", {"Crash": 1, "Hang": 2})])

    columns = ("clusters", "cluster_low", "cluster_high", "design_effect", "effective_n", "cluster_undefined_reason")
    assert [_row(one, "Crash")[name] for name in columns] == [1, *[None] * 4, "the bugs are all of one cluster"]
    assert [_row(one, "Crash", SO)[name] for name in columns] == [0, *[None] * 4, "no bug has a label in effect"]


def test_shares_of_no_and_of_every_bug_have_limits(label_counts):
    """The correlation of the other categories counts, as no variance over clusters is known."""
    several = _clustered(label_counts, [("a", {"Crash": 4, "Hang": 0}), ("b", {"Hang": 3}), ("c", {"Hang": 2})])
    every = _clustered(label_counts, [("a", {"Crash": 1}), ("b", {"Crash": 3})])

    none = _row(several, "Unknown")
    # All bugs of each cluster are alike: 1 + (29 / 9 - 1) is the design effect.
    t = student_t.ppf(0.975, 2)
    assert (none["design_effect"], none["cluster_low"]) == (pytest.approx(29 / 9), 0)
    assert none["cluster_high"] == pytest.approx(t**2 / (81 / 29 + t**2))
    assert (_row(every, "Crash")["cluster_high"], _row(every, "Crash")["cluster_undefined_reason"]) == (1, None)


def test_intervals_do_not_depend_on_the_order_of_clusters(label_counts):
    clusters = [(str(n), {"Crash": n % 3 + 1, "Hang": n % 2}) for n in range(20)]

    first, again = (_clustered(label_counts, order) for order in (clusters, clusters[::-1]))

    assert first.equals(again)


def test_shares_of_bugs_with_several_categories_are_of_the_labelled_bugs():
    """Two categories of the same bugs: in every resample the shares are those of the bugs, not of the labels."""
    random = np.random.default_rng(2)
    crashes = random.binomial(1, 0.7, size=200)
    hangs = 1 - crashes * random.binomial(1, 0.5, size=200)  # every bug has at least one of the two
    bugs = {"Crash": crashes, "Hang": hangs}
    clusters = pl.DataFrame(
        [(GH, "Keras", str(number), "effect", name, 1, 1)
         for name, of_bugs in bugs.items() for number, has_it in enumerate(of_bugs) if has_it],
        schema=table_schema("analysis.cluster_counts"), orient="row",
    )  # fmt: skip
    counts = pl.DataFrame(
        [(GH, "Keras", "effect", name, int(of_bugs.sum()), 200) for name, of_bugs in bugs.items()],
        schema=table_schema("analysis.label_counts"), orient="row",
    )  # fmt: skip

    rows = with_cluster_intervals(distribution(counts, "effect"), clusters, "effect")

    for row, of_bugs in zip(rows.iter_rows(named=True), bugs.values(), strict=True):
        assert (row["share"], row["clusters"]) == (pytest.approx(of_bugs.mean()), 200)
        assert row["design_effect"] == pytest.approx(200 / 199)
        assert [row["cluster_low"], row["cluster_high"]] == pytest.approx(_wilson(of_bugs.mean(), 199, 200))


def test_a_dimension_without_categories_has_no_rows():
    counts = pl.DataFrame(schema=table_schema("analysis.label_counts"))
    clusters = pl.DataFrame(schema=table_schema("analysis.cluster_counts"))

    rows = with_cluster_intervals(distribution(counts, "trick"), clusters, "trick")

    assert (rows.height, rows.columns[-2:]) == (0, ["effective_n", "cluster_undefined_reason"])


def test_pools_of_one_source_and_library_have_the_intervals_of_these():
    counts = pl.DataFrame(
        [(source, library, "effect", category, bugs, 30)
         for source in ("Mail", "both") for library in ("Ebb", "All")
         for category, bugs in (("Crash", 10), ("Hang", 20))],
        schema=table_schema("analysis.label_counts"), orient="row",
    )  # fmt: skip
    clusters = pl.DataFrame(
        [("Mail", "Ebb", str(n), "effect", "Crash" if n < 10 else "Hang", 1, 1) for n in range(30)],
        schema=table_schema("analysis.cluster_counts"), orient="row",
    )  # fmt: skip

    rows = with_cluster_intervals(distribution(counts, "effect"), clusters, "effect")

    assert rows.height == 8
    assert rows.group_by("category", "cluster_low", "cluster_high", "design_effect").len()["len"].to_list() == [4, 4]
