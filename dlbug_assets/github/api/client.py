"""GitHub's REST API: requests of one collection, searches and repositories through PyGithub.

Replies land in the collection before anything reads them. PyGithub gets them through our transport, see
:mod:`dlbug_assets.github.api.pygithub`.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from dlbug_assets.github.api.transport import Answer, Transport
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection, Reply

if TYPE_CHECKING:
    from github.Repository import Repository

PAGE_SIZE = 100
OK, NOT_MODIFIED = 200, 304
#: The purposes of requests, stored beside the landed reply; and the fields that a reply to each must have.
SEARCH, REPOSITORY, HEAD, LISTED, AHEAD, LOST, DETAILS = (
    "search", "repository", "head", "listed", "ahead", "lost", "details",
)  # fmt: skip
_COMPARISON = {"commits": list, "status": str, "total_commits": int}
_SHAPES: Mapping[str, Mapping[str, type] | None] = {
    SEARCH: {"items": list, "total_count": int},
    REPOSITORY: {"id": int, "full_name": str},
    HEAD: None,  # a list of commits
    LISTED: None,
    AHEAD: _COMPARISON,
    LOST: _COMPARISON,
    DETAILS: {"sha": str, "commit": dict, "files": list},
}
#: HTTP statuses that report the state of a repository.
STATES = {403: "blocked", 404: "gone", 409: "empty", 410: "gone", 451: "blocked"}


class CollectionClient:
    """Requests of one collection: replies land in it, and a request whose reply has landed is not sent again.

    ``requests`` counts the requests sent.
    """

    def __init__(self, transport: Transport, collection: Collection) -> None:
        self.collection = collection
        self.requests = 0
        self._transport = transport
        self._landed: dict[str, Answer] = {}
        for reply in collection.replies():
            request, answer = reply.request, answer_in(reply)
            if is_whole(answer, request["purpose"]["purpose"]) and not _is_incomplete(answer):
                self._landed[_key(request["path"], request["params"], request["purpose"])] = answer

    def ask(
        self,
        purpose: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        etag: str | None = None,
        **more: Any,
    ) -> Answer:
        """Return the answer to a path below the API's root.

        With ``etag``, an unchanged answer is a 304, which does not land. ``more`` is stored beside the landed reply.
        Raises what :class:`Transport` raises, and :class:`MalformedError` for a reply without the shape of its purpose.
        """
        given, beside = dict(params or {}), {"purpose": purpose, **more}
        landed = self._landed.get(_key(path, given, beside))
        if landed is not None:
            return landed
        self.requests += 1
        headers = {"If-None-Match": etag} if etag else {}
        answer = self._transport.get(path, given, headers, lambda answer: self._land(path, given, beside, answer))
        if not is_whole(answer, purpose):
            raise MalformedError(f"{self._transport.root}/{path}: the reply is not what was asked for")
        return answer

    def search(self, query: str, page: int, attempt: int) -> tuple[list["Repository"], int, bool]:
        """Return a page (from 1) of the repositories that match a query, most stars first, the number of all matches,
        and whether GitHub ran out of time while searching. Raises :class:`RefusedError` for an invalid query."""
        from dlbug_assets.github.api import pygithub  # noqa: PLC0415 - slow to import

        get = partial(self.ask, SEARCH, attempt=attempt)
        requester = pygithub.TransportRequester(self._transport.root, PAGE_SIZE, get)
        return pygithub.search_repositories(requester, query, page)

    def repository(self, number_or_name: int | str) -> "Repository | str":
        """Return a repository by its number or by owner/name; or its state, a value of STATES, if it is not there."""
        from dlbug_assets.github.api import pygithub  # noqa: PLC0415 - slow to import

        requester = pygithub.TransportRequester(self._transport.root, PAGE_SIZE, partial(self.ask, REPOSITORY))
        found = pygithub.get_repository(requester, number_or_name)
        if not isinstance(found, int):
            return found
        if found not in STATES:
            raise MalformedError(f"{number_or_name}: unexpected HTTP status {found}")
        return STATES[found]

    def _land(self, path: str, params: Mapping[str, Any], purpose: Mapping[str, Any], answer: Answer) -> None:
        headers = {name: answer.headers.get(name, "") for name in ("etag", "link")}
        request = {"path": path, "params": dict(params), "purpose": dict(purpose), "status": answer.status, **headers}
        self.collection.land(request, answer.body)


def utc_naive(value: datetime | None) -> str | None:
    """Return a time as ISO text in UTC, without a zone."""
    return value and value.astimezone(UTC).replace(tzinfo=None).isoformat()


def _key(path: str, params: Mapping[str, Any], purpose: Mapping[str, Any]) -> str:
    return json.dumps([path, params, purpose], sort_keys=True)


def answer_in(reply: Reply) -> Answer:
    """Return the answer that landed as a reply."""
    request = reply.request
    return Answer(request["status"], {"etag": request["etag"], "link": request["link"]}, reply.body)


def is_whole(answer: Answer, purpose: str) -> bool:
    """Return whether a reply has the shape of its purpose. Checked when it arrives and when it is read again."""
    if answer.status != OK:
        return True
    try:
        content = answer.content
    except MalformedError:
        return False
    shape = _SHAPES[purpose]
    if shape is None:
        return isinstance(content, list) and all(isinstance(item, dict) and "sha" in item for item in content)
    return isinstance(content, dict) and all(isinstance(content.get(name), kind) for name, kind in shape.items())


def _is_incomplete(answer: Answer) -> bool:
    """Return whether a search was cut short, and must be sent again."""
    return answer.status == OK and isinstance(answer.content, dict) and bool(answer.content.get("incomplete_results"))
