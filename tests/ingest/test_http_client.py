"""The HTTP client: where secrets may be sent, sizes of replies, and the sockets that it holds."""

import gc
import socket

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.http_client import HttpClient, MalformedError, RetryPolicy, TransientError, api_root
from servers.github import GitHub
from servers.stand_in import Fault
from support.followed_repositories import PLANTED

LARGEST = (64 << 20) - 1


@pytest.fixture
def api():
    with GitHub() as server:
        yield server


def get(client, api, **headers):
    return client.get(
        f"{api.url}/rate_limit", {}, {name.replace("_", "-"): each for name, each in headers.items()}, POLICY
    )


POLICY = RetryPolicy(connect=60, read=60, reply=120)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_reply_of_64_mib_is_rejected_compressed_or_not(api, encoding):
    client = HttpClient(str)
    api.fail(Fault("large", size=LARGEST))
    assert len(get(client, api, Accept_Encoding=encoding)[2]) == LARGEST
    api.fail(Fault("large", size=LARGEST + 1))
    with pytest.raises(MalformedError, match="^the reply has 64 MiB or more$"):
        get(client, api, Accept_Encoding=encoding)
    assert get(client, api)[0] == 200


def test_sockets_of_closed_connections_are_not_kept(api):
    client = HttpClient(str)
    before = closed_sockets()
    api.fail(Fault("cut_body", times=20))
    for _ in range(20):
        with pytest.raises(TransientError):
            get(client, api)
    assert get(client, api)[0] == 200
    assert closed_sockets() <= before


def root(address, secret: str | None = "A_TOKEN"):  # noqa: S107 - the name of a variable
    return api_root(address, "AN_URL", secret, example="https://host")


@pytest.mark.parametrize(
    "address",
    [
        "https://git.example.org/api/v3",
        "http://127.0.0.1:8080",
        "http://127.8.9.10",
        "http://[::1]:8080/api",
        "http://localhost",
        "HTTP://LocalHost:1",
    ],
)
def test_secrets_are_sent_encrypted_or_to_this_machine(address):
    assert root(f"{address}/") == address


@pytest.mark.parametrize(
    "address",
    [
        "http://git.example.org/api/v3",
        "http://localhost.example.org",
        "http://192.168.0.1",
        "http://0.0.0.0",
        "http://[::]",
        # Hosts that other parsers take for this machine.
        "http://git.example.org\\@127.0.0.1",
        "http://127.0.0.1.",
        "http://2130706433",
    ],
)
def test_secrets_are_not_sent_to_other_machines_over_plain_http(address):
    with pytest.raises(DlbugError) as caught:
        root(address)
    assert str(caught.value) == (
        f"AN_URL is {address!r}: anyone on the way could read A_TOKEN, which is sent with every request. Use https, or "
        "unset A_TOKEN; plain http is for this machine only, as in http://127.0.0.1"
    )
    assert root(address, secret=None) == address


@pytest.mark.parametrize(
    "address",
    ["", "host", "ftp://host", "http://", "http://[::1", "https://host?key=1", "https://host#top", " https://h"],
)
def test_a_root_that_is_not_the_address_of_an_api_is_rejected(address):
    with pytest.raises(DlbugError) as caught:
        root(address)
    assert str(caught.value) == f"AN_URL is {address!r}: give the API's root, as in https://host"


@pytest.mark.parametrize("secret", ["A_TOKEN", None])
def test_a_password_in_a_root_is_rejected_and_not_shown(secret):
    with pytest.raises(DlbugError) as caught:
        root("https://jane:s3cret@host/api", secret)
    assert str(caught.value) == (
        "AN_URL contains a user name or password, which are not sent: remove them, as in https://host"
    )


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_requests_to_this_machine_pass_by_a_proxy(api, monkeypatch, name):
    api.token = PLANTED
    with GitHub() as proxy:
        monkeypatch.setenv(name, proxy.url)
        assert get(HttpClient(str), api, Authorization=f"Bearer {PLANTED}")[0] == 200
        assert proxy.log == []
    assert [request.headers["authorization"] for request in api.log] == [f"Bearer {PLANTED}"]


def closed_sockets():
    """Return how many sockets of this process are closed but still referenced."""
    gc.collect()
    return sum(isinstance(each, socket.socket) and each.fileno() == -1 for each in gc.get_objects())
