"""Faults that GitHub's API is known for: no fault loses or duplicates rows, or discloses a secret.

The rows are those of the fault matrix. Letters name the checks, most of which are in support/followed_repositories.py:
A the tables equal the hosted repositories in the end, B one row per commit, C every request is in the ledger, D the
same tables from landing alone, E no secret anywhere, F the waits are long enough, G no cursor moves after a failure.
"""

import itertools
import logging
import shutil
import time
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.api.discovery import SearchTimeoutError
from dlbug_assets.github.api.transport import RefusedError
from dlbug_assets.ingest.http_client import MalformedError, UnreachableError
from dlbug_assets.ingest.quota import DeferredError
from servers.github import GitHub, make_repositories
from servers.stand_in import Fault
from support.counting import outcomes
from support.followed_repositories import PLANTED, Following
from support.repositories import GitRepository
from support.small_disks import mount, unmount

pytestmark = pytest.mark.slow

LISTS = "repositories/{id}/commits"
DETAILS = "repositories/{id}/commits/{sha}"
SEARCH = "search/repositories"


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    """Create the repositories of all tests once."""
    folder = tmp_path_factory.mktemp("hosted")
    return folder, make_repositories(folder, ("keras", "torch"), repositories=2, commits=9)


@pytest.fixture
def api(hosted, tmp_path):
    folder, repositories = hosted
    shutil.copytree(folder, tmp_path / "hosted")
    with GitHub() as server:
        server.token = PLANTED
        for path, full_name, fields in repositories:
            server.add(tmp_path / "hosted" / path.name, full_name, **fields)
        yield server


@pytest.fixture
def study(api, tmp_path, caplog):
    """Yield the study, and check E after each test in files, errors and the debug logs of every package."""
    caplog.set_level(logging.DEBUG)
    following = Following(api, tmp_path / "home")
    yield following
    following.logged = [caplog.handler.format(record) for record in caplog.get_records("call")]
    assert following.logged
    following.proves_secrecy()


def proves_no_cursor_moved(study, before):
    """Check G: no further collection is finished."""
    assert study.cursors() == before


def proves_recovery(study, *, sweep=False):
    """Check A to D after the next refresh."""
    study.refresh(sweep=sweep)
    study.proves_truth()
    study.proves_one_row_each()
    study.proves_count()
    study.proves_rebuilding()


def push(api, place=0, message="Fix what came later"):
    """Push a commit to a repository, and return it."""
    hosted = list(api.hosted.values())[place]
    GitRepository(hosted.path).commit(message, {"later.py": f"{time.monotonic()}\n"})
    return hosted


def test_row_00_without_a_fault_the_tables_are_complete_and_the_token_is_sent(api, study):
    proves_recovery(study)
    assert {request.headers.get("authorization") for request in api.log} == {f"Bearer {PLANTED}"}


def test_row_24_a_primary_limit_defers_without_waiting(api, study):
    study.refresh()
    before = study.cursors()
    push(api)
    api.fail(Fault("primary", method=LISTS, seconds=3000))
    start, sent = time.monotonic(), len(api.log)
    failures = study.collect()
    assert time.monotonic() - start < 300
    assert {type(error) for error in failures.values()} == {DeferredError}
    until = failures["Keras"].until
    assert timedelta(seconds=2_900) < until - study.clock.now() < timedelta(seconds=3_100)
    assert f"no request is sent before {until:%Y-%m-%d %H:%M} UTC" in str(failures["Keras"])
    assert len(api.log) == sent + 1  # the other library sends no request either
    proves_no_cursor_moved(study, before)
    study.clock.ahead = timedelta(seconds=3_100)
    api.faults.clear()
    api.lift_limit()
    proves_recovery(study)


def test_row_25_waits_double_after_each_429_without_headers(api, study):
    api.fail(Fault("bare_429", method=LISTS, times=2))
    study.refresh()
    times = [request.at for request in api.log if request.method == LISTS]
    assert times[1] - times[0] >= study.retry_policy.limited
    assert times[2] - times[1] >= 2 * study.retry_policy.limited
    proves_recovery(study)


def test_row_25_repeated_429s_without_headers_defer(api, study):
    api.fail(Fault("bare_429", method=LISTS, times=None))
    failures = study.collect()
    assert {type(error) for error in failures.values()} == {DeferredError}
    assert len([request for request in api.log if request.method == LISTS]) == study.retry_policy.attempts
    api.faults.clear()
    study.clock.ahead = timedelta(hours=1)
    proves_recovery(study)


@pytest.mark.parametrize("method", [SEARCH, LISTS])
def test_row_26_a_short_secondary_limit_is_waited_for(api, study, method):
    api.fail(Fault("secondary", method=method, seconds=1))
    study.refresh()
    assert api.punished == 0
    proves_recovery(study)


def test_row_26_a_secondary_limit_without_an_end_is_not_taken_for_a_lack_of_permission(api, study):
    api.fail(Fault("secondary_bare", method=LISTS))
    study.refresh()
    assert api.punished == 0
    assert set(study.table("repositories")["state"]) == {"ok"}
    proves_recovery(study)


def test_row_26_a_long_secondary_limit_defers(api, study):
    api.fail(Fault("secondary", method=LISTS, seconds=900))
    failures = study.collect()
    assert {type(error) for error in failures.values()} == {DeferredError}
    assert "exceeded a secondary rate limit" in str(failures["Keras"])
    study.clock.ahead = timedelta(seconds=910)
    api.lift_limit()
    proves_recovery(study)


def test_row_27_a_forbidden_repository_is_not_tried_again_and_is_blocked(api, study):
    api.fail(Fault("forbidden", method=LISTS, times=1))
    study.refresh()
    (blocked,) = study.table("repositories").filter(pl.col("state") == "blocked").to_dicts()
    requests = [request for request in api.log if request.path.startswith(f"/repositories/{blocked['repository_id']}/")]
    assert len(requests) == 1
    study.proves_count()
    proves_recovery(study)


def test_the_error_for_an_invalid_token_does_not_contain_it(api, study):
    api.token = PLANTED[::-1]
    failures = study.collect()
    assert all("does not accept the token" in str(error) for error in failures.values())
    assert all("Check GITHUB_TOKEN" in str(error) for error in failures.values())
    study.proves_count()


def test_row_28_pauses_double_between_502s_before_a_hold(api, study):
    study.refresh()
    before, sent, asked = study.cursors(), len(api.log), len(outcomes(study.ledger))
    study.retry_policy = replace(study.retry_policy, attempts=4, pause=0.1)
    api.fail(Fault("bad_gateway", times=12))
    failures = study.collect()
    assert {type(error) for error in failures.values()} == {DeferredError}
    times = [request.at for request in api.log[sent:]]
    # A machine that stalls may lose an attempt before it arrives.
    assert len(outcomes(study.ledger)) == asked + study.retry_policy.attempts
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(gap >= 0.1 * 2**place for place, gap in enumerate(gaps))
    assert "HTTP 502" in str(failures["Keras"])
    proves_no_cursor_moved(study, before)
    api.faults.clear()
    study.clock.ahead = timedelta(minutes=11)
    push(api)
    proves_recovery(study)


def test_row_29_a_renamed_repository_keeps_its_commits(api, study):
    study.refresh()
    hosted = push(api)
    api.rename(hosted.number, "elsewhere/renamed")
    proves_recovery(study, sweep=True)
    (row,) = study.table("repositories").filter(pl.col("repository_id") == hosted.number).to_dicts()
    assert (row["full_name"], row["state"]) == ("elsewhere/renamed", "renamed")
    names = study.table("fix_commits").filter(pl.col("repository_id") == hosted.number)["full_name"]
    assert set(names) == {"elsewhere/renamed"}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_row_29_a_redirect_keeps_the_parameters(api, study, status):
    study.refresh()
    GitRepository(next(iter(api.hosted.values())).path).many(f"Fix {number}" for number in range(130))
    api.fail(
        Fault("redirect", times=None, status=status, bare=True, method="repositories/{id}/compare/{base}...{head}")
    )
    proves_recovery(study)


def test_row_30_a_redirect_to_another_host_is_rejected(api, study):
    with GitHub() as other:
        api.fail(Fault("redirect_abroad", method=LISTS, times=None, url=other.url))
        failures = study.collect()
        assert {type(error) for error in failures.values()} == {RefusedError}
        assert f"redirects to {other.url}: no request is sent there" in str(failures["Keras"])
        assert other.log == []
    api.faults.clear()
    proves_recovery(study)


@pytest.mark.parametrize(
    ("status", "state"), [(404, "gone"), (410, "gone"), (451, "blocked"), (403, "blocked"), (409, "empty")]
)
def test_row_31_a_repository_that_is_gone_gets_a_state_and_does_not_stop_the_others(api, study, status, state):
    study.refresh()
    before = study.table("fix_commits").height
    hosted, other = push(api), push(api, place=1)
    api.remove(hosted.number, status)
    for sweep in (False, True):
        study.refresh(sweep=sweep)
        states = dict(study.table("repositories").select("full_name", "state").rows())
        assert states[hosted.full_name] == state
        assert states[other.full_name] == "ok"
    # Its rows are kept; the other repository has one more.
    assert study.table("fix_commits").height == before + 1
    study.proves_count()
    study.proves_rebuilding()


def test_row_32_an_unchanged_list_keeps_its_commits(api, study):
    study.refresh()
    before, sent, left = study.table("fix_commits"), len(api.log), api.limits["core"].remaining
    study.refresh()
    assert {request.status for request in api.log[sent:]} == {304}
    assert api.limits["core"].remaining == left
    assert study.table("fix_commits").equals(before)
    assert {note["note"] for note in study.notes.values()} == {"nothing new"}
    study.proves_count()


@pytest.mark.parametrize("kind", ["empty_body", "html", "cut_json", "wrong_shape"])
def test_row_33_a_malformed_reply_changes_nothing_in_its_repository(api, study, caplog, kind):
    study.refresh()
    before = study.table("fix_commits")
    hosted, other = push(api), push(api, place=1)
    attempts = study.retry_policy.attempts
    api.fail(Fault(kind, method="repositories/{id}/compare/{base}...{head}", times=attempts))
    study.refresh()
    repository, *_ = study.table("repositories").filter(full_name=hosted.full_name).to_dicts()
    assert repository["state"] == "ok"
    assert repository["unread_reason"].startswith(f"GitHub's reply for the commits of {hosted.full_name} is malformed")
    after = study.table("fix_commits")
    assert after.filter(full_name=hosted.full_name).equals(before.filter(full_name=hosted.full_name))
    assert after.filter(full_name=other.full_name).height == before.filter(full_name=other.full_name).height + 1
    assert any(line.startswith(f"{hosted.full_name} cannot be read now: ") for line in caplog.messages)
    proves_recovery(study)


@pytest.mark.parametrize("kind", ["empty_body", "html", "cut_json", "wrong_shape"])
@pytest.mark.parametrize("method", [LISTS, DETAILS])
def test_row_33_a_run_that_resumes_repeats_the_request_of_a_malformed_reply(api, study, kind, method):
    api.fail(Fault(kind, method=method))
    # The run ends before the collection of the first library is finished.
    api.fail(Fault("primary", method=DETAILS, seconds=600))
    assert "Keras" in study.collect()
    api.faults.clear()
    api.lift_limit()
    study.clock.ahead = timedelta(minutes=11)
    proves_recovery(study)


@pytest.mark.parametrize("kind", ["empty_body", "html", "cut_json", "wrong_shape"])
def test_row_33_a_malformed_search_moves_no_cursor(api, study, kind):
    api.fail(Fault(kind, method=SEARCH, times=2 * study.retry_policy.attempts))
    failures = study.collect()
    assert {type(error) for error in failures.values()} == {MalformedError}
    proves_no_cursor_moved(study, {"Keras": [], "Torch": []})
    proves_recovery(study)


def test_row_33_an_empty_second_page_is_not_the_end_of_a_list(api, study):
    hosted = next(iter(api.hosted.values()))
    GitRepository(next(iter(api.hosted.values())).path).many(f"Fix {number}" for number in range(130))

    def spoil(request):
        if request.method == LISTS and request.params.get("page") == "2":
            api.before = None
            api.fail(Fault("empty_page", method=LISTS, times=study.retry_policy.attempts))

    api.before = spoil
    study.refresh()
    assert study.table("fix_commits").filter(full_name=hosted.full_name).height == 0
    assert study.table("repositories").filter(full_name=hosted.full_name)["state"].to_list() == ["unread"]
    proves_recovery(study)


def test_row_34_more_than_a_thousand_results_are_searched_in_windows(api, study):
    for number in range(2300):
        day = 1 + number % 28
        api.add(
            None, f"many/r{number}", number=10**6 + number, topics=("keras",), stars=number % 50,
            created=f"20{10 + number % 15}-{1 + number % 12:02}-{day:02}T00:00:{number % 60:02}Z",
        )  # fmt: skip
    study.study = study.study.model_copy(
        update={
            "libraries": tuple(library.model_copy(update={"max_repositories": 40}) for library in study.study.libraries)
        }
    )
    study.refresh()
    searched = [request for request in api.log if request.method == SEARCH]
    # The pages with the results, and some windows that were too wide.
    assert 24 <= len(searched) <= 40
    rows = study.table("repositories").filter(library="Keras")
    assert rows.height == 40
    stars = sorted((hosted.stars for hosted in api.hosted.values() if "keras" in hosted.topics), reverse=True)
    assert sorted(rows["stars"], reverse=True) == stars[:40]
    study.proves_count()


def test_row_35_an_incomplete_search_is_repeated(api, study):
    api.fail(Fault("incomplete", method=SEARCH, times=2))
    study.refresh()
    proves_recovery(study)


def test_row_35_a_search_that_stays_incomplete_moves_no_cursor(api, study):
    api.fail(Fault("incomplete", method=SEARCH, times=None))
    failures = study.collect()
    assert {type(error) for error in failures.values()} == {SearchTimeoutError}
    assert "GitHub's search was incomplete 4 times" in str(failures["Keras"])
    proves_no_cursor_moved(study, {"Keras": [], "Torch": []})
    api.faults.clear()
    proves_recovery(study)


def test_row_36_a_push_between_two_pages_does_not_change_the_list(api, study):
    GitRepository(next(iter(api.hosted.values())).path).many(f"Fix {number}" for number in range(230))
    hosted = next(iter(api.hosted.values()))

    def push_between(request):
        if request.method == LISTS and request.params.get("page") == "2":
            api.before = None
            push(api, message="Fix in between")

    api.before = push_between
    study.refresh()
    study.proves_one_row_each()
    assert "Fix in between" not in study.table("fix_commits")["title"].to_list()
    assert study.table("fix_commits").filter(full_name=hosted.full_name).height >= 230
    proves_recovery(study)
    assert "Fix in between" in study.table("fix_commits")["title"].to_list()


def test_row_37_a_side_branch_merged_late_is_found_despite_its_old_dates(api, study):
    study.refresh()
    work = GitRepository(next(iter(api.hosted.values())).path)
    work.git("checkout", "-q", "-b", "late", "HEAD~4")
    work.commit("Fix from long ago", {"side.py": "1\n"}, at=1_300_000_000)
    work.git("checkout", "-q", "main")
    work.merge("late", "Merge the late one", at=1_600_000_000)
    proves_recovery(study)
    assert "Fix from long ago" in study.table("fix_commits")["title"].to_list()


@pytest.mark.parametrize("is_forgotten", [False, True], ids=["old head served", "old head forgotten"])
def test_row_38_commits_of_a_rewritten_branch_are_kept_and_marked_unreachable(api, study, is_forgotten):
    hosted = push(api, message="Fix that will be lost")
    study.refresh()
    work = GitRepository(hosted.path)
    lost = work.git("rev-parse", "HEAD")
    work.git("reset", "-q", "--hard", "HEAD~1")
    work.commit("Fix that takes its place", {"other.py": "1\n"})
    if is_forgotten:
        api.forget(hosted.number, lost)
    proves_recovery(study)
    rows = study.table("fix_commits").filter(pl.col("title").str.starts_with("Fix that"))
    assert dict(rows.select("title", "is_reachable").rows()) == {
        "Fix that will be lost": False,
        "Fix that takes its place": True,
    }
    # The branch is reset to its old head.
    work.git("reset", "-q", "--hard", lost)
    api.remember(hosted.number, lost)
    proves_recovery(study)
    rows = study.table("fix_commits").filter(sha=lost)
    assert rows["is_reachable"].to_list() == [True]


@pytest.mark.parametrize("kind", ["cut_body", "bad_gzip", "reset"])
@pytest.mark.parametrize("method", [SEARCH, LISTS])
def test_a_request_is_repeated_when_its_reply_breaks_off(api, study, kind, method):
    api.fail(Fault(kind, method=method))
    study.refresh()
    proves_recovery(study)


@pytest.mark.parametrize("fault", [{"kind": "hang", "seconds": 600}, {"kind": "drip", "seconds": 0.3}])
def test_a_reply_that_hangs_or_drips_ends_at_the_deadline(api, study, fault):
    study.refresh()
    before = study.cursors()
    push(api)
    retry_policy, study.retry_policy = study.retry_policy, replace(study.retry_policy, read=0.5, reply=1, attempts=2)
    api.fail(Fault(**fault, method=LISTS, times=4))
    start = time.monotonic()
    failures = study.collect()
    assert {type(error) for error in failures.values()} == {UnreachableError}
    assert time.monotonic() - start < 300
    study.retry_policy = retry_policy
    proves_no_cursor_moved(study, before)
    api.faults.clear()
    proves_recovery(study)


def test_the_reserve_of_the_quota_is_not_used(api, study):
    api.limits["core"].remaining = 12
    failures = study.collect()
    assert "Torch" in failures
    assert {type(error) for error in failures.values()} == {DeferredError}
    assert "requests are left and kept in reserve" in str(failures["Torch"])
    assert api.limits["core"].remaining == 10
    study.proves_count()
    api.limits["core"].remaining = 5000
    study.clock.ahead = timedelta(hours=2)
    proves_recovery(study)


def test_row_40_a_full_disk_stops_collecting_and_moves_no_cursor(api, study):
    study.refresh()
    before = study.cursors()
    push(api)
    folder = study.home.landing / "github"
    aside = study.root / "aside"
    folder.rename(aside)
    mount(folder, "size=256k")
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        free = shutil.disk_usage(folder).free
        (folder / "ballast").write_bytes(b"x" * free)
        failures = study.collect()
        assert {type(error) for error in failures.values()} == {DlbugError}
        assert "No space left on device. Data collected before is kept" in str(failures["Keras"])
        proves_no_cursor_moved(study, before)
    finally:
        unmount(folder)
    folder.rmdir()
    aside.rename(folder)
    proves_recovery(study)
