"""Discovery of repositories: found by GitHub's search or listed by the study, and identified by their ID."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from dlbug_assets.github.api.discovery import Discovery, SearchTimeoutError
from dlbug_assets.github.api.transport import RefusedError
from dlbug_assets.protocol.sections import Library
from servers.github import GitHub
from servers.stand_in import Fault
from support.followed_repositories import PLANTED, STUDY, Following, with_sources
from support.repositories import GitRepository

LISTED = STUDY.model_copy(update={"libraries": [STUDY.libraries[0].model_copy(update={"repositories": ["jane/r"]})]})


@pytest.fixture
def api():
    with GitHub() as server:
        server.token = PLANTED
        yield server


def host(api, *stars, first=1, created="2016-01-01T00:00:{:02}Z", **fields):
    """Add a repository for each number of stars, with IDs from ``first``."""
    for number, count in enumerate(stars, first):
        api.add(None, f"jane/r{number}", number=number, stars=count, created=created.format(number % 60), **fields)


@pytest.fixture
def study(api, tmp_path):
    return Following(api, tmp_path)


def discovered(study, **changes):
    """Return ID, name and state of the followed repositories after another discovery."""
    library = Library.model_validate(STUDY.libraries[0].model_dump() | changes)
    discovery = Discovery(library, study.landing, study.access)
    discovery.collect()
    return [(found.number, found.full_name, found.state) for found in discovery.repositories()]


def numbers(found):
    return [number or 0 for number, _, _ in found]


def test_the_repositories_with_the_most_stars_are_followed_in_descending_order(api, study):
    host(api, 5, 9, 7, 9)
    assert numbers(discovered(study, max_repositories=3)) == [2, 4, 3]


def test_a_followed_repository_stays_followed_when_others_get_more_stars(api, study):
    host(api, 5, 9, 7)
    assert numbers(discovered(study, max_repositories=2)) == [2, 3]
    api.hosted[1].stars = 100
    assert numbers(discovered(study, max_repositories=2)) == [2, 3]
    # A changed limit begins a new selection.
    assert numbers(discovered(study, max_repositories=1)) == [1]


def test_forks_and_other_topics_are_not_found(api, study):
    host(api, 5)
    host(api, 50, first=2, is_fork=True)
    host(api, 60, first=3, topics=("torch",))
    assert numbers(discovered(study)) == [1]


def test_repositories_that_the_search_no_longer_finds_are_looked_up(api, study):
    host(api, 5, 4, 3, 2, 1)
    before = discovered(study)
    api.hosted[1].topics = ()
    api.remove(2)
    api.remove(3, 451)
    api.rename(4, "elsewhere/r4")
    after = discovered(study)
    assert after == [
        (1, "jane/r1", "ok"), (2, "jane/r2", "gone"), (3, "jane/r3", "blocked"), (4, "elsewhere/r4", "renamed"),
        (5, "jane/r5", "ok"),
    ]  # fmt: skip
    # Gone is a temporary state, renamed is permanent.
    api.hosted[2].status = None
    api.rename(4, "jane/r4")
    assert discovered(study)[:4] == [before[0], before[1], (3, "jane/r3", "blocked"), (4, "jane/r4", "renamed")]


@pytest.mark.slow
@pytest.mark.parametrize("stars", [1, 9])
@pytest.mark.parametrize("way", ["api", "clone", "listed"])
def test_a_recreated_repository_replaces_the_row_and_the_commits_of_both_are_kept(api, tmp_path, way, stars):
    study = Following(api, tmp_path / "home", LISTED if way == "listed" else with_sources(STUDY, commits=way))
    first, second = GitRepository(tmp_path / "first"), GitRepository(tmp_path / "second")
    first.commit("Fix the first", {"a.py": "1\n"})
    second.commit("Fix the second", {"a.py": "1\n", "b.py": "1\n"})
    api.add(first.path, "jane/r", number=1, stars=5)
    study.refresh()
    api.remove(1)
    api.add(second.path, "jane/r", number=2, stars=stars)
    for _ in range(2):
        study.refresh(sweep=True)
        repositories = study.table("repositories").select("repository_id", "full_name", "state", "head_sha")
        assert repositories.rows() == [(2, "jane/r", "ok", second.git("rev-parse", "HEAD"))]
        commits = study.table("fix_commits").select("repository_id", "full_name", "title", "is_reachable").sort("title")
        assert commits.rows() == [(1, "jane/r", "Fix the first", True), (2, "jane/r", "Fix the second", True)]
        sampled = study.table("sampled_commits").select("title", "files_changed").sort("title")
        assert sampled.rows() == [("Fix the first", 1), ("Fix the second", 2)]
    study.proves_rebuilding()
    # A commit pushed again to the new repository counts there.
    second.git("fetch", "-q", str(first.path), "main")
    second.git("reset", "-q", "--hard", "FETCH_HEAD")
    study.refresh()
    commits = study.table("fix_commits").select("repository_id", "title", "is_reachable").sort("title")
    assert commits.rows() == [(2, "Fix the first", True), (2, "Fix the second", False)]


def test_a_listed_repository_that_is_gone_keeps_its_commits_and_its_id(api, tmp_path):
    study = Following(api, tmp_path / "home", LISTED)
    repository = GitRepository(tmp_path / "repository")
    head = repository.commit("Fix it", {"a.py": "1\n"})
    api.add(repository.path, "jane/r", number=1)
    study.refresh()
    api.remove(1)
    for sweep in (False, True, True):
        study.refresh(sweep=sweep)
        repositories = study.table("repositories").select("repository_id", "full_name", "state", "head_sha")
        assert repositories.rows() == [(1, "jane/r", "gone", head)]
        assert study.table("fix_commits").select("repository_id", "title").rows() == [(1, "Fix it")]
    study.proves_count()
    study.proves_rebuilding()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["api", "clone"])
def test_a_renamed_repository_is_followed_after_another_takes_its_old_name(api, tmp_path, way):
    study = Following(api, tmp_path / "home", with_sources(STUDY, commits=way))
    first, second = GitRepository(tmp_path / "first"), GitRepository(tmp_path / "second")
    first.commit("Fix the first")
    second.commit("Fix the second")
    api.add(first.path, "jane/r", number=1)
    study.refresh()
    api.rename(1, "jane/renamed")
    api.add(second.path, "jane/r", number=2)
    study.refresh(sweep=True)
    first.commit("Fix the first again")
    study.refresh()
    assert study.table("fix_commits").select("full_name", "title").sort("title").rows() == [
        ("jane/renamed", "Fix the first"), ("jane/renamed", "Fix the first again"), ("jane/r", "Fix the second"),
    ]  # fmt: skip


def test_a_repository_that_changes_pages_during_a_search_is_found_by_another_search(api, study, caplog):
    caplog.set_level(logging.INFO)
    host(api, *range(1000, 850, -1))

    def shuffle(request):
        if request.params.get("page") == "2":
            api.before = None
            # Moves to the first page, and the last repository of the first page to the second.
            api.hosted[150].stars = 5000

    api.before = shuffle
    assert sorted(numbers(discovered(study))) == list(range(1, 151))
    assert any(line.endswith(": 149 of 150 repositories, searching again") for line in caplog.messages)


def test_a_search_that_never_returns_all_its_repositories_ends_with_a_warning(api, study, caplog):
    host(api, *range(1000, 850, -1))

    def hide(request):
        # On the second page while the first one is requested, and the other way round.
        api.hosted[150].stars = 5000 if request.params.get("page") == "2" else 0

    api.before = hide
    assert numbers(discovered(study)) == list(range(1, 150))
    assert caplog.messages[-1].endswith(": GitHub counts 150 repositories but returns 149")
    assert [request.params.get("page") for request in api.log] == [None, "2"] * 4


def test_a_number_of_results_that_a_page_contradicts_is_not_searched_for_in_ever_smaller_windows(api, study):
    host(api, 9, 8)
    api.fail(Fault("wrong_total", times=None, total=2**63))
    with pytest.raises(
        SearchTimeoutError, match="GitHub's search was incomplete 4 times for 'topic:keras created:2007"
    ):
        discovered(study)
    assert len(api.log) == 40  # four attempts, ten pages each


@pytest.mark.slow
def test_windows_of_creation_time_neither_overlap_nor_leave_gaps(api, study):
    for number in range(1, 1102):
        second = f"2016-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        api.add(None, f"jane/r{number}", number=number, created=second)
    found = discovered(study, max_repositories=2000)
    assert sorted(numbers(found)) == list(range(1, 1102))
    # All are created within half an hour, so windows are halved many times.
    assert len(api.log) < 80


def test_an_interrupted_search_resumes_at_the_failed_page(api, study):
    host(api, *range(250))

    def spoil(request):
        if request.params.get("page") == "3":
            api.before = None
            api.fail(Fault("cut_json", times=study.retry_policy.attempts))

    api.before = spoil
    with pytest.raises(Exception, match="the reply is not JSON"):
        discovered(study)
    assert numbers(discovered(study))[:3] == [250, 249, 248]
    assert [request.params.get("page") for request in api.log] == [None, "2", "3", "3", "3", "3"]


def test_the_error_for_an_invalid_query_names_it(api, study):
    host(api, 1)
    with pytest.raises(RefusedError, match="GitHub refuses the search 'nonsense:1 created:.*Validation Failed"):
        discovered(study, repositories="nonsense:1")


def test_listed_repositories_are_looked_up_by_name(api, study):
    host(api, 5, 4, 3)
    api.rename(2, "elsewhere/r2")
    api.remove(3, 451)
    listed = ["jane/r1", "https://github.com/jane/r2.git", "jane/r3", "nobody/nothing"]
    assert discovered(study, repositories=listed) == [
        (1, "jane/r1", "ok"), (2, "elsewhere/r2", "renamed"), (None, "jane/r3", "blocked"),
        (None, "nobody/nothing", "unread"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, "GitHub does not know it or it is private"),
        (410, "GitHub does not know it or it is private"),
        (418, "GitHub's reply for the repository jane/r1 is malformed: unexpected HTTP status 418"),
        (304, "GitHub's reply for the repository jane/r1 is malformed: unexpected HTTP status 304"),
    ],
)
def test_a_listed_repository_that_was_never_seen_is_unread_until_it_is(api, tmp_path, status, reason):
    listed = STUDY.libraries[0].model_copy(update={"repositories": ["jane/r1", "jane/r2"]})
    study = Following(api, tmp_path / "home", STUDY.model_copy(update={"libraries": [listed]}))
    repository = GitRepository(tmp_path / "repository")
    repository.commit("Fix it", {"a.py": "1\n"})
    for number in (1, 2):
        api.add(repository.path, f"jane/r{number}", number=number)
    refused = Fault("status", method="repos/{name}", status=status, times=None)
    api.before = lambda request: setattr(api, "faults", [refused] if request.path == "/repos/jane/r1" else [])
    for requests in (4 if status in (404, 410) else 6, 2 if status in (404, 410) else 4):
        sent = len(api.log)
        study.refresh()
        columns = ["full_name", "state", "unread_reason"]
        assert study.table("repositories").select(columns).sort("full_name").rows() == [
            ("jane/r1", "unread", reason), ("jane/r2", "ok", None),
        ]  # fmt: skip
        assert study.table("fix_commits").select("full_name", "title").rows() == [("jane/r2", "Fix it")]
        # The other repository is not looked up again, and unchanged.
        assert len(api.log) - sent == requests
    assert study.notes["Keras"]["note"] == "nothing new"
    api.before, api.faults = None, []
    study.refresh()
    assert study.table("repositories").select(columns).rows() == [("jane/r1", "ok", None), ("jane/r2", "ok", None)]
    assert study.table("fix_commits")["full_name"].to_list() == ["jane/r1", "jane/r2"]
    study.proves_rebuilding()


def test_a_search_that_found_nothing_is_repeated(api, study):
    study.refresh()
    assert study.table("repositories").height == 0
    host(api, 5)
    study.refresh()
    assert study.table("repositories")["full_name"].to_list() == ["jane/r1"]


@pytest.mark.parametrize("days", [-40, 40])
def test_repositories_created_after_a_wrong_clock_are_found(api, study, days):
    now = datetime.now(UTC)
    for number in range(1, 1102):
        created = now - timedelta(days=30) + timedelta(minutes=number) if number > 40 else now + timedelta(days=number)
        api.add(None, f"jane/r{number}", number=number, created=f"{created:%Y-%m-%dT%H:%M:%SZ}", stars=number % 50)
    study.clock.ahead = timedelta(days=days)
    assert sorted(numbers(discovered(study, max_repositories=2000))) == list(range(1, 1102))
    assert len(api.log) < 60


def test_an_empty_page_of_a_search_is_not_the_absence_of_results(api, study):
    host(api, *range(150))
    api.fail(Fault("empty_page", times=2))
    assert len(discovered(study, max_repositories=200)) == 150
    api.fail(Fault("empty_page", times=None))
    with pytest.raises(SearchTimeoutError, match="GitHub's search was incomplete 4 times for 'topic:keras created:"):
        discovered(study)


def test_a_repository_listed_by_its_old_and_new_name_counts_once(api, study):
    host(api, 5, 4)
    api.rename(2, "elsewhere/r2")
    listed = ["jane/r1", "jane/r2", "elsewhere/r2"]
    assert discovered(study, repositories=listed) == [(1, "jane/r1", "ok"), (2, "elsewhere/r2", "ok")]


@pytest.mark.parametrize("address", ["./here", "https://gitlab.com/a/b", "ssh://git@host/a/b.git", "a/b/c"])
def test_the_api_rejects_listed_addresses_outside_github(api, study, address):
    with pytest.raises(Exception, match="is not on GitHub, but sources.commits is 'api'. Write owner/name"):
        discovered(study, repositories=[address])
    assert api.log == []
