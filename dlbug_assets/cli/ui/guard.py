"""Let no other web page and no stranger drive the UI.

Dagster's server checks neither Host nor Origin, and executes mutations that arrive by GET, so that any page open in the
same browser could start runs and delete histories. This is a pure ASGI class: Starlette's own middleware base class
lets WebSockets pass unchecked.
"""

import hmac
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_COOKIE = "dlbug_ui"
_FOREIGN = "Another page caused this request."
_UNAUTHORIZED, _FORBIDDEN, _NOT_ALLOWED = 401, 403, 405


class Guard:
    """An ASGI app in front of another one.

    It refuses requests for another host than ``hosts`` (``name:port``, against DNS rebinding), requests that another
    page caused, and GraphQL by GET. With ``token``, it also refuses requests that have it neither in a cookie nor as
    `Authorization: Bearer`; a GET with the parameter `token` sets that cookie.
    """

    def __init__(self, app: App, hosts: Collection[str], token: str | None = None) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._token = token

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = _Headers(scope["headers"])
        refusal = self._refusal(scope, headers)
        if refusal is None and self._token is not None and not self._is_authorized(headers):
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if scope["type"] == "http" and scope["method"] == "GET" and self._is_token(given):
                await _redirect(send, scope["path"], f"{_COOKIE}={given}; HttpOnly; SameSite=Strict; Path=/")
                return
            refusal = _UNAUTHORIZED, "Open the address with the token that `dlbug ui` printed."
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()  # the request to connect; the browser then sees status 403
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        else:
            await _reply(send, *refusal)

    def _refusal(self, scope: MutableMapping[str, Any], headers: "_Headers") -> tuple[int, str] | None:
        """Return the status and the reason if a request must not reach the app."""
        hosts, origins = headers.all("host"), headers.all("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return _FORBIDDEN, f"This server is {' or '.join(sorted(self._hosts))}; see `dlbug ui --allow-host`."
        if any(urlsplit(origin).netloc.lower() not in self._hosts for origin in origins):
            return _FORBIDDEN, _FOREIGN
        if scope["type"] == "websocket":
            # Browsers always send it.
            return None if origins else (_FORBIDDEN, "A WebSocket needs the header Origin.")
        return _post_refusal(headers) if scope["method"] == "POST" else _get_refusal(scope)

    def _is_authorized(self, headers: "_Headers") -> bool:
        bearer = [value.removeprefix("Bearer ") for value in headers.all("authorization")]
        cookies = [value for text in headers.all("cookie") for value in _cookie_values(text)]
        return any(map(self._is_token, [*bearer, *cookies]))

    def _is_token(self, text: str) -> bool:
        return self._token is not None and hmac.compare_digest(text.encode(), self._token.encode())


def _get_refusal(scope: MutableMapping[str, Any]) -> tuple[int, str] | None:
    if scope["method"] not in ("GET", "HEAD"):
        return _NOT_ALLOWED, "Use GET or POST."
    # The UI itself never sends a query in the address.
    if scope["path"].rstrip("/").endswith("/graphql") and scope["query_string"]:
        return _FORBIDDEN, "Send GraphQL by POST."
    return None


def _post_refusal(headers: "_Headers") -> tuple[int, str] | None:
    # Another port of this machine is the same site, but another page.
    if any(site not in ("same-origin", "none") for site in headers.all("sec-fetch-site")):
        return _FORBIDDEN, _FOREIGN
    # A form can send every other type without asking first.
    if [kind.partition(";")[0].strip().lower() for kind in headers.all("content-type")] != ["application/json"]:
        return _FORBIDDEN, "Send JSON, with Content-Type: application/json."
    return None


class _Headers:
    """The headers of a request, by name in lower case."""

    def __init__(self, raw: Collection[tuple[bytes, bytes]]) -> None:
        self._raw = raw

    def all(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [value.decode("latin-1") for key, value in self._raw if key.decode("latin-1").lower() == name]


def _cookie_values(text: str) -> list[str]:
    try:
        cookies = SimpleCookie(text)
    except CookieError:
        return []
    return [cookies[_COOKIE].value] if _COOKIE in cookies else []


async def _reply(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})


async def _redirect(send: Send, path: str, cookie: str) -> None:
    # A path that began with // would lead to another host.
    location = f"/{quote(path.lstrip('/'))}"
    headers = [(b"location", location.encode()), (b"set-cookie", cookie.encode())]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
