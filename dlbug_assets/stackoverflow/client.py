"""Stack Exchange's API through stackapi, with stackapi's own network underneath replaced.

stackapi puts requests together; what it does with the replies would lose posts (it stops after five pages in silence,
drops what it had when a later page fails, takes an empty object for an empty answer, sleeps before the caller could
save anything, forgets what it was told to wait, and shows the key in its errors). So it fetches one page at a time,
and its `requests` and `sleep` are ours.
"""

import json
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import stackapi.stackapi
from stackapi import StackAPI

from dlbug_assets.landing import Collection
from dlbug_assets.quota import Ledger
from dlbug_assets.stackoverflow.transport import VERSION, RefusedError, Transport, parsed
from dlbug_assets.wire import MalformedError

PAGE_SIZE = 100
_FILTER = "filter"
_NO_SUCH_METHOD = 404

#: What is asked for. Whatever is not named here is not sent, error and quota fields included.
FIELDS = (
    *(f".{name}" for name in ("items", "has_more", "total", "backoff", "quota_max", "quota_remaining")),
    *(f".{name}" for name in ("error_id", "error_name", "error_message")),
    *(
        f"question.{name}"
        for name in (
            "question_id", "title", "body", "tags", "score", "view_count", "answer_count", "accepted_answer_id",
            "creation_date", "last_activity_date", "owner", "link", "content_license", "answers",
        )
    ),
    *(
        f"answer.{name}"
        for name in (
            "answer_id", "question_id", "score", "is_accepted", "body", "creation_date", "last_activity_date",
            "owner", "content_license",
        )
    ),
    "shallow_user.user_id",
)  # fmt: skip


@dataclass(frozen=True)
class Page:
    """One reply: its items, whether there are more, and how many there are in all where the API says so."""

    items: Sequence[Mapping[str, Any]]
    has_more: bool
    total: int | None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Page":
        # stackapi says 0 where the API says nothing.
        return cls(content["items"], content["has_more"], content.get("total") or None)


class Conversation:
    """Asking within one collection: replies land in it, and what has landed already is not asked for again."""

    def __init__(self, client: "StackExchange", collection: Collection) -> None:
        self._client = client
        self._collection = collection
        self._landed: dict[str, bytes] = {}
        self.requests = 0
        for reply in collection.replies():
            try:
                parsed(reply.body)
            except MalformedError:  # it was refused when it came, too
                continue
            self._landed[json.dumps(reply.request, sort_keys=True)] = reply.body

    def ask(self, method: str, *, ids: Sequence[int] = (), **params: Any) -> Page:
        """The reply to a method such as `questions` or `questions/{ids}/answers`; parameters that are None are left
        out. Raises what :class:`Transport` raises."""
        given = {name: value for name, value in sorted(params.items()) if value is not None}
        request = {"method": method, "ids": list(ids), "params": given}
        landed = self._landed.get(json.dumps(request, sort_keys=True))
        if landed is not None:
            return Page.of(parsed(landed))
        self.requests += 1
        return self._client.fetch(method, ids, given, lambda body: self._land(request, body))

    def _land(self, request: Mapping[str, Any], body: bytes) -> None:
        self._collection.land(request, body)


class StackExchange:
    """The API's methods for questions and answers of Stack Overflow."""

    def __init__(self, transport: Transport, ledger: Ledger) -> None:
        self._transport = transport
        self._ledger = ledger
        self._land: Callable[[bytes], None] = _nowhere
        self._stackapi = _pageless(transport.root, self._get)

    def fetch(self, method: str, ids: Sequence[int], params: Mapping[str, Any], land: Callable[[bytes], None]) -> Page:
        """One page, landed by ``land`` before anything looks into it."""
        chosen = self._filter()
        self._land = land
        return Page.of(self._stackapi.fetch(method, filter=chosen, **({"ids": ids} if ids else {}), **params))

    def _filter(self) -> str:
        """The filter for FIELDS: created once for ever, then remembered."""
        name = f"{_FILTER} {';'.join(FIELDS)}"
        known = self._ledger.recall(self._transport.service, name)
        if known is None:
            try:
                # Safe texts: titles come escaped, as they do with every built-in filter.
                reply = self._transport.get(
                    "filters/create", {"base": "none", "include": ";".join(FIELDS), "unsafe": "false"}, _nowhere
                )
                known = str(reply["items"][0]["filter"])
            except RefusedError as error:
                if error.error_id != _NO_SUCH_METHOD:
                    raise
                known = "withbody"  # a server without custom filters: answers are then fetched apart
            except (IndexError, KeyError):
                raise MalformedError(f"{self._transport.root}: the reply to filters/create holds no filter") from None
            self._ledger.remember(self._transport.service, name, known)
        return known

    def _get(self, url: str, params: Mapping[str, Any], proxies: Any = None) -> "_Response":
        """What stackapi takes for `requests.get`."""
        del proxies  # those of the environment apply
        path = urlsplit(url).path.split(f"/{VERSION}/", 1)[1].rstrip("/")
        return _Response(url, self._transport.get(path, params, self._land))


def _nowhere(body: bytes) -> None:
    """Filters are no data: nothing of them is landed."""


@dataclass
class _Response:
    """What stackapi takes for a response."""

    url: str
    content: dict[str, Any]
    encoding: str = ""

    def json(self) -> dict[str, Any]:
        return self.content


def _pageless(root: str, get: Callable[..., _Response]) -> StackAPI:
    """A stackapi client that fetches single pages through ``get``, made without the constructor's request."""
    client = StackAPI.__new__(StackAPI)
    vars(client).update(
        proxy=None, max_pages=1, page_size=PAGE_SIZE, key=None, access_token=None, _endpoint=None, _previous_call=None,
        _name="Stack Overflow", _api_key="stackoverflow", _version=VERSION, _base_url=f"{root}/{VERSION}/",
    )  # fmt: skip
    network = types.SimpleNamespace(get=get, exceptions=requests.exceptions, compat=requests.compat)
    # The same code with another `requests` and `sleep`: the module itself stays as it is for everybody else.
    names = {**vars(stackapi.stackapi), "requests": network, "sleep": lambda _seconds: None}
    fetch = types.FunctionType(StackAPI.fetch.__code__, names, "fetch", StackAPI.fetch.__defaults__)
    vars(client)["fetch"] = types.MethodType(fetch, client)
    return client
