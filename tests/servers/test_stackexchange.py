"""The stand-in does as the API's documentation and its observers say."""

import pytest
import requests
from servers.stackexchange import Fault, StackExchange, question

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
        f"{api.url}/2.3/{path}", params={"site": "stackoverflow", "pagesize": 100, "order": "asc", **params}, timeout=5
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
