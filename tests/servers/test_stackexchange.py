"""The stand-in does as the API's documentation and its observers say."""

import pytest
import requests

from servers.stackexchange import Fault, StackExchange, corpus, question

FIRST, LAST = 1_500_000_000, 1_500_000_299


@pytest.fixture
def api():
    questions = [
        question(number, tags=["keras", *(["gpu"] if number % 3 == 0 else [])], created=FIRST + number, score=number)
        for number in range(300)
    ]
    with StackExchange(questions) as server:
        yield server


def ask(api, path="questions", **params):
    return requests.get(
        f"{api.url}/2.3/{path}", params={"site": "stackoverflow", "pagesize": 100, "order": "asc", **params}, timeout=60
    )


def numbers(api, path="questions", **params):
    return [item["question_id"] for item in ask(api, path, **params).json()["items"]]


def test_windows_include_both_ends_and_min_and_max_bound_the_field_of_the_sort(api):
    window = {"fromdate": FIRST + 10, "todate": FIRST + 12}
    assert numbers(api, sort="creation", **window) == [10, 11, 12]
    assert numbers(api, sort="votes", min=11, **window) == [11, 12]
    assert numbers(api, sort="votes", min=297, max=298) == [297, 298]
    assert numbers(api, sort="activity", min=FIRST + 299) == [299]


def test_tags_are_joined_by_and(api):
    assert numbers(api, sort="creation", tagged="keras;gpu", todate=FIRST + 6) == [0, 3, 6]


def test_pages_hold_a_hundred_and_say_whether_there_is_more(api):
    pages = [ask(api, sort="creation", page=page).json() for page in (1, 2, 3, 4)]
    assert [(len(page["items"]), page["has_more"]) for page in pages] == [
        (100, True),
        (100, True),
        (100, False),
        (0, False),
    ]
    assert ask(api, pagesize=101).json()["error_id"] == 400


def test_beyond_page_25_a_key_is_needed(api):
    refusal = ask(api, page=26)
    assert (refusal.status_code, refusal.json()["error_id"]) == (400, 403)
    api.key = "k"
    assert ask(api, page=26, key="k").json()["items"] == []
    assert ask(api, key="other").json()["error_name"] == "bad_parameter"


def test_numbers_that_are_not_there_are_left_out_in_silence(api):
    assert sorted(numbers(api, "questions/7;8;999")) == [7, 8]
    api.delete(7)
    assert numbers(api, "questions/7;8;999/") == [8]


def test_a_filter_shows_what_it_includes_and_nothing_else(api):
    include = ".items;.has_more;question.question_id;question.title"
    made = ask(api, "filters/create", base="none", include=include, unsafe="false").json()["items"][0]
    reply = ask(api, "questions/7", filter=made["filter"]).json()
    assert reply == {
        "items": [{"question_id": 7, "title": "How to &quot;fit&quot; &amp; predict #7?"}],
        "has_more": False,
    }
    assert ask(api, "questions/7", filter="!unknown").json()["error_id"] == 400
    assert "body" not in ask(api, "questions/7").json()["items"][0]
    assert "body" in ask(api, "questions/7", filter="withbody").json()["items"][0]


def test_every_answer_costs_one_of_the_quota(api):
    api.quota_remaining = 2
    assert [ask(api).json().get("quota_remaining") for _ in range(3)] == [1, 0, None]
    assert "more requests available in 46472 seconds" in ask(api).json()["error_message"]


def test_a_backoff_that_is_not_heeded_is_punished(api):
    api.fail(Fault("backoff", method="questions", seconds=30))
    assert ask(api).json()["backoff"] == 30
    assert ask(api, "questions/7").status_code == 200
    assert ask(api).json()["error_id"] == 502
    assert api.punished == 1


def test_replies_are_compressed(api):
    assert ask(api).headers["Content-Encoding"] == "gzip"
    assert ask(api, "nowhere").json()["error_name"] == "no_method"


def test_votes_and_deletions_leave_no_trace_but_edits_and_answers_do(api):
    api.now = lambda: LAST + 1000
    api.vote(1, 50)
    assert api.truth[1].last_activity_date == FIRST + 1
    api.edit(2, title="x")
    api.answer(3)
    assert numbers(api, sort="activity", min=LAST + 1) == [2, 3]
    assert api.truth[3].answer_count == 1


def test_a_filter_drops_the_fields_of_errors_too(api):
    made = ask(api, "filters/create", base="none", include=".items").json()["items"][0]["filter"]
    refusal = ask(api, filter=made, sort="hot")
    assert (refusal.status_code, refusal.json()) == (400, {})
    assert ask(api, "filters/create", base="!unknown").json()["error_id"] == 400


def test_the_log_keeps_the_status_of_every_reply_and_none_where_there_was_no_reply(api):
    for fault in (Fault("edge_block", status=503, retry_after=7), Fault("http_500"), Fault("reset")):
        api.fail(fault)
    assert ask(api).headers["Retry-After"] == "7"
    assert ask(api).json() == {"message": "something broke"}
    with pytest.raises(requests.ConnectionError):
        ask(api)
    assert [request.status for request in api.log] == [503, 500, None]


@pytest.mark.slow
@pytest.mark.parametrize("headers", [False, True])
def test_a_drip_outlasts_a_timeout_that_counts_from_byte_to_byte(api, headers):
    api.fail(Fault("drip", seconds=0.006, headers=headers))
    reply = requests.get(f"{api.url}/2.3/sites", timeout=1)
    # What elapses until the head is read.
    assert (reply.elapsed.total_seconds() > 1) is headers
    assert reply.json()["items"][0]["name"] == "Stack Overflow"


def test_some_questions_of_a_corpus_are_about_two_of_its_tags():
    sizes = {"caffe": 60, "keras": 40}
    alone, together = corpus(sizes, seed=1), corpus(sizes, seed=1, shared=0.1)
    assert sum({"caffe", "keras"} <= set(item.tags) for item in alone) == 0
    assert sum({"caffe", "keras"} <= set(item.tags) for item in together) == 10
    assert [item.question_id for item in alone] == [item.question_id for item in together]
