"""Where the UI listens, and when it needs a token."""

import socket

import pytest

from dlbug_assets.cli.ui.server import Address, new_token
from dlbug_assets.errors import DlbugError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1"])
def test_loopback_needs_no_token(host):
    address = Address(host, 3000)
    assert address.is_loopback
    assert new_token(address, None) is None
    assert new_token(address, "mine") == "mine"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "dlbug.example"])  # noqa: S104
def test_beyond_loopback_there_is_always_a_token(host):
    address = Address(host, 3000)
    assert not address.is_loopback
    tokens = {new_token(address, None) for _ in range(3)}
    assert len(tokens) == 3
    assert min(map(len, filter(None, tokens))) >= 32


def test_hosts_are_the_names_of_this_machine_with_the_port_and_those_of_the_operator():
    assert Address("127.0.0.1", 3000).hosts == {"127.0.0.1:3000", "localhost:3000", "[::1]:3000"}
    assert Address("127.0.0.1", 80).hosts >= {"127.0.0.1", "localhost", "127.0.0.1:80"}
    proxied = Address("127.0.0.1", 3000, ["study.example"]).hosts
    assert proxied >= {"study.example", "study.example:3000"}
    assert Address("0.0.0.0", 3000).hosts >= {f"{socket.gethostname()}:3000"}  # noqa: S104


def test_a_port_in_use_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DlbugError, match=f"^cannot listen on 127.0.0.1:{port}: Address already in use. Choose"):
            Address("127.0.0.1", port).listen()
