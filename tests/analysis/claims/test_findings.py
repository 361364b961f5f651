"""The claims of the paper of 2019 on its own printed tables, and on small inputs for years and antipatterns."""

import csv

import polars as pl
import pytest
from statsmodels.stats.proportion import proportion_confint

from dlbug_assets.layout import STUDIES
from support.small_studies import GH, SO

PAPER = STUDIES / "islam2019"
LIBRARIES = ("Caffe", "Keras", "Tensorflow", "Theano", "Torch")


def _printed(name):
    with (PAPER / "published" / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _printed_tables():
    """Return Tables 2 to 4 as counts, with each percent as that many bugs."""
    bugs = {}
    for dimension, table in (("bug_type", "table2_bug_type"), ("root_cause", "table3_root_cause"),
                             ("effect", "table4_effect")):  # fmt: skip
        cells = bugs.setdefault(dimension, {})
        for row in _printed(table):
            cells.setdefault((row["source"], row["library"]), {})[row["category"]] = int(row["percent"])
    return bugs


@pytest.fixture
def judge(claimed):
    def run(bugs, libraries=LIBRARIES):
        return claimed(bugs=bugs, libraries=libraries, file=PAPER / "claims.toml").findings()

    return run


def _one(rows, finding, place=0):
    return rows.filter(finding=finding).row(place, named=True)


def test_claims_are_the_metrics_of_the_paper_in_its_order(judge):
    rows = judge({})

    printed = _printed("findings")
    assert rows.height == 40
    of_findings = rows.head(38)
    assert of_findings["finding"].to_list() == [int(row["number"]) for row in printed]
    assert of_findings["claim"].to_list() == [row["claim"] for row in printed]
    assert of_findings["metric"].to_list() == [row["metric"] for row in printed]
    assert of_findings["published"].to_list() == [row["published_values"] for row in printed]
    assert rows["position"].to_list() == list(range(1, 41))


def test_the_abstract_has_claims_too(judge):
    printed = {row["claim"]: row["published_value"] for row in _printed("text_claims") if row["section"] == "Abstract"}

    assert judge({}).tail(2).select("finding", "published").rows() == [
        (1, printed["Data Bugs and Logic Bugs together"]), (5, printed["IPS and SI together"])
    ]  # fmt: skip


@pytest.fixture
def of_printed_tables(judge):
    return judge(_printed_tables())


@pytest.mark.parametrize(
    ("finding", "place", "computed", "verdict"),
    [
        (7, 1, "Tensorflow=16; Keras=12; Torch=28; Theano=7; Caffe=3", "reproduced"),
        (8, 0, "Theano=30; Keras=8; Tensorflow=15", "reproduced"),
        (12, 1, "40; 77", "reproduced"),
        (13, 0, "Caffe=31; Keras=16; Tensorflow=8; Theano=11; Torch=8", "reproduced"),
        # Finding 6 states 25, Table 3 prints 26.
        (6, 0, "Keras=26; Caffe=37", "reproduced differently"),
        # The paper's own tables contradict the text.
        (5, 1, "Tensorflow=26; Theano=30", "not reproduced"),
        (14, 1, "Incorrect Functionality = Bad Performance", "not reproduced"),
        (16, 0, None, "not testable"),
        (20, 0, None, "not testable"),
    ],
)
def test_printed_tables_result_in_the_printed_findings(of_printed_tables, finding, place, computed, verdict):
    row = _one(of_printed_tables, finding, place)

    assert (row["computed"], row["verdict"]) == (computed, verdict)


def test_p_values_of_printed_tables_are_those_of_the_paper_where_its_numbers_agree(of_printed_tables):
    effects = dict(part.rsplit("=", 1) for part in _one(of_printed_tables, 15)["computed"].split("; "))

    assert (effects["Hang"], effects["Memory Out of Bound"]) == ("0.3466", "0.0844")
    assert list(effects) == ["Bad Performance", "Crash", "Data Corruption", "Hang", "Incorrect Functionality",
                             "Memory Out of Bound", "Unknown"]  # fmt: skip


def test_verdicts_have_estimator_interval_and_reason(of_printed_tables):
    rows = of_printed_tables

    testable = rows.filter(pl.col("verdict") != "not testable")
    assert testable["estimator"].null_count() == 0
    assert all(reason.endswith(".") and reason.count(". ") == 0 and "NaN" not in reason for reason in rows["reason"])
    for row in testable.iter_rows(named=True):
        assert row["note"] == f"{row['reason'][:-1]}; estimator: {row['estimator']}."
        assert (row["interval_low"] is None) == (row["interval_undefined_reason"] is not None)
    untestable = rows.filter(verdict="not testable")
    assert untestable.select("estimator", "decisive", "interval_low", "interval_high").null_count().row(0) == (
        (untestable.height,) * 4
    )
    assert (untestable["reason"] == untestable["note"]).all()


def test_the_interval_is_that_of_the_decisive_share(of_printed_tables):
    crash = _one(of_printed_tables, 12)

    assert (crash["computed"], crash["decisive"]) == ("62", 0.616)
    assert (crash["interval_low"], crash["interval_high"]) == pytest.approx(
        proportion_confint(308, 500, method="wilson"), abs=1e-12
    )
    # The smallest of several shares that have to be large: Caffe has the smallest share of crashes.
    assert _one(of_printed_tables, 12, 1)["decisive"] == 0.4
    assert _one(of_printed_tables, 4)["interval_undefined_reason"] == "no single share decides: P values are compared"


def test_notes_name_the_estimator_and_the_value_of_the_other_interpretation(of_printed_tables):
    assert "pooled (mean of the libraries' shares: 14.0)" in _one(of_printed_tables, 14)["note"]


def test_findings_without_labels_are_not_testable(judge):
    rows = judge({})

    assert rows["verdict"].unique().to_list() == ["not testable"]
    assert rows.select("computed", "n").null_count().row(0) == (40, 40)


def test_claims_about_libraries_of_another_study_are_not_testable(judge):
    effect = {(SO, library): {"Crash": 60, "Hang": 40} for library in ("JAX", "PyTorch")}

    rows = judge({"effect": effect}, libraries=("JAX", "PyTorch"))

    assert _one(rows, 12)["verdict"] == "reproduced differently"
    assert _one(rows, 12, 1)["computed"] == "60; 60"
    assert _one(rows, 13)["note"] == "The data it needs is not there: the study has no Caffe."


def test_data_that_contradict_a_claim_do_not_reproduce_it(judge):
    effect = {(SO, library): {"Crash": 40, "Hang": 60} for library in LIBRARIES}

    row = _one(judge({"effect": effect}), 12)

    assert (row["computed"], row["verdict"]) == ("40", "not reproduced")
    assert row["note"].startswith("With 40.0% Crash (200 of 500) is behind Hang (300 of 500); estimator:")


@pytest.mark.parametrize(
    ("crashes", "verdict"),
    [(131, "reproduced differently"), (133, "reproduced"), (142, "reproduced"), (128, "reproduced differently"),
     (180, "reproduced differently")],
)  # fmt: skip
def test_more_than_is_reproduced_from_the_bound_to_slightly_above(judge, crashes, verdict):
    effect = {(SO, library): {"Crash": crashes, "Hang": 200 - crashes} for library in LIBRARIES}

    assert _one(judge({"effect": effect}), 12)["verdict"] == verdict


def test_few_bugs_reproduce_a_number_as_well(judge):
    row = _one(judge({"root_cause": {(SO, "Torch"): {"Unaligned Tensor": 9}}}), 7)

    assert (row["verdict"], row["n"]) == ("reproduced differently", 9)
    assert row["reason"].endswith("(9 of 9) leads, next is Absence of inter API compatibility (0 of 9).")


@pytest.fixture
def judge_causes(claimed):
    def run(bugs):
        made = claimed(libraries=LIBRARIES, file=PAPER / "claims.toml")
        for kind, causes in bugs.items():
            for cause, n in causes.items():
                for place in range(n):
                    made.study.label(source=SO, library="Keras", item_id=f"{kind}{cause}{place}", bug_type=kind,
                                     root_cause=cause)  # fmt: skip
        return made.findings()

    return run


def test_rare_types_may_be_missing_from_a_range_unless_it_names_them(judge_causes):
    named = {f"Non Model Structural {kind} Bug": {"API Misuse": 10} for kind in ("Initialization", "Processing")}

    assert _one(judge_causes(named), 11, 3)["computed"] == "100; 100 | 100; 100"
    assert _one(judge_causes(dict([named.popitem()])), 11, 3)["verdict"] == "not testable"


def test_printed_root_causes_of_model_bugs_result_in_the_printed_findings(judge_causes):
    printed = {"Control and Sequence": (31, 62), "Data Flow": (3, 59), "Initialization": (10, 40), "Logic": (33, 36),
               "Processing": (53, 24)}  # fmt: skip
    rows = judge_causes({
        f"Structural {kind} Bug": {"Structure Inefficiency": si, "Incorrect Model Parameter or Structure": ips,
                                   "Others": 100 - si - ips}
        for kind, (si, ips) in printed.items()
    })  # fmt: skip

    # Finding 11 states 52 where its section states 53: the ranges cannot both be as printed.
    ranges = _one(rows, 11)
    assert (ranges["computed"], ranges["verdict"]) == ("SI=3; 53 | IPS=24; 62", "reproduced differently")
    assert [_one(rows, 11, place)["verdict"] for place in (1, 2)] == ["reproduced", "reproduced"]


@pytest.fixture
def judge_years(claimed):
    def run(shares):
        made = claimed(libraries=LIBRARIES, file=PAPER / "claims.toml")
        for (library, category), by_year in shares.items():
            for year, percent in by_year.items():
                for place in range(100):
                    made.study.label(source=SO, library=library, item_id=f"{library}{category}{year}/{place}",
                                     year=year, bug_type=category if place < percent else "Coding Bug")  # fmt: skip
        return made.findings()

    return run


def test_printed_years_result_in_the_printed_findings(judge_years):
    logic = judge_years({
        ("Caffe", "Structural Logic Bug"): {2015: 30, 2016: 32, 2017: 67, 2018: 100},
        ("Keras", "Structural Logic Bug"): {2015: 10, 2018: 20},
        ("Tensorflow", "Structural Logic Bug"): {2015: 10, 2018: 20},
    })  # fmt: skip
    data = judge_years({
        ("Torch", "Data Bug"): {2016: 48, 2017: 52, 2018: 50},
        ("Keras", "Data Bug"): {2015: 27, 2018: 15},
        ("Tensorflow", "Data Bug"): {2015: 30, 2018: 31},
        ("Caffe", "Data Bug"): {2015: 10, 2018: 0},
        ("Theano", "Data Bug"): {2015: 30, 2018: 12},
    })  # fmt: skip

    assert _one(logic, 20)["computed"] == "2015=30; 2016=32; 2017=67; 2018=100"
    assert _one(logic, 20)["verdict"] == "reproduced"
    assert data.filter(finding=21).select("computed", "verdict").rows() == [
        ("50", "reproduced"),
        ("27; 15", "reproduced"),
        ("30; 31", "not reproduced"),
        ("Caffe=0; Theano=12", "reproduced differently"),
    ]


def test_bugs_of_a_single_year_are_not_testable(judge_years):
    rows = judge_years({("Torch", "Data Bug"): {2017: 52}})

    missing = "there are no Stack Overflow bugs of Torch from two years from 2016 to 2018"
    assert _one(rows, 21)["note"] == f"The data it needs is not there: {missing}."


def test_antipatterns_and_correlations_are_judged(judge):
    alike = {"Input Kludge": 31, "Dead Code": 40, "Golden Hammer": 29}
    antipattern = {(SO, "Tensorflow"): alike, (SO, "Caffe"): alike,
                   (SO, "Torch"): {"Cut and Paste Programming": 40, "Dead Code": 30, "Spaghetti Code": 30}}  # fmt: skip
    bug_type = {(SO, library): {"Data Bug": 50, "API Bug": 30, "Coding Bug": 20} for library in LIBRARIES}
    bug_type[SO, "Torch"] = {"Data Bug": 20, "API Bug": 30, "Coding Bug": 50}

    rows = judge({"antipattern": antipattern, "bug_type": bug_type})

    assert rows.filter(finding=19)["verdict"].to_list() == ["reproduced", "reproduced", "reproduced differently"]
    assert _one(rows, 19)["computed"] == "Tensorflow=31; Caffe=31"
    assert "Caffe-Keras=1.00; " in _one(rows, 19, 2)["computed"]


@pytest.mark.parametrize("library", ["Torch", "JAX"])
def test_a_single_library_is_judged_without_an_error(judge, library):
    effect = {(source, library): {"Crash": 60, "Hang": 40} for source in (SO, GH)}

    rows = judge({"effect": effect}, libraries=(library,))

    assert rows.height == 40
    assert _one(rows, 15)["note"] == "The data it needs is not there: a t-test needs two libraries or more."


def test_estimators_name_libraries_as_the_study_does(claimed):
    text = '[[claims]]\nfinding = 1\ntext = "T"\nkind = "leads"\ndimension = "effect"\ncategory = "Crash"\n'
    effect = {(SO, library): {"Crash": 3, "Hang": 1} for library in ("Caffe", "Keras")}
    made = claimed(
        f'{text}{text}over = "each"\nrole = "supporting"\n', {"effect": effect}, libraries=("Caffe", "Keras")
    )
    named = made.study.study
    made.study.study = named.model_copy(update={"study": named.study.model_copy(update={"group": "Framework"})})
    assert made.findings()["estimator"].to_list() == [
        "bugs of all sources of all frameworks pooled (mean of the frameworks' shares: 75.0)",
        "share of the framework's bugs of all sources",
    ]
