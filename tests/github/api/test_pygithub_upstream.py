"""PyGithub's handling of faults of the API, and the parts of it that our requester relies on.

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
from dlbug_assets.github.api.pygithub import TransportRequester, get_repository, search_repositories
from dlbug_assets.github.api.transport import Response
from servers.github import GitHub, make_repositories
from servers.stand_in import Fault

PLAIN = {"per_page": 5, "retry": None, "seconds_between_requests": None}


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    return make_repositories(tmp_path_factory.mktemp("hosted"), ["keras"], repositories=1)


@pytest.fixture
def api(hosted):
    with GitHub() as server:
        for path, full_name, fields in hosted:
            server.add(path, full_name, **fields)
        yield server


def client(api, **options):
    return github.Github(base_url=api.url, **{**PLAIN, **options})


def test_a_redirect_loses_the_query(api):
    api.rename(1000, "new/name")
    commits = client(api, lazy=True).get_repo("keras-lovers/project-0").get_commits(sha="main")
    commits.get_page(0)
    assert [request.params for request in api.log] == [{"sha": "main", "per_page": "5"}, {}]


def test_an_empty_second_page_silently_ends_the_list(api):
    def spoil(request):
        if request.params.get("page") == "2":
            api.before = None
            api.fail(Fault("empty_body"))

    api.before = spoil
    commits = client(api).get_repo("keras-lovers/project-0").get_commits()
    assert len(list(commits)) == 5


def test_a_search_with_a_malformed_reply_raises_an_unspecific_error(api):
    api.fail(Fault("wrong_shape"))
    with pytest.raises(TypeError, match="string indices must be integers"):
        client(api).search_repositories("topic:keras").get_page(0)


def test_retries_in_an_outage_have_almost_no_pauses(api):
    api.fail(Fault("bad_gateway", times=None))
    start = time.monotonic()
    with pytest.raises(requests.exceptions.RetryError):
        client(api, retry=github.GithubRetry(total=6)).get_repo("keras-lovers/project-0")
    assert len(api.log) == 7
    assert time.monotonic() - start < 30  # an exponential backoff would take more than a minute


def test_replies_are_logged_with_the_addresses_of_people(api, caplog):
    with caplog.at_level(logging.DEBUG, logger="github.Requester"):
        client(api, lazy=True).get_repo("keras-lovers/project-0").get_commits().get_page(0)
    assert "jane.doe@example.org" in caplog.text


class Replies:
    """A stand-in for the transport, with prepared replies."""

    def __init__(self, *replies):
        self.calls = []
        self.replies = list(replies)

    def __call__(self, path, parameters):
        self.calls.append((path, parameters))
        status, headers, content = self.replies.pop(0)
        return Response(status, headers, json.dumps(content).encode())


def test_request_json_has_the_signature_that_our_requester_overrides():
    theirs = inspect.signature(Requester.requestJson).parameters
    assert {name: parameter.default for name, parameter in theirs.items()} == {
        "self": inspect.Parameter.empty, "verb": inspect.Parameter.empty, "url": inspect.Parameter.empty,
        "parameters": None, "headers": None, "input": None, "cnx": None, "follow_302_redirect": False,
    }  # fmt: skip
    assert list(inspect.signature(TransportRequester.requestJson).parameters)[:4] == list(theirs)[:4]


def test_searches_and_look_ups_send_the_requests_of_the_main_class(api):
    for send in (
        lambda hub: hub.search_repositories("topic:keras", sort="stars", order="desc").get_page(1),
        lambda hub: hub.get_repo(1000),
        lambda hub: hub.get_repo("keras-lovers/project-0"),
    ):
        send(client(api))
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
    assert [(request.path.removeprefix("/"), request.params) for request in api.log] == sent


def test_all_pages_of_a_list_are_requested_through_the_requester(api):
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


def test_lazy_fields_and_lists_of_a_repository_are_requested_through_its_requester(api):
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


def test_a_refusal_is_returned_as_its_status(api):
    requester = TransportRequester(api.url, 5, Replies((451, {}, {"message": "Repository access blocked"})))
    assert get_repository(requester, 5) == 451


def test_other_requests_than_get_are_rejected(api):
    with pytest.raises(AssertionError, match="^POST /repos: only GET requests are sent$"):
        TransportRequester(api.url, 5, Replies()).requestJson("POST", "/repos")
