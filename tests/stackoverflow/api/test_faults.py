"""Every known fault of the API, one by one: no post is lost or duplicated, and the key stays secret.

The fixture `posts` checks after each test that the key is in no file, log line or error. Every test has a key, and the
first one checks that it is sent, or that check would be void.
"""

import time
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from dlbug_assets.ingest.http_client import MalformedError, UnreachableError
from dlbug_assets.ingest.quota import DeferredError
from dlbug_assets.protocol.study import Study
from dlbug_assets.stackoverflow.api.paging import InconsistentReplyError
from dlbug_assets.stackoverflow.api.transport import RefusedError
from servers.stackexchange import StackExchange, corpus, question
from servers.stand_in import Fault
from support.collected_posts import KEY, CollectedPosts
from support.collection_checks import STUDY

pytestmark = pytest.mark.slow

SIZES = {"keras": 230, "torch": 60}


@pytest.fixture
def api():
    with StackExchange(corpus(SIZES, seed=1, low_scored=0.2)) as server:
        server.key = KEY
        yield server


@pytest.fixture
def posts(api, tmp_path, caplog):
    collected = CollectedPosts(api, tmp_path / "home")
    with collected.keeps_secrets(caplog):
        yield collected


def change(api, number):
    """Edit one of the questions about Keras."""
    keras = [item.question_id for item in api.truth.values() if "keras" in item.tags]
    api.edit(keras[number], title=f"Edited {number}")


def test_without_faults_all_posts_are_collected_and_the_key_is_sent(api, posts):
    posts.refresh()
    posts.proves_truth()
    posts.proves_count()
    posts.proves_rebuilding()
    assert {request.params.get("key") for request in api.log} == {KEY}


def test_a_backoff_is_waited_for(api, posts):
    api.fail(Fault("backoff", method="questions", seconds=1))
    posts.refresh()
    assert api.punished == 0
    assert posts.gaps("questions")[0] >= 1
    posts.proves_truth()


def test_a_backoff_on_the_last_page_applies_to_the_next_process(api, posts):
    posts.refresh()
    api.fail(Fault("backoff", method="questions", seconds=1))
    (first,) = posts.source().collect(["Torch"], sweep=False)
    assert "(the API requested a backoff of 1 seconds)" in first.notes["waits"]
    before = len(api.log)
    (second,) = posts.source().collect(["Torch"], sweep=False)
    assert "waits" not in second.notes
    assert api.log[before].at - api.log[before - 1].at >= 1
    assert api.punished == 0


def test_a_long_throttle_defers_without_sleeping(api, posts):
    before = posts.cursors()
    api.fail(Fault("throttle", method="questions", seconds=46_472))
    start = time.monotonic()
    failures = posts.collect()
    assert time.monotonic() - start < 300
    assert {type(error) for error in failures.values()} == {DeferredError}
    until = failures["Keras"].until
    assert timedelta(seconds=46_400) < until - posts.clock.now() < timedelta(seconds=46_500)
    assert f"no request is sent before {until:%Y-%m-%d %H:%M} UTC" in str(failures["Keras"])
    assert posts.cursors() == before
    # No request is sent until then, for either library.
    requests = len(api.log)
    posts.collect()
    assert len(api.log) == requests
    posts.proves_count()
    posts.clock.ahead = timedelta(seconds=46_500)
    posts.proves_recovery()


def test_a_brief_outage_is_retried(api, posts):
    api.fail(Fault("unavailable", times=2))
    posts.refresh()
    posts.proves_truth()
    posts.proves_one_row_each()
    posts.proves_count()


def test_a_lasting_outage_fails_after_all_attempts(api, posts):
    api.fail(Fault("unavailable", times=None))
    failures = posts.collect()
    assert {type(error) for error in failures.values()} == {UnreachableError}
    assert (f"{api.url} did not return a filter of fields: 3 attempts failed, the last one with: error 503") in str(
        failures["Keras"]
    )
    assert len(api.log) == 6
    posts.proves_count()


def test_a_permanent_error_is_not_retried(api, posts):
    posts.refresh()
    before, requests = posts.cursors(), len(api.log)
    api.fail(Fault("caller_error"))
    failures = posts.collect()
    assert list(failures) == ["Keras"]
    assert isinstance(failures["Keras"], RefusedError)
    assert "Stack Exchange refused to return the questions tagged keras: error 400" in str(failures["Keras"])
    assert len(api.log) == requests + 2  # one for each library
    assert posts.cursors()["Keras"] == before["Keras"]
    posts.proves_count()
    posts.proves_recovery()


def test_a_wrong_key_is_reported_without_its_value(api, posts):
    api.key = "another"
    failures = posts.collect()
    assert all("Check STACKEXCHANGE_KEY" in str(error) for error in failures.values())
    posts.proves_count()


def test_more_than_25_pages_are_collected_from_first_pages(api, posts):
    api.key, posts.key = None, ""
    for number in range(1, 2601):
        api.add(question(10**6 + number, tags=["keras"], created=1_400_000_000 + 30_000 * number))
    posts.refresh()
    posts.proves_truth()
    assert {request.params.get("page") for request in api.log if request.method == "questions"} == {"1"}


def test_pages_after_25_are_never_requested(api, posts):
    api.key, posts.key = None, ""
    for number in range(1, 2800):
        api.add(question(10**6 + number, tags=["keras"], created=1_500_000_000))
    failures = posts.collect()
    assert "the API keeps reporting more pages but repeats the same items" in str(failures["Keras"])
    assert max(int(request.params.get("page", 1)) for request in api.log) == 25


def test_the_reserve_of_the_quota_is_kept_and_the_collection_resumes_the_next_day(api, posts):
    api.quota_remaining = 13
    failures = posts.collect()
    assert {type(error) for error in failures.values()} == {DeferredError}
    assert "10 of 10000 requests are left for today, and 10 are kept in reserve" in str(failures["Keras"])
    assert api.quota_remaining == 10
    posts.proves_count()
    first = len(api.log)
    # A day later it resumes: replies that have landed are not requested again.
    api.quota_remaining = 10_000
    posts.clock.ahead = timedelta(hours=25)
    posts.refresh()
    resumed = len(api.log) - first
    CollectedPosts(api, posts.root / "at_once").refresh()
    at_once = len(api.log) - first - resumed
    assert first + resumed == at_once
    posts.proves_truth()


@pytest.mark.parametrize("kind", ["hollow", "wrong_type", "wrong_wrapper"])
def test_a_malformed_reply_is_not_an_empty_one(api, posts, kind):
    posts.refresh()
    before = posts.cursors()
    change(api, 3)
    api.fail(Fault(kind, method="questions", times=2))
    failures = posts.collect()
    assert {type(error) for error in failures.values()} == {MalformedError}
    assert posts.cursors() == before
    posts.proves_recovery()


def test_an_endless_list_is_not_followed(api, posts):
    posts.refresh()
    before, requests = posts.cursors(), len(api.log)
    api.fail(Fault("endless", method="questions", times=None))
    failures = posts.collect(sweep=True)
    assert {type(error) for error in failures.values()} == {InconsistentReplyError}
    assert "the API returned items outside of the requested creation_date from " in str(failures["Keras"])
    assert len(api.log) - requests <= 6
    assert posts.cursors() == before
    api.faults.clear()
    posts.refresh(sweep=True)
    posts.proves_truth()


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_block_by_the_edge_server_defers_and_nothing_lands(api, posts, status):
    api.fail(Fault("edge_block", method="questions", status=status))
    failures = posts.collect()
    assert {type(error) for error in failures.values()} == {DeferredError}
    assert f"blocked with HTTP {status}" in str(failures["Keras"])
    assert list((posts.home.landing / "stackoverflow").rglob("*.json.gz")) == []
    posts.clock.ahead = timedelta(hours=1)
    posts.proves_recovery()


@pytest.mark.parametrize("kind", ["bad_gzip", "cut_body", "reset"])
@pytest.mark.parametrize("method", ["filters/create", "questions"])
def test_an_incomplete_reply_is_requested_again(api, posts, kind, method):
    api.fail(Fault(kind, method=method))
    posts.refresh()
    posts.proves_truth()
    posts.proves_count()
    posts.proves_rebuilding()


@pytest.mark.parametrize("fault", [{"kind": "hang"}, {"kind": "drip", "seconds": 0.3}])
def test_the_deadline_ends_a_reply_that_stalls_or_drips(api, posts, fault):
    posts.refresh()
    before = posts.cursors()
    change(api, 5)
    usual, posts.retry_policy = posts.retry_policy, replace(posts.retry_policy, read=0.5, reply=1, attempts=2)
    api.fail(Fault(**fault, method="questions", times=4))
    start = time.monotonic()
    failures = posts.collect()
    assert {type(error) for error in failures.values()} == {UnreachableError}
    assert time.monotonic() - start < 300
    posts.retry_policy = usual
    assert posts.cursors() == before
    posts.proves_recovery()


def test_an_edit_between_two_pages_loses_nothing(api, posts):
    posts.refresh()
    posts.clock.ahead = timedelta(days=1)
    start = max(item.last_activity_date for item in api.truth.values()) + 10_000
    keras = [item for item in api.truth.values() if "keras" in item.tags]
    for number, item in enumerate(keras):
        item.last_activity_date = start + number
    api.now = lambda: start + 10_000
    edited = iter(range(5))

    def edit(request):
        if request.method == "questions":
            number = next(edited, None)
            if number is not None:
                api.edit(keras[number].question_id, title=f"Moved {number}")

    api.before = edit
    posts.refresh()
    api.before = None
    posts.proves_recovery()


def test_a_deletion_between_two_pages_is_marked_by_the_next_sweep(api, posts):
    posts.refresh()
    deleted = [item.question_id for item in api.truth.values() if "keras" in item.tags and item.score >= 6][:3]
    left = iter(deleted)

    def delete(request):
        number = next(left, None)
        if number is not None:
            api.delete(number)

    api.before = delete
    posts.refresh(sweep=True)
    api.before = None
    posts.refresh(sweep=True)
    posts.proves_truth()
    rows = posts.table("raw_posts").filter(pl.col("post_id").is_in(deleted) & (pl.col("library") == "Keras"))
    assert rows["deleted_at"].null_count() == 0
    assert rows["in_scope"].to_list() == [False] * 3


def test_more_than_a_page_of_activity_in_one_second_is_collected(api, posts):
    posts.refresh()
    second = max(item.last_activity_date for item in api.truth.values()) + 5000
    for number in range(1, 251):
        api.add(question(10**6 + number, tags=["keras"], created=1_400_000_000 + 1000 * number, activity=second))
    posts.proves_recovery()


def test_answers_missing_from_their_question_are_fetched(api, posts):
    busy = [item for item in api.truth.values() if len(item.answers) > 1 and item.score >= 6]
    api.fail(Fault("short_answers", method="questions", times=None, n=1))
    posts.refresh()
    assert len(busy) > 3
    assert any(request.method == "questions/{ids}/answers" for request in api.log)
    posts.proves_truth()


def test_a_score_that_rose_by_votes_is_found_by_the_sweep(api, posts):
    posts.refresh()
    old = min((item for item in api.truth.values() if item.score < 6), key=lambda item: item.last_activity_date)
    api.vote(old.question_id, 6)
    posts.refresh()
    assert old.question_id not in posts.table("raw_posts")["post_id"].to_list()
    posts.refresh(sweep=True)
    posts.proves_truth()
    posts.proves_one_row_each()


def test_a_question_whose_score_fell_keeps_its_row_out_of_scope(api, posts):
    posts.refresh()
    old = min((item for item in api.truth.values() if item.score >= 6), key=lambda item: item.last_activity_date)
    api.vote(old.question_id, 5)
    posts.refresh(sweep=True)
    posts.proves_truth()
    posts.proves_one_row_each()
    rows = posts.table("raw_posts").filter(pl.col("post_id") == old.question_id)
    assert rows.select("in_scope", "score", "deleted_at").row(0) == (False, 5, None)


def test_a_question_with_two_tags_has_a_row_in_each_library_with_equal_content(api, posts):
    api.add(question(10**6, tags=["keras", "torch"], created=1_450_000_000))
    posts.refresh()
    api.edit(10**6, title="Edited")
    posts.refresh()
    rows = posts.table("raw_posts").filter(pl.col("post_id") == 10**6)
    assert rows["library"].to_list() == ["Keras", "Torch"]
    assert rows.drop("library").n_unique() == 1
    posts.proves_one_row_each()
    posts.proves_rebuilding()


def test_fields_that_deviate_are_noted_and_the_other_fields_are_read(api, posts):
    api.fail(Fault("drift", method="questions"))
    posts.refresh()
    irregularities = posts.table("irregularities")
    assert {"owner", "score", "creation_date", "title"} <= set(irregularities["field"])
    assert irregularities["reason"].null_count() == 0
    posts.proves_one_row_each()
    posts.proves_rebuilding()
    # The next collection replaces the deviating values.
    posts.refresh(sweep=True)
    posts.proves_truth()


@pytest.mark.parametrize("ahead", [600, -600])
def test_a_server_with_another_clock_loses_nothing(api, posts, ahead):
    api.now = lambda: int(time.time()) + ahead
    posts.refresh()
    for number in range(3):
        change(api, number)
        posts.refresh()
        posts.proves_truth()
    posts.proves_one_row_each()


def test_a_corpus_of_the_papers_size_takes_60_requests_and_a_refresh_one_per_library(tmp_path):
    sizes = {"caffe": 183, "keras": 567, "tensorflow": 1558, "theano": 231, "torch": 177}
    libraries = [{"name": tag.capitalize(), "tags": [tag], "repositories": "x"} for tag in sizes]
    with StackExchange(corpus(sizes, seed=2019)) as api:
        api.key = KEY
        posts = CollectedPosts(api, tmp_path, Study.model_validate(STUDY.model_dump() | {"libraries": libraries}))
        posts.refresh()
        posts.proves_truth()
        full = len(api.log)
        assert full <= 60
        posts.refresh()
        assert len(api.log) - full == 5
        posts.proves_count()
