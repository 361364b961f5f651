"""One HTTP request and its reply, whole or not at all: deadlines, decoding, and nothing of the address in any log or
error. What a reply means is for the rooms that ask."""

import logging
import socket
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from dlbug_assets.errors import DlbugError

_LARGEST_REPLY = 64 << 20


@dataclass(frozen=True)
class RetryPolicy:
    """Seconds to wait for a connection, between two bytes, for a whole reply, for a hold, and after a limit that does
    not say how long it lasts; and how often to try."""

    connect: float = 5
    silence: float = 20
    reply: float = 60
    hold: float = 120
    limited: float = 60
    attempts: int = 4
    pause: float = 1


class MalformedError(DlbugError):
    """A reply that is none: taking it for an empty one would lose what is there."""


class UnreachableError(DlbugError):
    """No reply, however often it was tried."""


class TransientError(Exception):
    """A failure that another try may mend."""


class HttpClient:
    """A connection that a deadline can cut, even while headers or bytes drip in one by one.

    ``redacted`` takes secrets out of the lines that the libraries underneath log.
    """

    def __init__(self, redacted: Callable[[str], str]) -> None:
        self._sockets: list[socket.socket] = []
        self._session = _Session()
        # Else a .netrc of this machine would take the place of what a request says of itself.
        self._session.auth = lambda request: request
        adapter = _Adapter(self._sockets)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        # urllib3's debug lines have the whole address in them.
        logging.getLogger("urllib3.connectionpool").addFilter(_RedactSecrets(redacted))

    def get(
        self, url: str, params: Mapping[str, Any], headers: Mapping[str, str], patience: RetryPolicy
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and decoded body; raises :class:`TransientError` for a reply that does not arrive whole."""
        watchdog = threading.Timer(patience.reply, self._cut)
        watchdog.daemon = True
        watchdog.start()
        try:
            return self._got(url, params, headers, patience)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, zlib.error) as error:
            # Their texts and their causes hold the whole address: only the kind of failure leaves this place.
            reason = f"no whole reply ({type(error).__name__})"
        finally:
            watchdog.cancel()
        raise TransientError(reason)

    def _got(
        self, url: str, params: Mapping[str, Any], headers: Mapping[str, str], patience: RetryPolicy
    ) -> tuple[int, Mapping[str, str], bytes]:
        # A redirect would take secrets along to wherever it leads.
        with self._session.get(
            url,
            params=params,
            headers=headers,
            timeout=(patience.connect, patience.silence),
            stream=True,
            allow_redirects=False,
        ) as response:
            body = bytearray()
            for chunk in response.raw.stream(1 << 16, decode_content=False):
                body += chunk
                if len(body) > _LARGEST_REPLY:
                    raise OSError("the reply is too large")
            return response.status_code, response.headers, _decoded(bytes(body), response.headers)

    def _cut(self) -> None:
        while self._sockets:
            try:
                self._sockets.pop().shutdown(socket.SHUT_RDWR)
            except OSError:  # closed by itself
                continue


class _Session(requests.Session):
    """Leaves redirects alone: else requests would look where they lead, and read their bodies away."""

    def get_redirect_target(self, _response: requests.Response) -> None:
        return None


def _decoded(body: bytes, headers: Mapping[str, str]) -> bytes:
    if headers.get("Content-Encoding", "identity").lower() == "identity":
        return body
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as the header of the data says
    content = decoder.decompress(body, _LARGEST_REPLY)
    if not decoder.eof:
        raise zlib.error("the compressed data is cut short, or too large")
    return content


class _Adapter(HTTPAdapter):
    """Connections whose sockets are put down in a list."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        class Http(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

        class Https(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

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
    """Takes secrets out of log lines."""

    redacted: Callable[[str], str]
    name: str = field(default="")

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.redacted(record.getMessage()), ()
        return True
