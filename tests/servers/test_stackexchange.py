"""The stand-in behaves as the API's documentation and its users describe."""

from typing import Any

import pytest
import requests

from servers.stackexchange import StackExchange, corpus, question
from servers.stand_in import Fault

FIRST, LAST = 1_500_000_000, 1_500_000_299


@pytest.fixture
def api():
    questions = [
        question(number, tags=["keras", *(["gpu"] if number % 3 == 0 else [])], created=FIRST + number, score=number)
        for number in range(300)
    ]
    with StackExchange(questions) as server:
        yield server


def ask(api, path="questions", **params: Any):
    return requests.get(
        f"{api.url}/2.3/{path}", params={"site": "stackoverflow", "pagesize": 100, "order": "asc", **params}, timeout=60
    )


def post_ids(api, path="questions", **params: Any):
    return [item["question_id"] for item in ask(api, path, **params).json()["items"]]


def test_windows_and_bounds_of_the_sorted_field_are_inclusive(api):
    window: dict[str, Any] = {"fromdate": FIRST + 10, "todate": FIRST + 12}
    assert post_ids(api, sort="creation", **window) == [10, 11, 12]
    assert post_ids(api, sort="votes", min=11, **window) == [11, 12]
    assert post_ids(api, sort="votes", min=297, max=298) == [297, 298]
    assert post_ids(api, sort="activity", min=FIRST + 299) == [299]


def test_several_tags_must_all_match(api):
    assert post_ids(api, sort="creation", tagged="keras;gpu", todate=FIRST + 6) == [0, 3, 6]


def test_tags_are_found_in_any_case_and_by_their_synonyms(api):
    api.synonyms = {"keras2": "keras", "cuda": "gpu"}
    found = post_ids(api, sort="creation", tagged="keras", todate=FIRST + 6)
    assert post_ids(api, sort="creation", tagged="KerAs", todate=FIRST + 6) == found
    assert post_ids(api, sort="creation", tagged="keras2", todate=FIRST + 6) == found
    assert post_ids(api, sort="creation", tagged="cuda;Keras2", todate=FIRST + 6) == [0, 3, 6]
    synonyms = ask(api, "tags/keras;c%2B%2B/synonyms").json()["items"]
    assert [(item["from_tag"], item["to_tag"]) for item in synonyms] == [("keras2", "keras")]
    assert ask(api, "tags/python/synonyms").json()["items"] == []
    assert ask(api, f"tags/{';'.join(map(str, range(21)))}/synonyms").json()["error_id"] == 400
    assert {request.method for request in api.log} == {"questions", "tags/{ids}/synonyms"}


def test_pages_hold_a_hundred_items_and_report_whether_there_are_more(api):
    pages = [ask(api, sort="creation", page=page).json() for page in (1, 2, 3, 4)]
    assert [(len(page["items"]), page["has_more"]) for page in pages] == [
        (100, True),
        (100, True),
        (100, False),
        (0, False),
    ]
    assert ask(api, pagesize=101).json()["error_id"] == 400


def test_pages_after_25_require_a_key(api):
    error_reply = ask(api, page=26)
    assert (error_reply.status_code, error_reply.json()["error_id"]) == (400, 403)
    api.key = "k"
    assert ask(api, page=26, key="k").json()["items"] == []
    assert ask(api, key="other").json()["error_name"] == "bad_parameter"


def test_unknown_ids_are_omitted(api):
    assert sorted(post_ids(api, "questions/7;8;999")) == [7, 8]
    api.delete(7)
    assert post_ids(api, "questions/7;8;999/") == [8]


def test_a_filter_returns_only_the_fields_that_it_includes(api):
    include = ".items;.has_more;question.question_id;question.title"
    created = ask(api, "filters/create", base="none", include=include, unsafe="false").json()["items"][0]
    reply = ask(api, "questions/7", filter=created["filter"]).json()
    assert reply == {
        "items": [{"question_id": 7, "title": "How to &quot;fit&quot; &amp; predict #7?"}],
        "has_more": False,
    }
    assert ask(api, "questions/7", filter="!unknown").json()["error_id"] == 400
    assert "body" not in ask(api, "questions/7").json()["items"][0]
    assert "body" in ask(api, "questions/7", filter="withbody").json()["items"][0]


def test_every_request_counts_against_the_quota(api):
    api.quota_remaining = 2
    assert [ask(api).json().get("quota_remaining") for _ in range(3)] == [1, 0, None]
    assert "more requests available in 46472 seconds" in ask(api).json()["error_message"]


def test_a_backoff_that_is_ignored_is_punished(api):
    api.fail(Fault("backoff", method="questions", seconds=30))
    assert ask(api).json()["backoff"] == 30
    assert ask(api, "questions/7").status_code == 200
    assert ask(api).json()["error_id"] == 502
    assert api.punished == 1


def test_replies_are_compressed(api):
    assert ask(api).headers["Content-Encoding"] == "gzip"
    assert ask(api, "nowhere").json()["error_name"] == "no_method"


def test_edits_and_answers_count_as_activity_and_votes_do_not(api):
    api.now = lambda: LAST + 1000
    api.vote(1, 50)
    assert api.truth[1].last_activity_date == FIRST + 1
    api.edit(2, title="x")
    api.answer(3)
    assert post_ids(api, sort="activity", min=LAST + 1) == [2, 3]
    assert api.truth[3].answer_count == 1


def test_a_filter_applies_to_errors(api):
    name = ask(api, "filters/create", base="none", include=".items").json()["items"][0]["filter"]
    error_reply = ask(api, filter=name, sort="hot")
    assert (error_reply.status_code, error_reply.json()) == (400, {})
    assert ask(api, "filters/create", base="!unknown").json()["error_id"] == 400


def test_the_log_has_the_status_of_every_reply_or_none(api):
    for fault in (Fault("edge_block", status=503, retry_after=7), Fault("http_500"), Fault("reset")):
        api.fail(fault)
    assert ask(api).headers["Retry-After"] == "7"
    assert ask(api).json() == {"message": "something broke"}
    with pytest.raises(requests.ConnectionError):
        ask(api)
    assert [request.status for request in api.log] == [503, 500, None]


@pytest.mark.slow
@pytest.mark.parametrize("headers", [False, True])
def test_a_timeout_between_bytes_does_not_end_a_drip(api, headers):
    api.fail(Fault("drip", seconds=0.006, headers=headers))
    reply = requests.get(f"{api.url}/2.3/sites", timeout=1)
    # The time until the headers are read.
    assert (reply.elapsed.total_seconds() > 1) is headers
    assert reply.json()["items"][0]["name"] == "Stack Overflow"


def test_a_corpus_can_have_questions_with_two_of_its_tags():
    sizes = {"caffe": 60, "keras": 40}
    separate, shared = corpus(sizes, seed=1), corpus(sizes, seed=1, shared=0.1)
    assert sum({"caffe", "keras"} <= set(item.tags) for item in separate) == 0
    assert sum({"caffe", "keras"} <= set(item.tags) for item in shared) == 10
    assert [item.question_id for item in separate] == [item.question_id for item in shared]
