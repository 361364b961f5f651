"""Requests to GitHub: headers, quotas, limits, redirects and refusals."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.api.transport import Response
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.quota import DeferredError
from servers.github import GitHub
from servers.stand_in import Fault
from support.followed_repositories import PLANTED, Following


@pytest.fixture
def api():
    with GitHub() as server:
        server.token = PLANTED
        server.add(None, "jane/empty", number=1)
        yield server


@pytest.fixture
def study(api, tmp_path):
    return Following(api, tmp_path)


def get(study, path="repositories/1", landed=None):
    land = (lambda _: None) if landed is None else landed.append
    return study.access.transport().get(path, {}, {}, land, what="the repository")


@pytest.mark.parametrize("root", ["api.github.com", "ftp://host", ""])
def test_an_invalid_root_is_rejected(study, root):
    with pytest.raises(DlbugError, match="DLBUG_GITHUB_URL is .*give the API's root, as in https://host/api/v3"):
        replace(study.access, root=root).transport()


def test_the_token_is_not_sent_over_plain_http(study):
    there = "http://git.example.org/api/v3"
    with pytest.raises(DlbugError, match=f"^DLBUG_GITHUB_URL is '{there}': .* Use https, or unset GITHUB_TOKEN;"):
        replace(study.access, root=there).transport()
    assert replace(study.access, root=there, token=None).transport().root == there


def test_requests_have_the_user_agent_and_the_api_version(api, study):
    get(study)
    headers = api.log[0].headers
    assert headers["user-agent"] == "dlbug"
    assert headers["accept"] == "application/vnd.github+json"
    assert headers["x-github-api-version"] == "2022-11-28"


def test_credentials_in_netrc_are_not_used(api, study, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login jane password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    get(study)
    assert api.log[0].headers["authorization"] == f"Bearer {PLANTED}"
    study.token = None
    get(study)
    assert "authorization" not in api.log[1].headers


def test_quotas_differ_by_resource_and_by_token(api, study):
    get(study)
    get(study, "search/repositories?q=x")
    study.token = None
    get(study)
    assert study.ledger.services() == [
        f"{api.url} core with a token", f"{api.url} core without a token", f"{api.url} search with a token",
    ]  # fmt: skip


def test_the_duration_of_a_limit_is_measured_by_the_clock_of_the_server(api, study):
    api.now = lambda: datetime(2031, 5, 5).timestamp()  # years ahead
    api.fail(Fault("primary", seconds=1500))
    with pytest.raises(DeferredError) as error:
        get(study)
    wait = error.value.until - study.clock.now()
    assert timedelta(seconds=1490) < wait < timedelta(seconds=1510)


def test_a_lone_surrogate_is_read_as_the_replacement_character():
    assert Response(200, {}, rb'{"message": "\ud83d \ud83d\ude00"}').content == {"message": "\ufffd \U0001f600"}


def test_endless_redirects_are_an_error(api, study):
    api.before = lambda _: api.fail(Fault("redirect", status=302))
    with pytest.raises(MalformedError, match="more than 3 redirects in a row"):
        get(study)
    assert len(api.log) == 4


def test_a_refusal_for_one_repository_lands_and_is_returned(api, study):
    landed = []
    api.remove(1, 451)
    response = get(study, landed=landed)
    assert (response.status, landed) == (451, [response])
    assert response.content["message"] == "Repository access blocked"


@pytest.mark.parametrize(
    ("environ", "git_root"),
    [
        ({}, "https://github.com"),
        ({"DLBUG_GITHUB_URL": "https://api.github.com/"}, "https://github.com"),
        ({"DLBUG_GITHUB_URL": "https://git.example.org/api/v3/"}, "https://git.example.org"),
        ({"DLBUG_GITHUB_CLONES": "file:///srv/mirror/"}, "file:///srv/mirror"),
    ],
)
def test_the_address_of_clones_follows_from_the_environment(environ, git_root, tmp_path):
    assert ApiAccess.of(environ, tmp_path / "quota.sqlite").git_root == git_root
