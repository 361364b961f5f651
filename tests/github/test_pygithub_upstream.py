"""What PyGithub does by itself, and why its network is replaced."""

import logging
import time

import pytest
import requests

import github
from servers.github import Fault, GitHub, world

PLAIN = {"per_page": 5, "retry": None, "seconds_between_requests": None}


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    return world(tmp_path_factory.mktemp("hosted"), ["keras"], repositories=1)


@pytest.fixture
def api(hosted):
    with GitHub() as server:
        for path, full_name, fields in hosted:
            server.add(path, full_name, **fields)
        yield server


def client(api, **options):
    return github.Github(base_url=api.url, **{**PLAIN, **options})


def test_a_redirect_loses_what_was_asked(api):
    api.rename(1000, "new/name")
    commits = client(api, lazy=True).get_repo("keras-lovers/project-0").get_commits(sha="main")
    commits.get_page(0)
    assert [request.params for request in api.log] == [{"sha": "main", "per_page": "5"}, {}]


def test_an_empty_second_page_ends_the_list_in_silence(api):
    def spoil(request):
        if request.params.get("page") == "2":
            api.before = None
            api.fail(Fault("empty_body"))

    api.before = spoil
    commits = client(api).get_repo("keras-lovers/project-0").get_commits()
    assert len(list(commits)) == 5


def test_a_search_whose_reply_is_none_fails_without_saying_why(api):
    api.fail(Fault("wrong_shape"))
    with pytest.raises(TypeError, match="string indices must be integers"):
        client(api).search_repositories("topic:keras").get_page(0)


def test_an_outage_is_hammered(api):
    api.fail(Fault("bad_gateway", times=None))
    start = time.monotonic()
    with pytest.raises(requests.exceptions.RetryError):
        client(api, retry=github.GithubRetry(total=6)).get_repo("keras-lovers/project-0")
    assert len(api.log) == 7
    assert time.monotonic() - start < 30  # growing gaps would be more than a minute


def test_whole_replies_with_addresses_of_people_are_logged(api, caplog):
    with caplog.at_level(logging.DEBUG, logger="github.Requester"):
        client(api, lazy=True).get_repo("keras-lovers/project-0").get_commits().get_page(0)
    assert "jane.doe@example.org" in caplog.text


def test_everything_goes_through_request_json_of_the_instance(api):
    asked = []

    def nothing(verb, url, parameters=None, *_, **__):
        asked.append((verb, url, parameters))
        return 404, {}, "{}"

    hub = client(api)
    vars(hub.requester)["requestJson"] = nothing
    for ask in (
        lambda: hub.search_repositories("topic:keras", sort="stars", order="desc").get_page(1),
        lambda: hub.get_repo(5),
        lambda: hub.get_repo("a/b"),
    ):
        with pytest.raises(github.GithubException):
            ask()
    query = {"sort": "stars", "order": "desc", "q": "topic:keras", "page": 2, "per_page": 5}
    assert asked == [
        ("GET", "/search/repositories", query),
        ("GET", "/repositories/5", None),
        ("GET", "/repos/a/b", None),
    ]
    assert api.log == []
