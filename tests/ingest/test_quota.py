"""The quota ledger keeps requests, quotas and holds across processes."""

from datetime import UTC, datetime, timedelta

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.quota import EVERY, Hold, Ledger, format_status
from support.clocks import ManualClock

SERVICE = "https://api.example without a key"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock():
    return ManualClock(NOON)


@pytest.fixture
def ledger(tmp_path, clock):
    return Ledger(tmp_path / "home" / "quota.sqlite", clock)


def test_a_request_counts_before_its_reply_arrives(ledger, clock):
    ledger.record_request(SERVICE, "questions")
    # Another process counts it, even without a reply.
    status = Ledger(ledger.path, clock).quota_status(SERVICE)
    assert (status.requests, status.quota_left, status.holds) == (1, None, ())


def test_the_quota_is_that_of_the_last_reply_that_reported_one(ledger, clock):
    for left in (300, 299):
        ledger.record_response(ledger.record_request(SERVICE, "questions"), "ok", left, 300)
    ledger.record_response(ledger.record_request(SERVICE, "questions"), "HTTP 500")
    status = ledger.quota_status(SERVICE)
    assert (status.quota_left, status.quota_max, status.seen_at) == (299, 300, NOON)
    assert (status.requests, status.requests_last_24_hours) == (3, 3)


def test_the_quota_is_unknown_after_24_hours(ledger, clock):
    ledger.record_response(ledger.record_request(SERVICE, "questions"), "ok", 3, 300)
    clock.advance(hours=24)
    status = ledger.quota_status(SERVICE)
    assert (status.quota_left, status.requests, status.requests_last_24_hours) == (None, 1, 0)


@pytest.mark.parametrize("quota", [2**63, -(2**63), 10**400])
def test_a_quota_that_no_database_can_hold_is_unknown(ledger, quota):
    ledger.record_response(ledger.record_request(SERVICE, "questions"), "ok", quota, quota)
    assert ledger.quota_status(SERVICE).quota_left is None


@pytest.mark.parametrize("seconds", [-1, -1e308, -(10**400), -float("inf")])
def test_a_hold_of_a_negative_time_has_ended(ledger, seconds):
    assert ledger.hold(SERVICE, EVERY, seconds, "a bad clock") == NOON
    assert ledger.quota_status(SERVICE).holds == ()


def test_a_hold_applies_to_its_method_until_it_ends(ledger, clock):
    until = ledger.hold(SERVICE, "questions", 30, "asked to back off")
    assert until == NOON + timedelta(seconds=30)
    assert ledger.active_hold(SERVICE, "questions") == Hold("questions", until, "asked to back off")
    assert ledger.active_hold(SERVICE, "questions/{ids}") is None
    assert ledger.active_hold("another service", "questions") is None
    clock.advance(seconds=30)
    assert ledger.active_hold(SERVICE, "questions") is None


def test_a_hold_of_every_method_applies_to_each_and_the_longest_counts(ledger):
    ledger.hold(SERVICE, EVERY, 60, "throttled")
    ledger.hold(SERVICE, "questions", 10, "asked to back off")
    assert ledger.active_hold(SERVICE, "questions").reason == "throttled"
    ledger.hold(SERVICE, EVERY, 5, "shorter")
    assert ledger.active_hold(SERVICE, "filters/create").until == NOON + timedelta(seconds=60)


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=3), timedelta(days=30)])
def test_a_hold_from_a_clock_that_was_ahead_lasts_its_seconds_from_the_correction(ledger, clock, ahead):
    clock.at = NOON + ahead
    ledger.hold(SERVICE, EVERY, 60, "throttled")
    clock.at = NOON
    # As often as it is looked at, in any process, it ends at the same time.
    for _ in range(2):
        assert Ledger(ledger.path, clock).active_hold(SERVICE, "questions") == Hold(
            EVERY, NOON + timedelta(seconds=60), "throttled"
        )
        clock.advance(seconds=30)
    assert ledger.active_hold(SERVICE, "questions") is None


@pytest.mark.parametrize("behind", [timedelta(days=1), timedelta(days=3), timedelta(days=30)])
def test_a_hold_from_a_clock_that_was_behind_has_ended(ledger, clock, behind):
    clock.at = NOON - behind
    ledger.hold(SERVICE, EVERY, 60, "throttled")
    clock.at = NOON
    assert ledger.active_hold(SERVICE, "questions") is None


def test_a_hold_that_ended_does_not_start_again_when_the_clock_is_set_back(ledger, clock):
    ledger.hold(SERVICE, EVERY, 60, "throttled")
    clock.advance(seconds=60)
    assert ledger.active_hold(SERVICE, "questions") is None
    clock.at = NOON - timedelta(days=30)
    assert ledger.active_hold(SERVICE, "questions") is None


def test_a_new_hold_replaces_one_from_a_clock_that_was_ahead(ledger, clock):
    clock.at = NOON + timedelta(days=30)
    ledger.hold(SERVICE, EVERY, 60, "from a clock that was ahead")
    clock.at = NOON
    assert ledger.hold(SERVICE, EVERY, 90, "from now") == NOON + timedelta(seconds=90)
    assert ledger.active_hold(SERVICE, "questions") == Hold(EVERY, NOON + timedelta(seconds=90), "from now")


@pytest.mark.parametrize("seconds", [10**12, float("inf"), float("nan")])
def test_no_hold_is_longer_than_a_day_and_an_hour(ledger, seconds):
    assert ledger.hold(SERVICE, EVERY, seconds, "asked for too much") == NOON + timedelta(hours=25)
    assert ledger.active_hold(SERVICE, "questions").until == NOON + timedelta(hours=25)


@pytest.mark.parametrize("wrong", [timedelta(days=1), timedelta(days=3), timedelta(days=-3), timedelta(days=30)])
def test_a_quota_seen_by_a_clock_that_was_wrong_is_unknown(ledger, clock, wrong):
    clock.at = NOON + wrong
    ledger.record_response(ledger.record_request(SERVICE, "questions"), "ok", 3, 300)
    clock.at = NOON
    status = ledger.quota_status(SERVICE)
    assert (status.quota_left, status.quota_max, status.seen_at) == (None, None, None)
    # Nor does it count when its time has come.
    clock.at = NOON + wrong + timedelta(seconds=1)
    assert wrong < timedelta() or ledger.quota_status(SERVICE).quota_left is None
    clock.at = NOON
    ledger.record_response(ledger.record_request(SERVICE, "questions"), "ok", 299, 300)
    assert ledger.quota_status(SERVICE).quota_left == 299


def test_facts_about_a_service_are_stored(ledger, clock):
    assert ledger.recall(SERVICE, "filter") is None
    ledger.remember(SERVICE, "filter", "!abc")
    assert Ledger(ledger.path, clock).recall(SERVICE, "filter") == "!abc"


def test_a_status_is_formatted_as_one_line(ledger):
    ledger.record_response(ledger.record_request(SERVICE, "questions"), "ok", 251, 300)
    ledger.hold(SERVICE, "questions", 3600, "asked to back off for 3598 seconds")
    ledger.hold(SERVICE, EVERY, 7200, "throttled")
    assert ledger.services() == [SERVICE]
    assert format_status(ledger.quota_status(SERVICE)) == (
        "1 requests in the last 24 hours, 251 of 300 left at 2026-03-01 12:00 UTC, "
        "some requests not before 2026-03-01 13:00 UTC (asked to back off for 3598 seconds), "
        "no requests before 2026-03-01 14:00 UTC (throttled)"
    )


def test_an_unused_ledger_has_no_services_and_no_file(ledger):
    assert ledger.services() == []
    assert not ledger.path.exists()


def test_a_damaged_ledger_is_an_error(tmp_path, clock):
    (tmp_path / "quota.sqlite").write_bytes(b"this is not a database, it is some text of a hundred bytes" * 3)
    with pytest.raises(DlbugError, match=r"cannot use the quota ledger .*quota\.sqlite: file is not a database"):
        Ledger(tmp_path / "quota.sqlite", clock).record_request(SERVICE, "questions")
