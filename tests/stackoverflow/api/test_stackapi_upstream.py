"""What plain stackapi does with the API's faults, and what our subclass relies on.

The faults are the reasons for our transport. A test that fails after an upgrade means that a reason is gone, or that
the subclass must be adapted.
"""

import inspect
import threading
import time
import types
import warnings

import pytest
import requests
from stackapi import StackAPI, StackAPIError

from dlbug_assets.stackoverflow.api.client import StackExchangeClient
from servers.stackexchange import Fault, StackExchange, corpus

KEY = "pl4nted"
ASKED = {"tagged": "keras", "sort": "activity", "order": "asc"}


@pytest.fixture
def api():
    with StackExchange(corpus({"keras": 700}, seed=1)) as server:
        server.key = KEY
        yield server


@pytest.fixture
def client(api):
    return StackAPI("stackoverflow", base_url=api.url, key=KEY)


def test_seven_hundred_questions_become_five_hundred_and_only_has_more_tells(client):
    reply = client.fetch("questions", **ASKED)
    assert (len(reply["items"]), reply["has_more"]) == (500, True)


def test_making_a_client_costs_a_request(api, client):
    assert [request.method for request in api.log] == ["sites"]


def test_even_a_client_for_no_site_costs_a_request(api):
    StackAPI(base_url=api.url)
    assert [request.method for request in api.log] == ["sites"]


def test_every_path_ends_with_a_slash(api, client):
    client.fetch("questions", **ASKED)
    assert {request.path.endswith("/") for request in api.log} == {True}


def test_fetch_has_the_signature_that_our_subclass_overrides():
    theirs = str(inspect.signature(StackAPI.fetch))
    assert theirs == "(self, endpoint=None, page=1, key=None, filter='default', **kwargs)"
    ours = inspect.signature(StackExchangeClient.fetch).parameters
    assert list(ours) == ["self", "endpoint", "page", "key", "filter", "ids", "land", "kwargs"]


def test_the_constructor_only_looks_up_the_site_and_does_so_through_fetch(api):
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


def test_our_subclass_requests_what_plain_stackapi_requests_except_the_key(api, client):
    client.max_pages = 1
    asked = {"page": 2, "filter": "withbody", "ids": [3, 1], "sort": "creation", "order": "asc"}
    client.fetch("questions/{ids}/answers", **asked)
    theirs = api.log[-1]
    calls = []
    transport = types.SimpleNamespace(root=api.url, get=lambda *call: calls.append(call))
    StackExchangeClient(transport, None).fetch("questions/{ids}/answers", **asked, land=print)
    ((path, params, land),) = calls
    assert (path, land) == ("questions/3;1/answers", print)
    assert theirs.path == f"/2.3/{path}/"
    assert theirs.params.pop("key") == KEY
    assert list(theirs.params.items()) == [(name, str(value)) for name, value in params.items()]


@pytest.mark.slow
def test_silence_is_waited_for_without_end(api, client):
    api.fail(Fault("hang", method="questions"))
    waiting = threading.Thread(target=_swallowing, args=(client,), daemon=True)
    waiting.start()
    waiting.join(1.5)
    assert waiting.is_alive()


def _swallowing(client):
    try:
        client.fetch("questions", **ASKED)
    except requests.RequestException:
        return
    except StackAPIError:
        return


@pytest.mark.parametrize("kind", ["http_500", "hollow"])
def test_a_failure_without_an_error_number_is_taken_for_an_empty_answer(api, client, kind):
    api.fail(Fault(kind, method="questions"))
    reply = client.fetch("questions", **ASKED)
    assert (reply["items"], reply["has_more"], reply["quota_remaining"]) == ([], False, -1)


def test_a_failure_on_the_third_page_loses_the_first_two(api, client):
    pages = iter(range(1, 10))
    api.before = lambda request: next(pages) == 3 and api.fail(Fault("unavailable", method="questions"))
    with pytest.raises(StackAPIError):
        client.fetch("questions", **ASKED)
    assert [request.status for request in api.log[1:]] == [200, 200, 400]


def test_errors_and_the_client_itself_show_the_key(api, client):
    api.fail(Fault("caller_error", method="questions"))
    with pytest.raises(StackAPIError) as caught:
        client.fetch("questions", **ASKED)
    shown = (str(caught.value), repr(caught.value), str(vars(caught.value)), repr(client), str(vars(client)))
    assert [f"key={KEY}" in text for text in shown] == [True] * 5


def test_a_refused_connection_repeats_the_key_in_three_fields(api, client):
    client._base_url = "http://127.0.0.1:9/2.3/"
    with pytest.raises(StackAPIError) as caught:
        client.fetch("questions", **ASKED)
    error = caught.value
    assert all(f"key={KEY}" in text for text in (error.error, error.code, error.message))


@pytest.mark.parametrize(
    ("kind", "escaping"),
    [
        ("cut_body", requests.exceptions.ChunkedEncodingError),
        ("bad_gzip", requests.exceptions.ContentDecodingError),
        ("wrong_wrapper", TypeError),
    ],
)
def test_other_errors_than_its_own_escape(api, client, kind, escaping):
    api.fail(Fault(kind, method="questions"))
    with pytest.raises(escaping):
        client.fetch("questions", **ASKED)


@pytest.mark.slow
def test_it_sleeps_before_its_caller_could_save_the_page(api, client):
    client.max_pages = 1
    api.fail(Fault("backoff", method="questions", seconds=1))
    start = time.monotonic()
    client.fetch("questions", filter="withbody", **ASKED)
    assert time.monotonic() - start >= 2


@pytest.mark.slow
def test_another_client_does_not_know_of_a_backoff_and_is_punished(api):
    api.fail(Fault("backoff", method="questions", seconds=2))
    first = StackAPI("stackoverflow", base_url=api.url, key=KEY, max_pages=1)
    sleeping = threading.Thread(target=first.fetch, args=("questions",), kwargs=ASKED, daemon=True)
    sleeping.start()
    while len(api.log) < 2:
        time.sleep(0.01)
    with warnings.catch_warnings(), pytest.raises(StackAPIError) as caught:
        StackAPI("stackoverflow", base_url=api.url, key=KEY).fetch("questions", **ASKED)
    assert (caught.value.error, api.punished) == (502, 1)
    sleeping.join()


def test_a_failed_call_forgets_the_backoff_that_came_with_it(api, client):
    api.fail(Fault("unavailable", method="questions", backoff=1))
    for _ in range(2):
        with pytest.raises(StackAPIError):
            client.fetch("questions", **ASKED)
    assert api.punished == 1
