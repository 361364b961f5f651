"""Commits that are known by their hash, looked up one by one: each as a whole, or again the next time."""

import polars as pl
import pytest

import servers.github
from dlbug_assets.github.api.lookups import CommitLookups
from dlbug_assets.ingest.http_client import MalformedError
from servers.github import Fault, GitHub
from support.followed_repositories import PLANTED, Following
from support.repositories import GitRepository

DETAILS = "repos/{name}/commits/{sha}"


@pytest.fixture
def api(monkeypatch):
    # The real one shows 300 files to a page.
    monkeypatch.setattr(servers.github, "_FILES", 3)
    with GitHub() as server:
        server.token = PLANTED
        yield server


@pytest.fixture
def known(api, tmp_path):
    """Two commits, of one file and of five."""
    repository = GitRepository(tmp_path / "r")
    shas = [
        repository.commit("Fix one", {"a.py": "1\n"}),
        repository.commit("Fix five", {f"{number}.py": "1\n" for number in range(5)}),
    ]
    api.add(repository.path, "jane/r", number=1)
    return pl.DataFrame({"full_name": "jane/r", "sha": shas})


@pytest.fixture
def looked_up(api, tmp_path):
    """As a new process makes it: what it knows is on disk."""
    study = Following(api, tmp_path)
    return lambda: CommitLookups("Keras", study.landing, study.access)


def spoil(api, page, kind):
    """Let a fault happen to the first request for a page of a commit's files."""

    def before(request):
        if request.method == DETAILS and request.params.get("page") == page:
            api.before = None
            api.fail(Fault(kind, method=DETAILS))

    api.before = before


def files(changes):
    return sorted(changes.select("files_changed", "additions").rows())


def test_a_commit_has_the_files_of_all_its_pages(api, known, looked_up):
    assert looked_up().collect(known)["commits"] == 2
    assert files(looked_up().changes()) == [(1, 1), (5, 5)]
    assert [request.params.get("page") for request in api.log] == [None, None, "2"]
    assert looked_up().collect(known) == {"kind": "look-up", "note": "all looked up before"}


@pytest.mark.parametrize("kind", ["cut_json", "empty_body", "wrong_shape"])
@pytest.mark.parametrize("page", [None, "2"])
def test_of_a_commit_whose_reply_is_none_nothing_is_known_until_it_is_looked_up_again(
    api, known, looked_up, page, kind
):
    # The one with five files is the first.
    known, expected = (known.reverse(), []) if page is None else (known, [(1, 1)])
    spoil(api, page, kind)
    with pytest.raises(MalformedError):
        looked_up().collect(known)
    assert files(looked_up().changes()) == expected
    asked = len(api.log)
    looked_up().collect(known)
    assert files(looked_up().changes()) == [(1, 1), (5, 5)]
    assert len(api.log) - asked == 3 - len(expected)
    assert sorted(looked_up().commits(known)["title"]) == ["Fix five", "Fix one"]


def test_of_a_commit_whose_second_page_is_refused_nothing_is_known_until_it_is_looked_up_again(api, known, looked_up):
    spoil(api, "2", "forbidden")
    looked_up().collect(known)
    assert files(looked_up().changes()) == [(1, 1)]
    looked_up().collect(known)
    assert files(looked_up().changes()) == [(1, 1), (5, 5)]


def test_a_commit_that_github_does_not_have_is_not_asked_for_again(api, known, looked_up):
    unknown = known.vstack(pl.DataFrame({"full_name": ["jane/r"], "sha": ["0" * 40]}))
    looked_up().collect(unknown)
    assert files(looked_up().changes()) == [(1, 1), (5, 5)]
    assert looked_up().collect(unknown)["note"] == "all looked up before"
