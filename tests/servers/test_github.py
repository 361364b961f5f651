"""The stand-in behaves as GitHub is documented and observed to, and its replies match GitHub's OpenAPI description."""

import copy
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from servers.github import GitHub, Limit, make_repositories
from servers.stand_in import Fault
from support.repositories import GitRepository

TOKEN = "ghp_pl4ntedT0ken"  # noqa: S105
START = 1_500_000_000
#: The package with GitHub's OpenAPI description, in the version against which the replies are checked.
DESCRIPTION = "@octokit/openapi@23.0.2"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dlbug-tests"


@pytest.fixture(scope="session")
def five_commits(tmp_path_factory):
    """Create a repository of five commits, written a minute apart and each committed a minute later."""
    repository = GitRepository(tmp_path_factory.mktemp("five") / "work")
    for number in range(5):
        repository.commit(f"Fix {number}\n", {f"{number}.py": f"{number}\n"}, at=START + 60 * number)
    return repository.path


@pytest.fixture
def work(five_commits, tmp_path):
    """Copy the repository, so that the test may change it."""
    return GitRepository(shutil.copytree(five_commits, tmp_path / "work"))


@pytest.fixture
def api(work):
    with GitHub() as server:
        server.token = TOKEN
        server.add(work.path, "jane/work", number=1, stars=50, description="Layers for everybody")
        server.add(None, "jane/void", number=2, stars=5, topics=("torch",))
        yield server


def ask(api, path, token: str | None = TOKEN, headers=None, **params: Any):
    headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
    return requests.get(f"{api.url}/{path}", params=params, headers=headers, timeout=60, allow_redirects=False)


def hashes(reply):
    return [commit["sha"] for commit in reply.json()]


def search(api, query, **params):
    reply = ask(api, "search/repositories", q=query, **params)
    return [item["id"] for item in reply.json()["items"]] if reply.ok else reply.status_code


def compare(api, base, head, **params):
    return ask(api, f"repositories/1/compare/{base}...{head}", **params)


# Content of replies.


def test_a_repository_has_a_number_and_a_name(api):
    by_name, by_number = ask(api, "repos/Jane/Work").json(), ask(api, "repositories/1").json()
    assert by_name == by_number
    assert (by_name["id"], by_name["full_name"], by_name["stargazers_count"]) == (1, "jane/work", 50)
    assert ask(api, "repos/jane/nothing").status_code == 404


def test_an_old_name_redirects_to_the_number_and_keeps_the_parameters(api):
    api.rename(1, "john/renamed")
    reply = ask(api, "repos/jane/work/commits", per_page=2)
    target = f"{api.url}/repositories/1/commits?per_page=2"
    assert (reply.status_code, reply.headers["Location"], reply.json()["url"]) == (301, target, target)
    assert ask(api, "repos/john/renamed").json()["id"] == 1


@pytest.mark.parametrize("status", [403, 404, 410, 451])
def test_a_gone_or_blocked_repository_has_its_status_and_is_not_found_by_search(api, status):
    api.remove(1, status)
    assert ask(api, "repositories/1/commits").status_code == status
    assert search(api, "topic:keras") == []


def test_a_repository_without_commits_is_empty(api):
    reply = ask(api, "repositories/2/commits")
    assert (reply.status_code, reply.json()["message"]) == (409, "Git Repository is empty.")


def test_commits_are_listed_as_git_lists_them_from_any_revision(api, work):
    everything = work.git("rev-list", "main").split()
    assert hashes(ask(api, "repositories/1/commits")) == everything
    assert hashes(ask(api, "repos/jane/work/commits", sha=everything[2])) == everything[2:]
    assert ask(api, "repositories/1/commits", sha="0" * 40).status_code == 404


def test_since_and_until_compare_the_committers_date(api, work):
    # Each commit was committed a minute after it was written.
    everything = work.git("rev-list", "main").split()
    window = {"since": "2017-07-14T02:43:00Z", "until": "2017-07-14T02:44:00+00:00"}
    assert hashes(ask(api, "repositories/1/commits", **window)) == everything[1:3]
    assert ask(api, "repositories/1/commits", since="yesterday").status_code == 422


def test_pages_are_linked_by_absolute_urls_with_the_number(api, work):
    reply = ask(api, "repos/jane/work/commits", per_page=2, page=2)
    base = f"{api.url}/repositories/1/commits?per_page=2&page="
    links = {name: link["url"] for name, link in reply.links.items()}
    assert links == {"prev": f"{base}1", "next": f"{base}3", "last": f"{base}3", "first": f"{base}1"}
    assert set(ask(api, "repositories/1/commits", per_page=2, page=3).links) == {"prev", "first"}
    for page in range(3):
        work.git("commit", "-q", "--allow-empty", "-m", f"{page}")
    assert len(hashes(ask(api, "repositories/1/commits", per_page=500))) == 8


def test_a_page_has_thirty_items_by_default_and_a_hundred_at_most(api, work):
    work.many("Again" for _ in range(110))
    defaults: list[dict[str, Any]] = [{}, {"per_page": 0}, {"per_page": "x", "page": -1}]
    for params in defaults:
        assert len(hashes(ask(api, "repositories/1/commits", **params))) == 30
    assert len(hashes(ask(api, "repositories/1/commits", per_page=101))) == 100


def test_a_commit_has_dates_in_utc_and_a_decoded_message(api, work):
    tree = work.git("rev-parse", "HEAD^{tree}")
    author, committer = "J\u00f6rg <j@example.org> 1500000000 +0200", "X <x@example.org> 1500000060 -0500"
    head = f"tree {tree}\nauthor {author}\ncommitter {committer}\n"
    sha = work.raw(head.encode("latin-1") + b"encoding ISO-8859-1\n\nFix f\xfcr J\xf6rg\n\n\n")
    commit = ask(api, f"repositories/1/commits/{sha}").json()["commit"]
    assert commit["message"] == "Fix f\u00fcr J\u00f6rg"
    assert (commit["author"]["date"], commit["committer"]["date"]) == ("2017-07-14T02:40:00Z", "2017-07-14T02:41:00Z")
    sha = work.raw(head.encode() + b"\nFix \xff\n")
    assert ask(api, f"repositories/1/commits/{sha}").json()["commit"]["message"] == "Fix \ufffd"


@pytest.mark.parametrize(
    ("zone", "date"),
    [
        (" +0200", "2017-07-14T04:40:00+02:00"), (" -530", "2017-07-13T21:10:00-05:30"),
        (" +051800", "2017-07-14T07:58:00+05:18:00"), ("", "2017-07-14T02:40:00Z"),
    ],
)  # fmt: skip
def test_dates_can_be_in_the_zones_of_their_commits(api, work, zone, date):
    api.has_zones = True
    tree = work.git("rev-parse", "HEAD^{tree}")
    sha = work.raw(
        f"tree {tree}\nauthor J <j@example.org> 1500000000{zone}\ncommitter J <j@example.org> 631139040000 +0000\n\nFix"
        .encode()
    )  # fmt: skip
    commit = ask(api, f"repositories/1/commits/{sha}").json()["commit"]
    assert (commit["author"]["date"], commit["committer"]["date"]) == (date, "21970-01-01T00:00:00Z")


def test_the_details_of_a_commit_have_the_counts_of_git(api, work):
    work.commit("Before", {"a.py": "1\n2\n3\n4\n5\n6\n7\n8\n", "b.bin": b"\0\1", "c.py": "x\n"})
    work.git("mv", "a.py", "*.py")
    work.git("rm", "-q", "c.py")
    sha = work.commit("Change", {"*.py": "1\n2\n3\n4\n5\n6\n7\nnew\n", "b.bin": b"\0\2", "d/\u00e4 b.py": "y\nz\n"})
    reply = ask(api, f"repositories/1/commits/{sha}").json()
    assert reply["stats"] == {"total": 5, "additions": 3, "deletions": 2}
    files = {file["filename"]: file for file in reply["files"]}
    assert {name: (file["status"], file["additions"], file["deletions"]) for name, file in files.items()} == {
        "*.py": ("renamed", 1, 1), "b.bin": ("modified", 0, 0), "c.py": ("removed", 0, 1),
        "d/\u00e4 b.py": ("added", 2, 0),
    }  # fmt: skip
    assert files["*.py"]["previous_filename"] == "a.py"
    assert files["d/\u00e4 b.py"]["patch"] == "@@ -0,0 +1,2 @@\n+y\n+z"
    assert "patch" not in files["b.bin"]


def test_a_file_that_becomes_a_folder_or_a_link_is_counted_once(api, work):
    (work.path / "0.py").unlink()
    work.git("rm", "-q", "--cached", "0.py")
    work.commit("A folder", {"0.py/in.py": "1\n2\n"})
    (work.path / "1.py").unlink()
    (work.path / "1.py").symlink_to("2.py")
    work.git("add", "1.py")
    work.commit("A link", {"3.py": "changed\n"})
    folder, link = (ask(api, f"repositories/1/commits/{name}").json()["files"] for name in ("main~1", "main"))
    assert [(file["filename"], file["status"], file["changes"]) for file in folder] == [
        ("0.py", "removed", 1), ("0.py/in.py", "added", 2)
    ]  # fmt: skip
    assert [(file["filename"], file["status"], file["changes"]) for file in link] == [
        ("1.py", "changed", 2), ("3.py", "modified", 2)
    ]  # fmt: skip
    assert link[1]["patch"] == "@@ -1 +1 @@\n-3\n+changed"


def test_a_merge_is_compared_with_its_first_parent_and_a_root_with_nothing(api, work):
    work.git("checkout", "-q", "-b", "side", "HEAD~2")
    work.commit("Side", {"side.py": "1\n"})
    work.git("checkout", "-q", "main")
    merge = ask(api, f"repositories/1/commits/{work.merge('side', 'Merge')}").json()
    assert ([file["filename"] for file in merge["files"]], len(merge["parents"])) == (["side.py"], 2)
    root = ask(api, "repositories/1/commits/main~5").json()
    assert ([file["filename"] for file in root["files"]], root["parents"]) == (["0.py"], [])


@pytest.mark.slow
def test_more_than_three_hundred_files_are_paged(api, work):
    sha = work.commit("Many", {f"many/{number:03}.py": "1\n" for number in range(301)})
    pages = [ask(api, f"repositories/1/commits/{sha}", page=page) for page in (1, 2)]
    assert [len(page.json()["files"]) for page in pages] == [300, 1]
    assert [page.json()["stats"]["additions"] for page in pages] == [301, 301]
    assert f"/repositories/1/commits/{sha}?page=2" in pages[0].links["next"]["url"]


def test_an_unknown_commit_is_unprocessable(api):
    reply = ask(api, f"repositories/1/commits/{'0' * 40}")
    assert (reply.status_code, reply.json()["message"]) == (422, f"No commit found for SHA: {'0' * 40}")


def test_a_hash_is_returned_as_text_where_the_request_accepts_it(api, work):
    reply = ask(api, "repositories/1/commits/main", headers={"Accept": "application/vnd.github.sha"})
    assert reply.text == work.git("rev-parse", "main")


def test_a_comparison_lists_commits_of_the_head_that_the_base_lacks_oldest_first(api, work):
    everything = work.git("rev-list", "--reverse", "main").split()
    reply = compare(api, everything[0], "main", per_page=3)
    content = reply.json()
    assert [commit["sha"] for commit in content["commits"]] == everything[1:4]
    assert [content[name] for name in ("status", "ahead_by", "behind_by", "total_commits")] == ["ahead", 4, 0, 4]
    assert content["merge_base_commit"]["sha"] == content["base_commit"]["sha"] == everything[0]
    assert len(requests.get(reply.links["next"]["url"], timeout=60).json()["commits"]) == 1
    assert compare(api, "main", everything[0]).json()["status"] == "behind"
    assert compare(api, "main", "main").json()["status"] == "identical"


def test_a_comparison_detects_diverged_and_unrelated_branches(api, work):
    work.git("checkout", "-q", "-b", "side", "HEAD~1")
    work.commit("Side")
    work.git("checkout", "-q", "--orphan", "stranger")
    work.commit("Stranger")
    assert compare(api, "main", "side").json()["status"] == "diverged"
    assert compare(api, "main", "stranger").json()["message"].startswith("No common ancestor between")
    assert compare(api, "main", "0" * 40).status_code == 404


def test_a_commit_can_be_forgotten_and_remembered(api, work):
    lost = work.git("rev-parse", "main~1")
    api.forget(1, lost)
    assert compare(api, lost, "main").status_code == 404
    assert ask(api, f"repositories/1/commits/{lost[:12]}").status_code == 422
    api.remember(1, lost)
    assert compare(api, lost, "main").json()["ahead_by"] == 1


def test_branches_and_references_have_their_heads_and_tags_are_not_branches(api, work):
    work.git("branch", "feature/one")
    work.git("tag", "v1")
    sha = work.git("rev-parse", "main")
    assert ask(api, "repositories/1/branches/main").json()["commit"]["sha"] == sha
    assert ask(api, "repos/jane/work/branches/feature%2Fone").json()["name"] == "feature/one"
    assert ask(api, "repositories/1/git/ref/heads/feature/one").json()["object"]["sha"] == sha
    assert ask(api, "repositories/1/branches/v1").json()["message"] == "Branch not found"
    assert ask(api, "repositories/1/git/ref/heads/v1").status_code == 404


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("topic:keras", [5, 1]),
        ("topic:keras fork:true", [5, 4, 1]),
        ("created:2016-01-01..2016-01-01", [1, 2]),
        ("created:2016-01-01T00:00:01Z..2017-02-03T04:05:06+00:00", [5]),
        ("created:>=2016-01-02", [5]),
        ("created:<=2016-12-31", [1, 2]),
        ("stars:>=50", [5, 1]),
        ("stars:5..50", [1, 2]),
        ("archived:true", [5]),
        ("archived:false", [1, 2]),
        ("language:c++", [5]),
        ("user:jane", [1, 2]),
        ("repo:jane/void", [2]),
        ("layers", [1]),
        ("stars:many", 422),
        ("created:never", 422),
        ("colour:red", 422),
        ("topic:keras " + "x" * 250, 422),
    ],
)
def test_search_applies_its_qualifiers(api, query, numbers):
    api.add(None, "john/fork", number=4, stars=60, is_fork=True, created="2018-01-01T00:00:00Z")
    fields = {"stars": 70, "is_archived": True, "language": "C++", "created": "2017-02-03T04:05:06Z"}
    api.add(None, "john/old", number=5, **fields)
    assert search(api, query, sort="stars") == numbers


def test_search_returns_the_first_thousand_results_only(api):
    for number in range(1200):
        api.add(None, f"many/r{number}", number=1000 + number, topics=("many",), stars=number)
    reply = ask(api, "search/repositories", q="topic:many", sort="stars", per_page=100, page=10)
    assert (reply.json()["total_count"], reply.json()["items"][-1]["stargazers_count"]) == (1200, 200)
    assert "next" not in reply.links
    refusal = ask(api, "search/repositories", q="topic:many", per_page=100, page=11)
    assert (refusal.status_code, refusal.json()["message"]) == (422, "Only the first 1000 search results are available")


# Headers and quotas.


def test_replies_are_compressed_where_accepted_and_dated_by_the_servers_clock(api):
    api.now = lambda: START
    reply = ask(api, "repositories/1")
    assert (reply.headers["Content-Encoding"], reply.headers["Date"]) == ("gzip", "Fri, 14 Jul 2017 02:40:00 GMT")
    assert "Content-Encoding" not in ask(api, "repositories/1", headers={"Accept-Encoding": "identity"}).headers


def test_an_unchanged_reply_is_free_with_a_token(api, work):
    etag = ask(api, "repositories/1/commits").headers["ETag"]
    left = api.limits["core"].remaining
    again = ask(api, "repositories/1/commits", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, api.limits["core"].remaining) == (304, b"", left)
    # Without a token it is another reply.
    assert ask(api, "repositories/1/commits", token=None, headers={"If-None-Match": etag}).status_code == 200
    work.commit("More")
    assert ask(api, "repositories/1/commits", headers={"If-None-Match": etag}).status_code == 200


def test_an_unknown_token_is_rejected(api):
    assert ask(api, "repositories/1", headers={"Authorization": f"token {TOKEN}"}).status_code == 200
    reply = ask(api, "repositories/1", token=TOKEN[::-1])
    assert (reply.status_code, reply.json()["message"]) == (401, "Bad credentials")


def test_every_reply_reports_its_quota_which_can_be_used_up(api):
    api.limits["core"].remaining = 1
    headers = ask(api, "repositories/1").headers
    names = ("limit", "remaining", "used", "resource")
    assert [headers[f"x-ratelimit-{name}"] for name in names] == ["5000", "0", "5000", "core"]
    refusal = ask(api, "repositories/1")
    assert (refusal.status_code, refusal.headers["x-ratelimit-remaining"]) == (403, "0")
    assert refusal.json()["message"].startswith("API rate limit exceeded")
    assert ask(api, "search/repositories", q="work").headers["x-ratelimit-resource"] == "search"
    assert ask(api, "rate_limit").json()["resources"]["core"]["remaining"] == 0
    api.now = lambda: time.time() + 3700
    assert ask(api, "repositories/1").headers["x-ratelimit-remaining"] == "4999"


def test_requests_without_a_token_can_have_their_own_quota(api):
    api.anonymous = {"core": Limit(60, 60, time.time() + 3600), "search": Limit(10, 10, time.time() + 60, 60)}
    assert ask(api, "repositories/1", token=None).headers["x-ratelimit-remaining"] == "59"
    assert ask(api, "rate_limit", token=None).json()["rate"]["limit"] == 60
    assert api.limits["core"].remaining == 5000


def test_the_log_has_every_request_with_a_generalized_method(api):
    for path in (
        "search/repositories", "rate_limit", "repos/jane/work", "repositories/1/commits",
        f"repositories/1/commits/{'a' * 40}", "repositories/1/compare/main...main",
    ):  # fmt: skip
        ask(api, path)
    assert [(request.method, request.status) for request in api.log] == [
        ("search/repositories", 422), ("rate_limit", 200), ("repos/{name}", 200), ("repositories/{id}/commits", 200),
        ("repositories/{id}/commits/{sha}", 422), ("repositories/{id}/compare/{base}...{head}", 200),
    ]  # fmt: skip
    assert api.log[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_hook_runs_before_each_reply(api, work):
    api.before = lambda request: work.commit("Just now")
    assert ask(api, "repositories/1/commits").json()[0]["commit"]["message"] == "Just now"


def test_a_mirror_has_a_link_for_every_name(api, work, tmp_path):
    api.rename(1, "john/renamed")
    api.mirror(tmp_path / "mirror")
    for name in ("jane/work", "john/renamed"):
        output = work.git("ls-remote", f"file://{tmp_path}/mirror/{name}.git", "main")
        assert output.split()[0] == work.git("rev-parse", "main")
    api.remove(1)
    api.mirror(tmp_path / "mirror")
    assert not list((tmp_path / "mirror").rglob("*.git"))


# Faults.


@pytest.mark.parametrize(
    ("kind", "options", "status", "message"),
    [
        ("bare_429", {}, 429, "Too Many Requests"),
        ("secondary_bare", {}, 403, "You have exceeded a secondary rate limit"),
        ("forbidden", {}, 403, "Resource not accessible by personal access token"),
    ],
)
def test_a_refusal_applies_to_one_request(api, kind, options, status, message):
    api.fail(Fault(kind, **options))
    reply = ask(api, "repositories/1")
    assert reply.status_code == status
    assert reply.json()["message"].startswith(message)
    assert "Retry-After" not in reply.headers
    assert ("x-ratelimit-remaining" in reply.headers) is (kind != "bare_429")
    assert ask(api, "repositories/1").status_code == 200


@pytest.mark.parametrize("kind", ["primary", "secondary"])
def test_a_request_before_the_end_of_a_limit_is_refused_and_counted(api, kind):
    api.fail(Fault(kind, seconds=1))
    first = ask(api, "repositories/1")
    header = first.headers["Retry-After"] if kind == "secondary" else first.headers["x-ratelimit-remaining"]
    assert (first.status_code, header) == (403, "1" if kind == "secondary" else "0")
    assert ask(api, "search/repositories", q="work").json() == first.json()
    assert api.punished == 1
    api.lift_limit()
    assert ask(api, "repositories/1").status_code == 200


def test_a_fault_applies_to_its_method_as_often_as_set(api):
    api.fail(Fault("bad_gateway", method="repositories/{id}/commits", times=None, status=503))
    assert ask(api, "repositories/1").status_code == 200
    replies = [ask(api, "repositories/1/commits") for _ in range(3)]
    assert {(reply.status_code, reply.headers["Content-Type"]) for reply in replies} == {(503, "text/html")}


def test_a_redirect_leads_to_the_url_of_the_fault(api):
    api.fail(Fault("redirect_abroad", url="http://127.0.0.1:9"))
    assert ask(api, "repositories/1").headers["Location"] == "http://127.0.0.1:9/repositories/1"
    for is_bare, query in ((False, "?per_page=2"), (True, "")):
        api.fail(Fault("redirect", status=307, bare=is_bare))
        reply = ask(api, "repositories/1/commits", per_page=2)
        assert (reply.status_code, reply.headers["Location"]) == (307, f"{api.url}/repositories/1/commits{query}")


@pytest.mark.parametrize(
    ("kind", "options", "body"),
    [
        ("empty_body", {}, b""),
        ("html", {}, b"<html><body>Unicorn!</body></html>"),
        ("wrong_shape", {}, b"{}"),
        ("wrong_shape", {"body": [1]}, b"[1]"),
        ("empty_page", {}, b"[]"),
        ("nested", {}, b"[" * 100_000 + b"]" * 100_000),
    ],
)
def test_a_reply_with_status_200_can_be_malformed(api, kind, options, body):
    api.fail(Fault(kind, **options))
    reply = ask(api, "repositories/1/commits")
    assert (reply.status_code, reply.content) == (200, body)


@pytest.mark.parametrize("path", ["repositories/1/compare/main~1...main", "search/repositories?q=jane"])
def test_an_empty_page_of_an_object_has_its_other_fields(api, path):
    whole = ask(api, path).json()
    api.fail(Fault("empty_page"))
    assert ask(api, path).json() == whole | {name: [] for name in ("items", "commits") if name in whole}


@pytest.mark.parametrize("status", [304, 400, 418])
def test_any_status_can_be_returned(api, status):
    api.fail(Fault("status", status=status))
    reply = ask(api, "repositories/1/commits")
    assert (reply.status_code, reply.content == b"") == (status, status == 304)


def test_a_reply_can_have_any_size(api):
    whole = ask(api, "repositories/1").json()
    api.fail(Fault("large", size=1 << 20))
    reply = ask(api, "repositories/1")
    assert (len(reply.content), reply.json()) == (1 << 20, whole)


def test_a_list_can_lack_the_link_to_its_next_page(api):
    assert "next" in ask(api, "repositories/1/commits", per_page=1).links
    api.fail(Fault("no_link"))
    assert ask(api, "repositories/1/commits", per_page=1).links == {}


def test_json_can_be_cut_in_half(api):
    whole = ask(api, "repositories/1").content
    api.fail(Fault("cut_json"))
    assert ask(api, "repositories/1").content == whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("cut_body", requests.exceptions.ChunkedEncodingError),
        ("bad_gzip", requests.exceptions.ContentDecodingError),
        ("reset", requests.ConnectionError),
    ],
)
def test_a_connection_can_break(api, kind, error):
    api.fail(Fault(kind))
    with pytest.raises(error):
        ask(api, "repositories/1")
    assert ask(api, "repositories/1").status_code == 200


def test_a_request_that_hangs_does_not_block_others(api):
    api.fail(Fault("hang", seconds=30))
    with pytest.raises(requests.Timeout):
        requests.get(f"{api.url}/repositories/1", timeout=0.5)
    assert requests.get(f"{api.url}/repositories/1", timeout=20).status_code == 200
    assert [request.status for request in api.log] == [None, 200]


@pytest.mark.slow
def test_a_drip_lasts_longer_than_a_timeout_between_bytes(api):
    api.fail(Fault("drip", seconds=0.003))
    start = time.monotonic()
    assert requests.get(f"{api.url}/rate_limit", timeout=1).json()["rate"]["limit"] == 5000
    assert time.monotonic() - start > 1


def test_an_incomplete_search_returns_half_of_the_results_and_a_flag(api):
    api.fail(Fault("incomplete"))
    reply = ask(api, "search/repositories", q="jane", sort="stars").json()
    assert (reply["incomplete_results"], reply["total_count"], len(reply["items"])) == (True, 2, 1)


def test_created_repositories_have_fixing_and_other_commits_and_merges(tmp_path):
    created = make_repositories(tmp_path, ("keras", "torch"), repositories=2, commits=12)
    assert [(name, fields["topics"]) for _, name, fields in created] == [
        ("keras-lovers/project-0", ("keras",)), ("keras-lovers/project-1", ("keras",)),
        ("torch-lovers/project-0", ("torch",)), ("torch-lovers/project-1", ("torch",)),
    ]  # fmt: skip
    for path, _, _ in created:
        titles = GitRepository(path).git("log", "--format=%s").splitlines()
        fixing = [title for title in titles if re.search(r"(?i)\bfix(es|ed)?\b|\bbugfix", title)]
        assert 0 < len(fixing) < len(titles)
        assert GitRepository(path).git("log", "--merges", "--format=%h")


# GitHub's OpenAPI description.


@pytest.fixture(scope="session")
def validate():
    """Return a function that validates a reply against GitHub's OpenAPI description, which is cached."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schemas = _schemas()

    def validated(path, status, content):
        schema = schemas["errors"] if status >= 400 else schemas[path]
        whole = {**schema, "components": schemas["components"]}
        errors = list(jsonschema.Draft4Validator(whole).iter_errors(content))
        # The errors of the branches of an anyOf are more specific than that none of them fits.
        assert not errors, [f"{list(error.absolute_path)}: {error.message[:200]}" for error in errors]

    return validated


def _schemas():
    """Return the schemas that are needed, from the cache or else from npm."""
    cached = CACHE / f"{DESCRIPTION.replace('/', '-')}.json"
    if not cached.exists():
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed, which fetches GitHub's OpenAPI description")
        folder = CACHE / f"fetch-{os.getpid()}"
        folder.mkdir(parents=True)
        try:
            packing = ["npm", "pack", "--ignore-scripts", "--silent", DESCRIPTION]
            packed = subprocess.run(packing, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
            with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
                member = archive.extractfile("package/generated/api.github.com.json")
                assert member, "the description is a file"
                description = json.load(member)
            part = folder / "needed.json"
            part.write_text(json.dumps(_needed(description)))
            part.replace(cached)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"GitHub's OpenAPI description cannot be fetched: {error}")
        finally:
            shutil.rmtree(folder)
    return json.loads(cached.read_text())


PATHS = (
    "/search/repositories", "/repos/{owner}/{repo}", "/repos/{owner}/{repo}/commits",
    "/repos/{owner}/{repo}/commits/{ref}", "/repos/{owner}/{repo}/compare/{basehead}", "/rate_limit",
    "/repos/{owner}/{repo}/branches/{branch}", "/repos/{owner}/{repo}/git/ref/{ref}",
)  # fmt: skip


def _needed(description):
    """Return the schemas of the replies, and those to which they refer."""
    schemas = {
        path: description["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        for path in PATHS
    }
    schemas["errors"] = {"$ref": "#/components/schemas/basic-error"}
    components, waiting = {}, set(re.findall(r"#/components/schemas/([\w-]+)", json.dumps(schemas)))
    while waiting:
        name = waiting.pop()
        components[name] = description["components"]["schemas"][name]
        referred = re.findall(r"#/components/schemas/([\w-]+)", json.dumps(components[name]))
        waiting |= set(referred) - set(components)
    schemas = {**schemas, "components": {"schemas": components}}
    return _with_null(schemas)


def _with_null(schema):
    """Convert `nullable` of OpenAPI 3.0 to JSON Schema."""
    if isinstance(schema, list):
        return [_with_null(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _with_null(each) for name, each in schema.items() if name not in ("example", "examples")}
    if plain.pop("nullable", None) is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain


@pytest.fixture
def api_with_history(api, work):
    """Return the server with a merge, a renamed, a binary and a removed file."""
    work.git("checkout", "-q", "-b", "side", "HEAD~2")
    work.commit("Side", {"side.bin": b"\0"})
    work.git("checkout", "-q", "main")
    work.merge("side", "Merge")
    work.git("mv", "0.py", "moved.py")
    work.git("rm", "-q", "1.py")
    work.commit("Move")
    return api


@pytest.mark.parametrize(
    ("path", "request_path"),
    [
        ("/search/repositories", "search/repositories?q=jane"),
        ("/repos/{owner}/{repo}", "repos/jane/work"),
        ("/repos/{owner}/{repo}", "repositories/2"),
        ("/repos/{owner}/{repo}/commits", "repositories/1/commits"),
        ("/repos/{owner}/{repo}/commits/{ref}", "repositories/1/commits/main"),
        ("/repos/{owner}/{repo}/commits/{ref}", "repositories/1/commits/main~1"),
        ("/repos/{owner}/{repo}/compare/{basehead}", "repositories/1/compare/main~2...main"),
        ("/repos/{owner}/{repo}/branches/{branch}", "repositories/1/branches/main"),
        ("/repos/{owner}/{repo}/git/ref/{ref}", "repositories/1/git/ref/heads/main"),
        ("/rate_limit", "rate_limit"),
    ],
)
def test_replies_match_githubs_description(api_with_history, validate, path, request_path):
    reply = ask(api_with_history, request_path)
    assert reply.status_code == 200
    validate(path, 200, reply.json())


@pytest.mark.parametrize(
    "request_path", ["repositories/9", "repositories/2/commits", "repositories/1/commits/none", "search/repositories"]
)
def test_errors_match_githubs_description(api_with_history, validate, request_path):
    reply = ask(api_with_history, request_path)
    assert reply.status_code >= 400
    validate(request_path, reply.status_code, reply.json())


def test_validation_detects_missing_fields_and_other_types(api_with_history, validate):
    whole = ask(api_with_history, "repositories/1/commits/main").json()
    for change in ({"sha": 1}, {"parents": None}, {"files": [{"sha": "a"}]}):
        with pytest.raises(AssertionError):
            validate("/repos/{owner}/{repo}/commits/{ref}", 200, {**copy.deepcopy(whole), **change})
