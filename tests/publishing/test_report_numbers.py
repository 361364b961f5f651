"""The numbers in the text of a report are those of its tables."""

import re

import pytest

from support.prose import prose, unknown_numbers

SO = "Stack Overflow"


@pytest.fixture
def study(small_study):
    """Return a study with labels in two sources, tests, correlations, trends and claims."""
    study = small_study("islam2019")
    study.count("effect", SO, "Keras", {"Crash": 37, "Hang": 4}, 53)
    study.count("effect", SO, "All", {"Crash": 37, "Hang": 4}, 53)
    study.count("effect", "GitHub", "All", {"Hang": 17, "Crash": 17}, 71)
    study.connection.execute(
        "update analysis.effect_distribution set cluster_low = share - .0312, cluster_high = share + .0467"
    )
    base = {"dimension": "effect", "bugs_stack_overflow": 53, "bugs_github": 71, "family": 18}
    study.put(
        "analysis.source_tests",
        base | {"library": "All", "decision": "differ", "p_holm": 0.0123, "cramers_v": 0.3456},
        base | {"library": "Keras", "decision": "no difference shown", "p_holm": 0.6},
        base | {"library": "Torch", "decision": "undecided", "undecided_reason": "fewer than 5 clusters in GitHub"},
    )
    study.put("analysis.stratified_tests", {"dimension": "effect", "libraries": 4, "cmh": 12.3456, "cmh_df": 6,
                                            "p_clusters": 0.0471})  # fmt: skip
    pair = {"source": SO, "dimension": "bug_type", "library_a": "Caffe", "library_b": "Keras"}
    study.put(
        "analysis.library_correlation",
        pair | {"pearson": 0.4321, "pearson_low": -0.1234, "pearson_high": 0.8765},
        pair | {"library_b": "Torch", "pearson": 0.9123},
    )
    study.put(
        "analysis.printed_correlations",
        {"reference": "fig6", "source": SO, "dimension": "bug_type", "is_stated": True, "mean_difference": 0.1712,
         "fits_best": False},
        {"reference": "fig6", "source": SO, "dimension": "effect", "is_stated": False, "mean_difference": 0.0314,
         "fits_best": True},
    )  # fmt: skip
    series = {"source": SO, "dimension": "bug_type", "library": "All", "bugs": 30, "total": 60, "clusters": 25,
              "years": 4, "first_year": 2015, "last_year": 2018, "family": 127}  # fmt: skip
    study.put(
        "analysis.trends",
        series | {"category": "Data Bug", "p_holm": 0.234, "direction": "falling"},
        series | {"category": "API Bug", "p_holm": 0.0312, "direction": "rising"},
    )
    return study


def test_every_number_of_the_text_is_in_a_row_of_a_query(study):
    rows, page = study.rows(), study.page()
    assert unknown_numbers(page, rows, study.study) == []
    # The test finds a number that is not in any row.
    assert unknown_numbers(page.replace("69.8%", "69.9%", 1), rows, study.study) == ["69.9%"]


def test_the_answer_to_a_research_question_names_the_leading_categories_and_the_decision(study):
    text = " ".join(re.sub(r"<[^>]+>", " ", study.page()).split())
    assert (
        "Stack Overflow: Crash leads with 69.8% of 53 bugs, 95% interval by clusters 66.7% to 74.5%. "
        "GitHub: Crash and Hang lead with 23.9% of 71 bugs, 95% interval by clusters 20.8% to 28.6%. "
        "The distributions of the sources differ (P 0.012, Cramer's V 0.346). "
        "No difference is shown in Keras. Undecided: Torch."
    ) in text
    assert "No bug of this study has a label in stage." in text


def test_whether_sources_differ_alike_in_all_libraries_is_told_with_the_tests(study):
    text = " ".join(prose(study.page()).split())
    assert (
        "Within 4 of them, a common shift has P 0.047 by permutation of clusters (not corrected); the "
        "Cochran-Mantel-Haenszel statistic, of independent bugs, is 12.346 with 6 degrees of freedom."
    ) in text


def test_the_most_and_least_alike_libraries_and_the_trends_are_named(study):
    text = " ".join(prose(study.page()).split())
    assert "Caffe and Torch are most alike, Pearson's r 0.912;" in text
    assert "Caffe and Keras are least alike, Pearson's r 0.432, 95% interval -0.123 to 0.876." in text
    assert "API Bug is rising in All (P 0.031)." in text


def test_printed_correlations_that_another_dimension_fits_better_are_told(study):
    text = " ".join(prose(study.page()).split())
    assert (
        "The correlations printed in Figure 6 are said to be of bug type, from which they differ by 0.171 on average, "
        "but are nearest to those of effect: 0.031 on average."
    ) in text


def test_without_a_trend_the_smallest_p_value_is_given(study):
    study.connection.execute("delete from analysis.trends where category = 'API Bug'")
    expected = "No series below shows a trend: the smallest P, corrected for 127 series, is 0.234."
    assert expected in " ".join(prose(study.page()).split())


def test_one_rule_decides_and_is_stated_once(study):
    text = " ".join(prose(study.page()).split())
    assert text.count("One rule decides whether sources differ") == 1
    assert text.count("corrected by Holm over 18 tests") == 1
    assert text.count("This is a reproduction") == 1
