"""Client of GitHub's REST API for one collection; searches and look-ups of repositories go through PyGithub.

Replies land in the collection before anything reads them. PyGithub gets them through our transport, see
:mod:`dlbug_assets.github.api.pygithub`.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from dlbug_assets.github.api.transport import Response, Transport
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection, Reply

if TYPE_CHECKING:
    from github.Repository import Repository

PAGE_SIZE = 100
OK, NOT_MODIFIED = 200, 304
#: The purposes of requests, stored with the landed reply, and below the fields that a reply to each must have.
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
    """A client whose replies land in one collection; a request whose reply has landed is not sent again.

    ``requests`` is the number of requests sent.
    """

    def __init__(self, transport: Transport, collection: Collection) -> None:
        self.collection = collection
        self.requests = 0
        self._transport = transport
        self._landed: dict[str, Response] = {}
        for reply in collection.replies():
            request, response = reply.request, landed_response(reply)
            if has_expected_shape(response, request["purpose"]["purpose"]) and not _is_incomplete(response):
                self._landed[_key(request["path"], request["params"], request["purpose"])] = response

    def get(
        self,
        purpose: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        etag: str | None = None,
        **more: Any,
    ) -> Response:
        """Return the response for a path below the API's root.

        With ``etag``, an unchanged response has the status 304 and does not land. ``more`` is stored with the landed
        reply. Raises what :class:`Transport` raises, and :class:`MalformedError` for a reply that does not have the
        shape of its purpose.
        """
        query, stored = dict(params or {}), {"purpose": purpose, **more}
        landed = self._landed.get(_key(path, query, stored))
        if landed is not None:
            return landed
        self.requests += 1
        headers = {"If-None-Match": etag} if etag else {}
        response = self._transport.get(path, query, headers, partial(self._land, path, query, stored))
        if not has_expected_shape(response, purpose):
            raise MalformedError(f"{self._transport.root}/{path}: the reply does not have the expected fields")
        return response

    def search(self, query: str, page: int, attempt: int) -> tuple[list["Repository"], int, bool]:
        """Return :func:`.pygithub.search_repositories` for a query; each ``attempt`` (from 0) sends new requests."""
        from dlbug_assets.github.api import pygithub  # noqa: PLC0415 - slow to import

        get = partial(self.get, SEARCH, attempt=attempt)
        requester = pygithub.TransportRequester(self._transport.root, PAGE_SIZE, get)
        return pygithub.search_repositories(requester, query, page)

    def repository(self, id_or_name: int | str) -> "Repository | str":
        """Return a repository by its ID or by owner/name, or its state, a value of STATES, if GitHub refuses it."""
        from dlbug_assets.github.api import pygithub  # noqa: PLC0415 - slow to import

        requester = pygithub.TransportRequester(self._transport.root, PAGE_SIZE, partial(self.get, REPOSITORY))
        found = pygithub.get_repository(requester, id_or_name)
        if not isinstance(found, int):
            return found
        if found not in STATES:
            raise MalformedError(f"{id_or_name}: unexpected HTTP status {found}")
        return STATES[found]

    def _land(self, path: str, params: Mapping[str, Any], purpose: Mapping[str, Any], response: Response) -> None:
        headers = {name: response.headers.get(name, "") for name in ("etag", "link")}
        request = {"path": path, "params": dict(params), "purpose": dict(purpose), "status": response.status, **headers}
        self.collection.land(request, response.body)


def _key(path: str, params: Mapping[str, Any], purpose: Mapping[str, Any]) -> str:
    return json.dumps([path, params, purpose], sort_keys=True)


def landed_response(reply: Reply) -> Response:
    """Return the response that landed as a reply."""
    request = reply.request
    return Response(request["status"], {"etag": request["etag"], "link": request["link"]}, reply.body)


def has_expected_shape(response: Response, purpose: str) -> bool:
    """Return whether a response has the fields for its purpose; responses with another status than 200 need none."""
    if response.status != OK:
        return True
    try:
        content = response.content
    except MalformedError:
        return False
    shape = _SHAPES[purpose]
    if shape is None:
        return isinstance(content, list) and all(isinstance(item, dict) and "sha" in item for item in content)
    return isinstance(content, dict) and all(isinstance(content.get(name), kind) for name, kind in shape.items())


def _is_incomplete(response: Response) -> bool:
    """Return whether a search timed out and must be sent again."""
    content = response.content if response.status == OK else None
    return isinstance(content, dict) and bool(content.get("incomplete_results"))
