"""Claims about years: slopes, years without bugs, and bugs whose year is not certain."""

import pytest

from support.small_studies import SO

CLAIM = """
[[claims]]
finding = 1
text = "Crashes become {direction}"
kind = "trend"
direction = "{direction}"
dimension = "effect"
category = "Crash"
source = "Stack Overflow"
libraries = ["Keras"]
years = [2015, 2016, 2017]
"""


@pytest.fixture
def judge(claimed):
    """Return a function that judges a claim on crashes and bugs by year, and on bugs of uncertain years."""

    def row(direction, by_year, uncertain=()):
        made = claimed(CLAIM.format(direction=direction), libraries=["Keras"])
        for year, (crashes, bugs) in by_year.items():
            for place in range(bugs):
                made.study.label(source=SO, library="Keras", item_id=f"{year}/{place}", year=year,
                                 effect="Crash" if place < crashes else "Hang")  # fmt: skip
        for place, (low, high, effect) in enumerate(uncertain):
            made.study.label(source=SO, library="Keras", item_id=f"uncertain/{place}", year_low=low, year_high=high,
                             effect=effect)  # fmt: skip
        return made.tables()["claims"].row(0, named=True)

    return row


def test_the_slope_over_all_years_decides_not_the_first_and_the_last(judge):
    row = judge("falling", {2015: (12, 40), 2016: (10, 100), 2017: (11, 40)})

    # 30 percent to 27.5 percent: the slope is below 0, but not surely.
    assert (row["holds"], row["support"]) == (True, "undecided")
    assert row["note"].startswith(
        "Keras goes from 12 of 40 in 2015 to 11 of 40 in 2017, -1.2 points a year; it holds in"
    )  # fmt: skip
    assert 0.5 < row["probability"] < 0.7


def test_years_without_bugs_are_left_out(judge):
    row = judge("rising", {2015: (10, 40), 2016: (30, 40)})

    assert (row["computed"], row["support"], row["bugs"]) == ("25; 75", "supported", 80)
    assert row["note"].startswith("Keras goes from 10 of 40 in 2015 to 30 of 40 in 2016, +50.0 points a year;")


def test_bugs_of_uncertain_years_give_shares_and_slopes_a_range(judge):
    uncertain = [(2015, 2016, "Crash"), (2015, 2016, "Hang"), (None, 2014, "Crash"), (None, None, "Crash")]

    row = judge("rising", {2015: (4, 20), 2016: (10, 20), 2017: (16, 20)}, uncertain)

    assert (row["computed"], row["support"]) == ("20; 80", "supported")
    # Of the two bugs that may be of 2015, only the hang or only the crash is, at most.
    assert row["note"].startswith(
        "Keras goes from 4 of 20 in 2015 (19 to 24 percent with all that may be of 2015) to 16 of 20 in 2017, "
        "+30.0 points a year (+28.1 to +30.5 with 2 bugs of uncertain years);"
    )


def test_a_claim_that_depends_on_uncertain_years_is_undecided(judge):
    by_year = {2015: (3, 40), 2016: (0, 40), 2017: (0, 40)}

    certain = judge("rising", by_year)
    uncertain = judge("rising", by_year, [(2015, 2017, "Crash")] * 4)

    assert (certain["holds"], certain["support"]) == (False, "contradicted")
    assert (uncertain["holds"], uncertain["support"]) == (False, "undecided")
    assert uncertain["note"].endswith("but it depends on the years of bugs whose year is not certain.")
