"""An HTTP server on loopback that stands in for a web API: it logs requests and injects faults.

Faults of the connection and of sending a reply, which every API can have:
`reset` (no reply), `hang` (no reply for `seconds`, or until the server stops), `bad_gzip`, `cut_body`, and `drip` (a
byte every `seconds`; with `headers=False` only the body). All other kinds are for the API to implement.
"""

import gzip
import re
import socket
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Request:
    """A request that arrived.

    ``method`` is the path without what differs between requests, ``headers`` have names in lower case, ``at`` is on
    the monotonic clock, in seconds, and ``status`` that of the reply, None if there is none.
    """

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    at: float
    status: int | None = None

    @property
    def ids(self) -> list[int]:
        """The IDs in the path, as in ``/questions/5;6``."""
        return [int(number) for group in re.findall(r"(?<=/)[\d;]+(?=/|$)", self.path) for number in group.split(";")]


@dataclass
class Reply:
    """A reply to send."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Fault:
    """What goes wrong with the next ``times`` requests (None: all) of a method and tag (None: any)."""

    def __init__(
        self, kind: str, method: str | None = None, times: int | None = 1, tagged: str | None = None, **options: Any
    ) -> None:
        self.kind, self.method, self.times, self.tagged, self.options = kind, method, times, tagged, options

    def applies_to(self, request: Request) -> bool:
        return (
            self.times != 0
            and self.method in (None, request.method)
            and self.tagged in (None, request.params.get("tagged"))
        )


NO_FAULT = Fault("none", times=0)


class StandIn(ABC):
    """The server, to be used in a with statement; a subclass implements ``method_of`` and ``reply``.

    ``before`` is called with each request before it is answered, and may change what the API holds or queue a fault.
    ``punished`` counts requests that ignored a wait.
    """

    def __init__(self, port: int = 0) -> None:
        self.lock = threading.RLock()
        self.log: list[Request] = []
        self.now: Callable[[], float] = time.time
        self.faults: list[Fault] = []
        self.before: Callable[[Request], object] | None = None
        self.punished = 0
        self.stopping = threading.Event()
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def fail(self, fault: Fault) -> None:
        """Queue a fault."""
        with self.lock:
            self.faults.append(fault)

    def take_fault(self, request: Request) -> Fault:
        """Return the fault of a request and remove it from the queue, or NO_FAULT."""
        for fault in self.faults:
            if fault.applies_to(request):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return NO_FAULT

    @abstractmethod
    def method_of(self, path: str) -> str:
        """Return the method that a path calls."""

    @abstractmethod
    def reply(self, request: Request, fault: Fault) -> Reply:
        """Return the reply to a request."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    api: StandIn
    protocol_version = "HTTP/1.1"
    # The headers and the body are two packets: with Nagle's algorithm the second one would wait for 40 ms.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Format the server's time, which a test may have changed."""
        return formatdate(timestamp or self.api.now(), usegmt=True)

    def do_GET(self) -> None:
        """Log a request and reply to it."""
        api = self.api
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        params = dict(parse_qsl(parts.query))
        request = Request(api.method_of(parts.path), parts.path, params, headers, time.monotonic())
        with api.lock:
            api.log.append(request)
            if api.before:
                api.before(request)
            fault = api.take_fault(request)
        if self._breaks_connection(fault):
            return
        with api.lock:
            reply = api.reply(request, fault)
            request.status = reply.status
        self._send(reply, fault)

    def _breaks_connection(self, fault: Fault) -> bool:
        if fault.kind not in ("reset", "hang"):
            return False
        self.close_connection = True
        if fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.api.stopping.wait(fault.options.get("seconds"))
        return True

    def _send(self, reply: Reply, fault: Fault) -> None:
        body = reply.body
        headers = {"Content-Type": "application/json; charset=utf-8", **reply.headers}
        if body and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = b"\x1f\x8b not gzip" if fault.kind == "bad_gzip" else gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body) + (500 if fault.kind == "cut_body" else 0))
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.close_connection |= fault.kind in ("cut_body", "drip")
        try:
            if fault.kind == "drip":
                self._drip(body, fault)
            else:
                self.end_headers()
                self.wfile.write(body)
        except OSError:  # the client has given up
            self.close_connection = True

    def _drip(self, body: bytes, fault: Fault) -> None:
        head = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer = []
        if not fault.options.get("headers", True):
            self.wfile.write(head)
            head = b""
        for byte in head + body:
            self.wfile.write(bytes([byte]))
            if self.api.stopping.wait(fault.options["seconds"]):
                return
