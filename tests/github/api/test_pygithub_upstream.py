"""What PyGithub does with the API's faults, and what our requester relies on.

The faults are the reasons for our transport. A test that fails after an upgrade means that a reason is gone, or that
the requester must be adapted.
"""

import inspect
import json
import logging
import time

import pytest
import requests
from github.PaginatedList import PaginatedList
from github.Repository import Repository
from github.Requester import Requester

import github
from dlbug_assets.github.api.transport import Answer
from dlbug_assets.github.api.pygithub import TransportRequester, get_repository, search_repositories
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


class Replies:
    """What our requester gets its replies from, in place of the transport."""

    def __init__(self, *replies):
        self.calls = []
        self.replies = list(replies)

    def __call__(self, path, parameters):
        self.calls.append((path, parameters))
        status, headers, content = self.replies.pop(0)
        return Answer(status, headers, json.dumps(content).encode())


def test_request_json_has_the_signature_that_our_requester_overrides():
    theirs = inspect.signature(Requester.requestJson).parameters
    assert {name: parameter.default for name, parameter in theirs.items()} == {
        "self": inspect.Parameter.empty, "verb": inspect.Parameter.empty, "url": inspect.Parameter.empty,
        "parameters": None, "headers": None, "input": None, "cnx": None, "follow_302_redirect": False,
    }  # fmt: skip
    assert list(inspect.signature(TransportRequester.requestJson).parameters)[:4] == list(theirs)[:4]


def test_searches_and_look_ups_ask_for_what_the_main_class_asks_for(api):
    for ask in (
        lambda hub: hub.search_repositories("topic:keras", sort="stars", order="desc").get_page(1),
        lambda hub: hub.get_repo(1000),
        lambda hub: hub.get_repo("keras-lovers/project-0"),
    ):
        ask(client(api))
    replies = Replies((200, {}, {"total_count": 0, "items": []}), (200, {}, {"id": 5}), (200, {}, {"id": 5}))
    requester = TransportRequester(api.url, 5, replies)
    search_repositories(requester, "topic:keras", 2)
    get_repository(requester, 1000)
    get_repository(requester, "keras-lovers/project-0")
    assert replies.calls == [
        ("search/repositories", {"sort": "stars", "order": "desc", "q": "topic:keras", "page": 2, "per_page": 5}),
        ("repositories/1000", None),
        ("repos/keras-lovers/project-0", None),
    ]
    sent = [(path, {name: str(value) for name, value in (given or {}).items()}) for path, given in replies.calls]
    assert [(request.written.removeprefix("/"), request.params) for request in api.log] == sent


def test_lists_go_through_the_requester_page_by_page(api):
    replies = Replies(
        (200, {"link": f'<{api.url}/repositories?page=2>; rel="next"'}, [{"id": 1}, {"id": 2}]),
        (200, {}, [{"id": 3}]),
        (200, {"link": f'<{api.url}/repositories?page=3>; rel="last"'}, [{"id": 1}]),
    )
    repositories = PaginatedList(Repository, TransportRequester(api.url, 2, replies), "/repositories")
    assert [repository.id for repository in repositories] == [1, 2, 3]
    assert repositories.totalCount == 3
    assert replies.calls == [
        ("repositories", {"per_page": 2}), ("repositories?page=2", {}), ("repositories", {"per_page": 1}),
    ]  # fmt: skip
    assert api.log == []


def test_what_a_repository_creates_or_lacks_goes_through_its_requester(api):
    replies = Replies(
        (200, {}, {"total_count": 1, "items": [{"id": 5, "url": f"{api.url}/repositories/5"}]}),
        (200, {}, {"id": 5, "url": f"{api.url}/repositories/5", "archived": True}),
        (200, {}, [{"sha": "a" * 40}]),
    )
    ((repository,), total, is_incomplete) = search_repositories(TransportRequester(api.url, 5, replies), "x", 1)
    assert (total, is_incomplete, repository.archived) == (1, False, True)
    assert [commit.sha for commit in repository.get_commits()] == ["a" * 40]
    assert [path for path, _ in replies.calls[1:]] == ["repositories/5", "repositories/5/commits"]
    assert api.log == []


def test_a_refusal_is_reported_by_its_status(api):
    requester = TransportRequester(api.url, 5, Replies((451, {}, {"message": "Repository access blocked"})))
    assert get_repository(requester, 5) == 451


def test_nothing_but_get_is_sent(api):
    with pytest.raises(AssertionError, match="^POST /repos: only GET requests are sent$"):
        TransportRequester(api.url, 5, Replies()).requestJson("POST", "/repos")
