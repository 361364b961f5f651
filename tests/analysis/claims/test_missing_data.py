"""The claims of the paper of 2019 on data that cannot decide them: a reason instead of a verdict."""

import polars as pl
import pytest

from dlbug_assets.layout import STUDIES
from support.small_studies import GH, SO

PAPER = STUDIES / "islam2019" / "claims.toml"
FIVE = ("Caffe", "Keras", "Tensorflow", "Theano", "Torch")
BUG = {"bug_type": "Data Bug", "root_cause": "API Misuse", "effect": "Crash", "year": 2016}


@pytest.fixture
def judged(claimed):
    """Return a function that returns analysis.claims of bugs, and all other tables that are made of claims."""

    def judge(bugs, libraries=FIVE, **other):
        made = claimed(file=PAPER, libraries=libraries, **other)
        for number, bug in enumerate(bugs):
            made.study.label(item_id=str(number), bug_index=1, **BUG | bug)
        tables = made.tables()
        for name, rows in tables.items():
            made.study.put(f"analysis.{name}", rows)
        made.study.put("analysis.finding_sensitivity", made.sensitivity())
        tables |= {name: made.study.run(name) for name in ("finding_verdicts", "finding_survival")}
        return tables.pop("claims"), tables

    return judge


NONE = ()
ONE_BUG = ({"source": SO, "library": "Keras"},)
ONE_CLUSTER = tuple({"source": GH, "library": "Keras", "repository": "a/a", "commit_sha": str(n)} for n in range(30))
FORKS = tuple(
    {"source": GH, "library": "Keras", "repository": name, "commit_sha": "1"}
    for name in ("a/a", "b/a")
    for _ in range(15)
)


@pytest.mark.parametrize("bugs", [NONE, ONE_BUG, ONE_CLUSTER, FORKS], ids=["none", "one bug", "one cluster", "forks"])
def test_bugs_of_one_cluster_at_most_decide_nothing(judged, bugs):
    claims, tables = judged(bugs)

    assert claims["support"].unique().to_list() == ["not testable"]
    assert claims.select("probability", "ties").null_count().row(0) == (40, 40)
    assert claims["note"].str.len_chars().min() > 20
    verdicts = tables["finding_verdicts"]
    assert (verdicts.height, verdicts["support"].unique().to_list()) == (21, ["not testable"])
    assert tables["claim_thresholds"].select("supported", "contradicted", "undecided").unique().rows() == [(0, 0, 0)]


@pytest.mark.parametrize("sources", [(SO,), (GH,)])
def test_one_source_has_nothing_to_compare_with(judged, sources):
    bugs = [{"source": source, "library": "Keras", "link": str(n)} for source in sources for n in range(30)]
    claims, _ = judged(bugs, sources=sources)

    alike = claims.filter(pl.col("kind") == "alike", pl.col("finding") != 19)
    assert alike["support"].to_list() == ["not testable"] * 4
    assert alike["computed"].null_count() == 4
    assert alike["note"].unique().to_list() == [
        "The data it needs is not there: there are fewer than two sources to compare."
    ]


def test_one_library_has_no_others(judged):
    bugs = [{"source": source, "library": "Keras", "link": str(n)} for source in (SO, GH) for n in range(30)]
    claims, tables = judged(bugs, libraries=("Keras",))

    notes = dict(claims.select("position", "note").rows())
    missing = "The data it needs is not there: "
    assert notes[3] == f"{missing}the study has no Caffe."
    assert notes[7] == f"{missing}a t-test needs two libraries or more."
    assert notes[33] == f"{missing}it needs Torch, two other libraries."
    # What needs no other library is judged.
    assert claims.filter(position=21).select("support", "holds").row(0) == ("supported", True)
    assert tables["finding_survival"].filter(finding=12, survives=True).height == 3


def test_a_study_without_claims_has_no_verdicts(claimed):
    made = claimed("", libraries=("Keras",))
    for name, rows in made.tables().items():
        made.study.put(f"analysis.{name}", rows)
    made.study.put("analysis.finding_sensitivity", made.sensitivity())

    assert made.study.run("finding_verdicts").height == made.study.run("finding_survival").height == 0
