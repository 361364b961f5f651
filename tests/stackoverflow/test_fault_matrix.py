"""Every fault that the API is known for, one after the other, and the proof that nothing is lost, doubled or told.

The rows are those of the fault matrix; letters name the proofs (see collecting.py): A the truth in the end, B one row
each, C every request in the ledger, D the same tables from landing alone, E no secret anywhere, F waited long enough,
G failed or partial with the cursor where it was. Without the key given, its secrecy would prove nothing: every test
gives it, and the first row shows that it is sent.
"""

import logging
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
from servers.stackexchange import Fault, StackExchange, corpus, question
from support.collection_checks import KEY, STUDY, Collecting

pytestmark = pytest.mark.slow

SIZES = {"keras": 230, "torch": 60}


@pytest.fixture
def api():
    with StackExchange(corpus(SIZES, seed=1, low_scored=0.2)) as server:
        server.key = KEY
        yield server


@pytest.fixture
def study(api, tmp_path, caplog):
    """The study; after every test E is proven: files, lines, errors, and logs of every package at their loudest."""
    caplog.set_level(logging.DEBUG)
    collecting = Collecting(api, tmp_path / "home")
    yield collecting
    collecting.logged = [caplog.handler.format(record) for record in caplog.get_records("call")]
    assert collecting.logged
    collecting.proves_secrecy()


def proves_that_nothing_moved(study, before):
    """G: no collection counts that did not before, and the cursors stay."""
    assert study.cursors() == before


def proves_recovery(study):
    """A to D, after the next refresh."""
    study.refresh()
    study.proves_truth()
    study.proves_one_row_each()
    study.proves_count()
    study.proves_rebuilding()


def change(api, number):
    """Something happens to a question of Keras."""
    keras = [item.question_id for item in api.truth.values() if "keras" in item.tags]
    api.edit(keras[number], title=f"Edited {number}")
    return keras[number]


def test_row_00_without_a_fault_everything_arrives_and_the_key_is_sent(api, study):
    study.refresh()
    study.proves_truth()
    study.proves_count()
    study.proves_rebuilding()
    assert {request.params.get("key") for request in api.log} == {KEY}


def test_row_01_a_backoff_in_the_middle_is_waited_out(api, study):
    api.fail(Fault("backoff", method="questions", seconds=1))
    study.refresh()
    assert api.punished == 0
    assert study.gaps()[0] >= 1
    study.proves_truth()


def test_row_02_a_backoff_on_the_last_page_binds_the_next_process(api, study):
    study.refresh()
    api.fail(Fault("backoff", method="questions", seconds=1))
    (first,) = study.source().collect(["Torch"], sweep=False)
    assert "(the API requested a backoff of 1 seconds)" in first.notes["waits"]
    before = len(api.log)
    (second,) = study.source().collect(["Torch"], sweep=False)
    assert "waits" not in second.notes
    assert api.log[before].at - api.log[before - 1].at >= 1
    assert api.punished == 0


def test_row_03_a_long_throttle_defers_without_sleeping(api, study):
    before = study.cursors()
    api.fail(Fault("throttle", method="questions", seconds=46_472))
    start = time.monotonic()
    failures = study.collect()
    assert time.monotonic() - start < 300
    assert {type(error) for error in failures.values()} == {DeferredError}
    until = failures["Keras"].until
    assert timedelta(seconds=46_400) < until - study.clock.now() < timedelta(seconds=46_500)
    assert f"nothing is asked before {until:%Y-%m-%d %H:%M} UTC" in str(failures["Keras"])
    proves_that_nothing_moved(study, before)
    # Until then nobody asks; the other library did not, either.
    asked = len(api.log)
    study.collect()
    assert len(api.log) == asked
    study.proves_count()
    study.clock.ahead = timedelta(seconds=46_500)
    proves_recovery(study)


def test_row_04_a_brief_outage_is_tried_again(api, study):
    api.fail(Fault("unavailable", times=2))
    study.refresh()
    study.proves_truth()
    study.proves_one_row_each()
    study.proves_count()


def test_row_04_a_lasting_outage_fails_after_some_tries(api, study):
    api.fail(Fault("unavailable", times=None))
    failures = study.collect()
    assert {type(error) for error in failures.values()} == {UnreachableError}
    assert "filters/create failed 3 times, the last time with: error 503" in str(failures["Keras"])
    assert len(api.log) == 6
    study.proves_count()


def test_row_05_an_error_of_the_caller_is_not_tried_again(api, study):
    study.refresh()
    before, asked = study.cursors(), len(api.log)
    api.fail(Fault("caller_error"))
    failures = study.collect()
    assert list(failures) == ["Keras"]
    assert isinstance(failures["Keras"], RefusedError)
    assert "Stack Exchange refused questions: error 400" in str(failures["Keras"])
    assert len(api.log) == asked + 2  # one for each library
    assert study.cursors()["Keras"] == before["Keras"]
    study.proves_count()
    proves_recovery(study)


def test_row_05_a_wrong_key_is_said_without_showing_it(api, study):
    api.key = "another"
    failures = study.collect()
    assert all("Check STACKEXCHANGE_KEY" in str(error) for error in failures.values())
    study.proves_count()


def test_row_06_more_than_twenty_five_pages_are_collected_from_first_pages(api, study):
    api.key, study.key = None, ""
    for number in range(1, 2601):
        api.add(question(10**6 + number, tags=["keras"], created=1_400_000_000 + 30_000 * number))
    study.refresh()
    study.proves_truth()
    assert {request.params.get("page") for request in api.log if request.method == "questions"} == {"1"}


def test_row_06_no_page_beyond_the_wall_is_ever_asked_for(api, study):
    api.key, study.key = None, ""
    for number in range(1, 2800):
        item = question(10**6 + number, tags=["keras"], created=1_500_000_000)
        api.add(item)
    failures = study.collect()
    assert "the API keeps reporting more pages but repeats the same items" in str(failures["Keras"])
    assert max(int(request.params.get("page", 1)) for request in api.log) == 25


def test_row_07_the_reserve_of_the_quota_is_not_touched(api, study):
    api.quota_remaining = 13
    failures = study.collect()
    assert {type(error) for error in failures.values()} == {DeferredError}
    assert "10 of 10000 requests are left for today, and 10 are kept in reserve" in str(failures["Keras"])
    assert api.quota_remaining == 10
    study.proves_count()
    landed = len(api.log)
    # A day later it goes on where it stopped: what landed is not asked for again.
    api.quota_remaining = 10_000
    study.clock.ahead = timedelta(hours=25)
    study.refresh()
    alone = Collecting(api, study.root / "alone")
    asked = len(api.log)
    alone.refresh()
    assert asked - landed == (len(api.log) - asked) - landed
    study.proves_truth()


@pytest.mark.parametrize("kind", ["hollow", "wrong_type", "wrong_wrapper"])
def test_row_08_a_hollow_reply_is_no_empty_answer(api, study, kind):
    study.refresh()
    before = study.cursors()
    change(api, 3)
    api.fail(Fault(kind, method="questions", times=2))
    failures = study.collect()
    assert {type(error) for error in failures.values()} == {MalformedError}
    proves_that_nothing_moved(study, before)
    proves_recovery(study)


def test_row_09_an_endless_list_is_not_followed(api, study):
    study.refresh()
    before, asked = study.cursors(), len(api.log)
    api.fail(Fault("endless", method="questions", times=None))
    failures = study.collect(sweep=True)
    assert {type(error) for error in failures.values()} == {InconsistentReplyError}
    assert "the API returned items outside of the requested creation_date from " in str(failures["Keras"])
    assert len(api.log) - asked <= 6
    proves_that_nothing_moved(study, before)
    api.faults.clear()
    study.refresh(sweep=True)
    study.proves_truth()


@pytest.mark.parametrize("status", [403, 429, 503])
def test_row_10_a_block_at_the_edge_defers_and_nothing_lands(api, study, status):
    api.fail(Fault("edge_block", method="questions", status=status))
    failures = study.collect()
    assert {type(error) for error in failures.values()} == {DeferredError}
    assert f"blocked with HTTP {status}" in str(failures["Keras"])
    assert list((study.home.landing / "stackoverflow").rglob("*.json.gz")) == []
    study.clock.ahead = timedelta(hours=1)
    proves_recovery(study)


@pytest.mark.parametrize("kind", ["bad_gzip", "cut_body", "reset"])
@pytest.mark.parametrize("method", ["filters/create", "questions"])
def test_rows_11_to_13_a_reply_that_does_not_arrive_whole_is_asked_for_again(api, study, kind, method):
    api.fail(Fault(kind, method=method))
    study.refresh()
    study.proves_truth()
    study.proves_count()
    study.proves_rebuilding()


@pytest.mark.parametrize("fault", [{"kind": "hang"}, {"kind": "drip", "seconds": 0.3}])
def test_row_14_silence_and_dripping_end_at_the_deadline(api, study, fault):
    study.refresh()
    before = study.cursors()
    change(api, 5)
    patient, study.retry_policy = study.retry_policy, replace(study.retry_policy, read=0.5, reply=1, attempts=2)
    api.fail(Fault(**fault, method="questions", times=4))
    start = time.monotonic()
    failures = study.collect()
    assert {type(error) for error in failures.values()} == {UnreachableError}
    assert time.monotonic() - start < 300
    study.retry_policy = patient
    proves_that_nothing_moved(study, before)
    proves_recovery(study)


def test_row_15_an_edit_between_two_pages_loses_nothing(api, study):
    study.refresh()
    study.clock.ahead = timedelta(days=1)
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
    study.refresh()
    api.before = None
    proves_recovery(study)


def test_row_16_a_deletion_between_two_pages_is_marked_by_the_next_sweep(api, study):
    study.refresh()
    gone = [item.question_id for item in api.truth.values() if "keras" in item.tags and item.score >= 6][:3]
    left = iter(gone)

    def delete(request):
        number = next(left, None)
        if number is not None:
            api.delete(number)

    api.before = delete
    study.refresh(sweep=True)
    api.before = None
    study.refresh(sweep=True)
    study.proves_truth()
    rows = study.table("raw_posts").filter(pl.col("post_id").is_in(gone) & (pl.col("library") == "Keras"))
    assert rows["deleted_at"].null_count() == 0
    assert rows["in_scope"].to_list() == [False] * 3


def test_row_17_one_crowded_second(api, study):
    study.refresh()
    second = max(item.last_activity_date for item in api.truth.values()) + 5000
    for number in range(1, 251):
        api.add(question(10**6 + number, tags=["keras"], created=1_400_000_000 + 1000 * number, activity=second))
    proves_recovery(study)


def test_row_18_answers_that_come_late_are_fetched(api, study):
    busy = [item for item in api.truth.values() if len(item.answers) > 1 and item.score >= 6]
    api.fail(Fault("short_answers", method="questions", times=None, n=1))
    study.refresh()
    assert len(busy) > 3
    assert any(request.method == "questions/{ids}/answers" for request in api.log)
    study.proves_truth()


def test_row_19_a_score_that_rises_in_silence_is_found_by_the_sweep(api, study):
    study.refresh()
    old = min((item for item in api.truth.values() if item.score < 6), key=lambda item: item.last_activity_date)
    api.vote(old.question_id, 6)
    study.refresh()
    assert old.question_id not in study.table("raw_posts")["post_id"].to_list()
    study.refresh(sweep=True)
    study.proves_truth()
    study.proves_one_row_each()


def test_row_20_a_score_that_falls_keeps_its_row_out_of_scope(api, study):
    study.refresh()
    old = min((item for item in api.truth.values() if item.score >= 6), key=lambda item: item.last_activity_date)
    api.vote(old.question_id, 5)
    study.refresh(sweep=True)
    study.proves_truth()
    study.proves_one_row_each()
    rows = study.table("raw_posts").filter(pl.col("post_id") == old.question_id)
    assert rows.select("in_scope", "score", "deleted_at").row(0) == (False, 5, None)


def test_row_21_a_question_with_two_tags_is_one_row_in_each_library_with_equal_content(api, study):
    api.add(question(10**6, tags=["keras", "torch"], created=1_450_000_000))
    study.refresh()
    api.edit(10**6, title="Edited")
    study.refresh()
    rows = study.table("raw_posts").filter(pl.col("post_id") == 10**6)
    assert rows["library"].to_list() == ["Keras", "Torch"]
    assert rows.drop("library").n_unique() == 1
    study.proves_one_row_each()
    study.proves_rebuilding()


def test_row_22_drift_of_the_schema_is_set_aside_and_the_rest_is_taken(api, study):
    api.fail(Fault("drift", method="questions"))
    study.refresh()
    noted = study.table("irregularities")
    assert {"owner", "score", "creation_date", "title"} <= set(noted["field"])
    assert noted["reason"].null_count() == 0
    study.proves_one_row_each()
    study.proves_rebuilding()
    # What was odd is as it should be once it comes again.
    study.refresh(sweep=True)
    study.proves_truth()


@pytest.mark.parametrize("ahead", [600, -600])
def test_row_23_a_server_with_another_clock_loses_nothing(api, study, ahead):
    api.now = lambda: int(time.time()) + ahead
    study.refresh()
    for round_ in range(3):
        change(api, round_)
        study.refresh()
        study.proves_truth()
    study.proves_one_row_each()


def test_a_first_collection_of_the_papers_corpus_is_cheap_and_a_refresh_costs_one_request_each(tmp_path):
    sizes = {"caffe": 183, "keras": 567, "tensorflow": 1558, "theano": 231, "torch": 177}
    libraries = [{"name": tag.capitalize(), "tags": [tag], "repositories": "x"} for tag in sizes]
    with StackExchange(corpus(sizes, seed=2019)) as api:
        api.key = KEY
        study = Collecting(api, tmp_path, Study.model_validate(STUDY.model_dump() | {"libraries": libraries}))
        study.refresh()
        study.proves_truth()
        cold = len(api.log)
        assert cold <= 65
        study.refresh()
        assert len(api.log) - cold == 5
        study.proves_count()
