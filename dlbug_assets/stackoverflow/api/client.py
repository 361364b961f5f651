"""A client of Stack Exchange's API: stackapi's, with requests sent by our transport.

stackapi's own ``fetch`` would lose posts and leak the key: it silently stops after five pages, drops what it has when a
later page fails, treats an empty object as an empty answer, sleeps before its caller can save the page, forgets a
backoff that came with an error, and shows the key in its errors. The subclass here overrides that one method: it
fetches a single page, and the transport takes care of retries, waits, quota and the key.
tests/stackoverflow/api/test_stackapi_upstream.py pins each of these faults, and what the subclass relies on.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from stackapi import StackAPI

from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection
from dlbug_assets.ingest.quota import Ledger
from dlbug_assets.stackoverflow.api.transport import VERSION, RefusedError, Transport, parse_reply

PAGE_SIZE = 100
_FILTER = "filter"
_NO_SUCH_METHOD = 404
_SITE = {"name": "Stack Overflow", "api_site_parameter": "stackoverflow"}

#: The fields that the API returns. It omits everything else, so the error and quota fields are listed as well.
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
    """One page of a reply: its items, whether more pages follow, and the number of items on all pages if reported."""

    items: Sequence[Mapping[str, Any]]
    has_more: bool
    total: int | None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Page":
        """Return the page in a reply's wrapper object."""
        return cls(content["items"], content["has_more"], content.get("total"))


def _discard(body: bytes) -> None:
    """Land nothing: filters are not data."""


class StackExchangeClient(StackAPI):
    """stackapi's client of Stack Overflow. Every request goes through ``transport``, one page at a time."""

    def __init__(self, transport: Transport, ledger: Ledger) -> None:
        self._transport = transport
        self._ledger = ledger
        # The transport adds the key; stackapi never gets it.
        super().__init__(
            _SITE["api_site_parameter"], version=VERSION, base_url=transport.root, max_pages=1, page_size=PAGE_SIZE
        )

    def fetch(
        self,
        endpoint: str | None = None,
        page: int = 1,
        key: None = None,  # noqa: ARG002 - stackapi's parameter, which no caller here uses
        filter: str = "default",
        *,
        ids: Sequence[int] = (),
        land: Callable[[bytes], None] = _discard,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the wrapper object of one page of ``endpoint``, such as `questions/{ids}/answers`.

        ``land`` gets the reply's bytes before they are parsed. Raises what :class:`Transport` raises.
        """
        if endpoint == "sites":  # stackapi's constructor looks its site up among all sites of the network
            return {"items": [_SITE]}
        params = {"pagesize": self.page_size, "page": page, "filter": filter, **kwargs, "site": self._api_key}
        path = (endpoint or "").replace("{ids}", ";".join(map(str, ids)))
        return self._transport.get(path, params, land)

    def page(self, method: str, ids: Sequence[int], params: Mapping[str, Any], land: Callable[[bytes], None]) -> Page:
        """Return one page of a method, with FIELDS; see :meth:`fetch`."""
        return Page.of(self.fetch(method, filter=self._filter_name(), ids=ids, land=land, **params))

    def _filter_name(self) -> str:
        """Return the name of the filter for FIELDS. It is created once and kept in the ledger."""
        fact = f"{_FILTER} {';'.join(FIELDS)}"
        name = self._ledger.recall(self._transport.service, fact)
        if name is None:
            try:
                # Safe texts: titles are HTML-escaped, as with every built-in filter.
                reply = self._transport.get(
                    "filters/create", {"base": "none", "include": ";".join(FIELDS), "unsafe": "false"}, _discard
                )
                name = str(reply["items"][0]["filter"])
            except RefusedError as error:
                if error.error_id != _NO_SUCH_METHOD:
                    raise
                name = "withbody"  # a server without custom filters: answers are fetched separately
            except (IndexError, KeyError):
                raise MalformedError(
                    f"{self._transport.root}: the reply to filters/create does not contain a filter"
                ) from None
            self._ledger.remember(self._transport.service, fact, name)
        return name


class CollectionClient:
    """Requests of one collection: replies land in it, and a request whose reply has landed is not sent again.

    ``requests`` counts the requests sent.
    """

    def __init__(self, client: StackExchangeClient, collection: Collection) -> None:
        self._client = client
        self._collection = collection
        self._landed: dict[str, bytes] = {}
        self.requests = 0
        for reply in collection.replies():
            try:
                parse_reply(reply.body)
            except MalformedError:  # rejected when it arrived, too
                continue
            self._landed[json.dumps(reply.request, sort_keys=True)] = reply.body

    def ask(self, method: str, *, ids: Sequence[int] = (), **params: Any) -> Page:
        """Return one page of a method such as `questions` or `questions/{ids}/answers`.

        Parameters that are None are omitted. Raises what :class:`Transport` raises.
        """
        given = {name: value for name, value in sorted(params.items()) if value is not None}
        request = {"method": method, "ids": list(ids), "params": given}
        landed = self._landed.get(json.dumps(request, sort_keys=True))
        if landed is not None:
            return Page.of(parse_reply(landed))
        self.requests += 1
        return self._client.page(method, ids, given, partial(self._land, request))

    def _land(self, request: Mapping[str, Any], body: bytes) -> None:
        self._collection.land(request, body)
