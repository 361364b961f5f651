"""Rows of GitHub's fault matrix about completeness: what was not read is unread, and is read by a later run.

No repository is reported as read of which only a part arrived, and no clock decides what is read.
"""

import shutil
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from dlbug_assets.github.api.replies import parse_commit
from servers.github import GitHub, make_repositories
from servers.stand_in import Fault
from support.followed_repositories import PLANTED, STUDY, Following
from support.repositories import GitRepository

pytestmark = pytest.mark.slow

LISTS = "repositories/{id}/commits"
DETAILS = "repositories/{id}/commits/{sha}"
COMPARISONS = "repositories/{id}/compare/{base}...{head}"
KERAS = STUDY.model_copy(update={"libraries": [STUDY.libraries[0]]})
#: Replies to the request for a list of commits that are no list of commits, and the end of the reason.
NOT_LISTS = {
    "empty page": (Fault("empty_page"), "the reply: List should have at least 1 item after validation, not 0"),
    "empty body": (Fault("empty_body"), "the reply is not JSON, is nested too deeply, or has too many values"),
    "truncated JSON": (Fault("cut_json"), "the reply is not JSON, is nested too deeply, or has too many values"),
    "nested JSON": (Fault("nested"), "the reply is not JSON, is nested too deeply, or has too many values"),
    "HTML": (Fault("html"), "the reply is not JSON, is nested too deeply, or has too many values"),
    "an object": (Fault("wrong_shape"), "the reply: Input should be a valid list"),
    "commits without content": (Fault("wrong_shape", body=[{"sha": "0" * 40}]), "0.commit: Field required"),
    "64 MiB": (Fault("large", size=64 << 20), "the reply has 64 MiB or more"),
    "304": (Fault("status", status=304), "unexpected HTTP status 304"),
    "400": (Fault("status", status=400), "unexpected HTTP status 400"),
    "418": (Fault("status", status=418), "unexpected HTTP status 418"),
    "endless redirects": (Fault("redirect"), "more than 3 redirects in a row"),
}


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    """Create the repositories of all tests once, and the rows of a run without a fault."""
    folder = tmp_path_factory.mktemp("hosted")
    repositories = make_repositories(folder, ("keras",), repositories=3, commits=9)
    with GitHub() as server:
        server.token = PLANTED
        for path, full_name, fields in repositories:
            server.add(path, full_name, **fields)
        study = Following(server, tmp_path_factory.mktemp("home"), KERAS)
        study.refresh()
    return folder, repositories, rows(study)


@pytest.fixture
def api(hosted, tmp_path):
    folder, repositories, _ = hosted
    shutil.copytree(folder, tmp_path / "hosted")
    with GitHub() as server:
        server.token = PLANTED
        for path, full_name, fields in repositories:
            server.add(tmp_path / "hosted" / path.name, full_name, **fields)
        yield server


@pytest.fixture
def study(api, tmp_path, caplog):
    following = Following(api, tmp_path / "home", KERAS)
    with following.keeps_secrets(caplog):
        yield following


@contextmanager
def failing(api, number, fault, *, times=None, page=None):
    """Let the requests for a repository's commits fail as often as set (None: always), or only those for a page."""
    left = [times]

    def before(request):
        is_meant = request.path.startswith(f"/repositories/{number}/co") and page in (None, request.params.get("page"))
        api.faults = []
        if is_meant and left[0] != 0:
            left[0] = None if left[0] is None else left[0] - 1
            api.faults = [Fault(fault.kind, times=1, **fault.options)]

    api.before = before
    yield
    api.before, api.faults = None, []


def states(study):
    """Return the state and the reason of each repository, by its number."""
    columns = study.table("repositories").select("repository_id", "state", "unread_reason")
    return {number: (state, reason) for number, state, reason in columns.rows()}


def titles(study):
    """Return the titles of the fix commits, by the number of the repository."""
    commits = study.table("fix_commits")
    return {number: sorted(commits.filter(repository_id=number)["title"]) for number in (1000, 1001, 1002)}


def rows(study):
    """Return the tables without the times of retrieval and the hashes that are keyed by home."""
    names = ("repositories", "fix_commits", "sampled_commits")
    return {name: study.table(name).drop("retrieved_at", "author_hash", strict=False).rows() for name in names}


def many(api, number=1000):
    """Push more commits to a repository than a page of a list has."""
    GitRepository(api.hosted[number].path).many(f"Fix more {step}" for step in range(130))


def push(api, number):
    """Push a fix to a repository."""
    GitRepository(api.hosted[number].path).commit("Fix what came later", {"later.py": f"{len(api.log)}\n"})


@pytest.mark.parametrize("name", NOT_LISTS)
def test_row_41_a_repository_whose_first_listing_fails_is_unread_and_then_read(api, study, hosted, name):
    fault, reason = NOT_LISTS[name]
    with failing(api, 1001, fault):
        study.refresh()
    failed = ("unread", f"GitHub's reply for the commits of keras-lovers/project-1 is malformed: {reason}")
    assert states(study) == {1000: ("ok", None), 1001: failed, 1002: ("ok", None)}
    assert {number: len(found) for number, found in titles(study).items()} == {1000: 7, 1001: 0, 1002: 6}
    assert study.notes["Keras"]["unread repositories"] == 1
    study.proves_recovery()
    assert rows(study) == hosted[-1]
    assert "unread repositories" not in study.notes["Keras"]


@pytest.mark.parametrize("name", ["empty page", "truncated JSON", "304", "418"])
def test_row_42_a_reply_that_is_malformed_once_or_twice_loses_nothing(api, study, hosted, name):
    with failing(api, 1001, NOT_LISTS[name][0], times=study.retry_policy.attempts - 1):
        study.refresh()
    assert rows(study) == hosted[-1]
    study.proves_count()
    study.proves_rebuilding()


@pytest.mark.parametrize("name", ["empty page", "304", "404"])
def test_row_43_a_repository_is_unread_if_a_later_page_of_its_first_listing_fails(api, study, name):
    many(api)
    fault = NOT_LISTS[name][0] if name in NOT_LISTS else Fault("status", status=404)
    with failing(api, 1000, fault, page="2"):
        for _ in range(2):
            study.refresh()
            assert states(study)[1000][0] == "unread"
            assert {number: len(found) for number, found in titles(study).items()} == {1000: 0, 1001: 6, 1002: 6}
    assert study.notes["Keras"]["note"] == "nothing new"
    study.proves_recovery()
    assert states(study)[1000] == ("ok", None)


@pytest.mark.parametrize("times", [1, 2])
def test_row_43_a_list_that_ends_before_the_first_commit_is_not_the_whole_history(api, study, times):
    many(api)
    with failing(api, 1000, Fault("no_link"), times=times):
        study.refresh()
    reason = "GitHub lists 100 commits, but not the parents of all of them"
    assert states(study)[1000] == (("ok", None) if times == 1 else ("unread", reason))
    study.proves_recovery()
    assert states(study)[1000] == ("ok", None)


def test_row_43_a_page_that_is_sent_for_every_page_is_not_the_whole_history(api, study):
    many(api)
    api.before = lambda request: request.params.pop("page", None)
    study.refresh()
    assert states(study)[1000] == ("unread", "the API reports more commits but repeats the same ones")
    api.before = None
    study.proves_recovery()
    assert states(study)[1000] == ("ok", None)


def test_row_44_an_interrupted_first_listing_is_completed(api, study):
    many(api)
    with failing(api, 1000, Fault("primary", seconds=600), page="2"):
        assert "Keras" in study.collect()
    api.lift_limit()
    study.clock.ahead = timedelta(minutes=11)
    sent = len(api.log)
    study.refresh()
    # Neither the search nor the first page is requested again.
    assert [request.params.get("page") for request in api.log[sent:] if request.method == LISTS] == ["2", None, None]
    study.proves_recovery()


@pytest.mark.parametrize("name", ["empty page", "truncated JSON", "nested JSON", "418"])
def test_row_45_a_repository_that_was_read_keeps_its_state_and_rows_when_a_visit_fails(api, study, name):
    study.refresh()
    before = titles(study)
    push(api, 1001)
    push(api, 1002)
    fault, reason = NOT_LISTS[name]
    with failing(api, 1001, fault):
        study.refresh()
    assert states(study)[1001] == (
        "ok", f"GitHub's reply for the commits of keras-lovers/project-1 is malformed: {reason}",
    )  # fmt: skip
    assert titles(study) == {**before, 1002: sorted([*before[1002], "Fix what came later"])}
    study.proves_recovery()
    assert states(study)[1001] == ("ok", None)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("empty_page"), Fault("cut_json"), Fault("nested"), Fault("status", status=304),
        Fault("status", status=418), Fault("no_link"),
        Fault("wrong_shape", body={"commits": [], "status": "identical", "total_commits": 0}),
        Fault("wrong_shape", body={"commits": [], "status": "ahead", "total_commits": 0}),
    ],
    ids=lambda fault: f"{fault.kind} {fault.options.get('status', '')}".strip(),
)  # fmt: skip
def test_row_46_a_comparison_that_is_not_complete_adds_nothing(api, study, fault):
    study.refresh()
    before = titles(study)
    if fault.kind == "no_link":
        many(api, 1001)
    else:
        push(api, 1001)
    api.fail(Fault(fault.kind, method=COMPARISONS, times=None, **fault.options))
    study.refresh()
    api.faults.clear()
    state, reason = states(study)[1001]
    assert (state, bool(reason)) == ("ok", True)
    assert titles(study) == before
    study.proves_recovery()
    assert states(study)[1001] == ("ok", None)


@pytest.mark.parametrize("status", [400, 403, 409, 418, 422])
def test_row_47_the_changes_of_a_commit_that_were_refused_are_requested_by_the_next_run(
    api, study, hosted, caplog, status
):
    api.fail(
        Fault("status", method=DETAILS, status=status, times=study.retry_policy.attempts if status in (400, 418) else 1)
    )
    study.refresh()
    assert study.table("sampled_commits")["files_changed"].null_count() == 1
    assert study.notes["Keras"]["changes not read"] == 1
    assert (
        "Keras: the changes of 1 sampled commits could not be read; the next run asks for them again" in caplog.messages
    )
    study.proves_recovery()
    assert rows(study) == hosted[-1]
    assert "changes not read" not in study.notes["Keras"]


@pytest.mark.parametrize("status", [404, 410, 451])
def test_row_47_the_changes_of_a_commit_that_does_not_exist_are_requested_once(api, study, status):
    api.fail(Fault("status", method=DETAILS, status=status))
    study.refresh()
    assert study.table("sampled_commits")["files_changed"].null_count() == 1
    sent = len(api.log)
    study.refresh()
    assert [request.status for request in api.log[sent:]] == [304, 304, 304]


@pytest.mark.parametrize("days", [-31, 31])
def test_row_48_a_clock_that_was_wrong_hides_nothing(api, study, days):
    # Created after this machine's time, if its clock is behind.
    api.hosted[1002].created = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    study.clock.ahead = timedelta(days=days)
    study.refresh()
    study.proves_truth()
    for step, ahead in enumerate((timedelta(), timedelta(days=-days), timedelta())):
        study.clock.ahead = ahead
        push(api, 1000 + step)
        study.refresh()
        study.proves_truth()
    study.proves_count()
    study.proves_rebuilding()
    collections = study.table("collections").sort("collection")
    assert collections["begun_at"].is_sorted()
    assert (collections["finished_at"] > collections["begun_at"]).all()


def test_row_48_a_run_that_was_interrupted_before_the_clock_was_set_back_is_resumed(api, study, hosted):
    study.clock.ahead = timedelta(days=31)
    with failing(api, 1001, Fault("primary", seconds=600)):
        assert "Keras" in study.collect()
    api.lift_limit()
    study.clock.ahead = timedelta()
    assert "Keras" in study.collect()  # the limit's seconds count from now on
    study.clock.ahead = timedelta(minutes=11)
    sent = len(api.log)
    study.refresh()
    assert [request.path for request in api.log[sent:] if request.method == LISTS] == [
        "/repositories/1001/commits", "/repositories/1002/commits",
    ]  # fmt: skip
    study.proves_recovery()
    assert rows(study) == hosted[-1]


def test_row_49_commits_dated_in_the_future_are_noted_by_the_clock_of_the_server(api, study, caplog):
    work = GitRepository(api.hosted[1001].path)
    work.commit("Fix from the year 2096", {"later.py": "1\n"}, at=4_000_000_000)
    study.clock.ahead = timedelta(days=40_000)
    study.refresh()
    assert study.notes["Keras"]["dated in the future"] == 1
    assert "Keras: 1 fix commits are dated in the future" in caplog.messages
    study.clock.ahead = timedelta(days=-40)
    study.refresh()
    assert study.notes["Keras"]["dated in the future"] == 1
    assert "Fix from the year 2096" in study.table("fix_commits")["title"].to_list()


def test_row_50_every_commit_that_git_can_date_has_a_date(api, study):
    api.has_zones = True
    work = GitRepository(api.hosted[1001].path)
    tree = work.git("rev-parse", "HEAD^{tree}")
    for zone in (" +051800", " +530", "", " -0730", " +9959"):
        parent = work.git("rev-parse", "HEAD")
        person = f"Jane <jane@example.org> 1500000000{zone}"
        work.raw(f"tree {tree}\nparent {parent}\nauthor {person}\ncommitter {person}\n\nFix of zone{zone}".encode())
    study.refresh()
    dated = study.table("fix_commits").filter(pl.col("title").str.starts_with("Fix of zone"))
    assert dated.height == 5
    moment = datetime(2017, 7, 14, 2, 40)
    assert set(dated.select("authored_at", "committed_at").rows()) == {(moment, moment)}


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2017-07-14T02:40:00Z", datetime(2017, 7, 14, 2, 40)),
        ("2017-07-14T07:58:00+05:18:00", datetime(2017, 7, 14, 2, 40)),
        ("2017-07-14 08:10:00 +530", datetime(2017, 7, 14, 2, 40)),
        ("2017-07-14T02:40:00", datetime(2017, 7, 14, 2, 40)),
        ("2017-07-14T02:40:00.5Z", datetime(2017, 7, 14, 2, 40)),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("12017-07-14T02:40:00Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("2017-02-30T00:00:00Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_row_50_a_date_is_read_in_any_zone_and_none_out_of_range(text, date):
    person = {"email": "jane@example.org", "date": text}
    content = {"message": "Fix", "author": person, "committer": person}
    assert parse_commit({"sha": "0" * 40, "parents": [], "commit": content}).authored_at == date


def test_row_51_no_message_has_the_name_of_an_endpoint(api, study, caplog):
    for kind in ("bad_gateway", "cut_body", "secondary_bare", "cut_json"):
        for method in ("search/repositories", LISTS, DETAILS):
            api.fail(Fault(kind, method=method))
        if kind in ("cut_body", "cut_json"):  # otherwise these would be failures in all attempts
            study.refresh()
    api.fail(Fault("bad_gateway", times=None))
    failures = study.collect()
    assert "the request for the commits of keras-lovers/project-0 failed 3 times, the last time with: HTTP 502" in str(
        failures["Keras"]
    )
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("dlbug_assets")]
    assert any("the commits of keras-lovers/project-0: HTTP 502" in line for line in ours)
    for text in [*ours, str(failures["Keras"]), *(reason or "" for _, reason in states(study).values())]:
        assert "repositories/" not in text
        assert "search/" not in text
        assert "{" not in text


def test_row_52_few_requests_are_sent_for_a_small_library_and_one_per_unchanged_repository(api, study):
    selection = KERAS.selection.model_copy(update={"commits_per_library": 30})
    study.study = KERAS.model_copy(update={"selection": selection})
    study.refresh()
    assert len(api.log) == 1 + 3 + 19  # the search, the lists, the sampled commits
    sent = len(api.log)
    study.refresh()
    assert [request.status for request in api.log[sent:]] == [304, 304, 304]
