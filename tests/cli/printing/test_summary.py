"""What a run prints at its end, which follows the study."""

import io

import pytest
from rich.console import Console

from dlbug_assets.cli.printing.next_step import command
from dlbug_assets.cli.printing.summary import print_summary
from dlbug_assets.layout import Home
from support.small_study import SmallStudy, write_study

DIMENSIONS = '[[dimensions]]\nname = "fault"\nrequired = true\n[[dimensions]]\nname = "moon"\n'
TAXONOMY = {"fault": ["Late", "Early"], "moon": ["new", "full"]}


@pytest.fixture
def printed(tmp_path):
    """Return a function that returns the lines which the summary of a database prints."""

    def summary(database, width=100):
        home = Home(tmp_path / "home", database.study.name)
        home.root.mkdir()
        database.connection.execute(f"attach '{home.published}' as published")
        database.connection.execute("copy from database memory to published")
        database.connection.execute("detach published")
        text = io.StringIO()
        print_summary(database.study, home, Console(file=text, width=width))
        return [line.rstrip() for line in text.getvalue().replace(str(home.root), "HOME").splitlines() if line.strip()]

    return summary


def test_a_study_without_claims_and_printed_numbers_prints_neither(printed, tmp_path):
    database = write_study(
        tmp_path / "own", dimensions=DIMENSIONS, taxonomy=TAXONOMY, identity='group = "Coast"',
    )  # fmt: skip
    for library, bugs in (("Ebb", 12), ("Flow", 3), ("All", 15)):
        database.put("analysis.dataset_sizes", {"library": library, "source": "Release", "items_with_bugs": bugs - 1,
                                                "bugs": bugs})  # fmt: skip
    assert printed(database) == [
        "Dataset",
        "Coast  Items with bugs  Bugs",
        "Ebb                 11    12",
        "Flow                 2     3",
        "Total               14    15",
        "Inter-rater agreement: not testable, the source has only final labels",
        "Database: HOME/own.duckdb",
        "Report:   HOME/own/report/index.html",
        f"Query:    {command('sql', '--study', 'own', 'from analysis.fault_distribution')}",
        f"Next:     {command('ui', '--study', 'own')}",
    ]


def test_kappa_of_the_required_dimensions_is_side_by_side(printed, tmp_path):
    sources = '[sources]\nposts = "sample"\nlabels = "files"\n[labeling]\nraters = ["a", "b"]\nadjudicator = "c"\n'
    database = write_study(
        tmp_path / "own",
        dimensions=DIMENSIONS.replace('name = "moon"', 'name = "moon"\nrequired = true'),
        taxonomy=TAXONOMY,
        sources=sources.replace("[sources]", 'tags = ["tide"]\n[sources]'),
        libraries=("Ebb",),
    )
    base = {"source": "all", "scope": "cumulative", "round": 1, "units": 7}
    database.put(
        "labeling.kappa_checkpoints",
        base | {"dimension": "fault", "checkpoint": 5, "kappa": 0.5, "kappa_low": 0.1, "kappa_high": 0.9},
        base | {"dimension": "moon", "checkpoint": 5, "undefined_reason": "one category"},
        base | {"dimension": "is_bug", "checkpoint": 5, "kappa": 0.7},
    )
    lines = printed(database)
    start = lines.index("Cohen's kappa over all sources, with 95% intervals")
    assert lines[start + 1 : start + 3] == [
        "Checkpoint  Units  Fault               Moon",
        "        5%      7  0.500 (0.10, 0.90)  one category",
    ]


def test_findings_have_the_verdicts_on_their_headlines(printed):
    database = SmallStudy("islam2019")
    for position, role, claim in ((1, "supporting", "The side sentence"), (2, "headline", "The main one")):
        database.put("analysis.claims", {"finding": 1, "position": position, "claim": claim, "role": role,
                                         "support": "undecided"})  # fmt: skip
    database.put("analysis.finding_verdicts",
                 {"finding": 1, "verdict": "reproduced", "support": "undecided", "probability": 0.517})  # fmt: skip
    lines = printed(database)
    place = lines.index("Findings")
    assert lines[place + 1 : place + 4] == [
        "Finding  Number      Support    Probability  Claim",
        "      1  reproduced  undecided         0.52  The main one",
        "Number: whether the number printed for the finding's headline claim comes out here as well.",
    ]
    assert " ".join(lines[place + 4 : place + 6]) == (
        "Support: whether the headline claim holds in at least 95% of 10,000 resamples of clusters (supported), "
        "in at most 5% (contradicted), or neither is shown (undecided)."
    )


def test_long_claims_are_folded_and_verdicts_are_not(printed):
    database = SmallStudy("islam2019")
    database.put("analysis.claims", {"finding": 1, "position": 1, "claim": "Data bugs are frequent " * 8,
                                     "role": "headline", "support": "not testable"})  # fmt: skip
    database.put("analysis.finding_verdicts",
                 {"finding": 1, "verdict": "reproduced differently", "support": "not testable"})  # fmt: skip
    assert [line for line in printed(database, width=70) if "reproduced differently  not testable" in line]


def test_findings_without_printed_numbers_have_the_support_alone(printed):
    database = SmallStudy("islam2019")
    database.put("analysis.claims", {"finding": 1, "position": 1, "claim": "Our own", "role": "headline",
                                     "support": "not testable"})  # fmt: skip
    database.put("analysis.finding_verdicts", {"finding": 1, "support": "not testable"})
    lines = printed(database)
    place = lines.index("Findings")
    assert lines[place + 1 : place + 3] == [
        "Finding  Support       Probability  Claim", "      1  not testable            -  Our own"
    ]  # fmt: skip
    assert not [line for line in lines if line.startswith("Number:")]


@pytest.mark.parametrize(("rated", "reason"), [(0, "the raters have not started yet"),
                                               (1, "no two raters have labelled the same items yet")])  # fmt: skip
def test_without_kappa_a_study_with_raters_says_how_far_they_are(printed, rated, reason):
    database = SmallStudy("sample")
    for _ in range(rated):
        database.put("labeling.rater_labels", {"rater": "a"})
    assert f"Inter-rater agreement: not testable, {reason}" in printed(database)


def test_a_study_that_repeats_another_prints_its_numbers_and_claims(printed):
    database = SmallStudy("islam2019")
    for source, bugs in (("Stack Overflow", 162), ("GitHub", 350)):
        database.put("analysis.dataset_sizes", {"library": "Keras", "source": source, "bugs": bugs})
    database.put("analysis.claims", {"finding": 1, "support": "undecided", "role": "headline", "claim": "Bugs lead"},
                 {"finding": 1, "support": "supported", "role": "supporting"})  # fmt: skip
    database.put("analysis.finding_verdicts", {"finding": 1, "verdict": "reproduced", "support": "undecided"})
    database.put("analysis.replication_diff", {"reference": "table2_p", "reading": "printed", "position": 1,
                                               "computed": 1.0, "same_when_rounded": True},
                 {"reference": "fig1", "reading": "approximate", "position": 2, "computed": 1.0})  # fmt: skip
    lines = printed(database)
    assert lines[:2] == [
        "Dataset: Stack Overflow (SO), GitHub (GH)",
        "Library     SO Posts  printed  SO Bugs  printed  GH Commits  printed  GH Bugs  printed",
    ]
    assert "Keras              -      567      162      162           -      100      350      348" in lines
    assert "      1  reproduced  undecided            -  Bugs lead" in lines
    assert "Claims: 1 supported, 1 undecided" in lines
    assert "Table 2, P values        1     1       0             0" in lines
    assert not [line for line in lines if line.startswith("Figure 1")]
