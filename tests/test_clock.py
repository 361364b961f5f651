"""Times are parsed into naive UTC, whatever zone they name, and formatted in UTC."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from dlbug_assets.clock import format_minute, parse_timestamp, utc_naive


@pytest.mark.parametrize(
    "text",
    ["2019-08-26T14:05:09Z", "2019-08-26T16:05:09+02:00", "2019-08-26 14:05:09", "2019-08-26T10:05:09.000-04:00"],
)
def test_timestamps_are_parsed_into_naive_utc(text):
    assert parse_timestamp(text) == datetime(2019, 8, 26, 14, 5, 9)


def test_a_date_is_its_first_second():
    assert parse_timestamp("2019-08-26") == datetime(2019, 8, 26)


@pytest.mark.parametrize(("text", "error"), [("yesterday", ValueError), ("0001-01-01T00:00:00+01:00", OverflowError)])
def test_a_text_that_is_not_a_storable_time_is_rejected(text, error):
    with pytest.raises(error):
        parse_timestamp(text)


def test_an_aware_time_is_converted_and_a_naive_one_is_kept():
    assert utc_naive(datetime(2019, 8, 26, 1, tzinfo=timezone(timedelta(hours=2)))) == datetime(2019, 8, 25, 23)
    assert utc_naive(datetime(2019, 8, 26, 1)) == datetime(2019, 8, 26, 1)


def test_people_read_times_in_utc_to_the_minute():
    assert format_minute(datetime(2019, 8, 26, 14, 5, 59, tzinfo=UTC)) == "2019-08-26 14:05 UTC"
    assert format_minute(datetime(2019, 8, 26, 1, tzinfo=timezone(timedelta(hours=2)))) == "2019-08-25 23:00 UTC"
