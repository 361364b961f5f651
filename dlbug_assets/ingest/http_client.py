"""Send an HTTP request and return its reply, or fail: with deadlines, and without the address in any log or error.

The transport of each API interprets the replies.
"""

import ipaddress
import logging
import socket
import threading
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from dlbug_assets.errors import DlbugError

_LARGEST_REPLY = 64 << 20


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait, in seconds, and how often to try.

    ``connect`` is the time for a connection, ``read`` the time between two bytes, and ``reply`` the time for a whole
    reply. ``hold`` is the longest hold to wait for, ``limited`` the first wait after a rate limit without an end, and
    ``pause`` the first wait after another failure; both double with each of the ``attempts``.
    """

    connect: float = 5
    read: float = 20
    reply: float = 60
    hold: float = 120
    limited: float = 60
    attempts: int = 4
    pause: float = 1


class MalformedError(DlbugError):
    """A malformed reply; treating it as empty would lose data."""


class UnreachableError(DlbugError):
    """No reply after all attempts."""


class TransientError(Exception):
    """A failure that another attempt may not have."""


def api_root(root: str, variable: str, secret: str | None, *, example: str) -> str:
    """Return the address of an API's root, without a slash at the end.

    ``variable`` is the environment variable that it comes from, and ``secret`` the one whose value requests contain,
    None if it is not set. Raises :class:`DlbugError` for an address that is not http or https or contains a password,
    and for plain http to another machine if there is a secret.
    """
    try:
        # As the client reads it: other parsers find another host in some addresses.
        parts = parse_url(root)
    except LocationParseError:
        parts = parse_url("")
    if parts.auth:
        raise DlbugError(
            f"{variable} contains a user name or password, which are not sent: remove them, as in {example}"
        )
    if parts.scheme not in ("http", "https") or not parts.host or parts.query is not None or parts.fragment is not None:
        raise DlbugError(f"{variable} is {root!r}: give the API's root, as in {example}")
    if secret and parts.scheme == "http" and not _is_loopback(root):
        raise DlbugError(
            f"{variable} is {root!r}: anyone on the way could read {secret}, which is sent with every request. Use "
            f"https, or unset {secret}; plain http is for this machine only, as in http://127.0.0.1"
        )
    return root.rstrip("/")


def _is_loopback(url: str) -> bool:
    host = (parse_url(url).host or "").strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class HttpClient:
    """A client whose deadlines hold even while headers or bytes arrive one by one.

    ``redact`` removes secrets from the lines that the libraries underneath log.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        # Weak, so that sockets that were closed are forgotten.
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._session = _Session()
        # Otherwise credentials in a .netrc of this machine would replace those of a request.
        self._session.auth = lambda request: request
        adapter = _Adapter(self._sockets)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        # urllib3's debug lines contain the whole address.
        logging.getLogger("urllib3.connectionpool").addFilter(_RedactSecrets(redact))

    def get(
        self, url: str, params: Mapping[str, Any], headers: Mapping[str, str], retry_policy: RetryPolicy
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return the status, headers and decoded body of a reply; redirects are not followed.

        Raises :class:`TransientError` where the reply does not arrive as a whole or in time, and
        :class:`MalformedError` for a reply of 64 MiB or more.
        """
        watchdog = threading.Timer(retry_policy.reply, self._close_sockets)
        watchdog.daemon = True
        watchdog.start()
        try:
            return self._get(url, params, headers, retry_policy)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, zlib.error) as error:
            # Their messages and causes contain the whole address, so only the name of the error is passed on.
            reason = f"no whole reply ({type(error).__name__})"
        finally:
            watchdog.cancel()
        raise TransientError(reason)

    def _get(
        self, url: str, params: Mapping[str, Any], headers: Mapping[str, str], retry_policy: RetryPolicy
    ) -> tuple[int, Mapping[str, str], bytes]:
        # A redirect would send secrets to wherever it leads.
        with self._session.get(
            url,
            params=params,
            headers=headers,
            timeout=(retry_policy.connect, retry_policy.read),
            stream=True,
            allow_redirects=False,
        ) as response:
            body = bytearray()
            for chunk in response.raw.stream(1 << 16, decode_content=False):
                body += chunk
                _check_size(body)
            return response.status_code, response.headers, _decode(bytes(body), response.headers)

    def _close_sockets(self) -> None:
        while self._sockets:
            with suppress(KeyError, OSError):  # it is closed already, or even forgotten
                self._sockets.pop().shutdown(socket.SHUT_RDWR)


class _Session(requests.Session):
    """A session without redirects, and without a proxy for this machine.

    requests would consume the bodies of replies that redirect, and pass secrets for this machine to a proxy.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - as requests names it
        return None

    def merge_environment_settings(self, url: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        settings = super().merge_environment_settings(url, *args, **kwargs)
        return settings | {"proxies": {}} if _is_loopback(url) else settings


def _decode(body: bytes, headers: Mapping[str, str]) -> bytes:
    if headers.get("Content-Encoding", "identity").lower() == "identity":
        return body
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by the header of the data
    content = decoder.decompress(body, _LARGEST_REPLY)
    _check_size(content)
    if not decoder.eof:
        raise zlib.error("the compressed data is cut short")
    return content


def _check_size(content: bytes | bytearray) -> None:
    if len(content) >= _LARGEST_REPLY:
        raise MalformedError(f"the reply has {_LARGEST_REPLY >> 20} MiB or more")


class _Adapter(HTTPAdapter):
    """An adapter that adds the sockets of its connections to a set."""

    def __init__(self, sockets: WeakSet[socket.socket]) -> None:
        class Http(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                sockets.add(self.sock)

        class Https(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                sockets.add(self.sock)

        http = type("HttpPool", (HTTPConnectionPool,), {"ConnectionCls": Http})
        https = type("HttpsPool", (HTTPSConnectionPool,), {"ConnectionCls": Https})
        self._pools = {"http": http, "https": https}
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


@dataclass
class _RedactSecrets(logging.Filter):
    """A filter that removes secrets from log lines."""

    redact: Callable[[str], str]
    name: str = field(default="")

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.redact(record.getMessage()), ()
        return True
