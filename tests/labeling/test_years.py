"""The year of a bug: looked up, or estimated from the number of the post."""

from datetime import datetime

import polars as pl
import pytest

from dlbug_assets.labeling.items import add_years
from dlbug_assets.layout import MODELS

#: 2015 begins between the posts 100 and 110, 2016 between 200 and 210, 2017 between 300 and 301.
BRACKETS = pl.DataFrame(
    {"year": [2015, 2016, 2017], "last_before": [100, 200, 300], "first_since": [110, 210, 301]},
    schema_overrides={"year": pl.Int32},
)

YEARS = ("year", "year_source", "year_low", "year_high", "year_undefined_reason")


def _year(post_id=None, created_at=None):
    labels = pl.DataFrame({"item_id": ["a"], "created_at": [created_at]}, schema_overrides={"created_at": pl.Datetime})
    items = pl.DataFrame({"item_id": ["a", "b"], "post_id": [post_id, 1]}, schema_overrides={"post_id": pl.Int64})
    return add_years(labels, items, BRACKETS).select(YEARS).row(0)


@pytest.mark.parametrize("post_id", [110, 150, 200])
def test_a_number_between_two_brackets_is_of_one_year(post_id):
    assert _year(post_id) == (2015, "estimated", 2015, 2015, None)


@pytest.mark.parametrize("post_id", [201, 209])
def test_a_number_within_a_bracket_has_two_possible_years_and_none_is_chosen(post_id):
    assert _year(post_id) == (None, "estimated", 2015, 2016, "the number of the post fits 2015 to 2016")


def test_numbers_outside_of_all_brackets_have_one_limit():
    assert _year(100) == (None, "estimated", None, 2014, "the number of the post fits 2014 and earlier years")
    assert _year(101) == (None, "estimated", None, 2015, "the number of the post fits 2015 and earlier years")
    assert _year(301) == (None, "estimated", 2017, None, "the number of the post fits 2017 and later years")


def test_a_date_decides_whatever_the_number():
    assert _year(250, datetime(2012, 12, 31, 23, 59)) == (2012, "looked up", 2012, 2012, None)


def test_without_a_date_or_a_number_nothing_is_known_about_the_year():
    assert _year() == (None, None, None, None, "its date is not known")


def test_the_known_brackets_ascend_without_overlap():
    brackets = pl.read_csv(MODELS / "seeds" / "post_id_years.csv")

    assert brackets["year"].to_list() == [2015, 2016, 2017, 2018, 2019, 2020]
    numbers = [number for row in brackets.select("last_before", "first_since").iter_rows() for number in row]
    assert numbers == sorted(set(numbers))
