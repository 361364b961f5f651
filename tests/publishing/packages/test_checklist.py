"""The checklist of a package: states that the study shows, and those that people judge."""

import pytest

from dlbug_assets.publishing.packages.checklist import checklist


@pytest.fixture
def states(small_study):
    """Return a function that returns the state and evidence of each item of a study by name."""

    def of(study, missing=()):
        items = checklist(study.study, study.rows(), dict.fromkeys(missing))
        return {each.item: (each.state, each.evidence) for each in items}

    return of


@pytest.fixture
def reproduction(small_study):
    """Return the study of 2019 with a finding, and two printed numbers of which one differs."""
    study = small_study("islam2019")
    study.put(
        "analysis.claims", {"finding": 1, "position": 1, "role": "headline", "claim": "C", "support": "undecided"}
    )
    study.put("analysis.finding_verdicts", {"finding": 1, "verdict": "reproduced", "support": "undecided"})
    for is_same in (True, False):
        study.put("analysis.replication_diff", {"reference": "table2", "unit": "percent", "published": 1.0,
                  "computed": 1.0, "decimals": 0, "same_when_rounded": is_same})  # fmt: skip
    return study


def test_a_reproduction_is_told_from_a_replication(states, reproduction, small_study):
    found = states(reproduction)
    assert found["Results reproduced"] == ("for the reviewers", "numbers of the findings: 1 reproduced")
    assert found["Results replicated"][0] == "not applicable"
    assert found["Names its type"] == ("met", "a reproduction: the original labels, analysed anew")
    found = states(small_study("live"))
    assert found["Results reproduced"][0] == "not applicable"
    assert found["Results replicated"][0] == "for the reviewers"


def test_results_are_counted_by_verdict_and_printed_number(states, reproduction):
    found = states(reproduction)
    assert found["Compares the results with the original ones"] == (
        "met",
        "2 printed numbers: 1 as printed, 1 differ, the others are measured from drawings or not computed",
    )  # fmt: skip
    assert found["Draws conclusions that evidence supports"] == ("met", "claims of the findings: 1 undecided")


def test_missing_files_and_unread_repositories_are_not_met(states, reproduction):
    assert states(reproduction)["Functional: complete"][0] == "met"
    reproduction.put("publishing.completeness", {"library": "Keras", "source": "GitHub", "followed": 3, "unread": 2})
    found = states(reproduction, missing=["study/dataset.zip"])
    assert found["Functional: complete"] == (
        "not met", "the study reads files that the package lacks: `study/dataset.zip`",
    )  # fmt: skip
    assert found["Describes the acquisition"][0] == "not met"


def test_agreement_is_met_where_a_kappa_is_computed(states, small_study):
    study = small_study("sample")
    assert states(study)["Assesses the agreement of annotators"][0] == "not met"
    study.put("labeling.kappa_checkpoints", {"source": "all", "scope": "cumulative", "round": 1, "dimension": "is_bug",
                                             "checkpoint": 5, "units": 20, "kappa": 0.5})  # fmt: skip
    assert states(study)["Assesses the agreement of annotators"][0] == "met"


def test_a_study_without_posts_claims_and_printed_numbers_has_no_items_about_them(states, own_study):
    study = own_study(dimensions='[[dimensions]]\nname = "fault"\n', taxonomy={"fault": ["Late"]})
    found = states(study)
    assert "Describes the acquisition" not in found
    assert "Names its type" not in found
    assert found["Results reproduced"][0] == found["Results replicated"][0] == "not applicable"
    assert found["Draws conclusions that evidence supports"][0] == "for the authors"
