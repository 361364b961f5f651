"""How plain stackapi handles the API's faults, which is why we have a transport, and what our subclass relies on.

A test that fails after an upgrade means that a reason for the transport is gone, or that the subclass must be adapted.
"""

import inspect
import threading
import time
import warnings
from contextlib import suppress
from typing import Any

import pytest
import requests
from stackapi import StackAPI, StackAPIError

from dlbug_assets.clock import Clock
from dlbug_assets.ingest.quota import Ledger
from dlbug_assets.stackoverflow.api.access import StackExchangeAccess
from dlbug_assets.stackoverflow.api.client import StackExchangeClient
from servers.stackexchange import StackExchange, corpus
from servers.stand_in import Fault

KEY = "pl4nted"
PARAMS: dict[str, Any] = {"tagged": "keras", "sort": "activity", "order": "asc"}


@pytest.fixture
def api():
    with StackExchange(corpus({"keras": 700}, seed=1)) as server:
        server.key = KEY
        yield server


@pytest.fixture
def client(api):
    return StackAPI("stackoverflow", base_url=api.url, key=KEY)


def test_only_500_of_700_questions_are_returned(client):
    reply = client.fetch("questions", **PARAMS)
    assert (len(reply["items"]), reply["has_more"]) == (500, True)


def test_creating_a_client_sends_a_request(api, client):
    assert [request.method for request in api.log] == ["sites"]


def test_creating_a_client_without_a_site_sends_a_request(api):
    StackAPI(base_url=api.url)
    assert [request.method for request in api.log] == ["sites"]


def test_every_path_ends_with_a_slash(api, client):
    client.fetch("questions", **PARAMS)
    assert {request.path.endswith("/") for request in api.log} == {True}


def test_fetch_has_the_signature_that_our_subclass_overrides():
    theirs = str(inspect.signature(StackAPI.fetch))
    assert theirs == "(self, endpoint=None, page=1, key=None, filter='default', **kwargs)"
    ours = inspect.signature(StackExchangeClient.fetch).parameters
    assert list(ours) == ["self", "endpoint", "page", "key", "filter", "ids", "land", "kwargs"]


def test_the_constructor_only_looks_up_the_site_through_fetch(api):
    calls = []

    class Recording(StackAPI):
        def fetch(self, *args, **kwargs):
            calls.append((args, kwargs))
            return {"items": [{"name": "Stack Overflow", "api_site_parameter": "stackoverflow"}]}

    client = Recording("stackoverflow", base_url=api.url, max_pages=1, page_size=100)
    assert calls == [(("sites",), {"filter": "!*L1*AY-85YllAr2)", "pagesize": 1000})]
    assert (client._name, client._api_key, client.page_size, client.key) == (
        "Stack Overflow", "stackoverflow", 100, None,
    )  # fmt: skip
    assert api.log == []


def test_our_subclass_sends_the_requests_of_plain_stackapi_except_the_key(api, client, tmp_path, monkeypatch):
    client.max_pages = 1
    params: dict[str, Any] = {"page": 2, "filter": "withbody", "ids": [3, 1], "sort": "creation", "order": "asc"}
    client.fetch("questions/{ids}/answers", **params)
    theirs = api.log[-1]
    calls = []
    ours = StackExchangeAccess(api.url, None, Ledger(tmp_path / "quota.sqlite", Clock()), Clock()).client()
    monkeypatch.setattr(ours._transport, "get", lambda *call, wanted: calls.append((*call, wanted)))
    ours.fetch("questions/{ids}/answers", **params, land=print)
    ((method, path, sent, land, wanted),) = calls
    assert (method, path, land) == ("questions/{ids}/answers", "questions/3;1/answers", print)
    assert wanted == "the answers to 2 questions"
    assert theirs.path == f"/2.3/{path}/"
    assert theirs.params.pop("key") == KEY
    assert list(theirs.params.items()) == [(name, str(value)) for name, value in sent.items()]


@pytest.mark.slow
def test_there_is_no_timeout(api, client):
    api.fail(Fault("hang", method="questions"))
    waiting = threading.Thread(target=_fetch, args=(client,), daemon=True)
    waiting.start()
    waiting.join(1.5)
    assert waiting.is_alive()


def _fetch(client):
    # The connection breaks when the server stops.
    with suppress(requests.RequestException, StackAPIError):
        client.fetch("questions", **PARAMS)


@pytest.mark.parametrize("kind", ["http_500", "hollow"])
def test_an_error_without_an_error_id_is_treated_as_an_empty_reply(api, client, kind):
    api.fail(Fault(kind, method="questions"))
    reply = client.fetch("questions", **PARAMS)
    assert (reply["items"], reply["has_more"], reply["quota_remaining"]) == ([], False, -1)


def test_a_failure_on_the_third_page_loses_the_first_two(api, client):
    pages = iter(range(1, 10))
    api.before = lambda request: next(pages) == 3 and api.fail(Fault("unavailable", method="questions"))
    with pytest.raises(StackAPIError):
        client.fetch("questions", **PARAMS)
    assert [request.status for request in api.log[1:]] == [200, 200, 400]


def test_errors_and_the_client_contain_the_key(api, client):
    api.fail(Fault("caller_error", method="questions"))
    with pytest.raises(StackAPIError) as caught:
        client.fetch("questions", **PARAMS)
    texts = (str(caught.value), repr(caught.value), str(vars(caught.value)), repr(client), str(vars(client)))
    assert [f"key={KEY}" in text for text in texts] == [True] * 5


def test_a_refused_connection_puts_the_key_into_three_fields_of_the_error(api, client):
    client._base_url = "http://127.0.0.1:9/2.3/"
    with pytest.raises(StackAPIError) as caught:
        client.fetch("questions", **PARAMS)
    error = caught.value
    assert all(f"key={KEY}" in text for text in (error.error, error.code, error.message))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("cut_body", requests.exceptions.ChunkedEncodingError),
        ("bad_gzip", requests.exceptions.ContentDecodingError),
        ("wrong_wrapper", TypeError),
    ],
)
def test_errors_of_other_types_than_its_own_are_raised(api, client, kind, expected):
    api.fail(Fault(kind, method="questions"))
    with pytest.raises(expected):
        client.fetch("questions", **PARAMS)


@pytest.mark.slow
def test_it_sleeps_before_the_caller_can_save_the_page(api, client):
    client.max_pages = 1
    api.fail(Fault("backoff", method="questions", seconds=1))
    start = time.monotonic()
    client.fetch("questions", filter="withbody", **PARAMS)
    assert time.monotonic() - start >= 2


@pytest.mark.slow
def test_another_client_ignores_the_backoff_and_is_punished(api):
    api.fail(Fault("backoff", method="questions", seconds=2))
    first = StackAPI("stackoverflow", base_url=api.url, key=KEY, max_pages=1)
    sleeping = threading.Thread(target=first.fetch, args=("questions",), kwargs=PARAMS, daemon=True)
    sleeping.start()
    while len(api.log) < 2:
        time.sleep(0.01)
    with warnings.catch_warnings(), pytest.raises(StackAPIError) as caught:
        StackAPI("stackoverflow", base_url=api.url, key=KEY).fetch("questions", **PARAMS)
    assert (caught.value.error, api.punished) == (502, 1)
    sleeping.join()


def test_the_backoff_of_an_error_is_ignored(api, client):
    api.fail(Fault("unavailable", method="questions", backoff=1))
    for _ in range(2):
        with pytest.raises(StackAPIError):
            client.fetch("questions", **PARAMS)
    assert api.punished == 1
