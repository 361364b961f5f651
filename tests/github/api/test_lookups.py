"""Look-ups of commits by their hash: a commit whose replies are incomplete is looked up again."""

import polars as pl
import pytest

import servers.github
from dlbug_assets.github.api.lookups import CommitLookups
from dlbug_assets.ingest.http_client import MalformedError
from servers.github import GitHub
from servers.stand_in import Fault
from support.followed_repositories import PLANTED, Following
from support.repositories import GitRepository

DETAILS = "repos/{name}/commits/{sha}"


@pytest.fixture
def api(monkeypatch):
    # GitHub returns 300 files per page.
    monkeypatch.setattr(servers.github, "_FILES", 3)
    with GitHub() as server:
        server.token = PLANTED
        yield server


@pytest.fixture
def known(api, tmp_path):
    """Two commits, with one file and with five."""
    repository = GitRepository(tmp_path / "r")
    shas = [
        repository.commit("Fix one", {"a.py": "1\n"}),
        repository.commit("Fix five", {f"{number}.py": "1\n" for number in range(5)}),
    ]
    api.add(repository.path, "jane/r", number=1)
    return pl.DataFrame({"full_name": "jane/r", "sha": shas})


@pytest.fixture
def lookups(api, tmp_path):
    """Return a function for new look-ups, as a new process creates them: their state is on disk."""
    study = Following(api, tmp_path)
    return lambda: CommitLookups("Keras", study.landing, study.access)


def spoil(api, page, kind):
    """Add a fault to the first request for a page of a commit's files."""

    def before(request):
        if request.method == DETAILS and request.params.get("page") == page:
            api.before = None
            api.fail(Fault(kind, method=DETAILS))

    api.before = before


def files(changes):
    return sorted(changes.select("files_changed", "additions").rows())


def test_the_changes_of_a_commit_include_all_pages_of_its_files(api, known, lookups):
    assert lookups().collect(known)["commits"] == 2
    assert files(lookups().changes()) == [(1, 1), (5, 5)]
    assert [request.params.get("page") for request in api.log] == [None, None, "2"]
    assert lookups().collect(known) == {"kind": "look-up", "note": "all looked up before"}


@pytest.mark.parametrize("kind", ["cut_json", "empty_body", "wrong_shape"])
@pytest.mark.parametrize("page", [None, "2"])
def test_a_commit_with_a_malformed_reply_is_looked_up_again(api, known, lookups, page, kind):
    # Reversed, the commit with five files is looked up first, so that the fault is in its first page.
    known, expected = (known.reverse(), []) if page is None else (known, [(1, 1)])
    spoil(api, page, kind)
    with pytest.raises(MalformedError):
        lookups().collect(known)
    assert files(lookups().changes()) == expected
    requests = len(api.log)
    lookups().collect(known)
    assert files(lookups().changes()) == [(1, 1), (5, 5)]
    assert len(api.log) - requests == 3 - len(expected)
    assert sorted(lookups().commits(known)["title"]) == ["Fix five", "Fix one"]


def test_a_commit_whose_second_page_is_refused_is_looked_up_again(api, known, lookups):
    spoil(api, "2", "forbidden")
    lookups().collect(known)
    assert files(lookups().changes()) == [(1, 1)]
    lookups().collect(known)
    assert files(lookups().changes()) == [(1, 1), (5, 5)]


def test_a_commit_that_github_does_not_have_is_looked_up_once(api, known, lookups):
    unknown = known.vstack(pl.DataFrame({"full_name": ["jane/r"], "sha": ["0" * 40]}))
    lookups().collect(unknown)
    assert files(lookups().changes()) == [(1, 1), (5, 5)]
    assert lookups().collect(unknown)["note"] == "all looked up before"
