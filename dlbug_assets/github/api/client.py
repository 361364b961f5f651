"""Client of GitHub's REST API for one collection; searches and look-ups of repositories go through PyGithub.

Replies land in the collection before anything reads them. PyGithub gets them through our transport, see
:mod:`dlbug_assets.github.api.pygithub`.
"""

import json
import logging
from collections.abc import Collection as AbstractCollection
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError

from dlbug_assets.clock import parse_timestamp
from dlbug_assets.github.api.transport import Response, Transport
from dlbug_assets.ingest.http_client import MalformedError
from dlbug_assets.ingest.landing import Collection, Reply

if TYPE_CHECKING:
    from github.Repository import Repository

logger = logging.getLogger(__name__)

PAGE_SIZE = 100
OK, NOT_MODIFIED = 200, 304
#: The purposes of requests, stored with the landed reply, and below what a reply to each must be.
SEARCH, REPOSITORY, HEAD, LISTED, AHEAD, LOST, DETAILS = (
    "search", "repository", "head", "listed", "ahead", "lost", "details",
)  # fmt: skip
#: HTTP statuses that report the state of a repository.
STATES = {403: "blocked", 404: "gone", 409: "empty", 410: "gone", 451: "blocked"}
#: HTTP statuses with which GitHub states that it does not have, or does not show, what was requested.
DEFINITE = (404, 410, 451)
_FORBIDDEN, _CONFLICT, _UNPROCESSABLE = 403, 409, 422
_UNKNOWN_HEAD = (404, _UNPROCESSABLE)
_REFUSALS: Mapping[str, AbstractCollection[int]] = {
    SEARCH: (_FORBIDDEN, _UNPROCESSABLE),
    REPOSITORY: STATES,
    HEAD: STATES,
    LISTED: (),
    AHEAD: _UNKNOWN_HEAD,
    LOST: _UNKNOWN_HEAD,
    DETAILS: (*DEFINITE, _FORBIDDEN, _CONFLICT, _UNPROCESSABLE),
}


# The fields of replies that are read; all others are ignored.
_Hash = Annotated[str, Field(pattern="^([0-9a-f]{40}|[0-9a-f]{64})$")]
_Count = Annotated[int, Field(strict=True, ge=0)]
_Flag = Annotated[bool, Field(strict=True)]
_Time = Annotated[str, Field(pattern=r"^[12][0-9]{3}-.*(Z|[+-][0-9]{2}:?[0-9]{2})$"), AfterValidator(parse_timestamp)]


class _Person(BaseModel):
    email: str | None = None
    date: str | None = None


class _Content(BaseModel):
    message: str | None
    author: _Person | None = None
    committer: _Person | None = None


class _Parent(BaseModel):
    sha: _Hash


class _Commit(BaseModel):
    sha: _Hash
    commit: _Content
    parents: list[_Parent]


class _Comparison(BaseModel):
    commits: list[_Commit]
    status: Literal["ahead", "behind", "diverged", "identical"]
    total_commits: _Count


class _Stats(BaseModel):
    additions: _Count
    deletions: _Count


class _File(BaseModel):
    filename: str
    previous_filename: str | None = None
    patch: str | None = None


class _Details(_Commit):
    stats: _Stats | None = None
    files: list[_File]


class _Repository(BaseModel):
    id: _Count
    full_name: str
    html_url: str
    stargazers_count: _Count
    fork: _Flag
    archived: _Flag
    created_at: _Time
    pushed_at: _Time | None
    default_branch: str | None = None


class _Found(BaseModel):
    items: list[_Repository]
    total_count: _Count
    incomplete_results: _Flag


# GitHub reports a repository without commits by the status 409, never by an empty list.
_COMMITS = TypeAdapter(Annotated[list[_Commit], Field(min_length=1)])
_SHAPES: Mapping[str, TypeAdapter[Any]] = {
    SEARCH: TypeAdapter(_Found),
    REPOSITORY: TypeAdapter(_Repository),
    HEAD: _COMMITS,
    LISTED: _COMMITS,
    AHEAD: TypeAdapter(_Comparison),
    LOST: TypeAdapter(_Comparison),
    DETAILS: TypeAdapter(_Details),
}


class CollectionClient:
    """A client whose replies land in one collection; a request whose reply has landed before is not sent again.

    ``requests`` is the number of requests sent.
    """

    def __init__(self, transport: Transport, collection: Collection) -> None:
        self.collection = collection
        self.requests = 0
        self._transport = transport
        self._landed: dict[str, Response] = {}
        for reply in collection.replies():
            request, response = reply.request, landed_response(reply)
            if is_valid(response, request["purpose"]["purpose"]) and not _is_incomplete(response):
                self._landed[_key(request["path"], request["params"], request["purpose"])] = response

    @property
    def now(self) -> datetime:
        """The server's time at the last response, or else this machine's; in UTC, without a time zone."""
        return self._transport.server_time or self.collection.stamps.next()

    def get(
        self,
        purpose: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        what: str,
        etag: str | None = None,
        **more: Any,
    ) -> Response:
        """Return the response for a path below the API's root.

        ``what`` names the requested resource in messages. With ``etag``, an unchanged response has the status 304 and
        does not land. ``more`` is stored with the landed reply. Raises what :class:`Transport` raises, and
        :class:`MalformedError` if in all attempts, the reply is malformed or has an unexpected status.
        """
        query, stored = dict(params or {}), {"purpose": purpose, **more}
        # Once only: a request is repeated because its replies contradict each other.
        landed = self._landed.pop(_key(path, query, stored), None)
        if landed is not None:
            return landed
        headers = {"If-None-Match": etag} if etag else {}
        failures = 0
        while True:
            self.requests += 1
            try:
                response = self._transport.get(
                    path, query, headers, partial(self._land, path, query, stored), what=what
                )
                if etag is None or response.status != NOT_MODIFIED:
                    _check(response, purpose)
            except MalformedError as error:
                failures += 1
                if failures == self._transport.attempts:
                    raise MalformedError(f"GitHub's reply for {what} is malformed: {error}") from None
                logger.info("%s: %s, asking again", what, error)
                self._transport.pause(failures)
            else:
                return response

    def search(self, query: str, page: int, attempt: int) -> tuple[list["Repository"], int, bool]:
        """Return :func:`.pygithub.search_repositories` for a query; each ``attempt`` (from 0) sends new requests."""
        from dlbug_assets.github.api import pygithub  # noqa: PLC0415 - slow to import

        get = partial(self.get, SEARCH, what=f"the search {query!r}", attempt=attempt)
        requester = pygithub.TransportRequester(self._transport.root, PAGE_SIZE, get)
        return pygithub.search_repositories(requester, query, page)

    def repository(self, id_or_name: int | str, full_name: str) -> "Repository | str":
        """Return a repository by its ID or by owner/name, or its state, a value of STATES, if GitHub refuses it."""
        from dlbug_assets.github.api import pygithub  # noqa: PLC0415 - slow to import

        get = partial(self.get, REPOSITORY, what=f"the repository {full_name}")
        requester = pygithub.TransportRequester(self._transport.root, PAGE_SIZE, get)
        found = pygithub.get_repository(requester, id_or_name)
        return STATES[found] if isinstance(found, int) else found

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


def is_valid(response: Response, purpose: str) -> bool:
    """Return whether a response has the fields for its purpose, or a status that can be expected for it."""
    try:
        _check(response, purpose)
    except MalformedError:
        return False
    return True


def _check(response: Response, purpose: str) -> None:
    """Raise :class:`MalformedError` for an unexpected status, or for content without the fields for its purpose."""
    if response.status in _REFUSALS[purpose]:
        return
    if response.status != OK:
        raise MalformedError(f"unexpected HTTP status {response.status}")
    try:
        _SHAPES[purpose].validate_python(response.content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise MalformedError(f"{place or 'the reply'}: {first['msg']}") from None


def _is_incomplete(response: Response) -> bool:
    """Return whether a search timed out and must be sent again."""
    content = response.content if response.status == OK else None
    return isinstance(content, dict) and bool(content.get("incomplete_results"))
