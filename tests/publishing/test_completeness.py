"""How much of what a study follows was read: publishing.completeness, and the messages made from it."""

from datetime import datetime

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.completeness import are_corpora_known, require_complete, unread_corpora
from dlbug_assets.layout import MODELS
from support.small_study import SmallStudy

COMPLETENESS = (MODELS / "publishing" / "completeness.sql").read_text(encoding="utf-8")
COLUMNS = "source, library, followed, read, unread, refused, outdated, rows_set_aside, unread_reason"
AT = datetime(2026, 1, 2, 3, 4)


def repository(name, state, reason=None, library="Keras"):
    return {"library": library, "full_name": name, "state": state, "unread_reason": reason, "retrieved_at": AT}


def collection(name, state="read", reason=None, library="Keras"):
    return {"library": library, "collection": name, "state": state, "unread_reason": reason, "finished_at": AT}


@pytest.fixture
def study():
    small = SmallStudy("sample", ("Keras", "Torch"))
    small.connection.execute("update reference.study set posts_are_a_corpus = true, commits_are_a_corpus = true")
    return small


def rows(study):
    return study.query(f"select {COLUMNS} from ({COMPLETENESS}) order by source, library").rows()


def test_repositories_are_read_unread_refused_or_outdated(study):
    study.put(
        "github.repositories",
        repository("a/read", "ok"),
        repository("a/renamed", "renamed"),
        repository("a/empty", "empty"),
        repository("a/gone", "gone"),
        repository("a/blocked", "blocked"),
        repository("z/unread", "unread", "is a shallow clone"),
        repository("b/outdated", "ok", "HTTP 502"),
        repository("t/read", "ok", library="Torch"),
    )
    assert rows(study)[:2] == [
        ("GitHub", "Keras", 7, 4, 1, 2, 1, 0, "b/outdated: HTTP 502; z/unread: is a shallow clone"),
        ("GitHub", "Torch", 1, 1, 0, 0, 0, 0, None),
    ]


def test_a_library_without_repositories_or_posts_is_unread(study):
    no_repository = "no repository is known: none was found, or it was not collected yet"
    assert rows(study) == [
        ("GitHub", "Keras", 1, 0, 1, 0, 0, 0, no_repository),
        ("GitHub", "Torch", 1, 0, 1, 0, 0, 0, no_repository),
        ("Stack Overflow", "Keras", 1, 0, 1, 0, 0, 0, "not collected yet"),
        ("Stack Overflow", "Torch", 1, 0, 1, 0, 0, 0, "not collected yet"),
    ]


def test_a_study_of_labels_alone_follows_no_corpus(study):
    study.connection.execute("update reference.study set posts_are_a_corpus = false, commits_are_a_corpus = false")
    assert [row[2:5] for row in rows(study)] == [(0, 0, 0), (0, 0, 0), (1, 1, 0), (1, 1, 0)]


def test_the_latest_collection_decides_whether_a_query_is_read(study):
    study.put(
        "stackoverflow.collections",
        collection("20260101-full", "unread", "no question has the tag kears"),
        collection("20260102-full"),
        collection("20260101-full", library="Torch"),
        collection("20260102-dump", "unread", "the dump is truncated", library="Torch"),
    )
    assert rows(study)[2:] == [
        ("Stack Overflow", "Keras", 1, 1, 0, 0, 0, 0, None),
        ("Stack Overflow", "Torch", 1, 0, 1, 0, 0, 0, "the dump is truncated"),
    ]


def test_synthetic_posts_without_a_collection_are_read(study):
    study.put("stackoverflow.raw_posts", {"library": "Keras", "post_id": 1, "retrieved_at": AT})
    assert rows(study)[2][3:5] == (1, 0)


def test_rows_are_set_aside_once_however_many_problems_they_have_and_however_often_they_are_received(study):
    problem = {"library": "Keras", "collection": "c", "file": "f", "position": 1, "field": "Id"}
    study.put(
        "stackoverflow.irregularities",
        {**problem, "number": 1, "post_id": 7, "content": "x", "reason": "cannot be read; the row is left out"},
        {**problem, "number": 2, "post_id": 7, "content": "y", "reason": "is missing; the row is left out"},
        {**problem, "number": 1, "post_id": 7, "collection": "d", "content": "x", "reason": "the row is left out"},
        {**problem, "number": 3, "content": "{..}", "reason": "is not a number: the item is left out"},
        {**problem, "number": 4, "post_id": 8, "reason": "cannot be read"},
    )
    assert [row[7] for row in rows(study)] == [0, 0, 2, 0]


def test_the_error_names_everything_that_is_unread_and_what_it_prevents(study):
    study.put("github.repositories", repository("a/b", "unread", "is a shallow clone"), repository("c/d", "ok"))
    study.put("github.repositories", repository("e/f", "ok", library="Torch"))
    study.put("stackoverflow.collections", collection("1-full"), collection("1-full", "unread", "truncated", "Torch"))
    lines = [
        "Keras on GitHub: 1 of 2 repositories is unread (a/b: is a shallow clone)",
        "Torch on Stack Overflow: its query is unread (truncated)",
    ]
    assert unread_corpora(study.query) == lines
    assert unread_corpora(study.query, ["Torch"]) == lines[1:]
    with pytest.raises(DlbugError) as raised:
        require_complete(study.query, "Nothing is frozen.")
    assert str(raised.value) == "\n  ".join(["the corpora are incomplete:", *lines]) + "\nNothing is frozen."
    require_complete(study.query, "Nothing is frozen.", [])


def test_corpora_are_unknown_while_a_table_is_missing(study):
    assert are_corpora_known(study.query)
    study.connection.execute("drop table github.collections")
    assert not are_corpora_known(study.query)
