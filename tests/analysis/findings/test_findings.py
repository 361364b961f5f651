"""The 38 metrics on the paper's printed tables, on an empty study, and on small inputs for years and antipatterns."""

import polars as pl
import pytest
from statsmodels.stats.proportion import proportion_confint

from dlbug_assets.analysis.comparison import source_comparison
from dlbug_assets.analysis.correlation import pairwise_correlation
from dlbug_assets.analysis.findings.findings import findings
from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import SEEDS
from dlbug_assets.warehouse.rows import table_schema

SO = "Stack Overflow"
LIBRARIES = ("Caffe", "Keras", "Tensorflow", "Theano", "Torch")
CAUSES = table_schema("analysis.root_cause_by_bug_type", without=["share", "undefined_reason"])
YEARS = table_schema("analysis.yearly_counts")


def _seed(name):
    return pl.read_csv(SEEDS / f"{name}.csv", infer_schema_length=None)


def _printed_tables():
    """Return Tables 2 to 4 as counts, with each percent as that many bugs."""
    bugs = {}
    for dimension, table in (("bug_type", "table2_bug_type"), ("root_cause", "table3_root_cause"),
                             ("effect", "table4_effect")):  # fmt: skip
        cells = bugs.setdefault(dimension, {})
        for category, library, source, percent in _seed(table).iter_rows():
            cells.setdefault((source, library), {})[category] = int(percent)
    return bugs


@pytest.fixture
def judge(label_counts):
    def run(bugs, libraries=LIBRARIES, causes=(), years=(), published=None):
        counts = label_counts(bugs, libraries)
        p = {"bug_type": _seed("table2_p"), "root_cause": _seed("table3_p"), "effect": _seed("table4_p")}
        return findings(
            _seed("findings") if published is None else published,
            counts=counts,
            root_cause_by_bug_type=pl.DataFrame(causes, schema=CAUSES, orient="row"),
            comparison=source_comparison(counts, **p),
            correlation=pairwise_correlation(counts),
            evolution=pl.DataFrame(years, schema=YEARS, orient="row"),
            published_correlation=_seed("fig6_correlation"),
        )

    return run


def _one(rows, finding, place=0):
    return rows.filter(finding=finding).row(place, named=True)


def test_rows_are_those_of_findings_csv_in_its_order(judge):
    rows = judge(_printed_tables())

    printed = _seed("findings")
    assert rows.height == 38
    assert rows["metric"].to_list() == printed["metric"].to_list()
    assert rows["published"].to_list() == printed["published_values"].to_list()
    assert rows["position"].to_list() == list(range(1, 39))
    assert all(note.endswith(".") and "NaN" not in note for note in rows["note"])


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
def test_printed_tables_result_in_the_printed_findings(judge, finding, place, computed, verdict):
    row = _one(judge(_printed_tables()), finding, place)

    assert (row["computed"], row["verdict"]) == (computed, verdict)


def test_notes_name_the_estimator_and_the_value_of_the_other_interpretation(judge):
    note = _one(judge(_printed_tables()), 14)["note"]

    assert "pooled (mean of the libraries' shares: 14.0)" in note


def test_findings_without_labels_are_not_testable(judge):
    rows = judge({})

    assert rows["verdict"].unique().to_list() == ["not testable"]
    assert rows.select("computed", "n").null_count().row(0) == (38, 38)


def test_claims_about_missing_libraries_are_not_testable(judge):
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
    [(655, "reproduced"), (667, "reproduced"), (714, "reproduced"), (640, "reproduced differently"),
     (900, "reproduced differently")],
)  # fmt: skip
def test_more_than_holds_as_printed_from_the_bound_to_slightly_above(judge, crashes, verdict):
    effect = {(SO, library): {"Crash": crashes, "Hang": 1000 - crashes} for library in LIBRARIES}

    assert _one(judge({"effect": effect}), 12)["verdict"] == verdict


def test_fewer_than_ten_bugs_are_underpowered(judge):
    causes = {(SO, "Torch"): {"Unaligned Tensor": 9}}

    row = _one(judge({"root_cause": causes}), 7)

    assert (row["verdict"], row["n"]) == ("underpowered", 9)
    assert row["reason"].endswith("the smallest group has 9 bugs, under 10.")


def _causes(bug_type, total, **bugs):
    return [(SO, bug_type, cause.replace("_", " "), n, total) for cause, n in bugs.items()]


def test_a_small_group_does_not_make_a_contradicted_claim_underpowered(judge):
    kinds = ("Control and Sequence", "Initialization", "Logic", "Processing")
    small, large = (
        [row for kind in kinds for row in _causes(f"Non Model Structural {kind} Bug", 50 if kind == "Logic" else 1,
                                                  API_Misuse=misuse if kind == "Logic" else 1)]
        for misuse in (5, 45)
    )  # fmt: skip

    assert _one(judge({}, causes=small), 11, 3)["verdict"] == "not reproduced"
    assert _one(judge({}, causes=large), 11, 3)["verdict"] == "underpowered"
    assert _one(judge({}, causes=large), 11, 3)["computed"] == "90; 100 | 100; 100"


def test_printed_root_causes_of_model_bugs_result_in_the_printed_findings(judge):
    printed = {"Control and Sequence": (31, 62), "Data Flow": (3, 59), "Initialization": (10, 40), "Logic": (33, 36),
               "Processing": (53, 24)}  # fmt: skip
    causes = [
        row
        for kind, (si, ips) in printed.items()
        for row in _causes(f"Structural {kind} Bug", 100, Structure_Inefficiency=si,
                           Incorrect_Model_Parameter_or_Structure=ips)
    ]  # fmt: skip
    rows = judge({}, causes=causes)

    # Finding 11 states 52 where its section states 53: the ranges cannot both be as printed.
    ranges = _one(rows, 11)
    assert (ranges["computed"], ranges["verdict"]) == ("SI=3; 53 | IPS=24; 62", "reproduced differently")
    assert [_one(rows, 11, place)["verdict"] for place in (1, 2)] == ["reproduced", "reproduced"]


def _year(library, category, shares):
    return [(SO, library, year, "bug_type", category, percent, 100) for year, percent in shares.items()]


def test_printed_years_result_in_the_printed_findings(judge):
    years = [
        *_year("Caffe", "Structural Logic Bug", {2015: 30, 2016: 32, 2017: 67, 2018: 100}),
        *_year("Keras", "Structural Logic Bug", {2015: 10, 2018: 20}),
        *_year("Tensorflow", "Structural Logic Bug", {2015: 10, 2018: 20}),
        *_year("Torch", "Data Bug", {2016: 48, 2017: 52, 2018: 50}),
        *_year("Keras", "Data Bug", {2015: 27, 2018: 15}),
        *_year("Tensorflow", "Data Bug", {2015: 30, 2018: 31}),
        *_year("Caffe", "Data Bug", {2015: 10, 2018: 0}),
        *_year("Theano", "Data Bug", {2015: 30, 2018: 12}),
    ]
    rows = judge({}, years=years)

    assert rows.filter(pl.col("finding") >= 20).select("computed", "verdict").rows() == [
        ("2015=30; 2016=32; 2017=67; 2018=100", "reproduced"),
        ("50", "reproduced"),
        ("27; 15", "reproduced"),
        ("30; 31", "not reproduced"),
        ("Caffe=0; Theano=12", "reproduced differently"),
    ]


def test_a_year_without_bugs_is_not_testable(judge):
    rows = judge({}, years=_year("Torch", "Data Bug", {2016: 48, 2017: 52}))

    missing = "there is no Stack Overflow bug of Torch from 2018"
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
    effect = {(source, library): {"Crash": 60, "Hang": 40} for source in (SO, "GitHub")}

    rows = judge({"effect": effect}, libraries=(library,))

    assert rows.height == 38
    assert _one(rows, 15)["note"] == "The data it needs is not there: a t-test needs two libraries or more."


def test_a_metric_without_a_function_is_an_error_that_names_it(judge):
    published = _seed("findings").with_columns(
        metric=pl.when(pl.col("number") == 9).then(pl.lit("another metric")).otherwise("metric")
    )

    with pytest.raises(DlbugError, match=r"findings\.csv, finding 9: .*'another metric'"):
        judge({}, published=published)


def test_a_missing_or_added_row_is_an_error(judge):
    published = _seed("findings")

    with pytest.raises(DlbugError, match="finding 21: it has 3 metrics where the code has 4"):
        judge({}, published=published.head(37))
    with pytest.raises(DlbugError, match="finding 1: it has 3 metrics where the code has 2"):
        judge({}, published=pl.concat([published, published.head(1)]))


def test_verdicts_have_estimator_interval_and_reason(judge):
    rows = judge(_printed_tables())

    testable = rows.filter(pl.col("verdict") != "not testable")
    assert testable["estimator"].null_count() == 0
    assert all(reason.endswith(".") and reason.count(". ") == 0 for reason in rows["reason"])
    for row in testable.iter_rows(named=True):
        assert row["note"] == f"{row['reason'][:-1]}; estimator: {row['estimator']}."
        assert (row["interval_low"] is None) == (row["interval_undefined_reason"] is not None)
    untestable = rows.filter(verdict="not testable")
    assert untestable.select("estimator", "decisive", "interval_low", "interval_high").null_count().row(0) == (
        (untestable.height,) * 4
    )
    assert (untestable["reason"] == untestable["note"]).all()


def test_the_interval_is_that_of_the_decisive_share(judge):
    rows = judge(_printed_tables())

    crash = _one(rows, 12)
    assert (crash["computed"], crash["decisive"]) == ("62", 0.616)
    assert (crash["interval_low"], crash["interval_high"]) == pytest.approx(
        proportion_confint(308, 500, method="wilson"), abs=1e-12
    )
    # The smallest of several shares that have to be large: Caffe has the smallest share of crashes.
    assert _one(rows, 12, 1)["decisive"] == 0.4
    assert _one(rows, 4)["interval_undefined_reason"] == "no single share decides: P values are compared"
