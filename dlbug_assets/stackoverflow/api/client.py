"""A client of Stack Exchange's API: stackapi's, with requests sent by our transport.

stackapi's own ``fetch`` would lose posts and leak the key: it silently stops after five pages, drops what it has when a
later page fails, treats an empty object as an empty answer, sleeps before its caller can save the page, forgets a
backoff that came with an error, and shows the key in its errors. The subclass here overrides that one method: it
fetches a single page, and the transport takes care of retries, waits, quota and the key.
tests/stackoverflow/api/test_stackapi_upstream.py pins each of these faults, and what the subclass relies on.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from stackapi import StackAPI

from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection
from dlbug_assets.ingest.quota import Ledger
from dlbug_assets.stackoverflow.api.transport import VERSION, Land, RefusedError, Transport, parse_reply

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
    "shallow_user.user_id", "tag_synonym.from_tag", "tag_synonym.to_tag",
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
        total = content.get("total")
        return cls(content["items"], content["has_more"], total if isinstance(total, int) else None)


def _discard(body: bytes, served_at: int | None = None) -> None:
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
        ids: Sequence[int | str] = (),
        land: Land = _discard,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the wrapper object of one page of ``endpoint``, such as `questions/{ids}/answers`.

        ``ids`` are IDs or tags, and ``land`` gets the reply's bytes before they are parsed. Raises what
        :class:`Transport` raises.
        """
        if endpoint == "sites":  # stackapi's constructor looks its site up among all sites of the network
            return {"items": [_SITE]}
        params = {"pagesize": self.page_size, "page": page, "filter": filter, **kwargs, "site": self._api_key}
        method = endpoint or ""
        path = method.replace("{ids}", ";".join(quote(str(each), safe="") for each in ids))
        return self._transport.get(method, path, params, land, wanted=_described(method, ids, kwargs))

    def page(self, method: str, ids: Sequence[int | str], params: Mapping[str, Any], land: Land) -> Page:
        """Return one page of a method, with FIELDS; see :meth:`fetch`."""
        return Page.of(self.fetch(method, filter=self._filter_name(), ids=ids, land=land, **params))

    def _filter_name(self) -> str:
        """Return the name of the filter for FIELDS. It is created once and kept in the ledger."""
        fact = f"{_FILTER} {';'.join(FIELDS)}"
        name = self._ledger.recall(self._transport.service, fact)
        if name is None:
            try:
                # Safe texts: titles are HTML-escaped, as with every built-in filter.
                params = {"base": "none", "include": ";".join(FIELDS), "unsafe": "false"}
                reply = self._transport.get(
                    "filters/create", "filters/create", params, _discard, wanted="a filter of fields"
                )
                name = str(reply["items"][0]["filter"])
            except RefusedError as error:
                if error.error_id != _NO_SUCH_METHOD:
                    raise
                name = "withbody"  # a server without custom filters: answers are fetched separately
            except (IndexError, KeyError):
                raise MalformedError(
                    f"{self._transport.root} did not return a filter of fields. Run again later."
                ) from None
            self._ledger.remember(self._transport.service, fact, name)
        return name


def _described(method: str, ids: Sequence[int | str], params: Mapping[str, Any]) -> str:
    """Return what a request asks for, for messages: users don't know the names of the API's methods."""
    if method == "tags/{ids}/synonyms":
        return f"the synonyms of {', '.join(map(str, ids))}"
    count = f"{len(ids)} question{'s' * (len(ids) > 1)}"
    if method == "questions/{ids}/answers":
        return f"the answers to {count}"
    return f"{count} by ID" if ids else f"the questions tagged {params.get('tagged')}"


class CollectionClient:
    """Requests of one collection: replies land in it, and a request whose reply has landed is not sent again.

    ``requests`` counts the requests sent, and ``served_at`` are the times that the API stated for the replies (Unix
    times by its own clock), in the order of their arrival.
    """

    def __init__(self, client: StackExchangeClient, collection: Collection) -> None:
        self._client = client
        self._collection = collection
        self._landed: dict[str, bytes] = {}
        self.requests = 0
        self.served_at: list[int] = []
        for reply in collection.replies():
            if reply.served_at is not None:
                self.served_at.append(reply.served_at)
            try:
                parse_reply(reply.body)
            except MalformedError:  # rejected when it arrived, too
                continue
            self._landed[json.dumps(reply.request, sort_keys=True)] = reply.body

    def ask(self, method: str, *, ids: Sequence[int | str] = (), **params: Any) -> Page:
        """Return one page of a method such as `questions` or `questions/{ids}/answers`; ``ids`` are IDs or tags.

        Parameters that are None are omitted. Raises what :class:`Transport` raises.
        """
        given = {name: value for name, value in sorted(params.items()) if value is not None}
        request = {"method": method, "ids": list(ids), "params": given}
        landed = self._landed.get(json.dumps(request, sort_keys=True))
        if landed is not None:
            return Page.of(parse_reply(landed))
        self.requests += 1
        return self._client.page(method, ids, given, partial(self._land, request))

    def _land(self, request: Mapping[str, Any], body: bytes, served_at: int | None = None) -> None:
        self._collection.land(request, body, served_at)
        if served_at is not None:
            self.served_at.append(served_at)
