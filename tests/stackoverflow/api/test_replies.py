"""Reading landed replies: values that deviate are converted if that is safe, and noted, and never exclude a row."""

import json
from datetime import UTC, datetime

import pytest

from dlbug_assets.ingest.landing import Landing
from dlbug_assets.stackoverflow.api.replies import read_replies
from support.clocks import ManualClock

GOOD = {
    "question_id": 7,
    "title": "How &amp; &quot;why&quot;?",
    "body": "<p>&lt;b&gt;</p>",
    "tags": ["keras", "gpu"],
    "score": 6,
    "view_count": 60,
    "answer_count": 1,
    "accepted_answer_id": 70,
    "creation_date": 1_500_000_000,
    "last_activity_date": 1_500_000_060,
    "owner": {"user_id": 5},
    "link": "https://stackoverflow.com/questions/7",
    "content_license": "CC BY-SA 4.0",
    "answers": [
        {
            "answer_id": 70,
            "question_id": 7,
            "score": 2,
            "is_accepted": True,
            "body": "<p>so</p>",
            "creation_date": 1_500_000_030,
            "last_activity_date": 1_500_000_060,
            "owner": {},
            "content_license": "CC BY-SA 4.0",
        }
    ],
}
NOON = datetime(2026, 3, 1, 12)


@pytest.fixture
def collection(tmp_path):
    return Landing(tmp_path, ManualClock(NOON.replace(tzinfo=UTC))).begin("Keras", "full", {})


def land(collection, items, method="questions", ids=()):
    body = items if isinstance(items, bytes) else json.dumps({"items": items, "has_more": False}).encode()
    collection.land({"method": method, "ids": list(ids), "params": {}}, body)
    return read_replies(collection)


def without(*names):
    return {name: value for name, value in GOOD.items() if name not in names}


def noted(observations):
    return [(row["field"], row["reason"], row["content"]) for row in observations.irregularities.to_dicts()]


def test_an_item_becomes_a_row_with_utc_times_and_a_plain_title(collection):
    observations = land(collection, [GOOD])
    (row,) = observations.questions.to_dicts()
    assert row.pop("retrieved_at").replace(microsecond=0) == NOON
    assert row == {
        "post_id": 7,
        "title": 'How & "why"?',
        "body_html": "<p>&lt;b&gt;</p>",
        "tags": ["keras", "gpu"],
        "score": 6,
        "view_count": 60,
        "answer_count": 1,
        "accepted_answer_id": 70,
        "created_at": datetime(2017, 7, 14, 2, 40),
        "last_activity_at": datetime(2017, 7, 14, 2, 41),
        "owner_id": "5",
        "link": "https://stackoverflow.com/questions/7",
        "content_license": "CC BY-SA 4.0",
    }
    (answer,) = observations.answers.to_dicts()
    assert (answer["answer_id"], answer["post_id"], answer["is_accepted"], answer["owner_id"]) == (70, 7, True, None)
    assert noted(observations) == []


@pytest.mark.parametrize(
    ("change", "column", "value", "note"),
    [
        ({"score": "12"}, "score", 12, ("score", "is not as described; read as 12", "12")),
        ({"score": "many"}, "score", None, ("score", "is not as described; read as None", "many")),
        ({"score": True}, "score", None, ("score", "is not as described; read as None", "True")),
        ({"score": 2**63}, "score", None,
         ("score", "is not as described; read as None", "9223372036854775808")),
        ({"view_count": str(-(2**63) - 1)}, "view_count", None,
         ("view_count", "is not as described; read as None", "-9223372036854775809")),
        ({"view_count": "9" * 5000}, "view_count", None,
         ("view_count", "is not as described; read as None", "9" * 200)),
        ({"score": "--1"}, "score", None, ("score", "is not as described; read as None", "--1")),
        ({"title": 42}, "title", "42", ("title", "is not as described; read as '42'", "42")),
        ({"title": None}, "title", None, ("title", "is missing", "7")),
        ({"tags": "keras"}, "tags", None, ("tags", "is not as described; read as None", "keras")),
        ({"tags": [1]}, "tags", None, ("tags", "is not as described; read as None", "a list of 1")),
        ({"creation_date": 10**20}, "created_at", None,
         ("creation_date", "is not as described; read as None", "1" + "0" * 20)),
        ({"owner": "Jane"}, "owner_id", None, ("owner", "is not as described; read as None", "a str")),
        ({"owner": {"user_id": "x", "display_name": "Jane"}}, "owner_id", None,
         ("owner", "is not as described; read as None", "a dict")),
        ({"answers": {}}, "title", 'How & "why"?', ("answers", "is not a list", "an object with ")),
        ({"migrated_v3": {"to": "Jane"}}, "post_id", 7,
         ("migrated_v3", "was not requested; it is kept in landing only", "an object with to")),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_noted_and_the_other_fields_are_read(collection, change, column, value, note):
    observations = land(collection, [GOOD | change, GOOD | {"question_id": 8}])
    assert observations.questions["post_id"].to_list() == [7, 8]
    assert observations.questions[column][0] == value
    assert noted(observations) == [note]
    assert observations.irregularities.select("number", "position", "post_id").row(0) == (1, 1, 7)


def test_integers_of_64_bits_are_read_exactly(collection):
    observations = land(collection, [GOOD | {"score": -(2**63), "view_count": 2**63 - 1}])
    assert observations.questions.select("score", "view_count").rows() == [(-(2**63), 2**63 - 1)]
    assert noted(observations) == []


def test_half_a_surrogate_pair_is_read_as_the_replacement_character(collection):
    broken = {"title": "\ud83d?", "tags": ["keras", "\ude00"], "score": "\ud83d", "\ude00": 1}
    observations = land(collection, [GOOD | broken | {"body": "\ud83d\ude00"}])
    assert observations.questions.select("title", "tags", "score", "body_html").rows() == [
        ("\ufffd?", ["keras", "\ufffd"], None, "\U0001f600")
    ]
    assert noted(observations) == [
        ("score", "is not as described; read as None", "\ufffd"),
        ("\ufffd", "was not requested; it is kept in landing only", "1"),
    ]


def test_optional_fields_that_are_missing_are_not_noted(collection):
    observations = land(collection, [without("accepted_answer_id", "content_license", "answers") | {"owner": {}}])
    assert noted(observations) == []
    assert observations.questions["owner_id"].to_list() == [None]


@pytest.mark.parametrize("number", [None, "7", True, 2**63])
def test_an_item_without_an_id_is_left_out_and_noted_without_its_content(collection, number):
    observations = land(collection, [GOOD | {"question_id": number, "owner": {"display_name": "Jane"}}])
    assert observations.questions.is_empty()
    ((field, reason, content),) = noted(observations)
    assert (field, reason) == ("question_id", "is not a number: the item is left out")
    assert "Jane" not in content


def test_a_new_field_is_noted_once_per_collection(collection):
    observations = land(collection, [GOOD | {"new": 1}, GOOD | {"question_id": 8, "new": 2}])
    assert [field for field, _, _ in noted(observations)] == ["new"]


def test_new_fields_are_numbered_in_alphabetical_order(collection):
    new = dict.fromkeys("gecafdb", 1)
    irregularities = land(collection, [GOOD | new]).irregularities
    assert irregularities.select("number", "field").rows() == list(enumerate("abcdefg", start=1))


PARAMS = {"tagged": "keras", "sort": "votes", "min": 6, "fromdate": 1_500_000_000, "todate": 1_500_000_100}
BY_VALUES = "; the question's own values decide on its scope"


@pytest.mark.parametrize(
    ("change", "notes"),
    [
        ({}, []),
        ({"score": 5}, [("score", f"is outside of the request (at least 6){BY_VALUES}", "5")]),
        ({"tags": ["torch", "gpu"]}, [("tags", f"is outside of the request (tagged keras){BY_VALUES}", "torch, gpu")]),
        ({"creation_date": 1_499_999_999},
         [("creation_date", f"is outside of the request (at least 1500000000){BY_VALUES}", "1499999999")]),
        ({"creation_date": 1_500_000_101},
         [("creation_date", f"is outside of the request (at most 1500000100){BY_VALUES}", "1500000101")]),
    ],
)  # fmt: skip
def test_a_question_outside_of_the_request_is_noted_and_read(tmp_path, change, notes):
    landing = Landing(tmp_path, ManualClock(NOON.replace(tzinfo=UTC)))
    collection = landing.begin("Keras", "full", {"question": {"tags": ["keras"]}})
    body = json.dumps({"items": [GOOD | change], "has_more": False}).encode()
    collection.land({"method": "questions", "ids": [], "params": PARAMS}, body)
    observations = read_replies(collection)
    assert observations.questions["post_id"].to_list() == [7]
    assert noted(observations) == notes


def test_a_question_with_the_tag_that_a_synonym_stands_for_is_within_the_request(tmp_path):
    landing = Landing(tmp_path, ManualClock(NOON.replace(tzinfo=UTC)))
    collection = landing.begin("Keras", "full", {"question": {"tags": ["keras2"]}})
    body = json.dumps({"items": [GOOD], "has_more": False}).encode()
    collection.land({"method": "questions", "ids": [], "params": {"tagged": "keras2"}}, body)
    collection.finish({"synonyms": {"keras2": "keras"}})
    assert noted(read_replies(collection)) == []


def test_items_of_other_ids_than_the_requested_ones_are_noted(collection):
    land(collection, [GOOD], method="questions/{ids}", ids=[8])
    observations = land(collection, GOOD["answers"], method="questions/{ids}/answers", ids=[8])
    assert observations.absences["post_id"].to_list() == [8]
    assert noted(observations) == [("question_id", "is outside of the request by ID", "7")] * 2


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"no JSON", b'{"items": [], "other": 1}', b'{"items": [1], "has_more": false}']
)
def test_a_malformed_reply_is_noted_and_skipped(collection, body):
    land(collection, [GOOD])
    observations = land(collection, body)
    assert observations.questions["post_id"].to_list() == [7]
    ((field, _, content),) = noted(observations)
    assert (field, content) == ("(all of it)", body.decode())


def test_requested_ids_that_are_not_returned_are_absences(collection):
    observations = land(collection, [GOOD], method="questions/{ids}", ids=[7, 8, 9])
    assert observations.absences["post_id"].to_list() == [8, 9]


def test_answers_fetched_separately_contain_their_questions_id(collection):
    answer = GOOD["answers"][0]
    orphan = {name: value for name, value in answer.items() if name != "question_id"}
    observations = land(collection, [answer | {"answer_id": 71}, orphan], method="questions/{ids}/answers", ids=[7])
    assert observations.answers.select("answer_id", "post_id").rows() == [(71, 7)]
    assert [field for field, _, _ in noted(observations)] == ["question_id"]
