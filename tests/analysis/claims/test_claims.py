"""Rows of analysis.claims: the number beside the printed one, in the notation and the sense of the paper's words."""

import pytest

from support.small_studies import GH, SO

EFFECTS = {
    "effect": {
        (SO, "Keras"): {"Crash": 24, "Hang": 12, "Unknown": 4},
        (SO, "Torch"): {"Crash": 6, "Hang": 14},
        (GH, "Keras"): {"Crash": 10, "Hang": 10},
    }
}
LIBRARIES = ["Keras", "Torch"]


def _claim(*lines):
    return "\n".join(["[[claims]]", "finding = 1", 'text = "x"', 'dimension = "effect"', *lines, ""])


def _row(claimed, *lines, bugs=EFFECTS, libraries=LIBRARIES, **other):
    return claimed(_claim(*lines), bugs, libraries=libraries, **other).tables()["claims"].row(0, named=True)


@pytest.mark.parametrize(
    ("lines", "computed", "holds"),
    [
        (('kind = "share"', 'category = "Crash"', "above = 49"), "50", True),
        (('kind = "share"', 'category = "Crash"', "above = 50"), "50", False),
        (('kind = "share"', 'category = "Crash"', "at_least = 50", 'over = "mean"'), "43", False),
        (('kind = "share"', 'category = "Crash"', "between = [30, 56]", 'over = "each"'), "Keras=57; Torch=30", False),
        (('kind = "share"', 'category = "Crash"', "above = 50", 'over = "most"'), "Keras=57; Torch=30", False),
        (('kind = "share"', 'category = "Crash"', "above = 25", 'over = "each"', 'shows = "range"'), "30; 57", True),
        (('kind = "share"', 'categories = ["Crash", "Hang"]', "above = 90"), "95", True),
        (('kind = "share"', 'category = "Crash"', "above = 9", 'shown = ["Crash", "Hang"]'), "Crash=50; Hang=45", True),
        (('kind = "leads"', 'category = "Crash"'), "50", True),
        (('kind = "leads"', 'category = "Crash"', 'over = "mean"'), "43", False),
        (('kind = "leads"', 'category = "Crash"', 'over = "each"'), "Keras=57; Torch=30", False),
        (('kind = "rank"', 'category = "Hang"', "at_most = 2", 'over = "each"'), "Keras=37; Torch=70", True),
        (('kind = "rank"', 'category = "Hang"', "exactly = 2"), "45", True),
        (('kind = "more"', 'category = "Crash"', 'libraries = ["Keras"]', "than = {libraries = 'others'}"), "57", True),
        (
            ('kind = "more"', 'category = "Crash"', 'shows = "comparison"', "than = {category = 'Hang'}"),
            "Crash > Hang",
            True,
        ),
        (
            ('kind = "more"', 'category = "Crash"', 'source = "GitHub"', 'libraries = ["Keras"]',
             "than = {source = 'Stack Overflow'}", 'shows = "comparison"'),
            "GitHub < Stack Overflow",
            False,
        ),
        (('kind = "alike"', 'source = "Stack Overflow"'), "Hang=40", False),
        (('kind = "differ"', 'source = "Stack Overflow"'), "Hang=40", True),
        (('kind = "correlated"', "at_least = 0.5", 'source = "Stack Overflow"'), "Keras-Torch=0.32", False),
    ],
)  # fmt: skip
def test_each_kind_has_its_number_and_notation(claimed, lines, computed, holds):
    row = _row(claimed, *lines)

    assert (row["computed"], row["holds"]) == (computed, holds)


def test_the_library_of_a_bug_is_a_category_too(claimed):
    text = _claim("kind = 'share'", 'category = "Torch"', "above = 20").replace('"effect"', '"library"')

    row = claimed(text, EFFECTS, libraries=LIBRARIES).tables()["claims"].row(0, named=True)

    assert (row["computed"], row["holds"], row["bugs"]) == ("25", True, 80)


@pytest.mark.parametrize(
    ("printed", "sense", "verdict"),
    [
        ("51", "equal", "differs"),
        ("50", "equal", "reproduced"),
        # 50.0 is not more than 50, but at least.
        ("50", "more than", "differs"),
        ("49", "more than", "reproduced"),
        ("50", "at least", "reproduced"),
        ("44", "at least", "differs"),
        ("46", "about", "reproduced"),
        ("44", "about", "differs"),
    ],
)
def test_a_number_is_reproduced_in_the_sense_of_the_words_beside_it(claimed, printed, sense, verdict):
    row = _row(claimed, 'kind = "leads"', 'category = "Crash"', f'printed = "{printed}"', f'sense = "{sense}"')

    assert row["number_verdict"] == verdict


@pytest.mark.parametrize("printed", ["Keras=57; Torch=30", "57; 30"])
def test_printed_numbers_of_libraries_may_be_without_names(claimed, printed):
    row = _row(claimed, 'kind = "leads"', 'category = "Crash"', 'over = "each"', f'printed = "{printed}"')

    assert row["number_verdict"] == "reproduced"


@pytest.mark.parametrize(
    ("printed", "computed", "verdict"),
    [
        ("57.14", "57.14", "reproduced"),
        ("57.1", "57.1", "reproduced"),
        ("57.10", "57.14", "differs"),
        ("57%", "57", "reproduced"),
        ("Keras=57.1", "57.1", "differs"),
    ],
)
def test_numbers_have_as_many_decimals_as_the_printed_ones(claimed, printed, computed, verdict):
    lines = ('kind = "leads"', 'category = "Crash"', 'source = "Stack Overflow"', 'libraries = ["Keras"]')
    bugs = {"effect": {(SO, "Keras"): {"Crash": 4, "Hang": 3}}}

    row = _row(claimed, *lines, f'printed = "{printed}"', bugs=bugs)

    assert (row["computed"], row["number_verdict"]) == (computed, verdict)


def test_zeros_at_the_end_of_decimals_may_be_left_out(claimed):
    bugs = {"effect": {(SO, "Keras"): {"Crash": 8, "Hang": 1}, (SO, "Torch"): {"Crash": 9, "Hang": 6}}}

    row = _row(claimed, 'kind = "leads"', 'category = "Crash"', 'over = "each"', 'printed = "88.89; 60"', bugs=bugs)

    assert (row["computed"], row["number_verdict"]) == ("Keras=88.89; Torch=60.00", "reproduced")


def test_hypotheses_of_the_study_have_no_number_to_reproduce(claimed):
    made = claimed(_claim('kind = "leads"', 'category = "Crash"'), EFFECTS, libraries=LIBRARIES)
    tables = made.tables()

    assert tables["claims"].select("printed", "number_verdict", "metric", "holds").row(0) == (None, None, None, True)
    assert tables["findings"].select("published", "metric", "verdict").row(0) == (None, "x", None)


def test_a_claim_without_data_is_neither_computable_nor_testable(claimed):
    row = _row(claimed, 'kind = "leads"', 'category = "Crash"', 'printed = "50"', bugs={})

    assert (row["number_verdict"], row["support"], row["computed"], row["holds"]) == (
        "not computable", "not testable", None, None
    )  # fmt: skip
    assert row["note"] == "The data it needs is not there: no bug has a label in effect."


def test_a_study_without_claims_has_empty_tables(claimed):
    made = claimed("", EFFECTS, libraries=LIBRARIES)

    assert {name: rows.height for name, rows in made.tables().items()} == {
        "claims": 0, "findings": 0, "claim_thresholds": 5, "leave_one_out": 0
    }  # fmt: skip
    assert made.sensitivity().height == 0


def test_shares_within_other_categories_are_of_their_bugs(claimed):
    made = claimed(_claim('kind = "share"', 'category = "Crash"', "above = 50", 'over = "each"',
                          'within = {dimension = "bug_type", categories = ["Data Bug", "API Bug"]}'),
                   libraries=["Keras"])  # fmt: skip
    for kind, effect, bugs in (("Data Bug", "Crash", 3), ("Data Bug", "Hang", 1), ("API Bug", "Crash", 2),
                               ("API Bug", "Hang", 8), ("Coding Bug", "Crash", 9)):  # fmt: skip
        for place in range(bugs):
            made.study.label(source=SO, library="Keras", item_id=f"{kind}{effect}{place}", bug_type=kind, effect=effect)
    row = made.tables()["claims"].row(0, named=True)

    assert (row["computed"], row["holds"], row["bugs"]) == ("75; 20", False, 4)
    assert row["note"].startswith("Crash: above 50% in 1 of 2 (Data Bug: 3 of 4, API Bug: 2 of 10); ")


def test_only_the_years_of_a_claim_count(claimed):
    made = claimed(_claim('kind = "share"', 'category = "Crash"', "above = 50", "years = [2017, 2018]"),
                   libraries=["Keras"])  # fmt: skip
    for year, effects in ((2016, ["Crash"] * 9), (2017, ["Crash", "Hang"]), (2018, ["Hang", "Hang"])):
        for place, effect in enumerate(effects):
            made.study.label(source=SO, library="Keras", item_id=f"{year}/{place}", year=year, effect=effect)

    assert made.tables()["claims"]["computed"].to_list() == ["25"]


def test_a_bug_with_several_categories_counts_once_in_the_total(claimed):
    dimensions = {"symptom": "multiple = true"}
    taxonomy = "dimension,name\nsymptom,Crash\nsymptom,Hang\n"
    text = _claim('kind = "share"', 'category = "Crash"', "above = 50").replace('"effect"', '"symptom"')
    made = claimed(text, libraries=["Keras"], dimensions=dimensions, taxonomy=taxonomy)
    for place, symptoms in enumerate((["Crash", "Hang"], ["Crash"], ["Hang"], ["Crash", "Hang"])):
        made.study.label(source=SO, library="Keras", item_id=str(place), symptom=symptoms)
    row = made.tables()["claims"].row(0, named=True)

    assert (row["computed"], row["holds"], row["bugs"]) == ("75", True, 4)
