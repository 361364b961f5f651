"""Look-ups of commits by their hash: a commit whose replies are incomplete is looked up again."""

import polars as pl
import pytest

import servers.github
from dlbug_assets.github.api.lookups import CommitLookups
from dlbug_assets.github.release import Release
from dlbug_assets.protocol.study import load_study
from dlbug_assets.releases import Released
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


def spoil(api, page, kind, times=1):
    """Add a fault to the first request for a page of a commit's files, and to those after it."""

    def before(request):
        if request.method == DETAILS and request.params.get("page") == page:
            api.before = None
            api.fail(Fault(kind, method=DETAILS, times=times))

    api.before = before


def files(changes):
    return sorted(changes.select("files_changed", "additions").rows())


def test_the_changes_of_a_commit_include_all_pages_of_its_files(api, known, lookups):
    assert lookups().collect(known)["commits"] == 2
    assert files(lookups().changes()) == [(1, 1), (5, 5)]
    assert [request.params.get("page") for request in api.log] == [None, None, "2"]
    assert lookups().collect(known) == {"kind": "look-up", "note": "all looked up before"}


@pytest.mark.parametrize("kind", ["cut_json", "empty_body", "wrong_shape", "nested"])
@pytest.mark.parametrize("page", [None, "2"])
def test_a_commit_with_malformed_replies_is_looked_up_again(api, known, lookups, page, kind):
    # Reversed, the commit with five files is looked up first, so that the fault is in its first page.
    known = known.reverse() if page is None else known
    spoil(api, page, kind, times=3)
    assert lookups().collect(known)["commits not read"] == 1
    assert files(lookups().changes()) == [(1, 1)]
    requests = len(api.log)
    lookups().collect(known)
    assert files(lookups().changes()) == [(1, 1), (5, 5)]
    assert len(api.log) - requests == 2
    assert sorted(lookups().commits(known)["title"]) == ["Fix five", "Fix one"]


def test_a_released_commit_is_a_fix_if_its_title_is_known_to_match(api, tmp_path):
    repository = GitRepository(tmp_path / "r")
    shas = [repository.commit(title, {"a.py": title}) for title in ("Fix one", "prefix names")]
    api.add(repository.path, "jane/r", number=1)
    shas.append("0" * 40)  # GitHub doesn't have it
    commits = pl.DataFrame({"library": "Keras", "repository": "jane/r", "commit_sha": shas})
    followed = Following(api, tmp_path)
    study = load_study("islam2019")
    source = Release(
        study, followed.landing, followed.access, tmp_path / "secret.key", lambda: Released(commits, pl.DataFrame())
    )

    list(source.collect(["Keras"], sweep=False))
    loaded = source.load("Keras", lambda *_: pl.DataFrame(schema={"collection": pl.String}))["fix_commits"].frame

    assert isinstance(loaded, pl.DataFrame)
    assert loaded.select("title", "is_fix").rows() == [
        ("Fix one", True), ("prefix names", False), (None, None)
    ]  # fmt: skip


def test_a_malformed_reply_is_requested_again(api, known, lookups):
    spoil(api, "2", "cut_json", times=2)
    assert "commits not read" not in lookups().collect(known)
    assert files(lookups().changes()) == [(1, 1), (5, 5)]


def test_pages_of_files_that_repeat_end(api, known, lookups, caplog):
    api.before = lambda request: request.params.pop("page", None)
    assert lookups().collect(known)["commits not read"] == 1
    assert len(api.log) == 3
    api.before = None
    lookups().collect(known)
    assert files(lookups().changes()) == [(1, 1), (5, 5)]


def test_a_commit_whose_second_page_is_refused_is_looked_up_again(api, known, lookups):
    spoil(api, "2", "forbidden")
    lookups().collect(known)
    assert files(lookups().changes()) == [(1, 1)]
    lookups().collect(known)
    assert files(lookups().changes()) == [(1, 1), (5, 5)]


@pytest.mark.parametrize("status", [404, 410, 451])
def test_a_commit_that_github_does_not_have_or_show_is_looked_up_once(api, known, lookups, status):
    api.fail(Fault("status", method=DETAILS, status=status))
    lookups().collect(known)
    assert files(lookups().changes()) == [(5, 5)]
    assert lookups().collect(known)["note"] == "all looked up before"


@pytest.mark.parametrize("status", [304, 400, 403, 409, 418, 422])
def test_a_commit_that_is_refused_for_another_reason_is_looked_up_in_every_run_after_the_others(
    api, known, lookups, status
):
    first, second = known["sha"]
    api.fail(Fault("status", method=DETAILS, status=status, times=3 if status in (304, 400, 418) else 1))
    assert lookups().collect(known[:1])["commits not read"] == 1
    api.log.clear()
    refused = Fault("status", method=DETAILS, status=status, times=None)
    api.before = lambda request: setattr(api, "faults", [refused] if first in request.path else [])
    assert lookups().collect(known)["commits not read"] == 1
    assert second in api.log[0].path
    collections = len(lookups().done)
    assert lookups().collect(known)["commits not read"] == 1
    # Nothing is new.
    assert len(lookups().done) == collections
    api.before, api.faults = None, []
    lookups().collect(known)
    assert files(lookups().changes()) == [(1, 1), (5, 5)]
