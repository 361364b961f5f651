import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from dlbug_assets.analysis.distributions import distribution
from dlbug_assets.analysis.statistics.clusters import with_cluster_intervals
from dlbug_assets.protocol.study import load_study
from dlbug_assets.warehouse.rows import table_schema
from support.small_studies import GH, SO, small_study

STUDY = load_study("islam2019")
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
    return with_cluster_intervals(distribution(counts, "effect"), frame, "effect", STUDY)


def _row(rows, category, source=GH):
    return rows.filter(source=source, library="Keras", category=category).row(0, named=True)


def test_independent_bugs_have_a_design_effect_of_one(label_counts):
    clusters = [(str(n), {"Crash" if n % 4 else "Hang": 1}) for n in range(400)]

    crash = _row(_clustered(label_counts, clusters), "Crash")

    assert crash["clusters"] == 400
    assert crash["design_effect"] == pytest.approx(1, abs=0.1)
    half = norm.ppf(0.975) * np.sqrt(0.75 * 0.25 / 400)
    assert (crash["cluster_low"], crash["cluster_high"]) == pytest.approx((0.75 - half, 0.75 + half), abs=0.006)


def test_clusters_of_five_equal_bugs_have_a_design_effect_of_five(label_counts):
    clusters = [(str(n), {"Crash" if n % 2 else "Hang": 5}) for n in range(100)]

    assert _row(_clustered(label_counts, clusters), "Crash")["design_effect"] == pytest.approx(5, rel=0.1)


def test_the_design_effect_is_close_to_that_of_linearization(label_counts):
    """Compare with Taylor linearization of the ratio of two sums over clusters (Cochran 1977, section 6.5)."""
    random = np.random.default_rng(11)
    sizes = random.integers(1, 8, size=150)
    crashes = np.array([random.binomial(n, random.beta(1, 1)) for n in sizes])
    clusters = [
        (str(i), {"Crash": int(c), "Hang": int(n - c)}) for i, (c, n) in enumerate(zip(crashes, sizes, strict=True))
    ]

    crash = _row(_clustered(label_counts, clusters), "Crash")

    share = crashes.sum() / sizes.sum()
    variance = 150 * np.var(crashes - share * sizes) / sizes.sum() ** 2
    assert crash["design_effect"] == pytest.approx(variance / (share * (1 - share) / sizes.sum()), rel=0.1)


def test_undefined_intervals_are_null_with_a_reason(label_counts):
    several = _clustered(label_counts, [("a", {"Crash": 1, "Hang": 2}), ("b", {"Crash": 3})])
    one = _clustered(label_counts, [("a", {"Crash": 1, "Hang": 2})])
    every = _clustered(label_counts, [("a", {"Crash": 1}), ("b", {"Crash": 3})])

    columns = ("clusters", "cluster_low", "cluster_high", "design_effect", "cluster_undefined_reason")
    assert [_row(several, "Unknown")[name] for name in columns] == [
        2, None, None, None, "no bug has it, in every resample"
    ]  # fmt: skip
    assert _row(every, "Crash")["cluster_undefined_reason"] == "every bug has it, in every resample"
    assert [_row(one, "Crash")[name] for name in columns] == [1, None, None, None, "the bugs are all of one cluster"]
    assert _row(one, "Crash", SO)["cluster_undefined_reason"] == "no bug has a label in effect"
    assert _row(several, "Crash")["cluster_undefined_reason"] is None


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

    rows = with_cluster_intervals(distribution(counts, "effect"), clusters, "effect", STUDY)

    for row, of_bugs in zip(rows.iter_rows(named=True), bugs.values(), strict=True):
        share = of_bugs.mean()
        half = norm.ppf(0.975) * np.sqrt(share * (1 - share) / 200)
        assert (row["share"], row["clusters"]) == (pytest.approx(share), 200)
        assert (row["cluster_low"], row["cluster_high"]) == pytest.approx((share - half, share + half), abs=0.011)
        assert row["design_effect"] == pytest.approx(1, abs=0.1)


def test_a_dimension_without_categories_has_no_rows():
    counts = pl.DataFrame(schema=table_schema("analysis.label_counts"))
    clusters = pl.DataFrame(schema=table_schema("analysis.cluster_counts"))

    rows = with_cluster_intervals(distribution(counts, "trick"), clusters, "trick", STUDY)

    assert (rows.height, rows.columns[-2:]) == (0, ["design_effect", "cluster_undefined_reason"])


def test_pools_of_one_source_and_library_have_the_intervals_of_these(tmp_path):
    study = small_study(tmp_path, ("Ebb",), ("Mail",))
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

    rows = with_cluster_intervals(distribution(counts, "effect"), clusters, "effect", study)

    assert rows.height == 8
    assert rows.group_by("category", "cluster_low", "cluster_high", "design_effect").len()["len"].to_list() == [4, 4]
