"""The HTTP client: sizes of replies, and the sockets that it holds."""

import gc
import socket

import pytest

from dlbug_assets.ingest.http_client import HttpClient, MalformedError, RetryPolicy, TransientError
from servers.github import GitHub
from servers.stand_in import Fault

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


def closed_sockets():
    """Return how many sockets of this process are closed but still referenced."""
    gc.collect()
    return sum(isinstance(each, socket.socket) and each.fileno() == -1 for each in gc.get_objects())
