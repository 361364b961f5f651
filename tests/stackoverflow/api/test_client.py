"""The client between stackapi and the transport: filters, requests that have landed, and secrets."""

import dataclasses

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.stackoverflow.api.client import FIELDS, CollectionClient
from dlbug_assets.stackoverflow.api.transport import parse_reply, service_name
from servers.stackexchange import StackExchange, question
from support.collected_posts import KEY, CollectedPosts


@pytest.fixture
def api():
    with StackExchange([question(number, tags=["keras"], created=1_500_000_000) for number in range(1, 4)]) as server:
        server.key = KEY
        yield server


@pytest.fixture
def posts(api, tmp_path):
    return CollectedPosts(api, tmp_path)


@pytest.fixture
def client(posts):
    return CollectionClient(posts.access.client(), posts.landing.begin("Keras", "full", {}))


def test_the_filter_is_created_once_and_kept_in_the_ledger(api, posts, client):
    client.ask("questions", tagged="keras", sort="votes")
    client.ask("questions", tagged="torch", sort="votes")
    again = CollectionClient(posts.access.client(), posts.landing.begin("Torch", "full", {}))
    again.ask("questions", tagged="torch", sort="votes")
    assert [request.method for request in api.log] == ["filters/create", "questions", "questions", "questions"]
    (name,) = {request.params["filter"] for request in api.log[1:]}
    assert api.filters[name] == (set(FIELDS), True)


def test_without_custom_filters_the_built_in_one_with_bodies_is_used(api, client):
    api.methods.remove("filters/create")
    page = client.ask("questions", tagged="keras", sort="votes")
    assert [item["body"] is not None for item in page.items] == [True] * 3
    assert api.log[-1].params["filter"] == "withbody"


def test_a_request_whose_reply_has_landed_is_not_sent_again(api, posts, client):
    params = {"tagged": "keras", "sort": "votes", "todate": None}
    first = client.ask("questions", **params)
    again = CollectionClient(client._client, client._collection)
    assert again.ask("questions", **params) == first
    assert (again.requests, len(api.log)) == (0, 2)
    again.ask("questions/{ids}", ids=[1], sort="votes")
    again.ask("questions/{ids}", ids=[2], sort="votes")
    assert [request.ids for request in api.log[2:]] == [[1], [2]]


def test_a_reply_lands_unchanged_and_without_the_key(api, posts, client):
    page = client.ask("questions", tagged="keras", sort="votes", min=6)
    (reply,) = client._collection.replies()
    assert reply.request == {"method": "questions", "ids": [], "params": {"min": 6, "sort": "votes", "tagged": "keras"}}
    assert b'"has_more": false' in reply.body
    assert (len(page.items), page.has_more, page.total) == (3, False, 3)


def test_creating_a_client_sends_no_request_and_gives_stackapi_no_key(api, posts):
    client = posts.access.client()
    assert api.log == []
    assert (client.key, client._name, client._api_key) == (None, "Stack Overflow", "stackoverflow")
    assert KEY not in repr(client) + str(vars(client))


def test_an_error_with_status_200_is_malformed():
    body = b'{"items": [], "has_more": false, "error_id": 503, "error_name": "temporarily_unavailable"}'
    with pytest.raises(MalformedError, match="^the reply has status 200, but reports error 503$"):
        parse_reply(body)


def test_paths_end_without_a_slash(api, client):
    client.ask("questions", tagged="keras", sort="votes")
    assert [request.path for request in api.log] == ["/2.3/filters/create", "/2.3/questions"]


@pytest.mark.parametrize("root", ["", "/", "/2.3", "/2.3/"])
def test_the_root_may_be_written_in_several_ways(api, posts, root):
    access = dataclasses.replace(posts.access, root=api.url + root)
    client = CollectionClient(access.client(), posts.landing.begin("Keras", "full", {}))
    assert len(client.ask("questions", tagged="keras", sort="votes").items) == 3
    assert posts.ledger.services() == [service_name(api.url, KEY)] == [f"{api.url} with a key"]


@pytest.mark.parametrize("root", ["api.example.org", "ftp://example.org", "http://"])
def test_a_root_that_is_not_a_url_is_rejected(posts, root):
    with pytest.raises(DlbugError, match="DLBUG_STACKEXCHANGE_URL is .*give the API's root, as in https://host"):
        dataclasses.replace(posts.access, root=root).client()


def test_the_key_is_not_sent_over_plain_http(posts):
    there = "http://api.example.org"
    with pytest.raises(DlbugError, match=f"^DLBUG_STACKEXCHANGE_URL is '{there}': .* or unset STACKEXCHANGE_KEY;"):
        dataclasses.replace(posts.access, root=there).client()
    dataclasses.replace(posts.access, root=there, key=None).client()
