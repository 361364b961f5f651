"""Whether bugs support claims: probabilities over resampled clusters, and what resampling cannot decide."""

import numpy as np
import pytest
from scipy.stats import binom

from dlbug_assets.analysis.claims import support
from dlbug_assets.analysis.claims.support import draws
from support.small_studies import GH, SO

CRASHES = """
[[claims]]
finding = 1
text = "Most bugs crash"
kind = "share"
dimension = "effect"
category = "Crash"
above = 50
"""


def _row(made):
    return made.tables()["claims"].row(0, named=True)


def _of_one_library(crashes, hangs):
    return {"effect": {(SO, "Keras"): {"Crash": crashes, "Hang": hangs}}}


def test_the_probability_is_the_share_of_resamples_in_which_the_claim_holds(claimed):
    row = _row(claimed(CRASHES, _of_one_library(22, 18), libraries=["Keras"]))

    # Of bugs that are clusters of their own, the number of crashes in a resample is binomial.
    assert row["probability"] == pytest.approx(binom.sf(20, 40, 22 / 40), abs=0.015)
    assert row["ties"] == pytest.approx(binom.pmf(20, 40, 22 / 40), abs=0.015)
    assert (row["support"], row["holds"], row["bugs"]) == ("undecided", True, 40)


@pytest.mark.parametrize(("crashes", "support"), [(35, "supported"), (20, "undecided"), (5, "contradicted")])
def test_support_follows_from_the_probability(claimed, crashes, support):
    assert _row(claimed(CRASHES, _of_one_library(crashes, 40 - crashes), libraries=["Keras"]))["support"] == support


def test_bugs_of_one_cluster_are_drawn_together(claimed):
    made = claimed(CRASHES, libraries=["Keras"])
    for repository, bugs, effect in (("a/a", 20, "Crash"), ("b/b", 5, "Hang"), ("c/c", 5, "Hang")):
        for place in range(bugs):
            made.study.label(source=GH, library="Keras", item_id=f"{repository}{place}", repository=repository,
                             effect=effect)  # fmt: skip
    row = _row(made)

    # It holds unless the repository with the crashes is not drawn: with one of three draws, 20 of 30 bugs crash.
    assert row["probability"] == pytest.approx(1 - (2 / 3) ** 3, abs=0.015)
    assert row["note"].startswith("Crash: 20 of 30 bugs, 66.7%, above 50%; it holds in 0.")


def test_a_post_in_two_libraries_is_one_cluster_of_a_stratum_of_its_own(claimed):
    made = claimed(CRASHES, libraries=["Keras", "Torch"])
    for library in ("Keras", "Torch"):
        for place in range(3):
            made.study.label(source=SO, library=library, item_id=f"{library}{place}", link=f"post {library}{place}",
                             effect="Hang")  # fmt: skip
        made.study.label(source=SO, library=library, item_id=f"both {library}", link="post", effect="Crash")
    tally = made.tally()
    crash = tally.select("effect", [("Crash",)], over="each")

    assert {stratum: len(clusters) for stratum, clusters in tally.strata.items()} == {
        (SO, "Keras"): 3, (SO, "Torch"): 3, (SO, "Keras|Torch"): 1
    }  # fmt: skip
    # The only cluster of its stratum is in every draw, in both libraries.
    (batch,) = draws(tally, seed=1, number=50)
    assert (crash.bugs(batch)[:, :, 0] == 1).all()
    assert (crash.total(batch) == 4).all()


def test_a_claim_is_not_testable_where_every_library_is_one_cluster(claimed):
    made = claimed(CRASHES, libraries=["Keras", "Torch"])
    for library, effects in (("Keras", ["Crash"] * 20), ("Torch", ["Crash"] * 10 + ["Hang"] * 5)):
        for place, effect in enumerate(effects):
            made.study.label(source=GH, library=library, item_id=f"{library}{place}", repository=f"x/{library}",
                             effect=effect)  # fmt: skip
    row = _row(made)

    # Every draw is the data themselves.
    assert (row["support"], row["probability"], row["holds"]) == ("not testable", None, True)
    assert "the bugs of each source and library are all of one cluster, so that no draw differs" in row["note"]


def test_draws_do_not_depend_on_the_size_of_the_batches(claimed, monkeypatch):
    tally = claimed(CRASHES, _of_one_library(22, 18), libraries=["Keras"]).tally()
    whole = np.concatenate(list(draws(tally, seed=5, number=700)))
    monkeypatch.setattr(support, "_MOST_OF_A_BATCH", 33)

    parts = list(draws(tally, seed=5, number=700))

    assert len(parts) == 22
    assert (np.concatenate(parts) == whole).all()
    assert (np.concatenate(list(draws(tally, seed=6, number=700))) != whole).any()


def test_a_probability_near_a_threshold_is_marked(claimed):
    marked = [
        _row(claimed(CRASHES, _of_one_library(crashes, 40 - crashes), libraries=["Keras"]))["at_threshold"]
        for crashes in range(24, 29)
    ]
    probabilities = [binom.sf(20, 40, crashes / 40) for crashes in range(24, 29)]

    # The standard error of .95 with 10,000 resamples is .0022.
    near = [abs(probability - 0.95) < 0.004 for probability in probabilities]
    far = [abs(probability - 0.95) > 0.012 for probability in probabilities]
    assert all(is_marked for is_marked, is_near in zip(marked, near, strict=True) if is_near)
    assert not any(is_marked for is_marked, is_far in zip(marked, far, strict=True) if is_far)


def test_bugs_of_a_single_cluster_support_nothing(claimed):
    made = claimed(CRASHES, libraries=["Keras"])
    for place in range(20):
        made.study.label(source=GH, library="Keras", item_id=str(place), repository="a/a", effect="Crash")
    row = _row(made)

    assert (row["support"], row["probability"], row["computed"]) == ("not testable", None, "100")
    assert row["note"].endswith("; the bugs are all of one cluster, so that no draw differs.")


@pytest.mark.parametrize(
    ("bound", "bugs", "support"),
    [
        # Of 12 bugs without a hang the upper limit is 29%, of 200 it is 2%.
        ("above = 5", 12, "undecided"),
        ("above = 5", 200, "contradicted"),
        ("above = 40", 12, "contradicted"),
        ("below = 5", 12, "undecided"),
        ("below = 5", 200, "supported"),
    ],
)
def test_a_share_of_zero_is_judged_by_its_interval(claimed, bound, bugs, support):
    text = CRASHES.replace('"Crash"', '"Hang"').replace("above = 50", bound)

    row = _row(claimed(text, _of_one_library(bugs, 0), libraries=["Keras"]))

    assert row["support"] == support
    assert ("95% interval" in row["note"]) == (support == "undecided")


def test_a_rival_without_bugs_is_judged_by_its_interval(claimed):
    text = """
[[claims]]
finding = 1
text = "Torch hangs more than the others"
kind = "more"
dimension = "effect"
category = "Hang"
libraries = ["Torch"]
than = {libraries = "others", over = "each"}
"""
    bugs = {"effect": {(SO, "Torch"): {"Hang": 6, "Crash": 14}, (SO, "Keras"): {"Crash": 12},
                       (SO, "Theano"): {"Crash": 200}}}  # fmt: skip

    assert _row(claimed(text, bugs, libraries=["Torch", "Theano"]))["support"] == "supported"
    # The upper limit of 0 of 12 bugs is 29%, of 6 of 20 the share is 30%; of 0 of 10 it is 34%.
    assert _row(claimed(text, bugs, libraries=["Torch", "Keras"]))["support"] == "supported"


def test_small_groups_are_undecided_with_the_number_of_bugs(claimed):
    row = _row(claimed(CRASHES, _of_one_library(9, 0), libraries=["Keras"]))

    assert (row["support"], row["probability"], row["bugs"]) == ("undecided", 1.0, 9)
    assert "the smallest group has fewer than 10 bugs (9)" in row["note"]


ALIKE = """
[[claims]]
finding = 1
text = "Effects are alike"
kind = "alike"
dimension = "effect"
"""


@pytest.mark.parametrize(
    ("bugs", "github", "support"),
    [
        # No significant difference between few bugs is not equivalence.
        (20, {"Crash": 10, "Hang": 10}, "undecided"),
        (1000, {"Crash": 500, "Hang": 500}, "supported"),
        (1000, {"Crash": 800, "Hang": 200}, "contradicted"),
    ],
)
def test_distributions_are_alike_only_if_equivalence_is_shown(claimed, bugs, github, support):
    effect = {(SO, "Keras"): {"Crash": bugs // 2, "Hang": bugs // 2}, (GH, "Keras"): github}

    assert _row(claimed(ALIKE, {"effect": effect}, libraries=["Keras"]))["support"] == support


def test_distributions_differ_where_equivalence_is_contradicted(claimed):
    effect = {(SO, "Keras"): {"Crash": 500, "Hang": 500}, (GH, "Keras"): {"Crash": 800, "Hang": 200}}
    made = claimed(ALIKE.replace('"alike"', '"differ"'), {"effect": effect}, libraries=["Keras"])

    row = _row(made)

    assert (row["support"], row["probability"], row["computed"]) == ("supported", 1.0, "Crash=30")


def test_a_trend_is_supported_by_the_slope_over_resampled_clusters(claimed):
    made = claimed("""
[[claims]]
finding = 1
text = "Crashes become more frequent"
kind = "trend"
direction = "rising"
dimension = "effect"
category = "Crash"
years = [2015, 2016, 2017]
""", libraries=["Keras"])  # fmt: skip
    for year, crashes in ((2015, 10), (2016, 20), (2017, 30)):
        for place in range(40):
            made.study.label(source=SO, library="Keras", item_id=f"{year}/{place}", year=year,
                             effect="Crash" if place < crashes else "Hang")  # fmt: skip
    row = _row(made)

    assert (row["support"], row["computed"]) == ("supported", "25; 75")


def test_the_order_of_libraries_and_labels_does_not_change_what_the_data_say(claimed):
    text = CRASHES.replace("above = 50", 'above = 50\nover = "each"')
    bugs = {"effect": {(SO, "Keras"): {"Crash": 22, "Hang": 18}, (SO, "Torch"): {"Hang": 8, "Crash": 30}}}
    turned = {"effect": {(SO, "Torch"): {"Crash": 30, "Hang": 8}, (SO, "Keras"): {"Hang": 18, "Crash": 22}}}

    rows = [_row(claimed(text, one, libraries=libraries)) for one, libraries in (
        (bugs, ["Keras", "Torch"]), (turned, ["Torch", "Keras"])
    )]  # fmt: skip

    assert rows[0]["computed"] == "Keras=55; Torch=79"
    assert rows[1]["computed"] == "Torch=79; Keras=55"
    assert rows[0]["probability"] == pytest.approx(rows[1]["probability"], abs=0.02)
    assert rows[0]["support"] == rows[1]["support"]


def test_other_thresholds_are_listed_with_what_they_would_decide(claimed):
    texts = [CRASHES.replace("finding = 1", f"finding = {number}").replace("above = 50", f"above = {bound}")
             for number, bound in enumerate((50, 40, 20, 70, 95), start=1)]  # fmt: skip
    missing = CRASHES.replace("finding = 1", "finding = 6").replace('"effect"', '"stage"').replace("Crash", "Training")
    made = claimed("".join([*texts, missing]), _of_one_library(22, 18), libraries=["Keras"])
    tables = made.tables()

    # The probabilities are .69, .96, 1, .02 and 0.
    expected = [binom.sf(above, 40, 22 / 40) for above in (20, 16, 8, 28, 38)]
    assert tables["claims"]["probability"].to_list()[:5] == pytest.approx(expected, abs=0.015)
    assert tables["claim_thresholds"].rows() == [
        (0.8, 0.2, False, 2, 2, 1, 1),
        (0.9, 0.1, False, 2, 2, 1, 1),
        (0.95, 0.05, True, 2, 2, 1, 1),
        (0.975, 0.025, False, 1, 2, 2, 1),
        (0.99, 0.01, False, 1, 1, 3, 1),
    ]


def test_thresholds_of_a_study_without_claims_have_no_claims(claimed):
    made = claimed("", _of_one_library(22, 18), libraries=["Keras"])

    assert made.tables()["claim_thresholds"].select(
        "supported", "contradicted", "undecided", "not_testable"
    ).rows() == ([(0, 0, 0, 0)] * 5)
