"""What the API does not return is requested again or reported, and never mistaken for nothing."""

import logging

import polars as pl
import pytest

from dlbug_assets.ingest.http_client import MalformedError, UnreachableError
from dlbug_assets.protocol.study import Study
from servers.stackexchange import StackExchange, corpus
from servers.stand_in import Fault
from support.collected_posts import KEY, CollectedPosts
from support.collection_checks import STUDY

pytestmark = pytest.mark.slow

SIZES = {"keras": 130, "torch": 40}
NO_MATCH = "has a score of 6 or more; check the spelling of the tag and the study's selection"


@pytest.fixture
def api():
    with StackExchange(corpus(SIZES, seed=1, low_scored=0.2)) as server:
        server.key = KEY
        yield server


@pytest.fixture
def posts(api, tmp_path):
    return CollectedPosts(api, tmp_path)


def tagged(*tags, min_score=6):
    """Return a study of one library with these tags."""
    libraries = [{"name": "Keras", "tags": tags, "repositories": "topic:keras"}]
    selection = {"min_score": min_score}
    return Study.model_validate(STUDY.model_dump() | {"libraries": libraries, "selection": selection})


def states(posts):
    """Return the kind, state and reason of each collection of Keras, oldest first."""
    rows = posts.table("collections").filter(pl.col("library") == "Keras").sort("collection")
    return rows.select("kind", "state", "unread_reason").rows()


def keras(api, *, answers=0):
    """Return the questions of Keras in scope with at least so many answers, oldest activity first."""
    found = [
        item for item in api.truth.values() if "keras" in item.tags and item.score >= 6 and len(item.answers) >= answers
    ]
    return sorted(found, key=lambda item: item.last_activity_date)


# Tags


def test_a_tag_in_another_spelling_is_that_of_the_site(api, posts):
    posts.study = tagged(" Keras ")
    posts.refresh()
    posts.proves_truth()
    assert {request.params.get("tagged") for request in api.log if request.method == "questions"} == {"keras"}


def test_a_tag_that_matches_nothing_is_unread_until_it_matches(api, posts, caplog):
    posts.study = tagged("keras", "kerass")
    posts.refresh()
    reason = f"no question tagged kerass {NO_MATCH}"
    assert posts.notes["Keras"]["unread"] == reason
    assert caplog.messages[-1] == f"Keras: unread: {reason}"
    posts.refresh()
    assert states(posts) == [("full", "unread", reason), ("refresh", "unread", reason)]
    posts.proves_truth()
    posts.proves_rebuilding()
    api.edit(keras(api)[0].question_id, tags=["kerass"])
    posts.refresh()
    assert states(posts)[-1] == ("refresh", "read", None)
    posts.proves_truth()


def test_a_library_that_matches_nothing_is_unread(api, posts):
    posts.study = tagged("keras", min_score=10**6)
    posts.refresh()
    assert states(posts) == [
        ("full", "unread", "no question tagged keras has a score of 1000000 or more; check the spelling of the tag and "
         "the study's selection")
    ]  # fmt: skip


def test_a_library_that_was_collected_before_is_not_unread_if_nothing_is_left(api, posts):
    posts.study = tagged("keras")
    posts.refresh()
    for item in keras(api):
        api.vote(item.question_id, 0)
    posts.refresh(sweep=True)
    posts.refresh()
    assert [(kind, state) for kind, state, _ in states(posts)] == [
        ("full", "read"), ("full", "read"), ("refresh", "read")
    ]  # fmt: skip
    posts.proves_truth()


def test_another_selection_that_matches_nothing_is_unread(api, posts):
    posts.study = tagged("keras")
    posts.refresh()
    posts.study = tagged("karas")
    posts.refresh()
    assert states(posts)[-1] == ("full", "unread", f"no question tagged karas {NO_MATCH}")


def test_questions_of_the_tag_that_a_synonym_stands_for_count_for_the_library(api, posts):
    api.synonyms = {"keras2": "keras", "cuda": "gpu"}
    posts.study = tagged("keras2")
    posts.refresh()
    posts.proves_truth()
    assert len(posts.table("raw_posts").filter("in_scope")) == 130
    assert [request.method for request in api.log].count("tags/{ids}/synonyms") == 1
    # A refresh knows it.
    requests = len(api.log)
    posts.refresh()
    assert len(api.log) == requests + 1
    api.edit(keras(api)[0].question_id, title="Edited")
    posts.proves_recovery()
    assert len(api.log) == requests + 2
    posts.proves_recovery(sweep=True)
    assert posts.table("irregularities").is_empty()
    assert [state for _, state, _ in states(posts)] == ["read"] * 4


def test_a_tag_that_becomes_a_synonym_is_followed_by_the_next_refresh(api, posts):
    posts.refresh()
    questions = keras(api)
    for item in questions:
        item.tags[item.tags.index("keras")] = "keras-core"
    api.synonyms = {"keras": "keras-core"}
    api.edit(questions[0].question_id, title="Edited")
    posts.proves_recovery()
    posts.proves_recovery(sweep=True)
    renamed = posts.table("raw_posts").filter(pl.col("tags").list.contains("keras-core"))
    assert set(renamed["post_id"]) == {item.question_id for item in questions}


# Questions


def test_questions_outside_of_the_request_are_noted_and_not_in_scope(api, posts):
    posts.refresh()
    other = next(item for item in api.truth.values() if "torch" in item.tags)
    low = next(item for item in api.truth.values() if "keras" in item.tags and item.score < 6)
    api.fail(Fault("outside", tagged="keras", numbers=[other.question_id, low.question_id], times=2))
    posts.refresh(sweep=True)
    posts.proves_truth()
    posts.proves_rebuilding()
    noted = posts.table("irregularities").filter(pl.col("library") == "Keras")
    rows = set(noted.select("post_id", "field", "reason", "content").rows())
    by_values = "; the question's own values decide on its scope"
    assert {
        (other.question_id, "tags", f"is outside of the request (tagged keras){by_values}", ", ".join(other.tags)),
        (low.question_id, "score", f"is outside of the request (at least 6){by_values}", str(low.score)),
    } <= rows


@pytest.mark.parametrize("skip", [0, 1, 2])
def test_an_empty_page_makes_a_collection_unread_which_the_next_run_repeats(api, posts, skip):
    requests = []

    def empty_one(request):
        requests.extend([request] if request.params.get("tagged") == "keras" else [])
        if len(requests) == skip + 1 and request is requests[-1]:
            api.fail(Fault("empty", tagged="keras"))

    api.before = empty_one
    posts.study = tagged("keras")
    posts.refresh()
    ((kind, state, reason),) = states(posts)
    assert (kind, state) == ("full", "unread")
    assert reason.startswith("the site counts 130 questions tagged keras, but returned ")
    api.before = None
    posts.proves_recovery()
    assert states(posts)[-1] == ("full", "read", None)


def test_a_result_that_stays_short_is_repeated_once_and_then_by_sweeps(api, posts):
    posts.study = tagged("keras")
    api.fail(Fault("empty", tagged="keras", times=None))
    for _ in range(4):
        posts.refresh()
    reason = (
        "the site counts 130 questions tagged keras, but returned 0; run again with --sweep; "
        f"no question tagged keras {NO_MATCH}"
    )
    assert states(posts) == [(kind, "unread", reason) for kind in ("full", "full", "refresh", "refresh")]
    api.faults.clear()
    posts.proves_recovery(sweep=True)
    assert states(posts)[-1] == ("full", "read", None)


def test_a_question_that_is_deleted_after_it_left_the_scope_is_marked_by_the_next_sweep(api, posts):
    posts.refresh()
    number = keras(api)[0].question_id
    api.vote(number, 2)
    posts.refresh(sweep=True)
    posts.refresh()
    api.delete(number)
    posts.refresh(sweep=True)
    row = posts.table("raw_posts").row(by_predicate=pl.col("post_id") == number, named=True)
    assert (row["in_scope"], row["score"]) == (False, 2)
    assert row["deleted_at"] > row["retrieved_at"]
    posts.proves_rebuilding()


# Answers


def test_answers_that_a_second_request_lacks_are_noted_and_requested_again(api, posts):
    posts.study = tagged("keras")
    api.fail(Fault("short_answers", method="questions", times=None, n=1))
    api.fail(Fault("empty", method="questions/{ids}/answers", times=None))
    posts.refresh()
    busy = {item.question_id: len(item.answers) for item in keras(api, answers=2)}
    noted = posts.table("irregularities").filter(pl.col("field") == "answers")
    assert dict(noted.select("post_id", "reason").rows()) == {
        post_id: f"{count - 1} of {count} answers are unread; they are requested again by the next run"
        for post_id, count in busy.items()
    }
    # They are still lacking, and noted again.
    api.fail(Fault("short_answers", method="questions/{ids}", times=None, n=1))
    posts.refresh()
    assert len(posts.table("irregularities").filter(pl.col("field") == "answers")) == 2 * len(busy)
    api.faults.clear()
    posts.proves_recovery()
    requests = len(api.log)
    posts.refresh()
    assert len(api.log) == requests + 1


def test_an_observation_that_lacks_answers_does_not_remove_the_known_ones(api, posts):
    posts.refresh()
    before = posts.table("raw_answers")["answer_id"].to_list()
    item = keras(api, answers=3)[0]
    api.edit(item.question_id, title="Edited")
    api.fail(Fault("short_answers", method="questions", times=None, n=1))
    api.fail(Fault("empty", method="questions/{ids}/answers", times=None))
    posts.refresh()
    assert posts.table("raw_answers")["answer_id"].to_list() == before
    posts.proves_rebuilding()
    # A whole observation does.
    api.faults.clear()
    removed = item.answers.pop()
    posts.proves_recovery()
    assert removed.answer_id not in posts.table("raw_answers")["answer_id"].to_list()


# Messages


@pytest.mark.parametrize(("status", "error"), [(200, MalformedError), (400, MalformedError), (502, UnreachableError)])
def test_brackets_nested_too_deeply_are_a_malformed_reply(api, posts, status, error):
    posts.refresh()
    before = posts.cursors()
    api.fail(Fault("deep", method="questions", times=None, status=status))
    failures = posts.collect()
    assert {library: type(failure) for library, failure in failures.items()} == {"Keras": error, "Torch": error}
    assert posts.cursors() == before
    api.faults.clear()
    posts.proves_recovery()


KINDS = ("backoff", "throttle", "unavailable", "caller_error", "hollow", "edge_block", "http_500", "reset", "deep")


@pytest.mark.parametrize("kind", KINDS)
def test_messages_state_what_was_requested_instead_of_the_apis_methods(api, posts, caplog, kind):
    caplog.set_level(logging.INFO, "dlbug_assets")
    posts.study = tagged("keras")
    for method in api.methods - {"questions/{ids}"}:
        api.fail(Fault(kind, method=method, times=None, seconds=1))
    failures = posts.collect()
    texts = [*caplog.messages, *map(str, failures.values()), str(posts.notes)]
    assert any("keras" in text.lower() or "filter of fields" in text for text in texts)
    assert [text for text in texts if "{ids}" in text or "filters/create" in text or "questions/" in text] == []
