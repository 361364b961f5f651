"""The table of trends: the tests of the series of a study, and what they leave undefined."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from dlbug_assets.analysis.distributions import yearly_evolution
from dlbug_assets.analysis.trends import DRAWS_PER_SERIES, LEAST_DRAWS, trends
from dlbug_assets.warehouse.rows import table_schema
from support.small_studies import GH, SO

DIMENSIONS = {"symptom": "required = true"}
TAXONOMY = "dimension,name\nsymptom,Crash\nsymptom,Hang\n"


@pytest.fixture
def make(study):
    """Return a function that makes a study of one dimension, with libraries and sources."""

    def made(*libraries, sources=(SO, GH)):
        return study(*libraries, sources=sources, dimensions=DIMENSIONS, taxonomy=TAXONOMY)

    return made


def _label(small, years, bugs, totals, *, source=SO, library="Keras", cluster=None, of=1):
    """Add bugs, of which the first ones of each year are crashes, in clusters of ``of`` bugs of one year."""
    for year, crashes, total in zip(years, bugs, totals, strict=True):
        for place in range(total):
            item = cluster or f"{library} {year} {place // of}"
            small.label(source=source, library=library, item_id=item, year=year,
                        symptom="Crash" if place < crashes else "Hang")  # fmt: skip


def _trends(small):
    evolution = yearly_evolution(small.run("yearly_counts"))
    long, clusters = (
        small.connection.sql(f"from {table}").pl() for table in ("labeling.bug_labels", "analysis.clusters")
    )
    return trends(evolution, small.labels(), long, clusters, small.study)


@pytest.fixture
def trend(make):
    """Return a function that returns the trend of crashes of Keras on Stack Overflow, one bug in each post."""

    def found(years, bugs, totals, **clustered):
        small = make("Keras", "Caffe")
        _label(small, years, bugs, totals, **clustered)
        return _trends(small).row(0, named=True)

    return found


@pytest.mark.parametrize("seed", range(3))
def test_the_statistic_of_independent_bugs_is_z_of_the_linear_by_linear_association(trend, seed):
    """Compare with Agresti 2013, section 3.4: the correlation of year and category times the square root of n - 1."""
    random = np.random.default_rng(seed)
    years = np.sort(random.choice(np.arange(2009, 2019), size=6, replace=False))
    totals = random.integers(5, 40, size=6)
    bugs = random.binomial(totals, 0.4)

    found = trend(years.tolist(), bugs.tolist(), totals.tolist())

    year_of_bug = np.repeat(years, totals)
    has_it = np.concatenate([[1] * n + [0] * (total - n) for n, total in zip(bugs, totals, strict=True)])
    z = np.corrcoef(year_of_bug, has_it)[0, 1] * math.sqrt(totals.sum() - 1)
    assert found["statistic"] == pytest.approx(z)
    assert found["p_asymptotic"] == pytest.approx(2 * norm.sf(abs(z)))
    # With one bug in each cluster, the deciding test hardly differs.
    assert found["clusters"] == found["total"]
    assert found["cluster_statistic"] == pytest.approx(z, abs=0.25)
    assert found["direction"] == ("rising" if z > 0 else "falling")


def test_bugs_of_one_cluster_are_not_independent(trend):
    """Posts of ten bugs that are all alike show less than as many posts of one bug."""
    series = range(2012, 2018), [0, 10, 10, 10, 20, 20], [20] * 6

    alike, independent = trend(*series, of=10), trend(*series)

    assert alike["p_asymptotic"] == independent["p_asymptotic"] == pytest.approx(2.25e-12, rel=0.01)
    assert (alike["clusters"], independent["clusters"]) == (12, 120)
    assert independent["p_clusters"] == 1 / LEAST_DRAWS
    assert 0.01 < alike["p_clusters"] < 0.1


def test_permutations_end_when_enough_are_as_extreme(trend):
    strong = trend(range(2012, 2018), [0, 1, 2, 9, 12, 20], [20] * 6)
    weak = trend(range(2012, 2018), [10, 9, 10, 11, 10, 10], [20] * 6)

    assert (strong["resamples"], strong["p_clusters"]) == (LEAST_DRAWS - 1, 1 / LEAST_DRAWS)
    assert weak["resamples"] < 100
    assert weak["p_clusters"] == 20 / weak["resamples"] > 0.5


def test_a_large_family_gets_more_permutations_so_that_holm_can_reject(study):
    names = ["Crash", *(f"Rare {number}" for number in range(260))]
    taxonomy = "dimension,name\n" + "".join(f"symptom,{name}\n" for name in names)
    small = study("Keras", dimensions=DIMENSIONS, taxonomy=taxonomy)
    for place, name in enumerate(names[1:] + names[1:] + names[:1] * 60):
        small.label(source=SO, library="Keras", item_id=f"{place}", symptom=name, year=2012 + place // 100)

    row = _trends(small).row(0, named=True)

    assert (row["category"], row["family"]) == ("Crash", 261)
    assert row["p_clusters"] == 1 / (DRAWS_PER_SERIES * 261) < 1 / LEAST_DRAWS
    assert row["p_holm"] == pytest.approx(1 / DRAWS_PER_SERIES)


def test_rows_have_first_and_last_year_and_direction(trend):
    row = trend([2015, 2016, 2018], [4, 2, 1], [10, 10, 20])

    names = ("years", "first_year", "last_year", "bugs", "total", "share_first", "share_last", "direction")
    assert [row[name] for name in names] == [3, 2015, 2018, 7, 40, 0.4, 0.05, "falling"]
    assert trend([2015, 2016, 2017], [3, 5, 3], [10, 10, 10])["direction"] is None


@pytest.mark.parametrize(
    ("years", "bugs", "of", "reason"),
    [
        (range(2014, 2019), [2, 2, 2, 2, 3], 1, None),
        (range(2015, 2019), [3, 3, 3, 4], 1, "4 years, under 5"),
        (range(2014, 2019), [1, 2, 2, 2, 2], 1, "9 bugs, under 10"),
        ([2015, 2016], [10, 11], 20, "2 years, under 5; 2 clusters, under 5"),
        ([2015], [1], 20, "1 year, under 5; 1 bug, under 10; 1 cluster, under 5"),
    ],
)
def test_few_years_bugs_or_clusters_are_underpowered(trend, years, bugs, of, reason):
    row = trend(years, bugs, [20] * len(bugs), of=of)

    assert (row["underpowered"], row["underpowered_reason"]) == (reason is not None, reason)


@pytest.mark.parametrize(
    ("bugs", "totals", "cluster", "reason"),
    [
        ([0, 0], [3, 4], None, "no bug has it"),
        ([3, 4], [3, 4], None, "every bug has it"),
        ([3], [4], None, "a trend needs two years or more"),
        ([1, 3], [4, 4], "post", "the bugs are all of one cluster"),
    ],
)
def test_undefined_trends_have_a_reason(trend, bugs, totals, cluster, reason):
    row = trend(range(2015, 2015 + len(bugs)), bugs, totals, cluster=cluster)

    assert row["undefined_reason"] == reason
    names = ("statistic", "p_asymptotic", "cluster_statistic", "p_clusters", "resamples", "p_holm", "direction")
    for name in names:
        assert row[name] is None
    assert row["family"] == 0


def test_clusters_of_the_same_mean_year_have_no_trend(make):
    small = make("Keras")
    _label(small, [2015, 2017], [1, 0], [1, 1], cluster="a post")
    _label(small, [2016], [0], [1])

    row = _trends(small).row(0, named=True)

    assert row["undefined_reason"] == "the mean year of the bugs is the same in all clusters"


def test_no_years_result_in_an_empty_table_with_every_column(trend, make):
    small = make("Keras")
    small.label(source=SO, library="Keras", item_id="a", symptom="Crash")

    rows = _trends(small)

    assert rows.height == 0
    assert rows.columns == list(table_schema("analysis.trends"))


def test_pools_of_one_source_or_library_with_years_repeat_its_tests(make):
    series = [2018, 2019, 2020], [3, 5, 9], [10, 10, 10]
    alone, undated, several = make("Keras", sources=["Mail"]), make("Keras", "Caffe"), make("Keras", "Caffe")
    _label(alone, *series, source="Mail")
    for small in (undated, several):
        _label(small, *series)
        small.label(source=GH, library="Caffe", item_id="a", symptom="Hang", year=2019 if small is several else None)

    of = {small: _trends(small).filter(category="Crash") for small in (alone, undated, several)}

    for small in (alone, undated):
        assert of[small]["family"].to_list() == [2] * 4  # Crash and Hang
        assert of[small]["p_clusters"].n_unique() == 1
    assert of[undated].select("source", "library").rows() == [
        (SO, "Keras"),
        (SO, "All"),
        ("both", "Keras"),
        ("both", "All"),
    ]
    # The pool of both sources and libraries has a bug more than Keras on Stack Overflow.
    assert of[several].filter(source="both", library="All")["family"].to_list() == [4]
