"""The quota ledger: what was asked, what is left, and what may not be asked before when, across processes."""

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


def test_a_request_counts_from_the_moment_it_is_asked(ledger, clock):
    ledger.record_request(SERVICE, "questions")
    # Another process sees it, though no answer ever came.
    standing = Ledger(ledger.path, clock).quota_status(SERVICE)
    assert (standing.requests, standing.quota_left, standing.holds) == (1, None, ())


def test_the_quota_is_what_the_last_answer_said(ledger, clock):
    for left in (300, 299):
        ledger.record_response(ledger.record_request(SERVICE, "questions"), "ok", left, 300)
    ledger.record_response(ledger.record_request(SERVICE, "questions"), "HTTP 500")
    standing = ledger.quota_status(SERVICE)
    assert (standing.quota_left, standing.quota_max, standing.seen_at) == (299, 300, NOON)
    assert (standing.requests, standing.requests_of_the_day) == (3, 3)


def test_after_a_day_nothing_is_known_of_the_quota(ledger, clock):
    ledger.record_response(ledger.record_request(SERVICE, "questions"), "ok", 3, 300)
    clock.advance(hours=24)
    standing = ledger.quota_status(SERVICE)
    assert (standing.quota_left, standing.requests, standing.requests_of_the_day) == (None, 1, 0)


def test_a_hold_binds_its_method_until_its_end(ledger, clock):
    until = ledger.hold(SERVICE, "questions", 30, "asked to back off")
    assert until == NOON + timedelta(seconds=30)
    assert ledger.held(SERVICE, "questions") == Hold("questions", until, "asked to back off")
    assert ledger.held(SERVICE, "questions/{ids}") is None
    assert ledger.held("another service", "questions") is None
    clock.advance(seconds=30)
    assert ledger.held(SERVICE, "questions") is None


def test_a_hold_of_everything_binds_every_method_and_the_longest_counts(ledger):
    ledger.hold(SERVICE, EVERY, 60, "throttled")
    ledger.hold(SERVICE, "questions", 10, "asked to back off")
    assert ledger.held(SERVICE, "questions").reason == "throttled"
    ledger.hold(SERVICE, EVERY, 5, "shorter")
    assert ledger.held(SERVICE, "filters/create").until == NOON + timedelta(seconds=60)


def test_what_a_service_said_once_is_remembered(ledger, clock):
    assert ledger.recall(SERVICE, "filter") is None
    ledger.remember(SERVICE, "filter", "!abc")
    assert Ledger(ledger.path, clock).recall(SERVICE, "filter") == "!abc"


def test_people_can_read_it(ledger):
    ledger.record_response(ledger.record_request(SERVICE, "questions"), "ok", 251, 300)
    ledger.hold(SERVICE, "questions", 3600, "asked to back off for 3598 seconds")
    ledger.hold(SERVICE, EVERY, 7200, "throttled")
    assert ledger.services() == [SERVICE]
    assert format_status(ledger.quota_status(SERVICE)) == (
        "1 requests in the last 24 hours, 251 of 300 left at 2026-03-01 12:00 UTC, "
        "no questions before 2026-03-01 13:00 UTC (asked to back off for 3598 seconds), "
        "nothing before 2026-03-01 14:00 UTC (throttled)"
    )


def test_a_ledger_that_was_never_used_knows_nothing(ledger):
    assert ledger.services() == []
    assert not ledger.path.exists()


def test_a_ledger_that_cannot_be_used_stops_everything(tmp_path, clock):
    (tmp_path / "quota.sqlite").write_bytes(b"this is not a database, it is some text of a hundred bytes" * 3)
    with pytest.raises(DlbugError, match=r"cannot use the quota ledger .*quota\.sqlite: file is not a database"):
        Ledger(tmp_path / "quota.sqlite", clock).record_request(SERVICE, "questions")
