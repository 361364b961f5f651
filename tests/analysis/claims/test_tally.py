"""Counts of claims equal those of the SQL models, on random bugs."""

import numpy as np
import polars as pl
import pytest

from dlbug_assets.analysis.claims.tally import NotTestable, Tally
from dlbug_assets.protocol.claims import ShareClaim, TrendClaim
from support.small_studies import GH, SO

DIMENSIONS = {"symptom": "multiple = true", "cause": "required = true"}
TAXONOMY = "dimension,name\nsymptom,Crash\nsymptom,Hang\nsymptom,Wrong\ncause,Misuse\ncause,Change\n"
LIBRARIES = ("Torch", "Keras")


def _share(**keys):
    return ShareClaim(finding=1, text="x", kind="share", above=50, **keys)


CLAIMS = [
    _share(dimension="symptom", category="Crash"),
    _share(dimension="cause", category="Misuse"),
    _share(dimension="cause", category="Misuse", within={"dimension": "symptom", "categories": ["Crash"]}),
    _share(dimension="symptom", category="Crash", within={"dimension": "cause", "categories": ["Misuse"]}),
    _share(dimension="library", category="Keras", within={"dimension": "cause", "categories": ["Misuse"]}),
    TrendClaim(finding=1, text="x", kind="trend", dimension="symptom", category="Crash", direction="rising",
               years=(2015, 2016)),
]  # fmt: skip


@pytest.fixture
def filled(study):
    made = study(*LIBRARIES, dimensions=DIMENSIONS, taxonomy=TAXONOMY)
    random = np.random.default_rng(3)
    for place in range(300):
        library = str(random.choice(LIBRARIES))
        symptoms = [str(name) for name in random.permutation(["Crash", "Hang", "Wrong"])[: random.integers(0, 4)]]
        made.label(
            source=str(random.choice([SO, GH])), library=library, item_id=str(place), link=f"post {place // 3}",
            commit_sha=str(place % 7),
            repository=str(random.choice(["a/a", "b/b"])) if random.random() < 0.5 else None,
            year=int(random.integers(2014, 2018)) if random.random() < 0.9 else None,
            symptom=symptoms or None, cause=str(random.choice(["Misuse", "Change"])),
        )  # fmt: skip
    return made


@pytest.fixture
def tally(filled):
    labels = filled.labels()
    tables = {name: filled.connection.sql(f"from {table}").pl() for name, table in (
        ("clusters", "analysis.clusters"), ("bug_labels", "labeling.bug_labels"),
        ("categories", "labeling.categories"), ("taxonomy", "reference.taxonomy"),
    )}  # fmt: skip
    return Tally(labels, **tables, study=filled.study, claims=CLAIMS)


def _cells(tally, selection):
    bugs, totals = selection.bugs(tally.observed)[0], selection.total(tally.observed)[0]
    return {
        (group, name): (int(bugs[g, n]), int(totals[g]))
        for g, group in enumerate(selection.groups)
        for n, name in enumerate(selection.names)
    }


def test_shares_are_those_of_label_counts(filled, tally):
    counts = filled.run("label_counts")

    for source in (SO, GH, "both"):
        only = None if source == "both" else source
        selected = _cells(tally, tally.select("symptom", source=only, over="each"))
        selected |= {
            ("All", name): cell for (_, name), cell in _cells(tally, tally.select("symptom", source=only)).items()
        }
        expected = counts.filter(source=source, dimension="symptom").select("library", "category", "bugs", "total")
        assert {(library, name): tuple(cell) for library, name, *cell in expected.iter_rows()} == selected


def test_shares_of_a_year_are_those_of_yearly_counts(filled, tally):
    counts = filled.run("yearly_counts").filter(source=SO, dimension="symptom", year=2016)

    selected = _cells(tally, tally.select("symptom", source=SO, years=[2016], over="each"))

    expected = counts.select("library", "category", "bugs", "total")
    found = {(library, name): tuple(cell) for library, name, *cell in expected.iter_rows() if library != "All"}
    assert found == selected
    # A year in which no bug was found has none.
    assert not tally.select("symptom", years=[1999]).total(tally.observed).any()


def test_shares_within_another_category_are_those_of_the_crosstab(filled, tally):
    counts = filled.run("crosstab").filter(source="both", library="All", dimension_b="cause", category_a="Crash")

    selected = _cells(tally, tally.select("cause", within=("symptom", ["Crash"])))

    expected = counts.select("category_b", "bugs", "total")
    assert {("", name): tuple(cell) for name, *cell in expected.iter_rows()} == selected


def test_several_categories_in_one_share_are_added_up(tally):
    together = tally.select("cause", [("Misuse", "Change"), ("Misuse",)])

    ((both, one),) = together.bugs(tally.observed)[0]
    assert both == tally.select("cause").total(tally.observed)[0, 0]
    assert 0 < one < both
    assert together.names == ("Misuse and Change", "Misuse")


def test_the_mean_of_libraries_gives_each_the_same_weight(tally):
    each = tally.select("cause", [("Misuse",)], over="each").percent(tally.observed)
    mean = tally.select("cause", [("Misuse",)], over="mean").percent(tally.observed)

    assert mean[0, 0, 0] == pytest.approx(each[0, :, 0].mean())


def test_clusters_are_those_of_cluster_counts(filled, tally):
    counts = filled.run("cluster_counts")

    totals = tally.clusters(tally.select("cause", over="each").totals)

    clusters = counts.select("source", "cluster").unique().height
    assert sum(len(members) for members in tally.strata.values()) == clusters == len(totals)
    for place, library in enumerate(LIBRARIES):
        expected = (
            counts.filter(dimension="cause", library=library).group_by("source", "cluster").agg(pl.col("bugs").sum())
        )
        assert sorted(totals[:, place][totals[:, place] > 0]) == sorted(expected["bugs"])


@pytest.mark.parametrize(
    ("selected", "missing"),
    [
        ({"libraries": ["JAX"]}, "the study has no JAX"),
        ({"source": "Forum"}, "the study has no source Forum"),
        ({"categories": [("Hung",)]}, "the taxonomy has no Hung"),
        ({"within": ("cause", ["Typo"])}, "the taxonomy has no Typo"),
    ],
)
def test_what_the_study_does_not_have_is_not_testable(tally, selected, missing):
    with pytest.raises(NotTestable, match=missing):
        tally.select("symptom", **selected)
